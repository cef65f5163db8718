"""Connections for threads: the last used first, a limited number in use, and none after close; what users pass in."""

import importlib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partialmethod
from itertools import combinations
from typing import Any

import httpx
import pytest

from kvsecrets._exchange import MAX_IN_FLIGHT
from kvsecrets._protocol import Request, Send
from kvsecrets._transport import MAX_IDLE, ConnectionPool, DeadlineSocket, open_async_connections, open_connections
from kvsecrets.errors import ConnectionFailed, ConnectionProblem

GET = Send(Request("GET", "https://shop.vault.azure.net/secrets/db"))
NOTHING_GIVEN = {"http_client": None, "transport": None, "ssl_context": None}


class Closable(httpx.MockTransport):
    """A transport that knows whether it was closed."""

    is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


def clients() -> Iterator[httpx.Client]:
    while True:
        yield httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))


def pool(timeout: float = 60) -> ConnectionPool:
    return ConnectionPool(clients().__next__, timeout)


def test_the_last_used_connection_is_used_next() -> None:
    connections = pool()
    with connections() as first, connections() as second:
        pass

    with connections() as third:
        assert third is first
    assert first is not second


def test_idle_connections_above_the_limit_are_closed() -> None:
    connections = pool()
    with ExitStack() as stack:
        lent = [stack.enter_context(connections()) for _ in range(MAX_IDLE + 3)]

    assert sum(http.is_closed for http in lent) == 3


def test_a_request_that_gets_no_connection_in_time_is_unsent() -> None:
    connections = pool(timeout=0.01)
    with ExitStack() as stack:
        for _ in range(MAX_IN_FLIGHT):
            stack.enter_context(connections())

        with pytest.raises(ConnectionFailed, match="100 requests are in flight") as caught, connections():
            pass

    assert caught.value.problem is ConnectionProblem.CROWDED
    assert caught.value.unsent


def test_a_waiting_request_gets_the_next_free_slot() -> None:
    connections = pool()
    got = threading.Event()

    def wait() -> None:
        with connections():
            got.set()

    with ExitStack() as stack:
        for _ in range(MAX_IN_FLIGHT):
            stack.enter_context(connections())
        waiting = threading.Thread(target=wait)
        waiting.start()
    waiting.join(60)

    assert got.is_set()


def test_an_error_frees_its_slot() -> None:
    connections = pool(timeout=0.01)
    for _ in range(MAX_IN_FLIGHT + 1):
        with pytest.raises(KeyError), connections():
            raise KeyError

    with connections() as http:
        assert not http.is_closed


def test_a_connection_is_closed_after_an_error() -> None:
    connections = pool()
    with pytest.raises(KeyError), connections() as failed:
        raise KeyError

    with connections() as other:
        assert other is not failed
    assert failed.is_closed


def test_close_closes_idle_connections_now_and_others_when_they_are_returned() -> None:
    connections = pool()
    with connections() as lent:
        with connections() as idle:
            pass
        connections.close()
        states = (idle.is_closed, lent.is_closed)
    connections.close()

    assert states == (True, False)
    assert lent.is_closed


def test_a_closed_pool_raises() -> None:
    connections = pool()
    connections.close()

    with pytest.raises(RuntimeError, match="closed"), connections():
        pass


def test_a_given_client_is_used_and_not_closed() -> None:
    with next(clients()) as given:
        connections, close = open_connections("localhost", given, None, None, 10)
        with connections() as http:
            assert http is given
        close()

        assert not given.is_closed


async def test_a_given_client_is_used_and_not_closed_async() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(204))) as given:
        exchange, close = open_async_connections("localhost", given, None, None, 10)
        assert (await exchange(GET, {}, 10)).status == 204
        await close()

        assert not given.is_closed


async def test_a_given_transport_is_used_and_closed_async() -> None:
    transport = Closable(lambda _: httpx.Response(204))
    exchange, close = open_async_connections("localhost", None, transport, None, 10)

    assert (await exchange(GET, {}, 10)).status == 204
    await close()

    assert transport.is_closed


