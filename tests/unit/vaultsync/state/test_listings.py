"""Listings of vaults, and searches of them."""

import asyncio
import fnmatch
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.builders import a_listing, some_metadata
from vaultsync.api.grants import Quota
from vaultsync.state.listings import MAX_FOUND, SecretMetadata, VaultListing
from vaultsync.state.requests import Search

SHOP_OLD = some_metadata(name="shop-old", readable=False)
SHOP = a_listing(
    some_metadata(name="shop-User", tags={"tier": "web"}),
    some_metadata(name="shop-password", tags={"tier": "db", "team": "shop"}),
    SHOP_OLD,
    some_metadata(name="other"),
)


def found(listing: VaultListing, glob: str, **tags: str) -> list[str]:
    return [metadata.name for metadata in listing.search(Search(glob, tags))]


def test_a_listing_has_secrets_by_name_in_lower_case() -> None:
    assert (len(SHOP), "shop-user" in SHOP, "shop-User" in SHOP, "absent" in SHOP) == (4, True, False, False)
    assert SHOP.get("shop-user") == some_metadata(name="shop-User", tags={"tier": "web"})
    assert SHOP.get("absent") is None


@pytest.mark.parametrize(
    ("glob", "tags", "names"),
    [
        ("shop-*", {}, ["shop-old", "shop-password", "shop-User"]),
        ("shop-u???", {}, ["shop-User"]),
        ("*-user", {}, ["shop-User"]),
        ("shop", {}, []),
        ("shop-user", {}, ["shop-User"]),
        ("*", {}, ["other", "shop-old", "shop-password", "shop-User"]),
        ("*", {"tier": "web"}, ["shop-User"]),
        ("*", {"tier": "db", "team": "shop"}, ["shop-password"]),
        ("*", {"tier": "db", "team": "other"}, []),
        ("*", {"team": "shop"}, ["shop-password"]),
        ("other", {"team": "shop"}, []),
    ],
    ids=[
        "a prefix",
        "any case",
        "a suffix",
        "a part of a name",
        "a whole name",
        "everything",
        "a tag",
        "two tags",
        "a tag with another value",
        "name and tag",
        "a name without the tag",
    ],
)
def test_a_search_returns_what_matches_name_and_tags_by_name(glob: str, tags: dict[str, str], names: list[str]) -> None:
    assert found(SHOP, glob, **tags) == names


def test_a_search_does_not_return_what_it_leaves_out() -> None:
    listing = a_listing(*(some_metadata(name=name) for name in ("shop-a", "Shop-B", "other")))

    assert listing.search(Search("shop-*", omit=("*-b", "x*"))) == (some_metadata(name="shop-a"),)
    assert listing.search(Search(omit=("shop*",))) == (some_metadata(name="other"),)
    assert found(listing, "shop-*") == ["shop-a", "Shop-B"]


@given(
    names=st.lists(st.text("abAB-0", min_size=1, max_size=5), max_size=12, unique_by=str.lower),
    glob=st.text("ab-0*?", min_size=1, max_size=5),
)
@example(names=["a", "ab", "b"], glob="a*")
def test_a_search_that_narrows_by_prefix_finds_what_a_scan_of_all_names_finds(names: list[str], glob: str) -> None:
    listing = a_listing(*(some_metadata(name=name) for name in names))

    scan = [name for name in sorted(names, key=str.lower) if fnmatch.fnmatchcase(name.lower(), glob)]

    assert found(listing, glob) == scan


@pytest.mark.parametrize(("managed", "names"), [(None, ["a", "tls"]), (False, ["a"]), (True, ["tls"])])
def test_a_search_selects_secrets_of_certificates_all_others_or_both(managed: bool | None, names: list[str]) -> None:
    listing = a_listing(some_metadata(name="a"), some_metadata(name="tls", managed=True))

    assert [metadata.name for metadata in listing.search(Search(managed=managed))] == names


class CountingTags(Mapping[str, str]):
    """The tags of a secret, which count how often they are read."""

    def __init__(self, **tags: str) -> None:
        self._tags = tags
        self.reads = 0

    def __getitem__(self, name: str) -> str:
        self.reads += 1
        return self._tags[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tags)

    def __len__(self) -> int:
        return len(self._tags)


def test_a_search_scans_the_listing_once_for_each_query() -> None:
    tags = CountingTags(tier="db")
    listing = a_listing(some_metadata(name="shop-password", tags=tags))

    first = listing.search(Search("shop-*", {"tier": "db"}))
    reads = tags.reads
    again = listing.search(Search("shop-**", {"tier": "db"}))

    assert (reads, tags.reads) == (1, 1)
    assert again is first
    assert listing.search(Search("shop-*", {"tier": "web"})) == ()
    assert tags.reads == 2


