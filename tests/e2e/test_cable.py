"""The cable between operator and API server does what stories rely on: carries, cuts, and never keeps one waiting."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.e2e.cable import Cable


@pytest.fixture
def far_end() -> Iterator[socket.socket]:
    """Where the cable leads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


@pytest.fixture
def cable(far_end: socket.socket) -> Iterator[Cable]:
    """A cable that is plugged in."""
    with Cable.lay(far_end.getsockname()[1]) as cable:
        yield cable


def connected(cable: Cable) -> socket.socket:
    """A connection into the cable."""
    return socket.create_connection(("127.0.0.1", cable.port), timeout=5)


def is_cut(end: socket.socket) -> bool:
    """Tell whether nothing more comes; what was on its way is taken in first."""
    with suppress(ConnectionError):
        while end.recv(65536):
            pass
    return True


def test_what_one_end_sends_the_other_receives(cable: Cable, far_end: socket.socket) -> None:
    with connected(cable) as near, far_end.accept()[0] as far:
        near.sendall(b"question")
        asked = far.recv(100)
        far.sendall(b"answer")
        answered = near.recv(100)
        near.shutdown(socket.SHUT_WR)

        assert (asked, answered, far.recv(100)) == (b"question", b"answer", b"")


def test_pulled_out_it_cuts_what_is_connected_and_refuses_what_comes(cable: Cable, far_end: socket.socket) -> None:
    with connected(cable) as near, far_end.accept()[0] as far:
        near.sendall(b"question")
        far.recv(100)

        cable.pull_out()

        assert is_cut(near)
        assert is_cut(far)
        with pytest.raises(ConnectionRefusedError):
            connected(cable)


def test_plugged_in_again_it_carries_again(cable: Cable, far_end: socket.socket) -> None:
    cable.pull_out()
    cable.plug_in()

    with connected(cable) as near, far_end.accept()[0] as far:
        near.sendall(b"question")

        assert far.recv(100) == b"question"


def test_it_can_be_pulled_out_while_an_end_does_not_take_what_is_sent(cable: Cable, far_end: socket.socket) -> None:
    with connected(cable) as near, far_end.accept()[0] as far:
        near.settimeout(0.2)
        with suppress(TimeoutError):
            while True:
                near.sendall(b"x" * 65536)

        cable.pull_out()

        assert is_cut(far)


def test_it_can_be_pulled_out_while_the_far_end_does_not_let_anybody_in() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), Cable.lay(address[1]) as cable, connected(cable) as near:
            cable.pull_out()

            assert is_cut(near)
