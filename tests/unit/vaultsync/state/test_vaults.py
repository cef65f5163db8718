"""Views of vaults: what is known of a secret, and the polls that are requested."""

from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ACCESS, FIRST, NOW_MISSING, START, a_listing, an_access, some_metadata
from vaultsync.state.moments import Moment
from vaultsync.state.vaults import UNKNOWN, LastRead, LossReport, PollRequests, Reads, VaultStore, VaultView

OTHER = "https://other.vault.azure.net"
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