def test_a_search_reads_the_tags_of_no_secret_whose_name_does_not_match() -> None:
    tags = CountingTags(tier="db")

    assert a_listing(some_metadata(name="other", tags=tags)).search(Search("shop-*", {"tier": "db"})) == ()
    assert tags.reads == 0


def test_a_listing_with_the_same_names_matches_no_glob_again() -> None:
    before = a_listing(*(some_metadata(name=name) for name in ("shop-a", "shop-b", "other")))
    before.search(Search("*-a"))
    changed = {name: some_metadata(name=name, tags={"tier": "db"}) for name in ("shop-a", "shop-b", "other")}

    same_names = before.followed_by(changed)
    other_names = same_names.followed_by({**changed, "new-a": some_metadata(name="new-a")})

    assert same_names._matches is before._matches
    assert [found(one, "*-a", tier="db") for one in (same_names, other_names)] == [["shop-a"], ["shop-a"]]
    assert [found(one, "*-a") for one in (same_names, other_names)] == [["shop-a"], ["new-a", "shop-a"]]


def test_results_of_searches_are_cached_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaultsync.state.listings.MAX_CACHED", 10)
    listing = a_listing(*(some_metadata(name=f"name-{number}") for number in range(4)))
    globs = [f"*{'?' * number}*" for number in range(7)]

    assert [len(found(listing, glob)) for glob in globs * 2] == [4] * 14
    assert sum(len(one) + 1 for one in listing._found._results.values()) == 10


def test_what_searches_leave_out_counts_toward_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaultsync.state.listings.MAX_CACHED", 10)
    listing = a_listing(some_metadata(name="a"))

    assert [len(listing.search(Search(omit=omit))) for omit in [("b" * 80,), ("b" * 56,), ("b" * 57,)]] == [1, 1, 1]
    assert [query.omit for query in listing._found._results] == [("b" * 57,)]


async def test_other_tasks_have_a_turn_after_each_search_that_is_computed() -> None:
    listing = a_listing(*(some_metadata(name=f"name-{number}") for number in range(4)))
    searches = [Search(f"*-{number}") for number in range(4)]
    known, done = list[int](), False

    async def watch() -> None:
        while not done:
            known.append(len(listing._found._results))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await listing.prepare(searches)
    await listing.prepare(searches)
    done = True
    await watching

    assert known == [0, 1, 2, 3, 4]


def test_a_glob_of_many_wildcards_does_not_backtrack() -> None:
    listing = a_listing(some_metadata(name="a" * 127))

    assert found(listing, "*a" * 62 + "*b") == []


def test_a_listing_does_not_change_with_the_mapping_that_it_was_made_of() -> None:
    secrets = {"a": some_metadata(name="a")}
    listing = VaultListing(secrets)

    secrets["b"] = some_metadata(name="b")

    assert (len(listing), found(listing, "*")) == (1, ["a"])


def test_equal_searches_share_their_result_and_all_searches_the_requests() -> None:
    listing = a_listing(*(some_metadata(name=f"shop-{number}", readable=number != 2) for number in range(4)))

    first, again = (listing.requests([Search(names, {})]) for names in ("shop-*", "shop-**"))
    [other] = listing.requests([Search("*-1")])

    assert [request.ref.name for request in first] == ["shop-0", "shop-1", "shop-3"]
    assert again is first
    assert other is first[1]


def test_of_more_secrets_than_any_quota_allows_one_more_is_requested() -> None:
    listing = a_listing(*(some_metadata(name=f"shop-{number}") for number in range(MAX_FOUND + 10)))

    assert len(listing.requests([Search("shop-*"), Search("*")])) == MAX_FOUND + 1
    with pytest.raises(ValidationError):
        Quota(found_secrets=MAX_FOUND + 1)


_names = st.text("ab-", min_size=1, max_size=4)
_patterns = st.text("ab-*?", min_size=1, max_size=4)
_tags = st.dictionaries(st.just("team"), st.sampled_from("xy"))
_searches = st.builds(
    Search,
    _patterns,
    _tags,
    st.sampled_from([None, True, False]),
    st.lists(st.text("ab*", min_size=1, max_size=3), max_size=2).map(tuple),
)
_secrets = st.builds(
    lambda name, tags, managed, readable: some_metadata(name=name, tags=tags, managed=managed, readable=readable),
    _names,
    _tags,
    st.booleans(),
    st.booleans(),
)


@given(st.lists(_secrets, max_size=6), st.lists(_searches, min_size=1, max_size=3))
def test_a_single_secret_is_selected_as_the_search_of_all_selects_it(
    secrets: list[SecretMetadata], searches: list[Search]
) -> None:
    listing = a_listing(*secrets)
    is_selected = listing.selects(searches)
    found = {one.name for search in searches for one in listing.search(search) if one.readable}

    assert {one.name for one in secrets if is_selected(one.name)} == found
    assert {request.ref.name for request in listing.requests(searches)} == found
    assert not is_selected("absent")
