"""Serves a request → response function on a port that can really be closed; knows nothing of what is served."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from kvsecrets._protocol import Request, Response

Respond = Callable[[Request], Response]
Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_GRACE_SECONDS = 0.01
"""How long calls under way may go on when a door closes. Nought would mean for ever."""


class Door:
    """One port on loopback, its own from the beginning to the end, whether somebody listens there or not."""

    def __init__(self, *, tls: ssl.SSLContext | None, port: int = 0) -> None:
        """Take the port, or any free one for 0; nobody listens yet, so connections are refused."""
        self.latency = 0.0
        """Seconds that every call waits before it is answered."""

        self._socket = _bound(port)
        self._tls = tls
        self._server: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._handle: Handle = self._answer
        self._respond: Respond = _nothing

    @property
    def url(self) -> str:
        """Where clients find it."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://localhost:{self.port}"

    @property
    def port(self) -> int:
        """The port's number."""
        port: int = self._socket.getsockname()[1]
        return port

    def serve(self, respond: Respond) -> None:
        """Say what answers behind the door."""
        self._respond = respond

    def serve_requests(self, handle: Handle) -> None:
        """Say what answers behind the door, in terms of the HTTP server."""
        self._handle = handle

    async def open(self) -> None:
        """Listen; an open door stays open."""
        if self._listener is None:
            self._server = web.Server(self._admit, access_log=None)
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._server, sock=self._socket, ssl=self._tls, backlog=1024)

    async def close(self) -> None:
        """Stop listening and cut all connections: who knocks now is refused by the operating system."""
        if self._listener is None or self._server is None:
            return
        port = self.port
        self._listener.close()
        self._server.pre_shutdown()
        await self._server.shutdown(_GRACE_SECONDS)
        self._listener = self._server = None
        self._socket = _bound(port)

    async def release(self) -> None:
        """Close for good and give the port back."""
        await self.close()
        self._socket.close()

    async def _admit(self, asked: web.BaseRequest) -> web.StreamResponse:
        """Let a call in, but for one on a connection that was still in its handshake when all others were cut."""
        if self._listener is None and asked.transport is not None:
            asked.transport.abort()
            return web.Response(status=503)
        return await self._handle(asked)

    async def _answer(self, asked: web.BaseRequest) -> web.StreamResponse:
        body = await asked.read()
        if self.latency:
            await asyncio.sleep(self.latency)
        answer = self._respond(Request(asked.method, f"{self.url}{asked.raw_path}", asked.headers, body))
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body or None)


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)
    bound.bind(("127.0.0.1", port))
    return bound


def _nothing(_request: Request) -> Response:
    return Response(503)
