"""Requests over httpx, for threads and for asyncio: what is sent, what is read, errors and deadlines."""

import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Protocol

import httpcore
import httpx
import pytest

from kvsecrets._protocol import Request, Response, Send
from kvsecrets._transport import Deadline, DeadlineSocket, exchange, exchange_async, with_deadlines
from kvsecrets.errors import ConnectionFailed, ConnectionProblem, UnexpectedAnswer

URL = "https://shop.vault.azure.net/secrets/db?api-version=7.4&hush=1"
GET = Send(Request("GET", URL, {"authorization": "Bearer t"}), max_bytes=100)
Handler = Callable[[httpx.Request], httpx.Response]


class Exchange(Protocol):
    async def __call__(self, handler: Handler, effect: Send = GET) -> Response: ...


async def sync(handler: Handler, effect: Send = GET) -> Response:
    with httpx.Client(transport=httpx.MockTransport(handler)) as http:
        return exchange(http, effect, {"accept": "application/json"}, 5, lambda: 0.0)


async def asynchronous(handler: Handler, effect: Send = GET) -> Response:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        return await exchange_async(http, effect, {"accept": "application/json"}, 5)


both = pytest.mark.parametrize("run", [sync, asynchronous], ids=["threads", "asyncio"])


class Server:
    """Returns one response to all requests, and records them."""

    def __init__(self, response: httpx.Response | None = None) -> None:
        self.response = response or httpx.Response(200)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.response


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body of `count` chunks of ten bytes."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read = 0

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.count):
            self.read += 1
            yield b"0123456789"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


@both
async def test_a_request_is_sent_unchanged(run: Exchange) -> None:
    server = Server()

    await run(server, Send(Request("PUT", URL, {"authorization": "Bearer t"}, b"body")))

    [request] = server.requests
    assert (request.method, str(request.url), request.content) == ("PUT", URL, b"body")
    assert (request.headers["authorization"], request.headers["accept"]) == ("Bearer t", "application/json")


@both
async def test_a_response_has_its_headers_in_lower_case(run: Exchange) -> None:
    response = await run(lambda _: httpx.Response(403, headers={"X-Ms-Request-Id": "7"}, content=b"no"))

    assert (response.status, response.headers["x-ms-request-id"], response.body) == (403, "7", b"no")


@both
async def test_repeated_headers_are_joined(run: Exchange) -> None:
    response = await run(lambda _: httpx.Response(401, headers=[("WWW-Authenticate", "a"), ("www-authenticate", "b")]))

    assert response.headers["www-authenticate"] == "a, b"


@both
async def test_a_body_in_chunks_is_joined(run: Exchange) -> None:
    assert (await run(lambda _: httpx.Response(200, stream=Chunks(3)))).body == b"0123456789" * 3


@both
async def test_a_redirect_is_not_followed(run: Exchange) -> None:
    server = Server(httpx.Response(302, headers={"location": "https://evil.example/"}))

    response = await run(server)

    assert (response.status, len(server.requests)) == (302, 1)


@both
async def test_a_body_is_not_read_beyond_its_limit(run: Exchange) -> None:
    endless = Chunks(1_000_000)

    with pytest.raises(UnexpectedAnswer, match="larger than 100 bytes"):
        await run(lambda _: httpx.Response(200, stream=endless))
    assert endless.read == 11


@both
@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "br", "Deflate"])
async def test_a_compressed_body_is_not_read(run: Exchange, coding: str) -> None:
    body = Chunks(1)

    with pytest.raises(UnexpectedAnswer, match="is compressed"):
        await run(lambda _: httpx.Response(200, headers={"content-encoding": coding}, stream=body))
    assert body.read == 0


@both
async def test_a_body_that_says_it_is_not_compressed_is_read(run: Exchange) -> None:
    answer = httpx.Response(200, headers={"content-encoding": "Identity"}, content=b"{}")

    assert (await run(lambda _: answer)).body == b"{}"


