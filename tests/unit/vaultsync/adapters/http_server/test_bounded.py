"""What a port accepts and what it closes, over real sockets."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

import httpx
import pytest
import trustme
from aiohttp import web

from tests.clocks import settle
from vaultsync.adapters.http_server import bounded
from vaultsync.adapters.http_server.bounded import MAX_CONNECTIONS, MAX_FIELD_SIZE, MAX_HEADERS, serve

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello\n")


@asynccontextmanager
async def connected(port: int, count: int) -> AsyncIterator[list[Stream]]:
    """Connect so many clients, one after the other."""
    streams: list[Stream] = []
    try:
        while len(streams) < count:
            streams.append(await asyncio.open_connection("127.0.0.1", port))
        yield streams
    finally:
        for _, writer in streams:
            writer.close()


async def answer(stream: Stream, request: bytes = REQUEST) -> bytes:
    """Send a request; return what comes until the end of the headers, or of the connection."""
    reader, writer = stream
    writer.write(request)
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as closed:
        return closed.partial
    except ConnectionError:
        return b""


def status(text: bytes) -> int:
    """Return the status of a response; 0 if the connection was closed without one."""
    return int(text.split(b" ", 2)[1]) if text else 0


async def is_closed(stream: Stream) -> bool:
    """Return whether the server closes a connection before it sends anything."""
    try:
        return await stream[0].read(1) == b""
    except ConnectionError:
        return True


async def test_a_connection_stays_open_for_another_request() -> None:
    async with serve("127.0.0.1", 0, {"/hello": hello}) as port, connected(port, 1) as (stream,):
        head = await answer(stream)
        assert await stream[0].readexactly(6) == b"hello\n"

        assert (status(head), status(await answer(stream))) == (200, 200)


async def test_the_oldest_connection_without_a_request_is_closed_for_a_new_one() -> None:
    async with serve("127.0.0.1", 0, {"/hello": hello}) as port, connected(port, MAX_CONNECTIONS + 1) as streams:
        statuses = [status(await answer(stream)) for stream in reversed(streams)]

    assert statuses == [200] * MAX_CONNECTIONS + [0]


async def test_connections_that_clients_have_closed_do_not_count() -> None:
    async with serve("127.0.0.1", 0, {"/hello": hello}) as port, connected(port, 1) as (first,):
        for _ in range(MAX_CONNECTIONS + 1):
            async with connected(port, 1) as (stream,):
                assert (
                    status(await answer(stream, REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) == 200
                )
                await stream[0].read()

        assert status(await answer(first)) == 200


async def test_a_request_that_is_handled_is_not_interrupted_by_new_connections() -> None:
    handling, done = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        handling.set()
        await done.wait()
        return web.Response(text="done\n")

    async with serve("127.0.0.1", 0, {"/slow": slow, "/hello": hello}) as port, connected(port, 1) as (first,):
        response = asyncio.create_task(answer(first, REQUEST.replace(b"hello", b"slow")))
        await handling.wait()
        async with connected(port, MAX_CONNECTIONS + 1) as streams:
            assert status(await answer(streams[-1])) == 200
            done.set()

            assert status(await response) == 200


async def test_a_new_connection_is_closed_while_requests_are_handled_on_all_others() -> None:
    handling, done = asyncio.Semaphore(0), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        handling.release()
        await done.wait()
        return web.Response(text="done\n")

    async with serve("127.0.0.1", 0, {"/slow": slow}) as port, connected(port, MAX_CONNECTIONS) as streams:
        responses = [asyncio.create_task(answer(stream, REQUEST.replace(b"hello", b"slow"))) for stream in streams]
        for _ in streams:
            await handling.acquire()

        async with connected(port, 1) as (another,):
            assert await is_closed(another)
        done.set()

        assert [status(await response) for response in responses] == [200] * MAX_CONNECTIONS


async def test_a_request_ends_when_its_client_leaves() -> None:
    handling, ended = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        handling.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with serve("127.0.0.1", 0, {"/slow": slow}) as port:
        async with connected(port, 1) as [(_, writer)]:
            writer.write(REQUEST.replace(b"hello", b"slow"))
            await handling.wait()

        await ended.wait()


async def test_clients_that_leave_before_their_response_do_not_count_as_busy() -> None:
    handling, done = asyncio.Semaphore(0), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        handling.release()
        await done.wait()
        return web.Response(text="done\n")

    async with serve("127.0.0.1", 0, {"/slow": slow, "/hello": hello}) as port:
        for count in range(2):
            # With one file more each time, all numbers are used that connections have later.
            with ExitStack() as stack:
                for _ in range(count):
                    stack.enter_context(socket.socket())
                async with connected(port, MAX_CONNECTIONS) as streams:
                    for _, writer in streams:
                        writer.write(REQUEST.replace(b"hello", b"slow"))
                        await handling.acquire()
                await settle()

        async with connected(port, MAX_CONNECTIONS + 1) as streams:
            assert status(await answer(streams[-1])) == 200
            assert await is_closed(streams[0])
        done.set()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        REQUEST.replace(b"\r\n\r\n", b"\r\nA: " + b"a" * 2 * MAX_FIELD_SIZE + b"\r\n\r\n"),
        REQUEST.replace(b"\r\n\r\n", b"\r\nA: a" * (MAX_HEADERS + 1) + b"\r\n\r\n"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=["a long line", "a long header", "many headers", "TLS"],
)
async def test_a_head_that_is_too_large_or_no_http_is_refused(request_: bytes) -> None:
    async with serve("127.0.0.1", 0, {"/hello": hello}) as port, connected(port, 1) as (stream,):
        assert status(await answer(stream, request_)) == 400
        await stream[0].read()  # until the end of the connection


@pytest.mark.parametrize("body", [b"\r\nContent-Length: 1000000000\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"])
async def test_a_request_with_a_body_is_refused_before_the_body_is_sent(body: bytes) -> None:
    async with serve("127.0.0.1", 0, {"/hello": hello}) as port, connected(port, 1) as (stream,):
        assert status(await answer(stream, REQUEST.replace(b"\r\n\r\n", body))) == 413
        await stream[0].read()  # until the end of the connection


@pytest.mark.parametrize("begun", [b"", b"GET /hello HTTP/1.1\r\nHost:"])
async def test_a_head_that_does_not_end_in_time_closes_its_connection(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "HEAD_SECONDS", 0.05)
    async with serve("127.0.0.1", 0, {"/hello": hello}) as port, connected(port, 1) as (stream,):
        assert await answer(stream, begun) == b""


def _tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(ours)
    authority.configure_trust(theirs)
    return ours, theirs


async def test_a_handshake_that_does_not_end_in_time_closes_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "HEAD_SECONDS", 0.05)
    ours, _ = _tls()
    async with serve("127.0.0.1", 0, {"/hello": hello}, tls=ours) as port, connected(port, 1) as (stream,):
        assert await answer(stream, b"\x16\x03\x01\x02") == b""


async def test_connections_in_a_handshake_count() -> None:
    ours, theirs = _tls()
    async with (
        serve("127.0.0.1", 0, {"/hello": hello}, tls=ours) as port,
        connected(port, MAX_CONNECTIONS) as streams,
        httpx.AsyncClient(verify=theirs) as client,
    ):
        assert (await client.get(f"https://127.0.0.1:{port}/hello")).text == "hello\n"
        assert await is_closed(streams[0])


async def test_a_lack_of_file_descriptors_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "RETRY_SECONDS", 0.01)
    loop, lacking = asyncio.get_running_loop(), iter([OSError(24, "Too many open files")] * 3)
    accept: Callable[[socket.socket], Awaitable[tuple[socket.socket, object]]] = loop.sock_accept

    async def sock_accept(listener: socket.socket) -> tuple[socket.socket, object]:
        if error := next(lacking, None):
            raise error
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", sock_accept)
    async with serve("127.0.0.1", 0, {"/hello": hello}) as port, connected(port, 1) as (stream,):
        assert status(await answer(stream)) == 200


async def test_nothing_is_left_open_at_the_end() -> None:
    ours, _ = _tls()
    for tls in (None, ours):
        async with serve("127.0.0.1", 0, {"/hello": hello}, tls=tls) as port:
            clients = connected(port, 3)
            streams = await clients.__aenter__()
            await asyncio.sleep(0.05)
        assert [await is_closed(stream) for stream in streams] == [True] * 3
        await clients.__aexit__(None, None, None)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
