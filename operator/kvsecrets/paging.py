"""Lists that are read as they are walked through, by item or by page; what a page is and how it is read is not here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Generic, TypeVar

from kvsecrets._operations import Page

__all__ = ["AsyncPaged", "Page", "Paged"]

T = TypeVar("T")


class Paged(Generic[T]):
    """A list in the vault. Iterating reads it from the start, page by page, each time anew."""

    def __init__(self, fetch: Callable[[str | None, int | None], Page[T]]) -> None:
        self._fetch = fetch

    def __iter__(self) -> Iterator[T]:
        """Walk through the items of all pages."""
        for page in self.by_page():
            yield from page.items

    def by_page(self, continuation_token: str | None = None, max_page_size: int | None = None) -> Iterator[Page[T]]:
        """Walk through the pages.

        Args:
            continuation_token: A page's `continuation_token`, to go on after that page; None starts at the beginning.
            max_page_size: 1 to 25 rows; a page may hold fewer items, or none, and still have others after it.
        """
        page = self._fetch(continuation_token, max_page_size)
        yield page
        while page.continuation_token is not None:
            page = self._fetch(page.continuation_token, None)
            yield page


class AsyncPaged(Generic[T]):
    """A list in the vault. Iterating reads it from the start, page by page, each time anew."""

    def __init__(self, fetch: Callable[[str | None, int | None], Awaitable[Page[T]]]) -> None:
        self._fetch = fetch

    async def __aiter__(self) -> AsyncIterator[T]:
        """Walk through the items of all pages."""
        async for page in self.by_page():
            for item in page.items:
                yield item

    async def by_page(
        self, continuation_token: str | None = None, max_page_size: int | None = None
    ) -> AsyncIterator[Page[T]]:
        """Walk through the pages.

        Args:
            continuation_token: A page's `continuation_token`, to go on after that page; None starts at the beginning.
            max_page_size: 1 to 25 rows; a page may hold fewer items, or none, and still have others after it.
        """
        page = await self._fetch(continuation_token, max_page_size)
        yield page
        while page.continuation_token is not None:
            page = await self._fetch(page.continuation_token, None)
            yield page