@both
async def test_a_response_that_is_not_http_is_no_failed_connection(run: Exchange) -> None:
    def fails(_: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("illegal status line: marked")

    with pytest.raises(
        UnexpectedAnswer, match=r"^GET shop.vault.azure.net/secrets/db: the response is not valid HTTP$"
    ):
        await run(fails)


class Stream:
    """A connection whose socket knows whether it was shut down, as httpx shows it with a response."""

    def __init__(self) -> None:
        self.shut_down: list[int] = []

    def get_extra_info(self, info: str) -> object:
        assert info == "socket"
        return self

    def shutdown(self, how: int) -> None:
        self.shut_down.append(how)
        raise OSError("not connected")


@both
async def test_the_connection_of_a_response_to_another_request_is_shut_down(run: Exchange) -> None:
    def refuse(response: Response) -> None:
        assert response.body == b"{}"
        raise UnexpectedAnswer("of another request")

    stream = Stream()
    checked = replace(GET, request=replace(GET.request, check=refuse))

    with pytest.raises(UnexpectedAnswer, match="of another request"):
        await run(lambda _: httpx.Response(200, content=b"{}", extensions={"network_stream": stream}), checked)

    assert stream.shut_down == [socket.SHUT_RDWR]


@both
@pytest.mark.parametrize(("version", "is_shut_down"), [(b"HTTP/1.1", True), (b"HTTP/2", False)])
async def test_a_connection_that_does_not_show_what_it_has_read_is_not_used_again(
    run: Exchange, version: bytes, is_shut_down: bool
) -> None:
    stream = Stream()
    extensions = {"network_stream": stream, "http_version": version}

    assert (await run(lambda _: httpx.Response(200, content=b"{}", extensions=extensions))).body == b"{}"
    assert bool(stream.shut_down) is is_shut_down


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@both
@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (httpx.ConnectError("x"), ConnectionProblem.UNREACHABLE),
        (httpx.ConnectTimeout("x"), ConnectionProblem.CONNECT_TIMED_OUT),
        (httpx.PoolTimeout("x"), ConnectionProblem.CROWDED),
        (httpx.ProxyError("x"), ConnectionProblem.PROXY),
        (httpx.ReadTimeout("x"), ConnectionProblem.TIMED_OUT),
        (httpx.WriteTimeout("x"), ConnectionProblem.TIMED_OUT),
        (TimeoutError("x"), ConnectionProblem.TIMED_OUT),
        (httpx.ReadError("x"), ConnectionProblem.BROKEN),
        (httpx.WriteError("x"), ConnectionProblem.BROKEN),
        (httpx.RemoteProtocolError("Server disconnected without a response."), ConnectionProblem.BROKEN),
        (httpx.RemoteProtocolError("peer closed connection without a whole body"), ConnectionProblem.BROKEN),
        (ConnectionResetError("x"), ConnectionProblem.RESET),
        (caused(httpx.ConnectError("x"), socket.gaierror(socket.EAI_NONAME, "x")), ConnectionProblem.UNRESOLVED),
        (caused(httpx.ConnectError("x"), socket.gaierror(socket.EAI_AGAIN, "x")), ConnectionProblem.LOOKUP_FAILED),
        (caused(httpx.ConnectError("x"), OSError(errno.ECONNREFUSED, "x")), ConnectionProblem.REFUSED),
        (caused(httpx.ConnectError("x"), OSError(errno.ENETUNREACH, "x")), ConnectionProblem.UNREACHABLE),
        (caused(httpx.ConnectError("x"), OSError(errno.ETIMEDOUT, "x")), ConnectionProblem.CONNECT_TIMED_OUT),
        (caused(httpx.ReadError("x"), OSError(errno.ECONNRESET, "x")), ConnectionProblem.RESET),
        (caused(httpx.ConnectError("x"), OSError(errno.EMFILE, "x")), ConnectionProblem.CROWDED),
        (caused(httpx.ConnectError("x"), ExceptionGroup("x", [OSError(errno.EMFILE, "x")])), ConnectionProblem.CROWDED),
        (caused(httpx.ReadError("x"), OSError(errno.ENOBUFS, "x")), ConnectionProblem.BROKEN),
        (caused(httpx.ConnectError("x"), ssl.SSLCertVerificationError(1, "x")), ConnectionProblem.UNTRUSTED),
        (caused(httpx.ConnectError("x"), ssl.SSLError(1, "x")), ConnectionProblem.UNREACHABLE),
    ],
    ids=lambda case: f"{type(case).__name__} {case.__cause__ or ''}" if isinstance(case, Exception) else str(case),
)
async def test_each_connection_error_has_its_problem(
    run: Exchange, error: Exception, problem: ConnectionProblem
) -> None:
    def fails(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(ConnectionFailed) as caught:
        await run(fails)

    assert caught.value.problem is problem
    assert str(caught.value).startswith("GET shop.vault.azure.net/secrets/db: ")
    assert "hush" not in str(caught.value)


def test_the_deadline_starts_with_the_exchange() -> None:
    clock = iter([100.0, 103.0])
    remaining: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        remaining.append(request.extensions["timeout"]["read"].remaining())
        return httpx.Response(204, stream=Chunks(0))

    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        exchange(http, GET, {}, 5, clock.__next__)

    assert remaining == [2.0]


def test_a_body_that_arrives_slowly_ends_at_the_deadline() -> None:
    clock = iter([0.0, 1.0, 2.0, 6.0, 7.0])
    with (
        httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Chunks(9)))) as http,
        pytest.raises(ConnectionFailed, match="within 5 s") as caught,
    ):
        exchange(http, GET, {}, 5, clock.__next__)

    assert caught.value.problem is ConnectionProblem.TIMED_OUT


