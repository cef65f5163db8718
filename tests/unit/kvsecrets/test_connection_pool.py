"""Connection pools: the last used connection first, a limited number in use, and none after close."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partialmethod
from itertools import combinations
from typing import Any

import httpx
import pytest

from kvsecrets._transport import (
    MAX_IDLE,
    MAX_IN_FLIGHT,
    AsyncConnectionPool,
    ConnectionPool,
    DeadlineSocket,
    open_async_connections,
    open_connections,
)
from kvsecrets.errors import ConnectionFailed, ConnectionProblem

NOTHING_GIVEN = {"http_client": None, "transport": None, "ssl_context": None}


def clients() -> Iterator[httpx.Client]:
    while True:
        yield httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))


def async_clients() -> Iterator[httpx.AsyncClient]:
    while True:
        yield httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200)))


def pool(timeout: float = 60) -> ConnectionPool:
    return ConnectionPool(clients().__next__, timeout)


def async_pool(timeout: float = 60) -> AsyncConnectionPool:
    return AsyncConnectionPool(async_clients().__next__, timeout)


def test_the_last_used_connection_is_used_next() -> None:
    connections = pool()
    with connections() as first, connections() as second:
        pass

    with connections() as third:
        assert third is first
    assert first is not second


async def test_the_last_used_connection_is_used_next_async() -> None:
    connections = async_pool()
    async with connections() as first, connections() as second:
        pass

    async with connections() as third:
        assert third is first
    assert first is not second


def test_idle_connections_above_the_limit_are_closed() -> None:
    connections = pool()
    with ExitStack() as stack:
        lent = [stack.enter_context(connections()) for _ in range(MAX_IDLE + 3)]

    assert sum(http.is_closed for http in lent) == 3


async def test_idle_connections_above_the_limit_are_closed_async() -> None:
    connections = async_pool()
    async with AsyncExitStack() as stack:
        lent = [await stack.enter_async_context(connections()) for _ in range(MAX_IDLE + 3)]

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


async def test_a_request_that_gets_no_connection_in_time_is_unsent_async() -> None:
    connections = async_pool(timeout=0.01)
    async with AsyncExitStack() as stack:
        for _ in range(MAX_IN_FLIGHT):
            await stack.enter_async_context(connections())

        with pytest.raises(ConnectionFailed, match="100 requests are in flight") as caught:
            await stack.enter_async_context(connections())

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


async def test_a_waiting_request_gets_the_next_free_slot_async() -> None:
    connections = async_pool()

    async def wait() -> bool:
        async with connections():
            return True

    async with AsyncExitStack() as stack:
        for _ in range(MAX_IN_FLIGHT):
            await stack.enter_async_context(connections())
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)

    assert await waiting


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


async def test_a_connection_is_closed_after_a_cancellation() -> None:
    connections = async_pool()
    lent: list[httpx.AsyncClient] = []

    async def wait() -> None:
        async with connections() as http:
            lent.append(http)
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    async with connections() as other:
        assert other is not lent[0]
    assert lent[0].is_closed


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


async def test_close_closes_idle_connections_now_and_others_when_they_are_returned_async() -> None:
    connections = async_pool()
    async with connections() as lent:
        async with connections() as idle:
            pass
        await connections.close()
        states = (idle.is_closed, lent.is_closed)
    await connections.close()

    assert states == (True, False)
    assert lent.is_closed


def test_a_closed_pool_raises() -> None:
    connections = pool()
    connections.close()

    with pytest.raises(RuntimeError, match="closed"), connections():
        pass


async def test_a_closed_pool_raises_async() -> None:
    connections = async_pool()
    await connections.close()

    with pytest.raises(RuntimeError, match="closed"):
        await connections().__aenter__()


def test_a_given_client_is_used_and_not_closed() -> None:
    with next(clients()) as given:
        connections, close = open_connections("localhost", given, None, None, 10)
        with connections() as http:
            assert http is given
        close()

        assert not given.is_closed


async def test_a_given_client_is_used_and_not_closed_async() -> None:
    async with next(async_clients()) as given:
        connections, close = open_async_connections("localhost", given, None, None, 10)
        async with connections() as http:
            assert http is given
        await close()

        assert not given.is_closed


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
    for kind in (httpx.Client, httpx.AsyncClient):
        monkeypatch.setattr(kind, "__init__", partialmethod(_noted, kind.__init__, contexts))
    return contexts


def _noted(http: object, init: Callable[..., None], contexts: list[object], **options: Any) -> None:  # noqa: ANN401
    contexts.append(options["verify"])
    init(http, **options)


def test_each_client_creates_one_context_for_all_its_connections(
    created: list[ssl.SSLContext], passed: list[object]
) -> None:
    for _ in range(2):
        connections, close = open_connections("localhost", None, None, None, 10)
        with connections(), connections():
            pass
        close()

    first, second = created
    assert passed == [first, first, second, second]
    assert first is not second


async def test_each_client_creates_one_context_for_all_its_connections_async(
    created: list[ssl.SSLContext], passed: list[object]
) -> None:
    for _ in range(2):
        connections, close = open_async_connections("localhost", None, None, None, 10)
        async with connections(), connections():
            pass
        await close()

    first, second = created
    assert passed == [first, first, second, second]
    assert first is not second


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


async def test_clients_share_a_given_context_and_create_none_async(
    created: list[ssl.SSLContext], passed: list[object]
) -> None:
    shared = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    for _ in range(2):
        connections, close = open_async_connections("localhost", None, None, shared, 10)
        async with connections():
            pass
        await close()

    assert passed == [shared, shared]
    assert created == []
    assert shared.sslsocket_class is ssl.SSLSocket