def test_a_given_transport_is_used_and_closed() -> None:
    connections, close = open_connections(
        "localhost", None, httpx.MockTransport(lambda _: httpx.Response(204)), None, 10
    )

    with connections() as http:
        assert http.get("https://shop.vault.azure.net").status_code == 204
    close()

    assert http.is_closed


@pytest.mark.parametrize("kind", ["http_client", "transport"])
def test_a_client_or_transport_of_the_other_kind_is_rejected(kind: str) -> None:
    given: Any = {"http_client": httpx.AsyncClient(), "transport": httpx.ASGITransport(None)}[kind]  # type: ignore[arg-type]  # never called

    with pytest.raises(TypeError, match=f"{kind}: .* not A"):
        open_connections("localhost", **{**NOTHING_GIVEN, kind: given}, timeout=10)


@pytest.mark.parametrize("kind", ["http_client", "transport"])
def test_a_client_or_transport_of_the_other_kind_is_rejected_async(kind: str) -> None:
    given: Any = {"http_client": httpx.Client(), "transport": httpx.HTTPTransport()}[kind]

    with pytest.raises(TypeError, match=f"{kind}: .* of type Async"):
        open_async_connections("localhost", **{**NOTHING_GIVEN, kind: given}, timeout=10)


@pytest.mark.parametrize("pair", list(combinations(NOTHING_GIVEN, 2)), ids=" and ".join)
@pytest.mark.parametrize("open_any", [open_connections, open_async_connections], ids=["threads", "asyncio"])
def test_two_of_client_transport_and_context_are_rejected(open_any: Callable[..., Any], pair: tuple[str, str]) -> None:
    given = dict.fromkeys(pair, object())

    with pytest.raises(ValueError, match=f"^{' and '.join(pair)}: pass only one of them"):
        open_any("localhost", **{**NOTHING_GIVEN, **given}, timeout=10)


@pytest.mark.parametrize("given", [True, "ca.pem", ssl.SSLContext], ids=["flag", "path", "class"])
@pytest.mark.parametrize("open_any", [open_connections, open_async_connections], ids=["threads", "asyncio"])
def test_a_context_of_another_type_is_rejected(open_any: Callable[..., Any], given: object) -> None:
    with pytest.raises(TypeError, match=f"^ssl_context: must be of type SSLContext, not {type(given).__name__}$"):
        open_any("localhost", None, None, given, 10)


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[ssl.SSLContext]:
    """The TLS contexts that are created from now on."""
    importlib.import_module("aiohttp")  # which creates one for itself
    contexts: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def counted(*args: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401  whatever httpx passes
        contexts.append(create(*args, **options))
        return contexts[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    return contexts


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The TLS contexts that connections are opened with from now on."""
    contexts: list[object] = []
    monkeypatch.setattr(httpx.Client, "__init__", partialmethod(_noted, httpx.Client.__init__, contexts))
    return contexts


def _noted(http: object, init: Callable[..., None], contexts: list[object], **options: Any) -> None:  # noqa: ANN401
    contexts.append(options["verify"])
    init(http, **options)


def test_a_client_uses_one_context_for_all_its_connections(passed: list[object]) -> None:
    connections, close = open_connections("localhost", None, None, None, 10)
    with connections(), connections():
        pass
    close()

    first, second = passed
    assert first is second


def test_clients_share_a_given_context_and_create_none(created: list[ssl.SSLContext], passed: list[object]) -> None:
    shared = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    for _ in range(2):
        connections, close = open_connections("localhost", None, None, shared, 10)
        with connections():
            pass
        close()

    assert passed == [shared, shared]
    assert created == []
    assert shared.sslsocket_class is DeadlineSocket


async def test_a_client_for_asyncio_changes_no_given_context_and_creates_none(created: list[ssl.SSLContext]) -> None:
    shared = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    _, close = open_async_connections("localhost", None, None, shared, 10)
    await close()

    assert created == []
    assert shared.sslsocket_class is ssl.SSLSocket
