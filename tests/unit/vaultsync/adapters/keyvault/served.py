"""Fake vaults behind TLS on loopback ports, and the connections that clients have open to them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from kvsecrets._protocol import Request
from kvsecrets.testing import FakeVault
from tests.emulator.listener import Listener

DEADLINE = 300.0
"""Seconds after which a test fails that waits for the server to notice something."""


class ServedVault:
    """A fake vault on a port; `transports` are the connections of the requests so far, in their order."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.listener = Listener(tls=tls)
        self.vault = FakeVault(self.listener.url)
        self.transports: list[asyncio.Transport] = []
        self.resumed = asyncio.Event()
        self.resumed.set()
        self.listener.serve_requests(self._handle)

    @property
    def url(self) -> str:
        return self.vault.url

    @property
    def open_connections(self) -> int:
        """How many of the connections are still open."""
        return sum(not transport.is_closing() for transport in set(self.transports))

    async def until_requests(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        async with asyncio.timeout(DEADLINE):
            while len(self.transports) < count:  # noqa: ASYNC110  the server signals nothing
                await asyncio.sleep(0.005)

    async def until_closed(self) -> None:
        """Wait until the server has noticed that all connections are closed."""
        async with asyncio.timeout(DEADLINE):
            while self.open_connections:  # noqa: ASYNC110  the server signals nothing
                await asyncio.sleep(0.005)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.Transport)
        self.transports.append(request.transport)
        body = await request.read()
        await self.resumed.wait()
        answer = self.vault.respond(Request(request.method, f"{self.url}{request.raw_path}", request.headers, body))
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body or None)


@asynccontextmanager
async def served(count: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[ServedVault, ...]]:
    """Serve so many vaults, each with the secret `db-password`, whose certificates httpx trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    vaults = tuple(ServedVault(tls) for _ in range(count))
    for one in vaults:
        one.vault.set("db-password", "s3cret")
        await one.listener.open()
    try:
        yield vaults
    finally:
        for one in vaults:
            one.resumed.set()
            await one.listener.release()
