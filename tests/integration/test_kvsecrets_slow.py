"""Slow servers: a call ends at its timeout although bytes keep arriving."""

import asyncio
import logging
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import pytest
import trustme

from kvsecrets import AsyncSecretClient, ConnectionFailed, ConnectionProblem, SecretClient, UnexpectedAnswer
from tests.clocks import freeze, frozen, skip
from tests.integration.faulty import FaultyServer, Peer, Script, silent
from tests.integration.reading import LONG, NO_RETRY, SECRET, SHORT, Credential, full_text, get, get_async, tls

pytestmark = pytest.mark.usefixtures("trusted")

T = TypeVar("T")


class Slow:
    """A script that misbehaves after one whole response on the connection; `begun` says that it does."""

    def __init__(self, script: Script, *, begins_itself: bool = False) -> None:
        self._script = script
        self._begins_itself = begins_itself
        self.begun = threading.Event()

    def __call__(self, peer: Peer) -> None:
        peer.answer("200 OK", SECRET)
        peer.request()
        if not self._begins_itself:
            self.begun.set()
        self._script(peer)


class Read(Protocol):
    """Reads a secret twice over one connection. Only the second response is subject to the short timeout.

    With it for the login and the handshake too, a busy machine would decide which of them fails.
    """

    async def __call__(self, url: str, begun: threading.Event) -> None: ...


async def read(url: str, _begun: threading.Event) -> None:
    with SecretClient(url, Credential(), timeout=LONG, retry=NO_RETRY) as client:
        client.get_secret("db")
        client._driver._runtime = replace(client._driver._runtime, timeout=SHORT)
        client.get_secret("db")


async def read_async(url: str, begun: threading.Event) -> None:
    async with AsyncSecretClient(url, Credential(), timeout=LONG, retry=NO_RETRY) as client:
        await client.get_secret("db")
        client._driver._runtime = replace(client._driver._runtime, timeout=SHORT)
        call = await started(client.get_secret("db"), begun)
        await call


both = pytest.mark.parametrize("read", [read, read_async], ids=["threads", "asyncio"])


async def started(call: Coroutine[Any, Any, T], begun: threading.Event) -> asyncio.Task[T]:
    """Start a call; return when the server misbehaves. No timeout begins to elapse before."""
    with frozen():
        task = asyncio.create_task(call)
        while not begun.is_set():  # noqa: ASYNC110  the server runs in a thread
            await asyncio.sleep(0)
    return task


@contextmanager
def fails(problem: ConnectionProblem) -> Iterator[None]:
    """Expect a call to fail with this problem, without a secret in its text."""
    with pytest.raises(ConnectionFailed) as caught:
        yield

    assert caught.value.problem is problem
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
@pytest.mark.parametrize("script", SLOW, ids=lambda script: script.__name__)
async def test_a_slow_response_ends_at_the_timeout(
    read: Read, script: Script, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    slow = Slow(script)
    with FaultyServer(slow, tls(authority)) as vault, fails(ConnectionProblem.TIMED_OUT):
        await read(vault.url, slow.begun)

    assert "marked" not in caplog.text


@both
async def test_a_body_that_becomes_malformed_is_named_at_the_timeout_at_the_latest(
    read: Read, authority: trustme.CA
) -> None:
    """For tasks, aiohttp waits for the rest of such a body."""

    def malformed(peer: Peer) -> None:
        peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n")
        slow.begun.wait(0.05)
        peer.write("marked\r\n{}\r\n")
        slow.begun.set()
        peer.hang()

    slow = Slow(malformed, begins_itself=True)
    with FaultyServer(slow, tls(authority)) as vault, pytest.raises(UnexpectedAnswer, match="not valid HTTP") as caught:
        await read(vault.url, slow.begun)

    assert "marked" not in full_text(caught.value)


@both
async def test_a_slow_response_through_a_proxy_ends_at_the_timeout(
    read: Read, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[bytes] = []

    def connect(peer: Peer) -> None:
        requests.append(peer.request())
        peer.write("HTTP/1.1 200 Connected\r\n\r\n")

    slow = Slow(a_header_that_drips)
    with FaultyServer(slow, tls(authority), first=connect) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with fails(ConnectionProblem.TIMED_OUT):
            await read("https://127.0.0.1", slow.begun)

    assert requests[0].startswith(b"CONNECT 127.0.0.1:443 ")
    assert len(proxy.requests) == 2  # the one without a token, and the first with it; the script reads the second


def drip_handshake(peer: Peer) -> None:
    peer.drip(b"\x16\x03\x03\x40\x00" + bytes(1_000))


async def test_a_slow_handshake_is_no_connection_in_time(authority: trustme.CA) -> None:
    with (
        FaultyServer(silent, tls(authority), first=drip_handshake) as vault,
        fails(ConnectionProblem.CONNECT_TIMED_OUT),
    ):
        await get(vault.url, SHORT)


async def test_a_slow_handshake_is_no_connection_in_time_async(authority: trustme.CA) -> None:
    begun = threading.Event()

    def drip(peer: Peer) -> None:
        peer.receive()  # the client waits for the server's part of the handshake by now
        begun.set()
        drip_handshake(peer)

    await freeze()
    with FaultyServer(silent, tls(authority), first=drip) as vault, fails(ConnectionProblem.CONNECT_TIMED_OUT):
        call = await started(get_async(vault.url, LONG), begun)
        # Half of the timeout is for the connection.
        await skip(LONG / 2)
        await call


async def test_a_slow_proxy_is_no_connection_in_time_async(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def drip(peer: Peer) -> None:
        peer.request()
        begun.set()
        peer.drip(b"HTTP/1.1 200 " + b"x" * 1_000)

    await freeze()
    with FaultyServer(silent, tls(authority), first=drip) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with fails(ConnectionProblem.CONNECT_TIMED_OUT):
            call = await started(get_async("https://127.0.0.1", LONG), begun)
            # Half of the timeout is for the connection.
            await skip(LONG / 2)
            await call
