"""A countdown is a number of seconds that knows what is left of it, and a socket that is given one waits no longer."""

import socket
import ssl
from collections.abc import Iterator

import pytest

from kvsecrets._countdown import Countdown, CountingSocket, count


class Clock:
    """Shows what it was set to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counting() -> Iterator[ssl.SSLSocket]:
    """A socket of a context that obeys countdowns, before its handshake."""
    context = count(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    here, there = socket.socketpair()
    with (
        there,
        context.wrap_socket(here, do_handshake_on_connect=False, server_hostname="shop.vault.azure.net") as wrapped,
    ):
        yield wrapped


def test_a_countdown_is_the_number_that_it_began_with(clock: Clock) -> None:
    countdown = Countdown(30, clock)
    clock.now += 10

    assert countdown == 30.0


def test_what_is_left_is_what_the_clock_has_not_taken(clock: Clock) -> None:
    countdown = Countdown(30, clock)
    clock.now += 10

    assert countdown.left() == 20


@pytest.mark.parametrize("seconds", [30, 31], ids=["at its end", "after its end"])
def test_a_countdown_that_is_over_says_so(seconds: float, clock: Clock) -> None:
    countdown = Countdown(30, clock)
    clock.now += seconds

    with pytest.raises(TimeoutError):
        countdown.left()


def test_a_socket_waits_for_what_is_left_each_time_that_it_is_told(clock: Clock, counting: ssl.SSLSocket) -> None:
    countdown = Countdown(30, clock)
    waits = []
    for _ in range(3):
        counting.settimeout(countdown)
        waits.append(counting.gettimeout())
        clock.now += 8

    assert waits == [30, 22, 14]


def test_a_socket_refuses_to_wait_for_a_countdown_that_is_over(clock: Clock, counting: ssl.SSLSocket) -> None:
    countdown = Countdown(30, clock)
    clock.now += 30

    with pytest.raises(TimeoutError):
        counting.settimeout(countdown)


@pytest.mark.parametrize("timeout", [None, 0.0, 2.5], ids=["for ever", "not at all", "some seconds"])
def test_a_socket_takes_any_other_timeout_as_it_is(timeout: float | None, counting: ssl.SSLSocket) -> None:
    counting.settimeout(timeout)

    assert counting.gettimeout() == timeout


def test_sockets_of_other_contexts_are_left_alone() -> None:
    counting, other = count(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    assert (counting.sslsocket_class, other.sslsocket_class) == (CountingSocket, ssl.SSLSocket)
