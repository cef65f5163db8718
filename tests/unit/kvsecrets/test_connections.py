"""Connections are lent out, the last used first, a limited number at once, and none after the end."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import httpx
import pytest

from kvsecrets._connections import KEPT, MOST, AsyncConnections, Connections, async_connections, sync_connections
from kvsecrets.errors import ConnectionFailed


def made() -> Iterator[httpx.Client]:
    while True:
        yield httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))


def made_async() -> Iterator[httpx.AsyncClient]:
    while True:
        yield httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200)))


def many(timeout: float = 10) -> Connections:
    return Connections(made().__next__, timeout)


def many_async(timeout: float = 10) -> AsyncConnections:
    return AsyncConnections(made_async().__next__, timeout)


def test_the_connection_that_was_used_last_is_used_next() -> None:
    lend = many()
    with lend() as first, lend() as second:
        pass

    with lend() as third:
        assert third is first
    assert first is not second


async def test_the_connection_that_was_used_last_is_used_next_async() -> None:
    lend = many_async()
    async with lend() as first, lend() as second:
        pass

    async with lend() as third:
        assert third is first
    assert first is not second


def test_more_idle_connections_than_are_kept_are_closed() -> None:
    lend = many()
    with ExitStack() as stack:
        lent = [stack.enter_context(lend()) for _ in range(KEPT + 3)]

    assert sum(http.is_closed for http in lent) == 3


async def test_more_idle_connections_than_are_kept_are_closed_async() -> None:
    lend = many_async()
    async with AsyncExitStack() as stack:
        lent = [await stack.enter_async_context(lend()) for _ in range(KEPT + 3)]

    assert sum(http.is_closed for http in lent) == 3


def test_who_gets_no_connection_in_time_hears_that_the_request_never_left() -> None:
    lend = many(timeout=0.01)
    with ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(lend())

        with pytest.raises(ConnectionFailed, match="100 requests are under way") as caught, lend():
            pass

    assert caught.value.unsent


async def test_who_gets_no_connection_in_time_hears_that_the_request_never_left_async() -> None:
    lend = many_async(timeout=0.01)
    async with AsyncExitStack() as stack:
        for _ in range(MOST):
            await stack.enter_async_context(lend())

        with pytest.raises(ConnectionFailed, match="100 requests are under way") as caught:
            await stack.enter_async_context(lend())

    assert caught.value.unsent


def test_who_waits_gets_the_connection_that_comes_back() -> None:
    lend = many()
    got = threading.Event()

    def wait() -> None:
        with lend():
            got.set()

    with ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(lend())
        waiting = threading.Thread(target=wait)
        waiting.start()
    waiting.join(10)

    assert got.is_set()


async def test_who_waits_gets_the_connection_that_comes_back_async() -> None:
    lend = many_async()

    async def wait() -> bool:
        async with lend():
            return True

    async with AsyncExitStack() as stack:
        for _ in range(MOST):
            await stack.enter_async_context(lend())
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)

    assert await waiting


def test_a_failure_does_not_cost_a_place() -> None:
    lend = many(timeout=0.01)
    for _ in range(MOST + 1):
        with pytest.raises(KeyError), lend():
            raise KeyError

    with lend() as http:
        assert not http.is_closed


def test_a_connection_whose_exchange_failed_is_not_lent_again() -> None:
    lend = many()
    with pytest.raises(KeyError), lend() as failed:
        raise KeyError

    with lend() as other:
        assert other is not failed
    assert failed.is_closed


async def test_a_connection_whose_exchange_was_cancelled_is_not_lent_again() -> None:
    lend = many_async()
    lent: list[httpx.AsyncClient] = []

    async def wait() -> None:
        async with lend() as http:
            lent.append(http)
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    async with lend() as other:
        assert other is not lent[0]
    assert lent[0].is_closed


def test_closing_ends_idle_connections_now_and_lent_ones_when_they_come_back() -> None:
    lend = many()
    with lend() as lent:
        with lend() as idle:
            pass
        lend.close()
        states = (idle.is_closed, lent.is_closed)
    lend.close()

    assert states == (True, False)
    assert lent.is_closed


async def test_closing_ends_idle_connections_now_and_lent_ones_when_they_come_back_async() -> None:
    lend = many_async()
    async with lend() as lent:
        async with lend() as idle:
            pass
        await lend.close()
        states = (idle.is_closed, lent.is_closed)
    await lend.close()

    assert states == (True, False)
    assert lent.is_closed


def test_after_the_end_no_connection_is_lent() -> None:
    lend = many()
    lend.close()

    with pytest.raises(RuntimeError, match="closed"), lend():
        pass


async def test_after_the_end_no_connection_is_lent_async() -> None:
    lend = many_async()
    await lend.close()

    with pytest.raises(RuntimeError, match="closed"):
        await lend().__aenter__()


def test_a_client_that_was_given_is_used_and_not_closed() -> None:
    with next(made()) as theirs:
        lend, close = sync_connections(theirs, None, 10)
        with lend() as http:
            assert http is theirs
        close()

        assert not theirs.is_closed


async def test_a_client_that_was_given_is_used_and_not_closed_async() -> None:
    async with next(made_async()) as theirs:
        lend, close = async_connections(theirs, None, 10)
        async with lend() as http:
            assert http is theirs
        await close()

        assert not theirs.is_closed


def test_a_transport_that_was_given_is_used_and_closed_with_the_client() -> None:
    lend, close = sync_connections(None, httpx.MockTransport(lambda _: httpx.Response(204)), 10)

    with lend() as http:
        assert http.get("https://shop.vault.azure.net").status_code == 204
    close()

    assert http.is_closed


@pytest.mark.parametrize("kind", ["http_client", "transport"])
def test_the_other_twins_client_or_transport_is_refused(kind: str) -> None:
    theirs: Any = {"http_client": httpx.AsyncClient(), "transport": httpx.ASGITransport(None)}[kind]  # type: ignore[arg-type]  # never called

    with pytest.raises(TypeError, match=f"{kind}: .* not A"):
        sync_connections(**{"http_client": None, "transport": None, kind: theirs}, timeout=10)


@pytest.mark.parametrize("kind", ["http_client", "transport"])
def test_the_other_twins_client_or_transport_is_refused_async(kind: str) -> None:
    theirs: Any = {"http_client": httpx.Client(), "transport": httpx.HTTPTransport()}[kind]

    with pytest.raises(TypeError, match=f"{kind}: .* of type Async"):
        async_connections(**{"http_client": None, "transport": None, kind: theirs}, timeout=10)


def test_a_client_and_a_transport_are_too_much() -> None:
    with next(made()) as theirs, pytest.raises(ValueError, match="one of them"):
        sync_connections(theirs, httpx.MockTransport(lambda _: httpx.Response(204)), 10)
