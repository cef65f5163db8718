"""Views of vaults: searches of a listing, what is known of a secret, and the polls that are requested."""

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.builders import ACCESS, FIRST, NOW_MISSING, START, a_listing, an_access, some_metadata
from vaultsync.api.grants import Quota
from vaultsync.state.moments import Moment
from vaultsync.state.requests import Search
from vaultsync.state.vaults import (
    MAX_FOUND,
    UNKNOWN,
    LastRead,
    LossReport,
    PollRequests,
    Reads,
    SecretMetadata,
    VaultListing,
    VaultStore,
    VaultView,
)

OTHER = "https://other.vault.azure.net"
SHOP_OLD = some_metadata(name="shop-old", readable=False)
SHOP = a_listing(
    some_metadata(name="shop-User", tags={"tier": "web"}),
    some_metadata(name="shop-password", tags={"tier": "db", "team": "shop"}),
    SHOP_OLD,
    some_metadata(name="other"),
)


def found(listing: VaultListing, glob: str, **tags: str) -> list[str]:
    return [metadata.name for metadata in listing.search(Search(glob, tags))]


# Listings


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
    monkeypatch.setattr("vaultsync.state.vaults.MAX_CACHED", 10)
    listing = a_listing(*(some_metadata(name=f"name-{number}") for number in range(4)))
    globs = [f"*{'?' * number}*" for number in range(7)]

    assert [len(found(listing, glob)) for glob in globs * 2] == [4] * 14
    assert sum(len(one) + 1 for one in listing._found._results.values()) == 10


def test_what_searches_leave_out_counts_toward_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaultsync.state.vaults.MAX_CACHED", 10)
    listing = a_listing(some_metadata(name="a"))

    assert [len(listing.search(Search(omit=omit))) for omit in [("b" * 80,), ("b" * 56,), ("b" * 57,)]] == [1, 1, 1]
    assert [query.omit for query in listing._found._results] == [("b" * 56,)]


def test_a_glob_of_many_wildcards_does_not_backtrack() -> None:
    listing = a_listing(some_metadata(name="a" * 127))

    assert found(listing, "*a" * 62 + "*b") == []


def test_a_listing_does_not_change_with_the_mapping_that_it_was_made_of() -> None:
    secrets = {"a": some_metadata(name="a")}
    listing = VaultListing(secrets)

    secrets["b"] = some_metadata(name="b")

    assert (len(listing), found(listing, "*")) == (1, ["a"])


# Views


def test_a_secret_is_found_by_name_or_else_in_the_listing() -> None:
    view = VaultView(
        {"named": some_metadata(name="named"), "gone": NOW_MISSING},
        listing=a_listing(some_metadata(name="gone"), some_metadata(name="listed")),
    )

    assert view.find("named") == some_metadata(name="named")
    assert view.find("gone") == NOW_MISSING
    assert view.find("listed") == some_metadata(name="listed")
    assert (view.find("other"), UNKNOWN.find("named")) == (None, None)


def test_a_view_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        UNKNOWN.polls = 1  # type: ignore[misc]  # that is the test


def test_a_loss_report_has_tripped_while_anything_is_latched() -> None:
    assert LossReport(latched=frozenset({"a"})).tripped
    assert not LossReport(lost=frozenset({"a"}), held=frozenset({"a"})).tripped


def test_a_loss_report_holds_everything_once_it_has_tripped_and_otherwise_what_was_held_before() -> None:
    held, tripped = LossReport(held=frozenset({"a"})), LossReport(latched=frozenset({"a"}))

    assert (held.holds("a"), held.holds("b"), tripped.holds("b")) == (True, False, True)
    assert held.joined(tripped) == LossReport(latched=frozenset({"a"}), most=1, held=frozenset({"a"}))


# Requests


def test_no_poll_is_requested_at_first() -> None:
    requests = PollRequests()

    assert not requests.is_pending_after(0)
    assert not requests.changed.is_set()


def test_a_request_is_satisfied_by_a_poll_that_begins_later() -> None:
    requests = PollRequests()

    requests.request(after=3)

    assert requests.changed.is_set()
    assert requests.is_pending_after(3)
    assert not requests.is_pending_after(4)


def test_a_request_after_a_poll_that_has_not_ended_is_not_satisfied_by_it() -> None:
    requests = PollRequests()

    requests.request(after=4)  # the fourth poll is in progress

    assert requests.is_pending_after(4)
    assert not requests.is_pending_after(5)


