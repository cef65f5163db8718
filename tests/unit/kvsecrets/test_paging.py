"""Lists read one page at a time while iterating, from the start or after a continuation token."""

from kvsecrets.models import ResponseInfo
from kvsecrets.paging import AsyncPaged, Page, Paged

PAGES = {
    None: Page(("a", "b"), "second", ResponseInfo()),
    "second": Page((), "third", ResponseInfo()),
    "third": Page(("c",), None, ResponseInfo()),
}


class Source:
    """Returns pages and records the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str | None, int | None]] = []

    def fetch(self, token: str | None, size: int | None) -> Page[str]:
        self.requests.append((token, size))
        return PAGES[token]

    async def fetch_async(self, token: str | None, size: int | None) -> Page[str]:
        return self.fetch(token, size)


def test_iterating_reads_all_pages_past_an_empty_one() -> None:
    assert list(Paged(Source().fetch)) == ["a", "b", "c"]


async def test_iterating_reads_all_pages_past_an_empty_one_async() -> None:
    assert [item async for item in AsyncPaged(Source().fetch_async)] == ["a", "b", "c"]


def test_a_page_is_read_when_it_is_reached() -> None:
    source = Source()
    items = iter(Paged(source.fetch))

    before = list(source.requests)
    next(items)

    assert (before, source.requests) == ([], [(None, None)])


def test_a_list_can_be_iterated_twice() -> None:
    paged = Paged(Source().fetch)

    assert list(paged) == list(paged)


def test_pages_start_after_a_continuation_token_and_the_size_is_sent_once() -> None:
    source = Source()

    pages = list(Paged(source.fetch).by_page("second", 5))

    assert [page.items for page in pages] == [(), ("c",)]
    assert source.requests == [("second", 5), ("third", None)]


async def test_pages_start_after_a_continuation_token_and_the_size_is_sent_once_async() -> None:
    source = Source()

    pages = [page.items async for page in AsyncPaged(source.fetch_async).by_page("second", 5)]

    assert pages == [(), ("c",)]
    assert source.requests == [("second", 5), ("third", None)]