# Deadlines.


class Clock:
    """A clock that is set by the test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class SlowNetwork(httpcore.MockBackend):
    """A network whose connections are opened within 20 s, and that knows whether anything is sent."""

    def __init__(self, clock: Clock) -> None:
        super().__init__([b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
        self._clock = clock
        self.has_sent = False

    def connect_tcp(self, *arguments: Any, **options: Any) -> httpcore.NetworkStream:  # noqa: ANN401 - httpcore's
        self._clock.now += 20
        stream = super().connect_tcp(*arguments, **options)
        stream.write = self._write  # type: ignore[method-assign]
        return stream

    def _write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.has_sent = True


@pytest.mark.parametrize(("timeout", "sends"), [(10, False), (30, True)])
def test_nothing_is_sent_over_a_connection_that_is_opened_after_the_deadline(
    timeout: float, *, sends: bool, clock: Clock
) -> None:
    network, transport = SlowNetwork(clock), httpx.HTTPTransport()
    transport._pool = httpcore.ConnectionPool(network_backend=network)

    with httpx.Client(transport=transport) as http, nullcontext() if sends else pytest.raises(ConnectionFailed):
        exchange(http, GET, {}, timeout, clock)

    assert network.has_sent is sends


@pytest.fixture
def deadline_socket() -> Iterator[ssl.SSLSocket]:
    """A socket of a context with deadlines, before its handshake."""
    context = with_deadlines(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    here, there = socket.socketpair()
    with (
        there,
        context.wrap_socket(here, do_handshake_on_connect=False, server_hostname="shop.vault.azure.net") as wrapped,
    ):
        yield wrapped


def test_a_deadline_is_a_float_of_its_seconds(clock: Clock) -> None:
    deadline = Deadline(30, clock)
    clock.now += 10

    assert deadline == 30.0


def test_remaining_decreases_with_the_clock(clock: Clock) -> None:
    deadline = Deadline(30, clock)
    clock.now += 10

    assert deadline.remaining() == 20


@pytest.mark.parametrize("seconds", [30, 31], ids=["at its end", "after its end"])
def test_a_deadline_in_the_past_raises(seconds: float, clock: Clock) -> None:
    deadline = Deadline(30, clock)
    clock.now += seconds

    with pytest.raises(TimeoutError):
        deadline.remaining()


def test_a_socket_gets_the_remaining_time_as_its_timeout(clock: Clock, deadline_socket: ssl.SSLSocket) -> None:
    deadline = Deadline(30, clock)
    timeouts = []
    for _ in range(3):
        deadline_socket.settimeout(deadline)
        timeouts.append(deadline_socket.gettimeout())
        clock.now += 8

    assert timeouts == [30, 22, 14]


def test_a_socket_does_not_wait_for_a_deadline_in_the_past(clock: Clock, deadline_socket: ssl.SSLSocket) -> None:
    deadline = Deadline(30, clock)
    clock.now += 30

    with pytest.raises(TimeoutError):
        deadline_socket.settimeout(deadline)


@pytest.mark.parametrize("timeout", [None, 0.0, 2.5], ids=["none", "zero", "seconds"])
def test_a_socket_keeps_any_other_timeout(timeout: float | None, deadline_socket: ssl.SSLSocket) -> None:
    deadline_socket.settimeout(timeout)

    assert deadline_socket.gettimeout() == timeout


def test_several_clients_can_share_a_context_with_deadlines() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    assert with_deadlines(with_deadlines(context)) is context
    assert context.sslsocket_class is DeadlineSocket


def test_other_contexts_are_not_changed() -> None:
    context, other = with_deadlines(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    assert (context.sslsocket_class, other.sslsocket_class) == (DeadlineSocket, ssl.SSLSocket)
