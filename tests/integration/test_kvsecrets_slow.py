"""Slow servers: a call ends at its timeout although bytes keep arriving."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from kvsecrets import ConnectionFailed, ConnectionProblem
from tests.integration.faulty import FaultyServer, Peer, Script, silent
from tests.integration.reading import MARGIN, SECRET, SHORT, Get, both, full_text, get_async, tls

pytestmark = pytest.mark.usefixtures("trusted")


@contextmanager
def ends_in_time(problem: ConnectionProblem) -> Iterator[None]:
    """Expect a call to fail with this problem at its short timeout, without a secret in its text."""
    start = time.monotonic()
    with pytest.raises(ConnectionFailed) as caught:
        yield
    took = time.monotonic() - start

    assert caught.value.problem is problem
    assert took < SHORT + MARGIN
    assert "marked" not in full_text(caught.value)


def silent_after_the_headers(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
    peer.hang()


def a_status_line_that_drips(peer: Peer) -> None:
    peer.drip(b"HTTP/1.1 200 " + b"marked" * 1_000)


def a_header_that_drips(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\n")
    peer.drip(b"x-slow: " + b"marked" * 1_000)


def headers_that_drip(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\n")
    peer.drip(b"x: 0\r\n" * 1_000)


def informational_responses_that_drip(peer: Peer) -> None:
    peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000, at_once=25)


def a_body_that_drips(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
    peer.drip(SECRET * 10)


def a_size_of_a_chunk_that_drips(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    peer.drip(b"8;" + b"marked" * 1_000)


def chunks_that_drip(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    peer.drip(b"1\r\n{\r\n" * 1_000)


def trailers_that_drip(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    peer.drip(b"x-slow: " + b"marked" * 1_000)


SLOW: list[Script] = [
    silent,
    silent_after_the_headers,
    a_status_line_that_drips,
    a_header_that_drips,
    headers_that_drip,
    informational_responses_that_drip,
    a_body_that_drips,
    a_size_of_a_chunk_that_drips,
    chunks_that_drip,
    trailers_that_drip,
]


@both
@pytest.mark.parametrize("slow", SLOW, ids=lambda slow: slow.__name__)
async def test_a_slow_response_ends_at_the_timeout(
    read: Get, slow: Script, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with FaultyServer(slow, tls(authority)) as vault, ends_in_time(ConnectionProblem.TIMED_OUT):
        await read(vault.url, SHORT)

    assert "marked" not in caplog.text


@both
async def test_a_slow_handshake_is_unreachable(read: Get, authority: trustme.CA) -> None:
    def drip(peer: Peer) -> None:
        peer.drip(b"\x16\x03\x03\x40\x00" + bytes(1_000))

    with (
        FaultyServer(silent, tls(authority), first=drip) as vault,
        ends_in_time(ConnectionProblem.UNREACHABLE),
    ):
        await read(vault.url, SHORT)


@both
async def test_a_slow_response_through_a_proxy_ends_at_the_timeout(
    read: Get, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[bytes] = []

    def connect(peer: Peer) -> None:
        requests.append(peer.request())
        peer.write("HTTP/1.1 200 Connected\r\n\r\n")

    with FaultyServer(a_header_that_drips, tls(authority), first=connect) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with ends_in_time(ConnectionProblem.TIMED_OUT):
            await read("https://127.0.0.1", SHORT)

    assert requests[0].startswith(b"CONNECT 127.0.0.1:443 ")
    assert len(proxy.requests) == 2  # the one without a token, and the real one


async def test_a_slow_proxy_ends_at_the_timeout_of_a_task(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(peer: Peer) -> None:
        peer.request()
        peer.drip(b"HTTP/1.1 200 " + b"x" * 1_000)

    with FaultyServer(silent, tls(authority), first=drip) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with ends_in_time(ConnectionProblem.TIMED_OUT):
            await get_async("https://127.0.0.1", SHORT)
