"""Pollers of a FakeVault, driven poll by poll: what they call, which keys they wake, and which views they publish."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import (
    ACCESS,
    FIRST,
    START,
    VAULT,
    a_granted,
    a_state,
    a_status,
    a_status_entry,
    a_vault_secret,
    an_entry,
    an_observed,
)
from tests.clocks import settle, skip
from tests.harness import SKEW, MemoryHarness, record_woken
from vaultsync.adapters.keyvault.rate_limit import MAX_OPEN_SECONDS
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.controller.turns import Priority
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.losses import known_units, lost_units
from vaultsync.policy.plan import Plan, plan_for
from vaultsync.sources.poller import (
    FIRST_POLL_SECONDS,
    MAX_CONCURRENT_READS,
    MAX_FIRST_POLLS,
    MAX_POLL_RETRY,
    MAX_UNKNOWN_RETRY,
    PLANS_PER_TURN,
    RELIST_AFTER,
    Mode,
)
from vaultsync.state.access import Access
from vaultsync.state.applied import Applied, fingerprint
from vaultsync.state.listings import ListingPage, SecretMetadata
from vaultsync.state.moments import Moment
from vaultsync.state.observed import Field
from vaultsync.state.vaults import LastRead, LossReport, Missing, VaultView

Woken = list[tuple[str, Priority]]


def add(
    harness: MemoryHarness, name: str, *secrets: str, interval: int = 120, version: str | None = None
) -> VaultSecret:
    """Observe a VaultSecret of that name that uses these secrets; it has no target yet, so it must read them."""
    entries = [an_entry(key=secret, secret_name=secret, version=version) for secret in secrets]
    vault_secret = a_vault_secret(
        *entries, metadata={"name": name, "uid": name}, refresh_interval=timedelta(seconds=interval)
    )
    harness.state.vaultsecrets.put(vault_secret, a_granted())
    return vault_secret


def add_in_place(harness: MemoryHarness, name: str, *secrets: str, interval: int = 120) -> None:
    """Observe one whose target is in place, read a minute after its secrets were set, so that it need not read them."""
    vault_secret, changed = add(harness, name, *secrets, interval=interval), START + SKEW
    read = {"updated": changed, "read_at": changed + timedelta(minutes=1)}
    states = tuple(a_state(secret, source=secret, **read) for secret in secrets)
    status = a_status(*(a_status_entry(key=secret, secret_name=secret, **read) for secret in secrets))
    harness.state.vaultsecrets.put(vault_secret.model_copy(update={"status": status}), a_granted())
    observed = an_observed(vault_secret, applied=Applied(fingerprint(vault_secret), states))
    ours = observed.ours - {Field("data", "password")} | {Field("data", secret) for secret in secrets}
    harness.state.targets.record_write(vault_secret.target_key, replace(observed, ours=ours))


def add_search(harness: MemoryHarness, name: str, names: str = "*") -> None:
    """Observe a VaultSecret that searches the vault."""
    find = {"find": {"names": names}}
    harness.state.vaultsecrets.put(
        a_vault_secret(metadata={"name": name, "uid": name}, data=(), data_from=[find]), a_granted()
    )


def add_deleting(harness: MemoryHarness, *secrets: str, **metadata: str) -> None:
    """Observe a VaultSecret with keys of these secrets, which are deleted with them."""
    entries = [an_entry(key=name, secret_name=name) for name in secrets]
    status = a_status(*(a_status_entry(key=name, secret_name=name) for name in secrets))
    vault_secret = a_vault_secret(*entries, metadata=metadata, status=status, on_source_deleted="Delete")
    harness.state.vaultsecrets.put(vault_secret, a_granted())


def fill(harness: MemoryHarness, count: int) -> None:
    """Put so many secrets into the vault that no VaultSecret uses; a page has 25."""
    for number in range(count):
        harness.vault.set(f"filler-{number:03}", "x")


def on_wake(harness: MemoryHarness, action: Callable[[], None]) -> None:
    """Do something whenever a key is added to the queue."""
    queue = harness.controller.queue
    add = queue.add

    def acting(key: ObjectKey, priority: Priority) -> None:
        action()
        add(key, priority)

    queue.add = acting  # type: ignore[method-assign]  # the moments between two pages are the poller's own


def record_views(harness: MemoryHarness) -> list[VaultView]:
    """Return a list to which each view that is published from now on is appended."""
    published: list[VaultView] = []
    publish = harness.state.vaults.publish

    def record(access: Access, view: VaultView) -> None:
        published.append(view)
        publish(access, view)

    harness.state.vaults.publish = record  # type: ignore[method-assign]  # a store keeps the current view alone
    return published


async def poll(harness: MemoryHarness, woken: Woken) -> list[str]:
    """Poll a minute after the last time; return the names of the keys that were woken, all with low priority."""
    harness.clock.turn(60)
    woken.clear()
    await harness.poller.poll()
    assert {priority for _, priority in woken} <= {Priority.ROUTINE}
    return sorted(name for name, _ in woken)


def view(harness: MemoryHarness) -> VaultView:
    return harness.state.vaults.view(ACCESS)


def metadata(harness: MemoryHarness, name: str) -> SecretMetadata | Missing | None:
    return view(harness).secrets.get(name)


def calls(harness: MemoryHarness) -> tuple[int, int]:
    """Return how many pages were listed and how many secrets read since the last time."""
    counted = harness.vault.calls["list"], harness.vault.calls["get"]
    harness.vault.forget_calls()
    return counted


async def test_a_poll_lists_and_wakes_the_vaultsecrets_that_must_read(harness: MemoryHarness, woken: Woken) -> None:
    for name in ("one", "two", "unused"):
        harness.vault.set(name, "x")
    add(harness, "changed", "one")
    add_in_place(harness, "same", "two")
    add(harness, "both", "one", "TWO")

    assert await poll(harness, woken) == ["both", "changed"]

    assert harness.recorded.poll_calls == [(Mode.LIST, 1)]
    assert calls(harness) == (1, 0)
    assert view(harness).secrets.keys() == {"one", "two"}
    observed = metadata(harness, "one")
    assert observed is not None
    assert observed == SecretMetadata(
        readable=True, updated=START + SKEW, expires=None, observed_at=observed.observed_at, name="one"
    )
    assert observed.observed_at.seconds == harness.clock.seconds()


async def test_a_vaultsecret_with_two_secrets_to_read_is_woken_once(harness: MemoryHarness, woken: Woken) -> None:
    harness.vault.set("one", "x")
    harness.vault.set("two", "x")
    add(harness, "both", "one", "two")

    assert await poll(harness, woken) == ["both"]


async def test_a_suspended_vaultsecret_is_not_woken(harness: MemoryHarness, woken: Woken) -> None:
    add(harness, "user", "db-password")
    suspended = add(harness, "suspended", "db-password")
    spec = suspended.spec.model_copy(update={"suspend": True})
    harness.state.vaultsecrets.put(suspended.model_copy(update={"spec": spec}), a_granted())

    assert await poll(harness, woken) == ["user"]


async def test_what_was_read_of_a_secret_that_no_vaultsecret_uses_any_more_is_forgotten(
    harness: MemoryHarness, woken: Woken
) -> None:
    add(harness, "user", "db-password")
    for name in ("db-password", "unused"):
        harness.state.vaults.record_read(ACCESS, name, LastRead(Moment(0.0), FIRST, START, None))

    await poll(harness, woken)

    assert view(harness).reads.get("db-password") is not None
    assert view(harness).reads.get("unused") is None


async def test_vaultsecrets_are_woken_with_the_page_that_completes_their_secrets(
    harness: MemoryHarness, woken: Woken
) -> None:
    harness.vault.set("a-first", "x")
    fill(harness, 60)
    add(harness, "early", "a-first", "filler-000")
    add(harness, "late", "a-first", "filler-030")
    add(harness, "lacks-one", "a-first", "missing")
    pages_at: list[int] = []
    on_wake(harness, lambda: pages_at.append(harness.vault.calls["list"]))

    await poll(harness, woken)

    assert list(zip([name for name, _ in woken], pages_at, strict=True)) == [
        ("early", 1),
        ("late", 2),
        ("lacks-one", 3),
    ]


async def test_a_secret_that_a_complete_listing_lacks_is_missing_since_the_listing_began(
    harness: MemoryHarness, woken: Woken
) -> None:
    harness.vault.set("a-first", "x")
    harness.vault.set("gone", "x")
    fill(harness, 30)
    add(harness, "user", "a-first", "gone", "never")
    await poll(harness, woken)
    harness.vault.delete("gone")
    began = harness.clock.seconds() + 60
    add(harness, "other", "a-first")
    on_wake(harness, lambda: harness.clock.turn(30))

    assert await poll(harness, woken) == ["other", "user"]

    gone, never = metadata(harness, "gone"), metadata(harness, "never")
    assert isinstance(gone, Missing)
    assert isinstance(never, Missing)
    assert gone.observed_at == never.observed_at
    assert gone.observed_at.seconds == began
    assert (gone.polls, never.polls) == (1, 2)


async def test_a_secret_of_a_passed_page_that_is_newly_asked_for_is_not_missing(
    harness: MemoryHarness, woken: Woken
) -> None:
    harness.vault.set("a-first", "x")
    fill(harness, 30)
    add(harness, "user", "a-first", "filler-000")
    on_wake(harness, lambda: add_in_place(harness, "newcomer", "filler-001"))

    await poll(harness, woken)

    assert metadata(harness, "filler-000") is not None
    assert metadata(harness, "filler-001") is None


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_secret_that_no_vaultsecret_asks_for_any_more_is_forgotten(
    harness: MemoryHarness, woken: Woken, mode: Mode
) -> None:
    harness.vault.set("one", "x")
    harness.vault.set("two", "x")
    add(harness, "user", "one", "two")
    if mode is Mode.GET:
        harness.vault.deny("list")
        await poll(harness, woken)
    await poll(harness, woken)
    assert view(harness).secrets.keys() == {"one", "two"}

    add(harness, "user", "two")
    await poll(harness, woken)

    assert view(harness).secrets.keys() == {"two"}


async def test_pinned_versions_are_not_polled(harness: MemoryHarness, woken: Woken) -> None:
    version = harness.vault.set("one", "x")
    add(harness, "pinned", "one", version=version)

    assert await poll(harness, woken) == []
    assert view(harness).secrets == {}


# views


async def test_a_published_view_is_never_changed(harness: MemoryHarness, woken: Woken) -> None:
    harness.vault.set("one", "x")
    harness.vault.set("two", "x")
    add(harness, "user", "one", "two")
    add_search(harness, "search")
    published = record_views(harness)
    await poll(harness, woken)
    await poll(harness, woken)
    before = list(published)
    copies = [(dict(one.secrets), one.listing, one.losses, one.polls, one.polled_at) for one in before]

    harness.vault.delete("one")
    harness.vault.set("three", "x")
    add(harness, "user", "one", "three")
    await poll(harness, woken)

    assert [(dict(one.secrets), one.listing, one.losses, one.polls, one.polled_at) for one in before] == copies
    assert view(harness).secrets.keys() == {"one", "three"}
    assert len({id(one.secrets) for one in published if one.polls == 2}) > 1
    assert before[-1].listing is not view(harness).listing


@pytest.mark.parametrize("mode", [Mode.LIST, Mode.GET])
async def test_what_is_missing_and_how_much_is_lost_appear_in_one_view(
    harness: MemoryHarness, woken: Woken, mode: Mode
) -> None:
    lost = [f"lost-{number:02}" for number in range(3 * MAX_CONCURRENT_READS)]
    for name in [*lost, "left"]:
        harness.vault.set(name, "x")
    add_deleting(harness, "left", *lost)
    if mode is Mode.GET:
        harness.vault.deny("list")
        await poll(harness, woken)
    await poll(harness, woken)
    for name in lost:
        harness.vault.delete(name)
    published = record_views(harness)

    await poll(harness, woken)

    assert harness.recorded.poll_calls[-1][0] is mode
    found = [sum(isinstance(one, Missing) for one in view.secrets.values()) for view in published]
    counted = [0 if view.losses is None else len(view.losses.lost) for view in published]
    assert found == counted
    assert {0, len(lost)} == set(found)


async def test_a_poll_in_progress_is_not_counted_before_it_has_ended(harness: MemoryHarness, woken: Woken) -> None:
    add(harness, "user", "db-password")
    polls: list[int] = []
    on_wake(harness, lambda: polls.append(view(harness).polls))

    await poll(harness, woken)
    await poll(harness, woken)

    assert (polls, view(harness).polls) == ([0, 1], 2)


# reading one by one


async def test_without_permission_to_list_secrets_are_read_one_by_one_but_not_in_the_first_poll(
    harness: MemoryHarness, woken: Woken
) -> None:
    version = harness.vault.set("one", "x")
    add(harness, "user", "one", "absent")
    harness.vault.deny("list")

    assert await poll(harness, woken) == []
    assert (calls(harness), harness.recorded.poll_calls[-1]) == ((1, 0), (Mode.GET, 1))

    assert await poll(harness, woken) == ["user"]
    assert (calls(harness), harness.recorded.poll_calls[-1]) == ((1, 2), (Mode.GET, 3))
    seen = metadata(harness, "one")
    assert isinstance(seen, SecretMetadata)
    assert seen.version == version
    assert isinstance(metadata(harness, "absent"), Missing)


async def test_reading_one_by_one_notices_a_deletion(harness: MemoryHarness, woken: Woken) -> None:
    harness.vault.set("one", "x")
    add(harness, "user", "one")
    harness.vault.deny("list")
    await poll(harness, woken)
    await poll(harness, woken)

    harness.vault.delete("one")
    await poll(harness, woken)

    gone = metadata(harness, "one")
    assert isinstance(gone, Missing)
    assert gone.observed_at.seconds == harness.clock.seconds()


async def test_reads_end_with_the_first_poll_that_may_list_again(harness: MemoryHarness, woken: Woken) -> None:
    harness.vault.set("one", "x")
    add_in_place(harness, "user", "one")
    harness.vault.deny("list")
    for _ in range(3):
        await poll(harness, woken)
    assert (calls(harness), harness.recorded.poll_calls[-1]) == ((3, 2), (Mode.GET, 2))
    harness.vault.allow("list")

    await poll(harness, woken)

    assert (calls(harness), harness.recorded.poll_calls[-1]) == ((1, 0), (Mode.LIST, 1))


async def test_a_listing_that_costs_more_is_tried_again_after_an_hour(harness: MemoryHarness, woken: Woken) -> None:
    fill(harness, 100)
    add(harness, "user", "filler-000")
    await poll(harness, woken)

    harness.clock.turn(RELIST_AFTER - 120)
    await poll(harness, woken)
    assert harness.recorded.poll_calls[-1] == (Mode.GET, 1)
    await poll(harness, woken)

    assert harness.vault.calls["list"] == 4


async def test_secrets_are_read_one_by_one_where_a_listing_would_cost_more(
    harness: MemoryHarness, woken: Woken
) -> None:
    fill(harness, 100)
    add(harness, "user", "filler-000", "filler-001")
    await poll(harness, woken)
    assert (calls(harness), harness.recorded.poll_calls[-1]) == ((3, 0), (Mode.GET, 3))

    await poll(harness, woken)

    assert (calls(harness), harness.recorded.poll_calls[-1]) == ((0, 2), (Mode.GET, 2))


async def test_a_vault_of_25000_secrets_of_which_3_are_used_costs_3_reads_a_poll_and_no_listing(
    harness: MemoryHarness, woken: Woken
) -> None:
    fill(harness, 25_000)
    add_in_place(harness, "user", "filler-000", "filler-001", "filler-002")
    await poll(harness, woken)
    assert calls(harness) == (4, 0)  # as many pages as tell that reads are cheaper

    for _ in range(20):
        await poll(harness, woken)
        assert calls(harness) == (0, 3)
    assert metadata(harness, "filler-002")


async def test_the_vault_is_listed_again_when_more_secrets_are_asked_for(harness: MemoryHarness, woken: Woken) -> None:
    fill(harness, 100)
    add(harness, "user", "filler-000", "filler-001")
    await poll(harness, woken)

    add(harness, "another", *(f"filler-{number:03}" for number in range(10, 20)))
    await poll(harness, woken)

    assert harness.recorded.poll_calls[-1] == (Mode.LIST, 5)


async def test_an_empty_page_is_not_the_end_of_a_listing(harness: MemoryHarness, woken: Woken) -> None:
    for _ in range(100):
        harness.vault.set("a-much-rotated", "x")
    names = [f"wanted-{number}" for number in range(6)]
    for name in names:
        harness.vault.set(name, "x")
    add(harness, "user", *names)

    await poll(harness, woken)

    assert harness.recorded.poll_calls == [(Mode.LIST, 5)]
    assert all(isinstance(metadata(harness, name), SecretMetadata) for name in names)


async def test_all_calls_of_a_failing_batch_are_counted_and_its_others_are_cancelled(
    harness: MemoryHarness, woken: Woken
) -> None:
    names = [f"secret-{number:02}" for number in range(MAX_CONCURRENT_READS)]
    add(harness, "user", *names)
    harness.vault.deny("list")
    await poll(harness, woken)
    cancelled: list[str] = []

    async def head(access: Access, name: str) -> SecretMetadata | Missing:
        if name == names[3]:
            await asyncio.sleep(0)
            raise SyncError(Reason.VAULT_THROTTLED, "Vault is throttling.", retry_after=7.0)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(name)
            raise
        raise AssertionError

    harness.vaults.head = head  # type: ignore[method-assign]  # the fake vault answers at once
    await poll(harness, woken)

    assert harness.recorded.poll_calls[-1] == (Mode.GET, 1 + MAX_CONCURRENT_READS)
    failure = harness.recorded.polls[-1]
    assert failure is not None
    assert (failure.reason, failure.retry_after) == (Reason.VAULT_THROTTLED, 7.0)
    assert sorted(cancelled) == sorted(set(names) - {names[3]})
    assert asyncio.all_tasks() == {asyncio.current_task()}


def break_secrets(harness: MemoryHarness, *broken: str) -> None:
    """Have the vault return an error of its own for these secrets."""
    whole = harness.vaults.head

    async def head(access: Access, name: str) -> SecretMetadata | Missing:
        if name in broken:
            raise SyncError(Reason.VAULT_FAILED, f"Vault responded with an error of its own for {name}.")
        return await whole(access, name)

    harness.vaults.head = head  # type: ignore[method-assign]  # the fake vault fails as a whole


async def test_the_vault_is_listed_again_after_all_reads_have_failed(harness: MemoryHarness, woken: Woken) -> None:
    fill(harness, 100)
    add(harness, "user", "filler-000", "filler-001")
    await poll(harness, woken)
    assert calls(harness) == (3, 0)
    harness.vault.fail(calls=2, kind="get")

    await poll(harness, woken)
    assert (calls(harness), harness.recorded.poll_calls[-1]) == ((0, 2), (Mode.GET, 2))
    assert harness.recorded.polls[-1] is not None

    await poll(harness, woken)
    assert (calls(harness), harness.recorded.poll_calls[-1]) == ((3, 2), (Mode.GET, 5))
    assert harness.recorded.polls[-1] is None


async def test_one_secret_that_the_vault_does_not_return_hides_no_change_of_the_others(
    harness: MemoryHarness, woken: Woken
) -> None:
    names = [f"secret-{number:02}" for number in range(MAX_CONCURRENT_READS + 1)]
    for name in names:
        harness.vault.set(name, "x")
        add_in_place(harness, f"user-of-{name}", name)
    harness.vault.deny("list")
    await poll(harness, woken)
    break_secrets(harness, names[0], names[-1])

    # All have other versions than their targets.
    assert sorted(await poll(harness, woken)) == [f"user-of-{name}" for name in names]
    assert harness.recorded.polls[-1] is None
    broken = metadata(harness, names[0])
    assert isinstance(broken, SecretMetadata)
    assert not broken.readable


async def test_a_vault_that_returns_no_secret_at_all_fails(harness: MemoryHarness, woken: Woken) -> None:
    names = ("one", "two")
    add(harness, "user", *names)
    harness.vault.deny("list")
    await poll(harness, woken)
    break_secrets(harness, *names)

    await poll(harness, woken)

    failure = harness.recorded.polls[-1]
    assert failure is not None
    assert failure.reason is Reason.VAULT_FAILED


# failures


async def test_a_single_failed_poll_is_not_reported(harness: MemoryHarness, woken: Woken) -> None:
    harness.vault.set("one", "x")
    add_in_place(harness, "user", "one")
    harness.vault.close_door()

    assert await poll(harness, woken) == []
    assert view(harness).failure is None
    assert [failure and failure.reason for failure in harness.recorded.polls] == [Reason.VAULT_UNREACHABLE]
    assert harness.recorded.poll_calls == [(Mode.LIST, 0)]

    harness.vault.open_door()
    assert await poll(harness, woken) == []


async def test_two_failed_polls_in_a_row_and_the_recovery_wake_all_vaultsecrets_of_the_vault_once(
    harness: MemoryHarness, woken: Woken
) -> None:
    version = harness.vault.set("one", "x")
    add_in_place(harness, "user", "one")
    add(harness, "pinned", "one", version=version)
    harness.vault.close_door()
    await poll(harness, woken)

    assert await poll(harness, woken) == ["pinned", "user"]
    failure = view(harness).failure
    assert failure is not None
    assert failure.reason is Reason.VAULT_UNREACHABLE
    assert await poll(harness, woken) == []

    harness.vault.open_door()
    assert await poll(harness, woken) == ["pinned", "user"]
    assert view(harness).failure is None
    assert await poll(harness, woken) == []


def health(harness: MemoryHarness) -> tuple[object, ...]:
    """Return what metrics show of a vault."""
    current = view(harness)
    return current.polls, current.last_poll_failed, current.polled_at, current.listed


async def test_a_view_says_whether_the_last_poll_failed_when_the_last_good_one_began_and_how_much_it_listed(
    harness: MemoryHarness, woken: Woken
) -> None:
    fill(harness, 30)
    add(harness, "user", "filler-000", "filler-001")
    assert health(harness) == (0, False, None, None)

    await poll(harness, woken)
    polled_at = harness.clock()
    assert health(harness) == (1, False, polled_at, 31)

    harness.vault.close_door()
    await poll(harness, woken)

    assert health(harness) == (2, True, polled_at, 31)


async def test_a_first_poll_that_may_not_list_has_observed_nothing(harness: MemoryHarness, woken: Woken) -> None:
    harness.vault.set("one", "x")
    add(harness, "user", "one")
    harness.vault.deny("list")

    await poll(harness, woken)
    assert health(harness) == (1, False, None, None)
    await poll(harness, woken)

    assert health(harness) == (2, False, harness.clock(), None)


async def test_a_listing_that_fails_half_way_keeps_what_was_seen_and_misses_nothing(
    harness: MemoryHarness, woken: Woken
) -> None:
    harness.vault.set("a-first", "x")
    fill(harness, 30)
    add(harness, "first", "a-first")
    add(harness, "user", "a-first", "filler-029")
    await poll(harness, woken)
    harness.vault.delete("filler-029")
    on_wake(harness, lambda: harness.vault.fail(kind="list"))

    assert await poll(harness, woken) == ["first", "user"]

    failure = harness.recorded.polls[-1]
    assert failure is not None
    assert (harness.recorded.poll_calls[-1], failure.reason) == ((Mode.LIST, 1), Reason.VAULT_FAILED)
    assert isinstance(metadata(harness, "filler-029"), SecretMetadata)


@pytest.mark.parametrize("unexpected", [KeyError("broken"), asyncio.CancelledError()], ids=["error", "cancelled"])
async def test_an_unexpected_exception_is_recorded_and_the_vault_is_polled_again(
    harness: MemoryHarness, woken: Woken, unexpected: BaseException
) -> None:
    harness.vault.set("one", "x")
    add(harness, "user", "one")
    errors = iter([unexpected])

    def fail_once() -> None:
        for error in errors:
            raise error

    on_wake(harness, fail_once)
    await poll(harness, woken)

    assert harness.recorded.errors == [unexpected]
    failure = harness.recorded.polls[-1]
    assert failure is not None
    assert failure.reason is Reason.INTERNAL_ERROR
    assert await poll(harness, woken) == ["user"]


@settings(max_examples=30)
@given(
    wanted=st.sets(st.integers(0, 30), min_size=1, max_size=8),
    existing=st.sets(st.integers(0, 30)),
    others=st.sampled_from([0, 20, 60, 300]),
    listing=st.booleans(),
)
def test_after_two_polls_it_is_known_of_each_secret_whether_it_exists_at_the_lower_cost(
    wanted: set[int], existing: set[int], others: int, listing: bool
) -> None:
    async def polled_twice() -> MemoryHarness:
        harness = MemoryHarness()
        fill(harness, others)
        for number in existing:
            harness.vault.set(f"secret-{number}", "x")
        if not listing:
            harness.vault.deny("list")
        for number in wanted:
            add(harness, f"user-{number}", f"Secret-{number}")
        woken = record_woken(harness.controller.queue)
        await poll(harness, woken)
        await poll(harness, woken)
        await harness.aclose()
        return harness

    harness = asyncio.run(polled_twice())

    pages = -(-(others + len(existing) + 1) // 25)
    assert {name for name, seen in view(harness).secrets.items() if isinstance(seen, SecretMetadata)} == {
        f"secret-{number}" for number in wanted & existing
    }
    assert view(harness).secrets.keys() == {f"secret-{number}" for number in wanted}
    assert harness.recorded.poll_calls[-1][1] <= (min(pages, len(wanted)) if listing else 1 + len(wanted))


# when it polls


@asynccontextmanager
async def polling(harness: MemoryHarness, interval: int = 20) -> AsyncIterator[None]:
    """Run the poller by itself, for a VaultSecret that is in place and polled at that interval, in seconds."""
    harness.vault.set("one", "x")
    add_in_place(harness, "user", "one", interval=interval)
    task = asyncio.create_task(harness.poller.run())
    await settle()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def running(harness: MemoryHarness) -> AsyncIterator[MemoryHarness]:
    async with polling(harness):
        yield harness


async def polls_within(
    harness: MemoryHarness, seconds: int, each_second: Callable[[], None] = lambda: None
) -> list[float]:
    """Advance the time, second by second; return when polls ended, in seconds since the start."""
    times: list[float] = []
    for _ in range(seconds):
        before = len(harness.recorded.polls)
        each_second()
        await harness.pass_time(1)
        times += [(harness.clock() - START).total_seconds()] * (len(harness.recorded.polls) - before)
    return times


def request_poll(harness: MemoryHarness) -> None:
    """Request a poll that begins after the last one that has ended, as a reconcile does."""
    harness.state.vaults.request_poll(ACCESS, after=view(harness).polls)


async def test_a_poller_polls_at_once_and_then_at_the_interval(running: MemoryHarness) -> None:
    assert len(running.recorded.polls) == 1

    assert await polls_within(running, 50) == [20.0, 40.0]


async def test_each_poll_runs_in_a_span_of_its_own(running: MemoryHarness) -> None:
    await polls_within(running, 50)

    assert running.traced.polled == [VAULT] * 3


async def test_a_new_vaultsecret_with_a_shorter_interval_is_polled_for_earlier(running: MemoryHarness) -> None:
    await polls_within(running, 5)
    add_in_place(running, "shorter", "one", interval=10)
    running.state.vaults.reschedule(ACCESS)

    assert await polls_within(running, 20) == [10.0, 20.0]


async def test_a_new_vaultsecret_with_a_longer_interval_changes_nothing(running: MemoryHarness) -> None:
    await polls_within(running, 5)
    add_in_place(running, "longer", "one", interval=3600)
    running.state.vaults.reschedule(ACCESS)

    assert await polls_within(running, 20) == [20.0]


async def test_a_requested_poll_comes_at_once(running: MemoryHarness, woken: Woken) -> None:
    running.vault.close_door()
    await polls_within(running, 60)
    failed = len(running.recorded.polls)
    assert view(running).failure is not None
    woken.clear()
    running.vault.open_door()

    request_poll(running)
    await settle()

    assert len(running.recorded.polls) == failed + 1
    assert (view(running).failure, woken) == (None, [("user", Priority.ROUTINE)])


async def test_a_request_that_a_running_poll_satisfies_causes_no_other_poll(running: MemoryHarness) -> None:
    arrived, answer = asyncio.Event(), asyncio.Event()
    list_pages = running.vaults.list_pages

    async def slow(access: Access) -> AsyncGenerator[ListingPage, None]:
        arrived.set()
        await answer.wait()
        async for page in list_pages(access):
            yield page

    running.vaults.list_pages = slow  # type: ignore[method-assign]  # the fake vault answers at once
    await polls_within(running, 20)
    assert arrived.is_set()

    request_poll(running)
    await settle()
    answer.set()

    assert await polls_within(running, 10) == [21.0]


async def test_requests_that_come_together_are_one_poll(running: MemoryHarness) -> None:
    for _ in range(3):
        request_poll(running)

    assert await polls_within(running, 10) == [1.0]


async def test_consecutive_requested_polls_come_later_and_later(running: MemoryHarness) -> None:
    times = await polls_within(running, 60, lambda: request_poll(running))

    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 3 <= len(times) <= 9
    assert gaps[:3] == sorted(set(gaps[:3]))


async def test_after_a_failure_the_next_poll_comes_sooner_but_never_later_than_the_interval(
    running: MemoryHarness,
) -> None:
    running.vault.fail(calls=100, kind="list")

    assert await polls_within(running, 60) == [20.0, 22.0, 26.0, 34.0, 50.0]


async def test_a_vault_that_is_back_is_polled_soon_whatever_the_interval(harness: MemoryHarness) -> None:
    async with polling(harness, interval=86400):
        harness.vault.close_door()
        request_poll(harness)
        await polls_within(harness, 600)
        assert view(harness).failure is not None

        harness.vault.open_door()
        (recovered,) = await polls_within(harness, 60)

        assert recovered - 600 <= MAX_POLL_RETRY + MAX_OPEN_SECONDS
        assert view(harness).failure is None


async def test_a_vault_that_has_never_responded_is_polled_less_often(harness: MemoryHarness) -> None:
    harness.vault.close_door()
    async with polling(harness, interval=86400):
        await polls_within(harness, 200)
        gaps = [later - earlier for earlier, later in itertools.pairwise(await polls_within(harness, 300))]

        assert min(gaps) >= MAX_UNKNOWN_RETRY - 1
        assert max(gaps) <= MAX_UNKNOWN_RETRY + MAX_OPEN_SECONDS


async def test_polls_of_vaults_that_have_never_responded_wait_for_each_other(harness: MemoryHarness) -> None:
    first = harness.controller.pollers.poller_for(ACCESS)
    async with AsyncExitStack() as stack:
        for _ in range(MAX_FIRST_POLLS - 1):
            await stack.enter_async_context(first._context.first_polls.take({"other"}))
        async with first._context.first_polls.take({"other"}):
            running = asyncio.create_task(first.run())
            await settle()

            assert harness.recorded.polls == []

        await skip(FIRST_POLL_SECONDS)
        assert harness.recorded.polls == [None]
        running.cancel()


async def test_a_vaultsecret_that_polls_do_not_observe_is_woken_when_the_vault_is_back(
    harness: MemoryHarness, woken: Woken
) -> None:
    version = harness.vault.set("one", "x")
    add(harness, "user", "one")
    add(harness, "pinned", "one", version=version)
    assert await poll(harness, woken) == ["user"]
    harness.vault.close_door()
    await poll(harness, woken)
    harness.vault.open_door()

    assert await poll(harness, woken) == ["pinned", "user"]


async def test_the_wait_after_a_failure_is_drawn_once_however_often_the_poller_is_rescheduled() -> None:
    drawn: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        """Return the longest wait at first, and the shortest for the same failure again."""
        drawn.append((low, high))
        return high if drawn.count((low, high)) == 1 else low

    harness = MemoryHarness(jitter=jitter)
    async with polling(harness):
        harness.vault.fail(calls=100, kind="list")

        times = await polls_within(harness, 60, lambda: harness.state.vaults.reschedule(ACCESS))

    await harness.aclose()
    assert times == [20.0, 22.0, 26.0, 34.0, 50.0]


# searches


async def test_the_listing_is_kept_while_a_vaultsecret_searches_the_vault(harness: MemoryHarness, woken: Woken) -> None:
    harness.vault.set("one", "x", tags={"tier": "web"})
    add(harness, "user", "one")
    await poll(harness, woken)
    assert view(harness).listing is None

    add_search(harness, "search")
    assert await poll(harness, woken) == ["search", "user"]

    listing = view(harness).listing
    assert listing is not None
    found = listing.get("one")
    assert found is not None
    assert found.tags == {"tier": "web"}


async def test_a_listing_is_published_once_it_is_complete(harness: MemoryHarness, woken: Woken) -> None:
    fill(harness, 60)
    add_search(harness, "search")
    published = record_views(harness)

    await poll(harness, woken)
    harness.vault.set("one-more", "x")
    await poll(harness, woken)
    on_wake(harness, lambda: harness.vault.fail(kind="list"))
    add(harness, "user", "db-password")
    await poll(harness, woken)

    assert {None if one.listing is None else len(one.listing) for one in published} == {None, 61, 62}
    assert harness.recorded.polls[-1] is not None


async def test_a_listing_that_no_vaultsecret_searches_any_more_is_dropped(harness: MemoryHarness, woken: Woken) -> None:
    add(harness, "user", "db-password")
    add_search(harness, "search")
    await poll(harness, woken)
    assert view(harness).listing is not None

    harness.state.vaultsecrets.delete(ObjectKey("shop", "search"))
    await poll(harness, woken)

    assert view(harness).listing is None


async def test_a_vault_that_is_searched_is_listed_whatever_that_costs(harness: MemoryHarness, woken: Woken) -> None:
    fill(harness, 60)
    add_search(harness, "search")

    await poll(harness, woken)
    await poll(harness, woken)

    assert harness.recorded.poll_calls == [(Mode.LIST, 3), (Mode.LIST, 3)]


async def test_searches_are_woken_once_where_the_vault_may_not_be_listed(harness: MemoryHarness, woken: Woken) -> None:
    harness.vault.deny("list")
    add_search(harness, "search")

    assert await poll(harness, woken) == ["search"]
    assert await poll(harness, woken) == []
    assert view(harness).list_error is not None

    harness.vault.allow("list")
    await poll(harness, woken)
    assert view(harness).list_error is None


async def test_planning_gives_other_tasks_a_turn_after_each_vaultsecret_that_searches(
    harness: MemoryHarness, woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ListingPage({f"team-{number:05}": _named(f"team-{number:05}") for number in range(10_000)})
    for number in range(2 * PLANS_PER_TURN):
        add_search(harness, f"search-{number}", f"team-{number:03}*")

    async def one_page(access: Access) -> AsyncGenerator[ListingPage, None]:
        yield page

    turns, planned_at = 0, list[int]()

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def plan(*arguments: object, **named: object) -> Plan:
        planned_at.append(turns)
        return plan_for(*arguments, **named)  # type: ignore[arg-type]  # they are passed on as they are

    harness.vaults.list_pages = one_page  # type: ignore[method-assign]  # 400 pages would be slow
    monkeypatch.setattr("vaultsync.sources.poller.plan_for", plan)
    ticker = asyncio.create_task(tick())
    names = await poll(harness, woken)
    ticker.cancel()

    assert len(names) == len(planned_at) == 2 * PLANS_PER_TURN
    assert max(planned_at.count(turn) for turn in planned_at) == 1


async def test_a_poll_plans_only_what_has_changed(
    harness: MemoryHarness, woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        harness.vault.set(name, "x")
        add_in_place(harness, name, name)
    planned: list[str] = []

    def plan(vault_secret: VaultSecret, *arguments: object, **named: object) -> Plan:
        planned.append(vault_secret.key.name)
        return plan_for(vault_secret, *arguments, **named)  # type: ignore[arg-type]  # they are passed on as they are

    monkeypatch.setattr("vaultsync.sources.poller.plan_for", plan)
    assert await poll(harness, woken) == []
    assert sorted(planned) == ["one", "three", "two"]
    planned.clear()

    assert await poll(harness, woken) == []
    harness.vault.set("two", "y")
    assert await poll(harness, woken) == ["two"]
    assert await poll(harness, woken) == ["two"]

    assert planned == ["two", "two"]


def _named(name: str) -> SecretMetadata:
    return SecretMetadata(readable=True, updated=START, expires=None, observed_at=Moment(0.0), name=name)


# losses


LOST = [f"lost-{number}" for number in range(6)]


def losses(harness: MemoryHarness) -> tuple[int, int, bool] | None:
    """Return how many secrets are known and lost, and whether that is suspicious."""
    report = view(harness).losses
    return None if report is None else (len(report.known), len(report.lost), report.tripped)


async def test_losses_are_not_counted_before_all_vaultsecrets_have_been_observed(
    harness: MemoryHarness, woken: Woken
) -> None:
    harness.state.vaultsecrets.has_synced = False
    add_deleting(harness, "left", *LOST)

    await poll(harness, woken)
    assert losses(harness) is None
    harness.state.vaultsecrets.has_synced = True
    await poll(harness, woken)

    assert losses(harness) == (7, 7, True)


async def test_counting_losses_gives_other_tasks_turns(
    harness: MemoryHarness, woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2 * PLANS_PER_TURN):
        add_deleting(harness, f"lost-{number}", name=f"deleting-{number}", uid=f"{number}")
    turns, counted_at = 0, defaultdict[str, list[int]](list)

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def counting(name: str, count: Callable[..., set[str]]) -> Callable[..., set[str]]:
        def counted(vault_secrets: Sequence[VaultSecret], *arguments: object) -> set[str]:
            counted_at[name] += [turns] * len(vault_secrets)
            return count(vault_secrets, *arguments)

        return counted

    monkeypatch.setattr("vaultsync.sources.poller.lost_units", counting("lost", lost_units))
    monkeypatch.setattr("vaultsync.sources.poller.known_units", counting("known", known_units))
    ticker = asyncio.create_task(tick())
    await poll(harness, woken)
    ticker.cancel()

    assert losses(harness) == (2 * PLANS_PER_TURN, 2 * PLANS_PER_TURN, True)
    assert {name: len(turns) for name, turns in counted_at.items()} == dict.fromkeys(
        ("lost", "known"), 2 * PLANS_PER_TURN
    )
    assert max(turns.count(turn) for turns in counted_at.values() for turn in turns) <= PLANS_PER_TURN


async def test_losses_that_are_inherited_while_losses_are_counted_stay(
    harness: MemoryHarness, woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(PLANS_PER_TURN):
        harness.vault.set(f"kept-{number}", "x")
        add_deleting(harness, f"kept-{number}", name=f"deleting-{number}", uid=f"{number}")
    await poll(harness, woken)
    former, vaults = replace(ACCESS, grant="former"), harness.state.vaults
    vaults.publish(former, VaultView(losses=LossReport(held=frozenset({"kept-0"}), latched=frozenset({"lost"}))))

    def inheriting(vault_secrets: Sequence[VaultSecret], polled: VaultView, now: datetime) -> set[str]:
        vaults.inherit_losses(former, ACCESS)
        return lost_units(vault_secrets, polled, now) | {"lost"}

    monkeypatch.setattr("vaultsync.sources.poller.lost_units", inheriting)
    harness.vault.delete("kept-0")
    await poll(harness, woken)

    report = view(harness).losses
    assert report is not None
    assert (set(report.latched), set(report.held)) == ({"lost"}, {"kept-0"})


@pytest.mark.parametrize("mode", [Mode.LIST, Mode.GET])
async def test_losses_are_counted_before_a_vaultsecret_is_woken_for_them(
    harness: MemoryHarness, woken: Woken, mode: Mode
) -> None:
    add_deleting(harness, "left", *LOST)
    harness.vault.set("left", "x")
    tripped: list[bool] = []
    if mode is Mode.GET:
        harness.vault.deny("list")
        await poll(harness, woken)
    on_wake(harness, lambda: tripped.append((losses(harness) or (0, 0, False))[2]))

    await poll(harness, woken)

    assert harness.recorded.poll_calls[-1][0] is mode
    assert losses(harness) == (7, 6, True)
    assert tripped[-1]


async def test_what_a_search_has_found_is_lost_when_a_listing_lacks_it(harness: MemoryHarness, woken: Woken) -> None:
    status = a_status(*(a_status_entry(key=name, secret_name=name) for name in LOST))
    find = {"find": {"names": "lost-*"}, "optional": True}
    harness.state.vaultsecrets.put(a_vault_secret(status=status, data=(), data_from=[find]), a_granted())

    await poll(harness, woken)

    assert losses(harness) == (6, 6, True)


async def test_the_first_poll_after_a_restart_counts_what_was_lost_before_it(
    harness: MemoryHarness, woken: Woken
) -> None:
    add_deleting(harness, *LOST)

    await poll(harness, woken)

    assert losses(harness) == (6, 6, True)


async def test_a_first_poll_that_may_not_list_counts_no_losses(harness: MemoryHarness, woken: Woken) -> None:
    add_deleting(harness, *LOST)
    harness.vault.deny("list")

    await poll(harness, woken)

    assert losses(harness) is None
