"""Requests over aiohttp: turns of many requests, and the causes of failures. Sockets are in the integration tests."""

import asyncio
import errno
import socket
import ssl

import aiohttp
import pytest
import yarl
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy

from kvsecrets._aiohttp import AiohttpExchange
from kvsecrets._exchange import MAX_IN_FLIGHT
from kvsecrets._protocol import Request, Response, Send
from kvsecrets.errors import ConnectionFailed, ConnectionProblem, UnexpectedAnswer

GET = Send(Request("GET", "https://shop.vault.azure.net/secrets/db?api-version=7.4&hush=1", {"authorization": "t"}))
KEY = ConnectionKey("shop.vault.azure.net", 443, True, True, None, None, None)
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Held(AiohttpExchange):
    """Holds each request until it is released, or raises an error."""

    def __init__(self, timeout: float = 60, error: BaseException | None = None) -> None:
        super().__init__("shop.vault.azure.net", TLS, timeout)
        self.released = asyncio.Event()
        self._error = error

    async def _exchange(self, *_: object) -> Response:
        if self._error is not None:
            raise self._error
        await self.released.wait()
        return Response(200)


async def fill(exchange: Held) -> list[asyncio.Task[Response]]:
    """Start as many requests as there are turns."""
    tasks = [asyncio.create_task(exchange(GET, {}, 60)) for _ in range(MAX_IN_FLIGHT)]
    await asyncio.sleep(0)
    return tasks


async def test_a_request_that_gets_no_turn_in_time_is_unsent() -> None:
    exchange = Held(timeout=0.01)
    first = await fill(exchange)

    with pytest.raises(ConnectionFailed, match="100 requests are in flight") as caught:
        await exchange(GET, {}, 60)

    assert caught.value.problem is ConnectionProblem.CROWDED
    assert caught.value.unsent
    exchange.released.set()
    await asyncio.gather(*first)
    await exchange.close()


async def test_a_waiting_request_gets_the_next_turn() -> None:
    exchange = Held()
    first = await fill(exchange)
    waiting = asyncio.create_task(exchange(GET, {}, 60))
    await asyncio.sleep(0)

    first[0].cancel()
    exchange.released.set()

    assert (await waiting).status == 200
    await asyncio.gather(*first, return_exceptions=True)
    await exchange.close()


async def test_requests_that_fail_free_their_turns() -> None:
    exchange = Held(error=aiohttp.ServerDisconnectedError())
    for _ in range(MAX_IN_FLIGHT + 1):
        with pytest.raises(ConnectionFailed):
            await exchange(GET, {}, 60)
    await exchange.close()


async def test_a_response_that_is_not_http_is_no_failed_connection() -> None:
    url = yarl.URL("https://shop.vault.azure.net")
    info = aiohttp.RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url)
    exchange = Held(error=aiohttp.ClientResponseError(info, (), status=400, message="marked"))

    with pytest.raises(
        UnexpectedAnswer, match=r"^GET shop.vault.azure.net/secrets/db: the response is not valid HTTP$"
    ):
        await exchange(GET, {}, 5)
    await exchange.close()


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def connector(error: OSError, kind: type[aiohttp.ClientConnectorError] = aiohttp.ClientConnectorError) -> Exception:
    """The error of a connect, as aiohttp raises it."""
    return caused(kind(KEY, error), error)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (connector(OSError(errno.EHOSTUNREACH, "x")), ConnectionProblem.UNREACHABLE),
        (connector(ConnectionRefusedError(errno.ECONNREFUSED, "x")), ConnectionProblem.REFUSED),
        (connector(TimeoutError(errno.ETIMEDOUT, "x")), ConnectionProblem.CONNECT_TIMED_OUT),
        (connector(OSError(errno.EMFILE, "x")), ConnectionProblem.CROWDED),
        (
            connector(socket.gaierror(socket.EAI_NONAME, "x"), aiohttp.ClientConnectorDNSError),
            ConnectionProblem.UNRESOLVED,
        ),
        (
            connector(socket.gaierror(socket.EAI_AGAIN, "x"), aiohttp.ClientConnectorDNSError),
            ConnectionProblem.LOOKUP_FAILED,
        ),
        (connector(ssl.SSLError(1, "x"), aiohttp.ClientConnectorSSLError), ConnectionProblem.UNREACHABLE),
        (connector(OSError(errno.EPERM, "x"), aiohttp.ClientProxyConnectionError), ConnectionProblem.UNREACHABLE),
        (aiohttp.ConnectionTimeoutError("x"), ConnectionProblem.CONNECT_TIMED_OUT),
        (TimeoutError(), ConnectionProblem.TIMED_OUT),
        (aiohttp.ServerDisconnectedError(), ConnectionProblem.BROKEN),
        (aiohttp.ClientPayloadError("x"), ConnectionProblem.BROKEN),
        (caused(aiohttp.ClientPayloadError("x"), ConnectionResetError(errno.ECONNRESET, "x")), ConnectionProblem.RESET),
        (aiohttp.ClientConnectionResetError("x"), ConnectionProblem.RESET),
        (caused(aiohttp.ClientOSError(errno.ECONNRESET, "x"), ConnectionResetError("x")), ConnectionProblem.RESET),
        (aiohttp.ClientOSError(errno.ENOBUFS, "x"), ConnectionProblem.BROKEN),
    ],
    ids=lambda case: f"{type(case).__name__} {case}" if isinstance(case, Exception) else str(case),
)
async def test_each_error_of_a_connection_has_its_problem(error: Exception, problem: ConnectionProblem) -> None:
    exchange = Held(error=error)

    with pytest.raises(ConnectionFailed) as caught:
        await exchange(GET, {}, 5)

    assert caught.value.problem is problem
    assert caught.value.proxy is None
    assert str(caught.value).startswith("GET shop.vault.azure.net/secrets/db: ")
    assert "hush" not in str(caught.value)
    await exchange.close()
