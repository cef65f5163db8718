"""A server on real TLS sockets that misbehaves after the login, as a script says, which is a function."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

Script = Callable[["Peer"], None]
REQUEST_BYTES = 65_536
READ_SECONDS = 60
"""Seconds after which the server stops to wait for a client that sends nothing."""


class Peer:
    """One connection of a client, from the server's side."""

    def __init__(self, connection: socket.socket, stopped: threading.Event) -> None:
        self._connection = connection
        self._stopped = stopped

    def write(self, *parts: bytes | str) -> bool:
        """Send bytes as they are; return whether the client still accepts them."""
        try:
            self._connection.sendall(b"".join(part if isinstance(part, bytes) else part.encode() for part in parts))
        except OSError:
            return False
        return True

    def answer(self, status: str, body: bytes = b"", **headers: str) -> None:
        """Send a whole response that keeps the connection; header names are given with underscores."""
        named = {"content-length": str(len(body)), **{name.replace("_", "-"): text for name, text in headers.items()}}
        lines = "".join(f"{name}: {text}\r\n" for name, text in named.items())
        self.write(f"HTTP/1.1 {status}\r\n{lines}\r\n", body)

    def drip(self, text: bytes, seconds: float = 0.05, at_once: int = 1) -> None:
        """Send byte by byte, or so many at once, slowly, until the server stops."""
        for start in range(0, len(text), at_once):
            if self._stopped.wait(seconds):
                return
            self.write(text[start : start + at_once])

    def hang(self) -> None:
        """Do nothing until the server stops."""
        self._stopped.wait()

    def reset(self) -> None:
        """Break the connection at once."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._connection.close()

    def cut(self) -> None:
        """End the connection for a script that still writes: its client reads no more, but may not have closed it."""
        with contextlib.suppress(OSError):
            # By the socket below TLS, which another thread uses.
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def receive(self) -> bytes:
        """Read what has arrived, at least one byte; empty when the client has closed the connection."""
        return self._connection.recv(REQUEST_BYTES)

    def request(self) -> bytes:
        """Read one request; empty when the client has closed the connection."""
        text = b""
        with contextlib.suppress(OSError):
            while b"\r\n\r\n" not in text:
                part = self.receive()
                if not part:
                    return b""
                text += part
        return text


def silent(peer: Peer) -> None:
    """Send no response."""
    peer.hang()


class FaultyServer:
    """Listens on a free port; the script responds to each authorized request, and a challenge to the others.

    What happens on a connection before TLS is a script too, for instance the response of a proxy.
    """

    def __init__(self, script: Script, tls: ssl.SSLContext | None, first: Script | None = None) -> None:
        self._script = script
        self._tls = tls
        self._first = first
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.requests: list[bytes] = []
        self._peers: list[Peer] = []
        self._threads = [threading.Thread(target=self._listen, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._peers:
            peer.cut()
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(READ_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what was written has arrived
        if self._first is not None:
            self._first(Peer(connection, self._stopped))
        with contextlib.suppress(OSError), self._secured(connection) as secured:
            peer = Peer(secured, self._stopped)
            self._peers.append(peer)
            while request := peer.request():
                self.requests.append(request)
                if b"\r\nauthorization:" in request.lower():
                    self._script(peer)
                    return
                peer.answer(
                    "401 Unauthorized",
                    www_authenticate='Bearer authorization="https://login.example/t", resource="https://127.0.0.1"',
                )

    @contextlib.contextmanager
    def _secured(self, connection: socket.socket) -> Iterator[socket.socket]:
        with connection:
            if self._tls is None:
                yield connection
            else:
                connection.getpeername()  # of one that is gone, `ssl` would leave a socket open
                with self._tls.wrap_socket(connection, server_side=True) as secured:
                    yield secured
