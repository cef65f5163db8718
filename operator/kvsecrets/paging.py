"""Paged lists, iterated by item or by page; how a page is requested and parsed is not here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from kvsecrets.models import ResponseInfo

__all__ = ["AsyncPaged", "Page", "Paged"]

Item_co = TypeVar("Item_co", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item_co]):
    """One page of a list. It may be short or empty although others follow: Key Vault counts rows that it does not show.

    https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets
    """

    items: tuple[Item_co, ...]
    continuation_token: str | None
    """Resumes the list after this page, from another client too; None for the last page."""
    response: ResponseInfo


class Paged(Generic[T]):
    """A list in a vault. Each iteration reads it from the start, one page at a time."""

    def __init__(self, fetch: Callable[[str | None, int | None], Page[T]]) -> None:
        self._fetch = fetch

    def __iter__(self) -> Iterator[T]:
        """Return an iterator over the items of all pages; raises `KeyVaultError` if a page cannot be read."""
        for page in self.by_page():
            yield from page.items

    def by_page(self, continuation_token: str | None = None, max_page_size: int | None = None) -> Iterator[Page[T]]:
        """Return an iterator over the pages.

        Args:
            continuation_token: The `continuation_token` of a page, to resume after it; None starts at the beginning.
            max_page_size: 1 to 25 rows per page; None leaves it to the service.

        Raises:
            ValueError: An argument breaks a rule, or the token is not from this list.
            KeyVaultError: A page cannot be read.
        """
        page = self._fetch(continuation_token, max_page_size)
        yield page
        while page.continuation_token is not None:
            page = self._fetch(page.continuation_token, None)
            yield page


class AsyncPaged(Generic[T]):
    """A list in a vault. Each iteration reads it from the start, one page at a time."""

    def __init__(self, fetch: Callable[[str | None, int | None], Awaitable[Page[T]]]) -> None:
        self._fetch = fetch

    async def __aiter__(self) -> AsyncIterator[T]:
        """Return an iterator over the items of all pages; raises `KeyVaultError` if a page cannot be read."""
        async for page in self.by_page():
            for item in page.items:
                yield item

    async def by_page(
        self, continuation_token: str | None = None, max_page_size: int | None = None
    ) -> AsyncIterator[Page[T]]:
        """Return an iterator over the pages.

        Args:
            continuation_token: The `continuation_token` of a page, to resume after it; None starts at the beginning.
            max_page_size: 1 to 25 rows per page; None leaves it to the service.

        Raises:
            ValueError: An argument breaks a rule, or the token is not from this list.
            KeyVaultError: A page cannot be read.
        """
        page = await self._fetch(continuation_token, max_page_size)
        yield page
        while page.continuation_token is not None:
            page = await self._fetch(page.continuation_token, None)
            yield page
