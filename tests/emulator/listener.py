"""Serves a request → response function on a port that can be closed, which real servers cannot promise."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from kvsecrets._protocol import Request, Response
from tests.sockets import bound, stop_listening

Respond = Callable[[Request], Response]
Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_GRACE_SECONDS = 0.01
"""How long open calls may take when a listener closes. Zero would mean without end."""


class Listener:
    """One port on loopback that stays bound while it is closed: no other program can take it."""

    def __init__(self, *, tls: ssl.SSLContext | None, port: int = 0) -> None:
        """Bind the port, or any free one for 0; it does not listen yet, so connections are refused."""
        self.latency = 0.0
        """Seconds that every call waits before it is answered."""

        self._socket = bound(port)
        self._tls = tls
        self._server: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._handle: Handle = self._answer
        self._respond: Respond = _nothing

    @property
    def url(self) -> str:
        """The URL for clients."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://localhost:{self.port}"

    @property
    def port(self) -> int:
        """The port's number."""
        port: int = self._socket.getsockname()[1]
        return port

    def serve(self, respond: Respond) -> None:
        """Set the function that answers."""
        self._respond = respond

    def serve_requests(self, handle: Handle) -> None:
        """Set the function that answers, in terms of the HTTP server."""
        self._handle = handle

    async def open(self) -> None:
        """Listen; does nothing if it listens already."""
        if self._listener is None:
            self._server = web.Server(self._accept, access_log=None)
            loop = asyncio.get_running_loop()
            # asyncio closes what it is given.
            copy = self._socket.dup()
            self._listener = await loop.create_server(self._server, sock=copy, ssl=self._tls, backlog=1024)

    async def close(self) -> None:
        """Stop listening and cut all connections: the operating system refuses new ones."""
        if self._listener is None or self._server is None:
            return
        self._listener.close()
        stop_listening(self._socket)
        self._server.pre_shutdown()
        await self._server.shutdown(_GRACE_SECONDS)
        self._listener = self._server = None

    async def release(self) -> None:
        """Close and free the port."""
        await self.close()
        self._socket.close()

    async def _accept(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle a call, unless its connection was still in its handshake when all others were cut."""
        if self._listener is None and request.transport is not None:
            request.transport.abort()
            return web.Response(status=503)
        return await self._handle(request)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if self.latency:
            await asyncio.sleep(self.latency)
        answer = self._respond(Request(request.method, f"{self.url}{request.raw_path}", request.headers, body))
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body or None)


def _nothing(_request: Request) -> Response:
    return Response(503)
