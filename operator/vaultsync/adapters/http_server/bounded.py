"""HTTP servers that no client can fill: few connections, a time limit for each head, no bodies; knows no path.

aiohttp bounds what one connection costs. It bounds neither their number, nor the time of a TLS handshake, so the
connections are accepted here.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

from aiohttp import web

MAX_CONNECTIONS = 32
"""Open connections of a port. It must be far below the limit of file descriptors, which may be 1,024."""

BACKLOG = 1024
"""Connections that the kernel accepts before we do: if these are too many, a client tries again after a second."""

HEAD_SECONDS = 10.0
"""Seconds for a TLS handshake, and for the head of a request: from the connection, or from the last response."""

STALL_SECONDS = 20.0
"""Seconds for which a client may take nothing of a response."""

MAX_HEADERS = 64
MAX_LINE_SIZE = 2048
MAX_FIELD_SIZE = 8190
"""Bytes of a header: the token of an identity provider may be several thousand long."""

RETRY_SECONDS = 1.0
"""Seconds until the next attempt to accept a connection, if the system has no file descriptor left."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(
    host: str, port: int, handlers: Mapping[str, Handler], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve within the context; yields the port.

    A new connection is always accepted. If there are too many, the oldest that waits for a request is closed for it.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 for any free one.
        handlers: Responds to GET requests, by path.
        tls: Serves HTTPS; by default HTTP.

    Raises:
        OSError: The port is in use.
    """
    connections = _Connections()
    application = web.Application(middlewares=[connections.handle])
    application.add_routes([web.get(path, handler) for path, handler in handlers.items()])
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=1.0,
        keepalive_timeout=HEAD_SECONDS,
        # Otherwise clients that leave and come back would leave their requests behind.
        handler_cancellation=True,
        # What remains of a request that has its response is not read.
        lingering_time=0.0,
        max_headers=MAX_HEADERS,
        max_line_size=MAX_LINE_SIZE,
        max_field_size=MAX_FIELD_SIZE,
    )
    await runner.setup()
    try:
        with _listener(host, port) as listener:
            accepting = asyncio.create_task(_accept(listener, runner, connections, tls), name=f"connections of {port}")
            try:
                yield listener.getsockname()[1]
            finally:
                accepting.cancel()
                await asyncio.wait({accepting})
    finally:
        await runner.cleanup()


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.settimeout(0)
    return listener


async def _accept(
    listener: socket.socket, runner: web.AppRunner, connections: "_Connections", tls: ssl.SSLContext | None
) -> None:
    """Accept connections until cancelled, one in each turn of the event loop: each can send its request in the next."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as handshakes:
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            connections.add(connection)
            handshakes.create_task(_open(connection, runner, tls))
            await asyncio.sleep(0)


async def _open(connection: socket.socket, runner: web.AppRunner, tls: ssl.SSLContext | None) -> None:
    """Serve a connection once its handshake is complete."""
    assert runner.server is not None
    timeout = HEAD_SECONDS if tls is not None else None
    with suppress(OSError):
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # on Linux
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALL_SECONDS * 1000))
        await asyncio.get_running_loop().connect_accepted_socket(
            runner.server, connection, ssl=tls, ssl_handshake_timeout=timeout
        )


class _Connections:
    """The open connections of a port, in the order in which they were accepted."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        self._busy: set[socket.socket] = set()
        """Those whose request is being handled."""

    def add(self, connection: socket.socket) -> None:
        """Add a connection. If there are too many, close the oldest that is not busy, which may be this one."""
        self._open = [*(opened for opened in self._open if opened.fileno() >= 0), connection]
        if len(self._open) > MAX_CONNECTIONS:
            oldest = next(opened for opened in self._open if opened not in self._busy)
            self._open.remove(oldest)
            # Its transport, which may be in a handshake, notices that as the end of the connection.
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request, which has no body; its connection is busy meanwhile."""
        if request.body_exists:
            response = web.Response(text="no request body is accepted\n", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            response.force_close()
            return response
        busy = self._of(request)
        self._busy.update(busy)
        try:
            return await handler(request)
        finally:
            self._busy.difference_update(busy)

    def _of(self, request: web.Request) -> list[socket.socket]:
        """Return the connection of a request; none if it was closed meanwhile."""
        view = None if request.transport is None else request.transport.get_extra_info("socket")
        return [] if view is None else [opened for opened in self._open if opened.fileno() == view.fileno() >= 0]
