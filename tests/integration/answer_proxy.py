"""A proxy before a real API server that loses responses: the request is carried out, and the connection is cut."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient

from vaultsync.adapters.kube.connection import configuration_from

_REQUEST_HEADERS: Final = ("Accept", "Content-Type", "Authorization")

Meanwhile = Callable[[], Awaitable[None]]


class AnswerProxy:
    """Forwards requests and streams responses."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session
        self._lost: dict[tuple[str, str], Meanwhile] = {}
        self._held: dict[tuple[str, str], Meanwhile] = {}
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def before(cls, kubeconfig: str) -> AsyncIterator["AnswerProxy"]:
        """Forward to the API server of a kubeconfig, from a port of this machine and without TLS."""
        configuration = await configuration_from({"KUBECONFIG": kubeconfig})
        client = ApiClient(configuration)
        connector = aiohttp.TCPConnector(ssl=client.rest_client.ssl_context)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            proxy = cls(configuration.host, session)
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", proxy._forward)
            async with TestServer(app, shutdown_timeout=0) as server:
                proxy.url = str(server.make_url("")).rstrip("/")
                yield proxy
        await client.close()

    def lose(self, method: str, path: str, meanwhile: Meanwhile) -> None:
        """Lose the response to the next request with that method and path, after something else has happened."""
        self._lost[method, path] = meanwhile

    def hold(self, method: str, path: str, meanwhile: Meanwhile) -> None:
        """Forward the next request with that method and path after something else has happened."""
        self._held[method, path] = meanwhile

    @property
    def is_done(self) -> bool:
        """Whether all requests have come that `lose` and `hold` name."""
        return not self._lost and not self._held

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers}
        url, body, key = self._server + request.raw_path, await request.read(), (request.method, request.path)
        if key in self._held:
            await self._held.pop(key)()
        async with self._session.request(request.method, url, headers=headers, data=body or None) as found:
            if key in self._lost:
                await found.read()
                await self._lost.pop(key)()
                return _cut(request)
            response = web.StreamResponse(status=found.status, headers={"Content-Type": found.headers["Content-Type"]})
            await response.prepare(request)
            async for chunk in found.content.iter_any():
                await response.write(chunk)
            return response


def _cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
