"""Lists are read as they are walked through, from the start or from where one stopped."""

from kvsecrets.models import ResponseInfo
from kvsecrets.paging import AsyncPaged, Page, Paged

PAGES = {
    None: Page(("a", "b"), "second", ResponseInfo()),
    "second": Page((), "third", ResponseInfo()),
    "third": Page(("c",), None, ResponseInfo()),
}


class Shelf:
    """Hands out pages and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, int | None]] = []

    def fetch(self, token: str | None, size: int | None) -> Page[str]:
        self.asked.append((token, size))
        return PAGES[token]

    async def fetch_async(self, token: str | None, size: int | None) -> Page[str]:
        return self.fetch(token, size)


def test_walking_through_items_reads_all_pages_and_an_empty_one_does_not_end_it() -> None:
    assert list(Paged(Shelf().fetch)) == ["a", "b", "c"]


async def test_walking_through_items_reads_all_pages_async() -> None:
    assert [item async for item in AsyncPaged(Shelf().fetch_async)] == ["a", "b", "c"]


def test_a_page_is_fetched_only_when_it_is_reached() -> None:
    shelf = Shelf()
    items = iter(Paged(shelf.fetch))

    before = list(shelf.asked)
    next(items)

    assert (before, shelf.asked) == ([], [(None, None)])


def test_the_same_list_can_be_walked_through_twice() -> None:
    paged = Paged(Shelf().fetch)

    assert list(paged) == list(paged)


def test_pages_begin_after_a_continuation_token_and_the_size_is_asked_for_once() -> None:
    shelf = Shelf()

    pages = list(Paged(shelf.fetch).by_page("second", 5))

    assert [page.items for page in pages] == [(), ("c",)]
    assert shelf.asked == [("second", 5), ("third", None)]


async def test_pages_begin_after_a_continuation_token_async() -> None:
    shelf = Shelf()

    pages = [page.items async for page in AsyncPaged(shelf.fetch_async).by_page("second", 5)]

    assert pages == [(), ("c",)]
    assert shelf.asked == [("second", 5), ("third", None)]
