"""The proxy between operator and API server: it forwards, cuts and stalls connections, and does not hang."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import pytest

from tests.e2e.tcp_proxy import TcpProxy

GUARD_SECONDS: Final = 100.0


@pytest.fixture
def far_end() -> Iterator[socket.socket]:
    """The port to which the proxy forwards."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(GUARD_SECONDS)
        yield server


@pytest.fixture
def proxy(far_end: socket.socket) -> Iterator[TcpProxy]:
    """A connected proxy."""
    with TcpProxy.to(far_end.getsockname()[1]) as proxy:
        yield proxy


def connected(proxy: TcpProxy) -> socket.socket:
    """A connection to the proxy."""
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=GUARD_SECONDS)


def is_cut(end: socket.socket) -> bool:
    """Whether the connection has ended; reads what was sent before."""
    with suppress(ConnectionError):
        while end.recv(65536):
            pass
    return True


def test_each_end_receives_what_the_other_sends(proxy: TcpProxy, far_end: socket.socket) -> None:
    with connected(proxy) as near, far_end.accept()[0] as far:
        near.sendall(b"question")
        asked = far.recv(100)
        far.sendall(b"answer")
        answered = near.recv(100)
        near.shutdown(socket.SHUT_WR)

        assert (asked, answered, far.recv(100)) == (b"question", b"answer", b"")


def test_a_disconnected_proxy_cuts_connections_and_refuses_new_ones(proxy: TcpProxy, far_end: socket.socket) -> None:
    with connected(proxy) as near, far_end.accept()[0] as far:
        near.sendall(b"question")
        far.recv(100)

        proxy.disconnect()

        assert is_cut(near)
        assert is_cut(far)
        with pytest.raises(ConnectionRefusedError):
            connected(proxy)


def test_a_reconnected_proxy_forwards_again(proxy: TcpProxy, far_end: socket.socket) -> None:
    proxy.disconnect()
    proxy.connect()

    with connected(proxy) as near, far_end.accept()[0] as far:
        near.sendall(b"question")

        assert far.recv(100) == b"question"


def test_a_stalled_proxy_forwards_later_what_was_sent_meanwhile(proxy: TcpProxy, far_end: socket.socket) -> None:
    with connected(proxy) as near, far_end.accept()[0] as far:
        proxy.stall()
        near.sendall(b"question")
        far.setblocking(False)
        with pytest.raises(BlockingIOError):
            far.recv(100)

        proxy.resume()
        far.settimeout(GUARD_SECONDS)

        assert far.recv(100) == b"question"


def test_a_stranded_connection_stays_open_for_nothing_while_a_new_one_works(
    proxy: TcpProxy, far_end: socket.socket
) -> None:
    with connected(proxy) as lost, far_end.accept()[0] as unreached:
        lost.sendall(b"question")
        unreached.recv(100)
        proxy.strand()
        lost.sendall(b"lost")

        with connected(proxy) as near, far_end.accept()[0] as far:
            near.sendall(b"question")

            assert far.recv(100) == b"question"
        unreached.setblocking(False)
        with pytest.raises(BlockingIOError):
            unreached.recv(100)
        proxy.disconnect()
        assert is_cut(lost)


def test_no_other_program_gets_the_port_of_a_disconnected_proxy(proxy: TcpProxy) -> None:
    proxy.disconnect()

    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", proxy.port))


def test_a_child_process_with_a_copy_of_the_socket_does_not_matter(proxy: TcpProxy, far_end: socket.socket) -> None:
    with proxy._socket.dup():
        proxy.disconnect()
        with pytest.raises(ConnectionRefusedError):
            connected(proxy)

        proxy.connect()
        with connected(proxy) as near, far_end.accept()[0] as far:
            near.sendall(b"question")

            assert far.recv(100) == b"question"


def test_it_can_be_disconnected_while_an_end_reads_nothing(proxy: TcpProxy, far_end: socket.socket) -> None:
    with connected(proxy) as near, far_end.accept()[0] as far:
        near.settimeout(0.2)
        with suppress(TimeoutError):
            while True:
                near.sendall(b"x" * 65536)

        proxy.disconnect()

        assert is_cut(far)


def test_it_can_be_disconnected_while_the_far_end_accepts_nothing() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), TcpProxy.to(address[1]) as proxy, connected(proxy) as near:
            proxy.disconnect()

            assert is_cut(near)
