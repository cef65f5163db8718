"""An HTTP proxy as companies have them: it opens tunnels, requires a login or refuses, and may inspect TLS."""

import base64
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Self

from tests.authorities import Authority


class ConnectProxy:
    """A proxy on loopback.

    Args:
        login: User and password that it requires, joined by a colon.
        status: With which it refuses every tunnel.
        inspects: The authority with which it makes a certificate for each host, in order to read what is sent.
    """

    def __init__(self, *, login: str = "", status: int = 0, inspects: Authority | None = None) -> None:
        self.tunnels: list[str] = []
        """The host and port of each tunnel that was opened."""
        self._login = login
        self._status = status
        self._inspects = inspects
        self._server = ThreadingTCPServer(("127.0.0.1", 0), self._handler(), bind_and_activate=True)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    @classmethod
    @contextmanager
    def listening(cls, *, login: str = "", status: int = 0, inspects: Authority | None = None) -> Iterator[Self]:
        """Listen while the block lasts."""
        proxy = cls(login=login, status=status, inspects=inspects)
        thread = threading.Thread(target=proxy._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            proxy._server.shutdown()
            thread.join()
            proxy._server.server_close()

    def url(self, login: str = "") -> str:
        """The value of HTTPS_PROXY."""
        return f"http://{login}@{self.host}" if login else f"http://{self.host}"

    def _handler(self) -> type[StreamRequestHandler]:
        serve = self._serve

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    serve(self)

        return Handler

    def _serve(self, handler: StreamRequestHandler) -> None:
        head = [handler.rfile.readline().decode().strip()]
        while line := handler.rfile.readline().decode().strip():
            head.append(line)
        if status := self._refusal(head):
            handler.wfile.write(f"HTTP/1.1 {status} MARKED\r\ncontent-length: 0\r\n\r\n".encode())
            return
        target = head[0].split(" ")[1]
        self.tunnels.append(target)
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            if self._inspects is None:
                _pump(handler.request, far)
            else:
                near = self._inspects.server_tls(host).wrap_socket(handler.request, server_side=True)
                with near:
                    near.recv(1)  # a client that trusts it sends a request

    def _refusal(self, head: list[str]) -> int:
        wanted = f"proxy-authorization: basic {base64.b64encode(self._login.encode()).decode()}"
        if self._login and not any(line.lower() == wanted.lower() for line in head):
            return 407
        return self._status


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Copy in both directions until one side has ended."""
    while True:
        ready, _, _ = select.select([one, other], [], [])
        for near in ready:
            data = near.recv(65536)
            if not data:
                return
            (other if near is one else one).sendall(data)
