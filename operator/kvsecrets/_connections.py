"""Connections to the vault, each in an httpx client of its own; chooses one for each exchange and sends nothing itself.

httpx's own pool looks at every connection, several times, before and after each request: with 50 calls at once that
takes more time than all the rest of a call. Here the connection that was used last is taken from a stack, at the same
price for any number. What a connection is (proxies, certificates, HTTP) stays httpx's business.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import Generic, TypeVar

import httpx

from kvsecrets import _limits
from kvsecrets._countdown import count
from kvsecrets.errors import ConnectionFailed

MOST = 100
"""Exchanges that one client has under way at once, at most; the others wait."""
KEPT = 25
"""Connections that stay open when nobody uses them."""
ONE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30)

H = TypeVar("H", httpx.Client, httpx.AsyncClient)


class _Stack(Generic[H]):
    """The idle connections, the last used on top."""

    def __init__(self, make: Callable[[], H]) -> None:
        self._make: Callable[[], H] = make
        self._idle: list[H] = []
        self.closed = False

    def pop(self) -> H:
        if self.closed:
            raise RuntimeError("this client is closed")
        try:
            http: H = self._idle.pop()
        except IndexError:
            http = self._make()
        return http

    def push(self, http: H) -> bool:
        """Take a connection back; False if it is one too many, and has to be closed."""
        if self.closed or len(self._idle) >= KEPT:
            return False
        self._idle.append(http)
        return True

    def emptied(self) -> list[H]:
        """Give up all idle connections, for good."""
        self.closed = True
        idle, self._idle = self._idle, []
        return idle


class Connections:
    """Connections for threads; one whose exchange fails or is interrupted is closed, as it may never work again."""

    def __init__(self, make: Callable[[], httpx.Client], timeout: float) -> None:
        self._stack = _Stack(make)
        self._timeout = timeout
        self._places = threading.Semaphore(MOST)

    @contextmanager
    def __call__(self) -> Iterator[httpx.Client]:
        """Lend out one connection."""
        if not self._places.acquire(timeout=self._timeout):
            raise ConnectionFailed(_crowded(self._timeout))
        try:
            http = self._stack.pop()
            kept = False
            try:
                yield http
                kept = self._stack.push(http)
            finally:
                if not kept:
                    http.close()
        finally:
            self._places.release()

    def close(self) -> None:
        """Close all idle connections, now, and those that are lent out when they come back."""
        for http in self._stack.emptied():
            http.close()


class AsyncConnections:
    """Connections for tasks; one whose exchange fails or is cancelled is closed, as it may never work again.

    httpx loses track of its connection when it is cancelled at some moments, and then waits for it for ever.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient], timeout: float) -> None:
        self._stack = _Stack(make)
        self._timeout = timeout
        self._places = asyncio.Semaphore(MOST)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend out one connection."""
        await self._place()
        try:
            http = self._stack.pop()
            kept = False
            try:
                yield http
                kept = self._stack.push(http)
            finally:
                if not kept:
                    await http.aclose()
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close all idle connections, now, and those that are lent out when they come back."""
        for http in self._stack.emptied():
            await http.aclose()

    async def _place(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._places.acquire()
        except TimeoutError:
            raise ConnectionFailed(_crowded(self._timeout)) from None


def sync_connections(
    http_client: httpx.Client | None, transport: httpx.BaseTransport | None, timeout: float
) -> tuple[Callable[[], AbstractContextManager[httpx.Client]], Callable[[], None]]:
    """Return where each exchange gets its httpx client from, and how to close those that are ours."""
    _check_one(http_client, transport)
    if http_client is not None:
        _limits.kind("http_client", http_client, httpx.Client)
        return lambda: nullcontext(http_client), lambda: None
    if transport is not None:
        _limits.kind("transport", transport, httpx.BaseTransport)
        single = httpx.Client(transport=transport)
        return lambda: nullcontext(single), single.close
    trusted = count(httpx.create_ssl_context())
    lent = Connections(lambda: httpx.Client(verify=trusted, limits=ONE_CONNECTION), timeout)
    return lent, lent.close


def async_connections(
    http_client: httpx.AsyncClient | None, transport: httpx.AsyncBaseTransport | None, timeout: float
) -> tuple[Callable[[], AbstractAsyncContextManager[httpx.AsyncClient]], Callable[[], Awaitable[None]]]:
    """Return where each exchange gets its httpx client from, and how to close those that are ours."""
    _check_one(http_client, transport)
    if http_client is not None:
        _limits.kind("http_client", http_client, httpx.AsyncClient)
        return lambda: nullcontext(http_client), _nothing
    if transport is not None:
        _limits.kind("transport", transport, httpx.AsyncBaseTransport)
        single = httpx.AsyncClient(transport=transport)
        return lambda: nullcontext(single), single.aclose
    trusted = httpx.create_ssl_context()
    lent = AsyncConnections(lambda: httpx.AsyncClient(verify=trusted, limits=ONE_CONNECTION), timeout)
    return lent, lent.close


def _check_one(http_client: object, transport: object) -> None:
    if http_client is not None and transport is not None:
        raise ValueError("http_client and transport: give one of them; a client has its transport already")


async def _nothing() -> None:
    """Close nothing, since a client that was given belongs to its owner."""


def _crowded(timeout: float) -> str:
    return f"{MOST} requests are under way already, and none has ended within {timeout:g} s"