def test_requests_that_come_together_are_one() -> None:
    requests = PollRequests()
    requests.request(after=3)
    requests.changed.clear()

    requests.request(after=3)
    requests.request(after=2)

    assert not requests.changed.is_set()
    assert not requests.is_pending_after(4)


@given(afters=st.lists(st.integers(0, 5), min_size=1, max_size=6), begun=st.integers(0, 7))
def test_the_latest_of_several_requests_counts(afters: list[int], begun: int) -> None:
    requests = PollRequests()

    for after in afters:
        requests.request(after=after)

    assert requests.is_pending_after(begun) is (begun <= max(afters))


# The store


def test_a_vault_that_was_never_polled_has_the_unknown_view() -> None:
    assert VaultStore().view(ACCESS) is UNKNOWN


def test_each_vault_has_the_view_that_was_published_last() -> None:
    store, first, second = VaultStore(), VaultView(polls=1), VaultView(polls=2)

    store.publish(ACCESS, first)
    store.publish(an_access(OTHER), first)
    store.publish(ACCESS, second)

    assert (store.view(ACCESS), store.view(an_access(OTHER))) == (second, first)


def test_a_poll_is_requested_of_one_vault() -> None:
    store = VaultStore()
    requests, others = store.requests(ACCESS), store.requests(an_access(OTHER))

    store.request_poll(ACCESS, after=0)

    assert (requests.is_pending_after(0), others.is_pending_after(0)) == (True, False)


def test_a_reschedule_wakes_the_poller_and_requests_no_poll() -> None:
    store = VaultStore()
    requests = store.requests(ACCESS)

    store.reschedule(ACCESS)

    assert (requests.changed.is_set(), requests.is_pending_after(0)) == (True, False)


def test_nothing_is_requested_of_a_vault_that_is_not_polled() -> None:
    store = VaultStore()

    store.request_poll(ACCESS, after=0)
    store.reschedule(ACCESS)

    assert not store.requests(ACCESS).is_pending_after(0)
    assert not store.requests(ACCESS).changed.is_set()


def test_a_removed_vault_is_forgotten_with_its_requests() -> None:
    store = VaultStore()
    former = store.requests(ACCESS)
    store.publish(ACCESS, VaultView(polls=1))
    store.request_poll(ACCESS, after=5)

    store.remove(ACCESS)
    store.remove(ACCESS)

    assert store.view(ACCESS) is UNKNOWN
    assert store.requests(ACCESS) is not former
    assert not store.requests(ACCESS).is_pending_after(0)


def a_read(at: float, version: str | None = FIRST) -> LastRead:
    return LastRead(Moment(at), version, START, None)


def test_moments_of_one_tick_are_ordered_by_their_number() -> None:
    assert Moment(1.0, 9) < Moment(1.0, 10) < Moment(2.0, 1)


def test_the_last_read_is_the_one_that_began_last() -> None:
    reads = Reads()
    for at in (1.0, 3.0, 2.0):
        reads.put("db-password", a_read(at))

    assert reads.get("db-password") == a_read(3.0)


@pytest.mark.parametrize(
    ("read", "found"),
    [(None, False), (a_read(1.0), False), (a_read(2.0), False), (a_read(3.0), True), (a_read(3.0, None), False)],
    ids=["never read", "read before", "read at the same time", "read after", "not found after"],
)
def test_whether_a_secret_was_found_since_a_moment(read: LastRead | None, found: bool) -> None:
    reads = Reads()
    if read is not None:
        reads.put("db-password", read)

    assert reads.found_since("db-password", Moment(2.0)) is found


def test_reads_of_what_is_not_used_are_forgotten() -> None:
    reads = Reads()
    names = ("used", "used/previous", "other", "other/previous")
    for name in names:
        reads.put(name, a_read(1.0))

    reads.retain(lambda name: name == "used")

    assert [name for name in names if reads.get(name)] == ["used", "used/previous"]


def test_reads_are_recorded_once_there_is_a_poller_and_count_in_every_view() -> None:
    store = VaultStore()
    store.record_read(ACCESS, "db-password", a_read(1.0))
    store.requests(ACCESS)
    before = store.view(ACCESS)
    assert before.reads.get("db-password") is None

    store.publish(ACCESS, replace(before, polls=1))
    store.record_read(ACCESS, "db-password", a_read(2.0))

    assert store.view(ACCESS).reads.get("db-password") == before.reads.get("db-password") == a_read(2.0)
    assert store.view(an_access(OTHER)).reads.get("db-password") is None


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
