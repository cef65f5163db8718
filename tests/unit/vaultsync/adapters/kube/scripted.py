"""A server whose responses a test scripts, for what no real API server does on demand; it keeps the requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from vaultsync.adapters.kube.connection import Connection
from vaultsync.state.shards import Shards

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(slots=True)
class Script:
    """The answers to come, and the requests that came."""

    answers: list[Answer]
    sent: list[Sent] = field(default_factory=list)
    _arrivals: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def arrivals(self, count: int) -> None:
        """Return when so many more requests have come."""
        for _ in range(count):
            await self._arrivals.acquire()

    async def play(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.sent.append(Sent(request.method, request.path, dict(request.query), dict(request.headers), body))
        answer = self.answers.pop(0)
        self._arrivals.release()
        return await answer(request)


def document(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Answer:  # noqa: ANN401 - any JSON
    """An answer in JSON."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def text(status: int, body: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in plain text."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status, headers=headers)

    return answer


def lines(*documents: str) -> Answer:
    """An answer that ends after some lines."""
    return text(200, "".join(f"{one}\n" for one in documents))


async def silence(_: web.Request) -> web.StreamResponse:
    """No response."""
    await asyncio.Event().wait()
    raise AssertionError


async def breaking_off(request: web.Request) -> web.StreamResponse:
    """An answer that ends before it is whole."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"half')
    assert request.transport is not None
    request.transport.close()
    return response


async def hanging_up(request: web.Request) -> web.StreamResponse:
    """No answer, and the end of the connection, as when a server closes it for being idle."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def connected(
    *answers: Answer, patience: float = 60, connections: int = 4, shards: Shards | None = None
) -> AsyncIterator[tuple[Connection, Script]]:
    """A connection to a server that gives these answers, one after the other."""
    script = Script(list(answers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.play)
    async with TestServer(app, shutdown_timeout=0) as server:
        configuration = Configuration(
            host=str(server.make_url("")).rstrip("/"), api_key={"BearerToken": "Bearer our-token"}
        )
        connection = Connection(
            configuration,
            user_agent="vaultsync/1",
            connections=connections,
            shards=shards,
            request_timeout=patience,
            watch_timeout=patience,
        )
        try:
            yield connection, script
        finally:
            await connection.close()
