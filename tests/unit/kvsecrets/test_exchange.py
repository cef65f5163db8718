"""One exchange through httpx, in both worlds: what goes out, what is read, and that no error of httpx gets out."""

import errno
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

import httpx
import pytest

from kvsecrets._exchange import exchange, exchange_async
from kvsecrets._flow import Send
from kvsecrets._wire import Request, Response
from kvsecrets.errors import ConnectionFailed, ConnectionProblem, UnexpectedAnswer

URL = "https://shop.vault.azure.net/secrets/db?api-version=7.4&hush=1"
GET = Send(Request("GET", URL, {"authorization": "Bearer t"}), limit=100)
Handler = Callable[[httpx.Request], httpx.Response]


class Exchange(Protocol):
    async def __call__(self, handler: Handler, effect: Send = GET) -> Response: ...


async def sync(handler: Handler, effect: Send = GET) -> Response:
    with httpx.Client(transport=httpx.MockTransport(handler)) as http:
        return exchange(http, effect, {"accept": "application/json"}, 5, lambda: 0.0)


async def asynchronous(handler: Handler, effect: Send = GET) -> Response:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        return await exchange_async(http, effect, {"accept": "application/json"}, 5)


both = pytest.mark.parametrize("twin", [sync, asynchronous], ids=["threads", "asyncio"])


class Server:
    """Gives one answer to all, and remembers what it was asked."""

    def __init__(self, answer: httpx.Response | None = None) -> None:
        self.answer = answer or httpx.Response(200)
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return self.answer


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in so many chunks of ten bytes."""

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
async def test_a_request_goes_out_as_it_is(twin: Exchange) -> None:
    server = Server()

    await twin(server, Send(Request("PUT", URL, {"authorization": "Bearer t"}, b"body")))

    [request] = server.seen
    assert (request.method, str(request.url), request.content) == ("PUT", URL, b"body")
    assert (request.headers["authorization"], request.headers["accept"]) == ("Bearer t", "application/json")


@both
async def test_an_answer_is_read_with_its_headers_in_lower_case(twin: Exchange) -> None:
    answer = await twin(lambda _: httpx.Response(403, headers={"X-Ms-Request-Id": "7"}, content=b"no"))

    assert (answer.status, answer.headers["x-ms-request-id"], answer.body) == (403, "7", b"no")


@both
async def test_a_header_that_is_given_twice_is_read_as_one(twin: Exchange) -> None:
    answer = await twin(lambda _: httpx.Response(401, headers=[("WWW-Authenticate", "a"), ("www-authenticate", "b")]))

    assert answer.headers["www-authenticate"] == "a, b"


@both
async def test_a_body_in_parts_is_put_together(twin: Exchange) -> None:
    assert (await twin(lambda _: httpx.Response(200, stream=Chunks(3)))).body == b"0123456789" * 3


@both
async def test_a_redirect_is_not_followed(twin: Exchange) -> None:
    server = Server(httpx.Response(302, headers={"location": "https://evil.example/"}))

    answer = await twin(server)

    assert (answer.status, len(server.seen)) == (302, 1)


@both
async def test_an_answer_is_not_read_beyond_its_limit(twin: Exchange) -> None:
    endless = Chunks(1_000_000)

    with pytest.raises(UnexpectedAnswer, match="larger than 100 bytes"):
        await twin(lambda _: httpx.Response(200, stream=endless))
    assert endless.read == 11


@both
async def test_a_compressed_answer_is_unpacked(twin: Exchange) -> None:
    def packed(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b"{}"))

    assert (await twin(packed)).body == b"{}"


@both
async def test_an_answer_that_only_says_that_it_is_compressed_is_unexpected(twin: Exchange) -> None:
    def lies(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Chunks(1))

    with pytest.raises(UnexpectedAnswer, match="not compressed"):
        await twin(lies)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@both
@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (httpx.ConnectError("x"), ConnectionProblem.UNREACHABLE),
        (httpx.ConnectTimeout("x"), ConnectionProblem.UNREACHABLE),
        (httpx.PoolTimeout("x"), ConnectionProblem.UNREACHABLE),
        (httpx.ProxyError("x"), ConnectionProblem.UNREACHABLE),
        (httpx.ReadTimeout("x"), ConnectionProblem.TIMED_OUT),
        (httpx.WriteTimeout("x"), ConnectionProblem.TIMED_OUT),
        (TimeoutError("x"), ConnectionProblem.TIMED_OUT),
        (httpx.ReadError("x"), ConnectionProblem.BROKEN),
        (httpx.WriteError("x"), ConnectionProblem.BROKEN),
        (httpx.RemoteProtocolError("x"), ConnectionProblem.BROKEN),
        (ConnectionResetError("x"), ConnectionProblem.BROKEN),
        (caused(httpx.ConnectError("x"), socket.gaierror(socket.EAI_NONAME, "x")), ConnectionProblem.UNRESOLVED),
        (caused(httpx.ConnectError("x"), socket.gaierror(socket.EAI_AGAIN, "x")), ConnectionProblem.UNREACHABLE),
        (caused(httpx.ConnectError("x"), OSError(errno.ECONNREFUSED, "x")), ConnectionProblem.UNREACHABLE),
        (caused(httpx.ConnectError("x"), ssl.SSLCertVerificationError(1, "x")), ConnectionProblem.UNTRUSTED),
        (caused(httpx.ConnectError("x"), ssl.SSLError(1, "x")), ConnectionProblem.UNREACHABLE),
    ],
    ids=lambda case: f"{type(case).__name__} {case.__cause__ or ''}" if isinstance(case, Exception) else str(case),
)
async def test_every_failure_of_the_connection_has_its_word(
    twin: Exchange, error: Exception, problem: ConnectionProblem
) -> None:
    def fails(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(ConnectionFailed) as caught:
        await twin(fails)

    assert caught.value.problem is problem
    assert str(caught.value).startswith("GET shop.vault.azure.net/secrets/db: ")
    assert "hush" not in str(caught.value)


def test_the_wait_for_an_answer_counts_from_the_start_of_the_exchange() -> None:
    clock = iter([100.0, 103.0])
    left: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        left.append(request.extensions["timeout"]["read"].left())
        return httpx.Response(204, stream=Chunks(0))

    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        exchange(http, GET, {}, 5, clock.__next__)

    assert left == [2.0]


def test_a_body_that_drips_in_is_given_up_when_its_time_is_over() -> None:
    clock = iter([0.0, 1.0, 2.0, 6.0, 7.0])
    with (
        httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Chunks(9)))) as http,
        pytest.raises(ConnectionFailed, match="within 5 s") as caught,
    ):
        exchange(http, GET, {}, 5, clock.__next__)

    assert caught.value.problem is ConnectionProblem.TIMED_OUT
