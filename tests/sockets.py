"""Sockets whose port stays theirs while they do not listen, so that connections are refused and no other gets them."""

import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"


def bound(port: int = 0) -> socket.socket:
    """A socket bound to a port of the loopback address, by default a free one, not listening yet."""
    with _reusable() as held:
        # Linux releases a port at the end of listening unless it was asked for by number.
        held.bind((LOOPBACK, port))
        made = _reusable()
        made.bind(held.getsockname())
        return made


def stop_listening(listening: socket.socket) -> None:
    """Refuse connections from now on; the socket stays bound and can listen again.

    Closing it would not do: a child process that has not called exec yet holds a copy, which listens on.
    """
    listening.shutdown(socket.SHUT_RDWR)


def _reusable() -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made
