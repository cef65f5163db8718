"""Serves a request → response function on a port that can be closed, which real servers cannot promise."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from kvsecrets._protocol import Request, Response
from tests.emulator.faults import WAYS, Answer, Selection, whole
from tests.sockets import bound, stop_listening

Respond = Callable[[Request], Response]
Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_GRACE_SECONDS = 0.01
"""How long open calls may take when a listener closes. Zero would mean without end."""


class Listener:
    """One port on loopback that stays bound while it is closed: no other program can take it."""

    def __init__(
        self, *, tls: ssl.SSLContext | None, port: int = 0, strangers_tls: ssl.SSLContext | None = None
    ) -> None:
        """Bind the port, or any free one for 0; it does not listen yet, so connections are refused.

        Args:
            tls: With which it serves.
            port: Its number.
            strangers_tls: One that no client trusts.
        """
        self.latency = 0.0
        """Seconds that every call waits before it is answered."""

        self._socket = bound(port)
        self._tls = tls
        self._own_tls = tls
        self._strangers_tls = strangers_tls
        self._broken: tuple[Answer, Selection] | None = None
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

    async def break_(
        self, way: str, *, kind: str | None = None, every: int = 1, calls: int | None = None, **options: object
    ) -> None:
        """Break in one way, until it is mended.

        Args:
            way: `refused`, `deaf` (no TLS handshake), `stranger` (a certificate of an unknown authority), or one of
                `faults.WAYS`, with its options.
            kind: See `Selection`, as the others.
            every: The same.
            calls: The same.
            options: Those of the way.
        """
        await self.mend()
        match way:
            case "refused":
                await self.close()
            case "deaf":
                await self.close()
                self._socket.listen()
            case "stranger":
                await self.close()
                self._tls = self._strangers_tls
                await self.open()
            case _:
                self._broken = WAYS[way](**options), Selection(kind, every, calls)

    async def mend(self) -> None:
        """Undo `break_`."""
        self._broken = None
        if self._tls is not self._own_tls:
            await self.close()
            self._tls = self._own_tls
        await self.open()

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
        asked = Request(request.method, f"{self.url}{request.raw_path}", request.headers, body)
        if self._broken is not None:
            answer, selection = self._broken
            if selection.takes(request.path):
                return await answer(request, lambda: self._respond(asked))
        return whole(self._respond(asked))


def _nothing(_request: Request) -> Response:
    return Response(503)
