"""Pollers of a FakeVault, driven poll by poll: what they ask, whom they let be reconciled, and what they know after."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import START, a_status, a_status_entry, a_vault_secret, an_entry
from tests.clocks import settle, skip
from tests.unit.vaultsync.sources.scene import SKEW, Scene, nobody, run_for
from vaultsync.api import ObjectKey
from vaultsync.errors import Reason
from vaultsync.sources.poller import LIST_AGAIN_AFTER, READS_AT_ONCE, Health, Mode
from vaultsync.state.vaults import LossReport, Missing, SecretMetadata


async def test_a_poll_lists_and_lets_those_be_reconciled_who_are_due(scene: Scene) -> None:
    for name in ("one", "two", "unasked"):
        scene.vault.set(name, "x")
    scene.wants("changed", "one")
    scene.wants("same", "two")
    scene.wants("both", "one", "TWO")
    scene.is_due = lambda key: key.name in {"changed", "both"}

    assert await scene.polled() == ["both", "changed"]

    assert scene.polls == [(Mode.LIST, 1, None)]
    assert scene.calls == (1, 0)
    assert scene.poller.view.secrets.keys() == {"one", "two"}
    observed_at = START + SKEW + timedelta(minutes=1)
    view = SecretMetadata(readable=True, updated=START + SKEW, expires=None, observed_at=observed_at, name="one")
    assert scene.metadata("one") == view


async def test_who_is_due_by_two_of_its_secrets_is_added_once(scene: Scene) -> None:
    scene.vault.set("one", "x")
    scene.vault.set("two", "x")
    scene.wants("both", "one", "two")

    assert await scene.polled() == ["both"]


async def test_each_page_is_acted_on_before_the_next_is_asked_for(scene: Scene) -> None:
    scene.vault.set("a-first", "x")
    scene.fill(30)
    scene.wants("early", "a-first", "filler-029")
    pages_at: list[int] = []

    def note(_: ObjectKey) -> bool:
        pages_at.append(scene.vault.calls["list"])
        return True

    scene.is_due = note
    await scene.polled()

    assert pages_at == [1, 2]


async def test_a_secret_that_a_whole_listing_lacks_is_missing_since_its_beginning(scene: Scene) -> None:
    scene.vault.set("a-first", "x")
    scene.vault.set("gone", "x")
    scene.fill(30)
    scene.wants("user", "a-first", "gone", "never")
    await scene.polled()
    scene.vault.delete("gone")
    began = scene.vault_time() + timedelta(minutes=1)

    def dawdle(_: ObjectKey) -> bool:
        scene.clock.turn(30)
        return True

    scene.is_due = dawdle
    assert await scene.polled() == ["user", "user"]

    assert scene.metadata("gone") == scene.metadata("never") == Missing(began)


async def test_who_comes_while_a_listing_is_under_way_is_not_told_that_passed_pages_lack_its_secret(
    scene: Scene,
) -> None:
    scene.vault.set("a-first", "x")
    scene.fill(30)
    scene.wants("watched", "a-first", "filler-000")

    def arrive(_: ObjectKey) -> bool:
        scene.wants("newcomer", "filler-001")
        return False

    scene.is_due = arrive
    await scene.polled()

    assert scene.metadata("filler-001") is None


async def test_what_nobody_asks_for_any_more_is_forgotten(scene: Scene) -> None:
    scene.vault.set("one", "x")
    scene.vault.set("two", "x")
    scene.wants("user", "one", "two")
    await scene.polled()

    scene.wants("user", "two")
    await scene.polled()

    assert scene.poller.view.secrets.keys() == {"two"}


async def test_pinned_versions_are_not_looked_for(scene: Scene) -> None:
    version = scene.vault.set("one", "x")
    scene.wants("pinner", "one", version=version)

    assert await scene.polled() == []
    assert scene.poller.view.secrets == {}


async def test_without_permission_to_list_secrets_are_read_one_by_one_but_not_in_the_first_poll(scene: Scene) -> None:
    version = scene.vault.set("one", "x")
    scene.wants("user", "one", "absent")
    scene.vault.deny("list")

    assert await scene.polled() == []
    assert (scene.calls, scene.polls[-1]) == ((1, 0), (Mode.GET, 1, None))

    # By what is there, and by what is not when all have been looked at.
    assert await scene.polled() == ["user", "user"]
    assert (scene.calls, scene.polls[-1]) == ((0, 2), (Mode.GET, 2, None))
    metadata = scene.metadata("one")
    assert isinstance(metadata, SecretMetadata)
    assert metadata.version == version
    assert isinstance(scene.metadata("absent"), Missing)


async def test_reading_one_by_one_notices_a_deletion(scene: Scene) -> None:
    scene.vault.set("one", "x")
    scene.wants("user", "one")
    scene.vault.deny("list")
    await scene.polled()
    await scene.polled()

    scene.vault.delete("one")
    await scene.polled()

    assert scene.metadata("one") == Missing(scene.vault_time())


async def test_the_listing_is_tried_again_after_an_hour(scene: Scene) -> None:
    scene.vault.set("one", "x")
    scene.wants("user", "one")
    scene.vault.deny("list")
    await scene.polled()
    scene.vault.allow("list")

    scene.clock.turn(LIST_AGAIN_AFTER - 120)
    await scene.polled()
    assert scene.polls[-1] == (Mode.GET, 1, None)
    await scene.polled()

    assert scene.polls[-1] == (Mode.LIST, 1, None)


async def test_secrets_are_read_one_by_one_where_a_listing_would_cost_more(scene: Scene) -> None:
    scene.fill(100)
    scene.wants("user", "filler-000", "filler-001")
    await scene.polled()
    assert (scene.calls, scene.polls[-1]) == ((3, 0), (Mode.GET, 3, None))

    await scene.polled()

    assert (scene.calls, scene.polls[-1]) == ((0, 2), (Mode.GET, 2, None))


async def test_the_listing_is_taken_up_again_when_more_secrets_are_wanted(scene: Scene) -> None:
    scene.fill(100)
    scene.wants("user", "filler-000", "filler-001")
    await scene.polled()

    scene.wants("another", *(f"filler-{number:03}" for number in range(10, 20)))
    await scene.polled()

    assert scene.polls[-1] == (Mode.LIST, 4, None)


async def test_empty_pages_are_no_end(scene: Scene) -> None:
    for _ in range(100):
        scene.vault.set("a-much-rotated", "x")
    names = [f"wanted-{number}" for number in range(6)]
    for name in names:
        scene.vault.set(name, "x")
    scene.wants("user", *names)

    await scene.polled()

    assert scene.polls == [(Mode.LIST, 5, None)]
    assert all(isinstance(scene.metadata(name), SecretMetadata) for name in names)


async def test_a_single_failed_poll_is_no_news(scene: Scene) -> None:
    scene.vault.set("one", "x")
    scene.wants("user", "one")
    scene.is_due = nobody
    scene.vault.close_door()

    assert await scene.polled() == []
    assert scene.poller.view.failure is None
    assert scene.polls == [(Mode.LIST, 0, Reason.VAULT_UNREACHABLE)]

    scene.vault.open_door()
    assert await scene.polled() == []


async def test_two_in_a_row_are_told_to_everybody_once_and_so_is_the_recovery(scene: Scene) -> None:
    version = scene.vault.set("one", "x")
    scene.wants("user", "one")
    scene.wants("pinner", "one", version=version)
    scene.is_due = nobody
    scene.vault.close_door()
    await scene.polled()

    assert await scene.polled() == ["pinner", "user"]
    failure = scene.poller.view.failure
    assert failure is not None
    assert failure.reason is Reason.VAULT_UNREACHABLE
    assert await scene.polled() == []

    scene.vault.open_door()
    assert await scene.polled() == ["pinner", "user"]
    assert scene.poller.view.failure is None
    assert await scene.polled() == []


async def test_an_answered_reading_is_no_news_while_polls_go_well(scene: Scene) -> None:
    scene.wants("db", "db-password")
    scene.is_due = nobody
    await scene.polled()

    scene.poller.answered()

    assert scene.added == []


async def test_before_its_first_poll_nobody_knows_how_a_poller_fares(scene: Scene) -> None:
    assert scene.poller.health is None


async def test_a_pollers_health_tells_when_it_last_looked_in_vain_or_not_and_how_much_it_found(scene: Scene) -> None:
    scene.fill(30)
    scene.wants("user", "filler-000", "filler-001")
    await scene.polled()
    polled_at = scene.started[-1]
    assert scene.poller.health == Health(up=True, polled_at=polled_at, listed=30, latched=False)

    scene.vault.close_door()
    await scene.polled()

    assert scene.poller.health == Health(up=False, polled_at=polled_at, listed=30, latched=False)


async def test_a_first_poll_that_may_not_list_has_looked_at_nothing(scene: Scene) -> None:
    scene.vault.set("one", "x")
    scene.wants("user", "one")
    scene.vault.deny("list")

    await scene.polled()
    assert scene.poller.health == Health(up=True, polled_at=None, listed=None, latched=False)
    await scene.polled()

    assert scene.poller.health == Health(up=True, polled_at=scene.clock(), listed=None, latched=False)


async def test_a_listing_that_breaks_half_way_keeps_what_was_seen_and_misses_nothing(scene: Scene) -> None:
    scene.vault.set("a-first", "x")
    scene.fill(30)
    scene.wants("user", "a-first", "filler-029")
    await scene.polled()
    scene.vault.delete("filler-029")

    def break_down(_: ObjectKey) -> bool:
        scene.vault.fail(kind="list")
        return True

    scene.is_due = break_down
    assert await scene.polled() == ["user"]

    assert scene.polls[-1] == (Mode.LIST, 1, Reason.VAULT_FAILED)
    assert isinstance(scene.metadata("filler-029"), SecretMetadata)


async def test_a_bug_is_logged_and_told_and_the_poller_goes_on(scene: Scene) -> None:
    scene.vault.set("one", "x")
    scene.wants("user", "one")
    scene.is_due = lambda _: 1 // 0 == 0

    await scene.polled()

    assert [type(bug) for bug in scene.bugs] == [ZeroDivisionError]
    assert scene.polls == [(Mode.LIST, 1, Reason.INTERNAL_ERROR)]
    scene.is_due = lambda _: True
    assert await scene.polled() == ["user"]


@settings(max_examples=30)
@given(
    wanted=st.sets(st.integers(0, 30), min_size=1, max_size=8),
    there=st.sets(st.integers(0, 30)),
    others=st.sampled_from([0, 20, 60, 300]),
    listing=st.booleans(),
)
def test_after_two_polls_it_is_known_of_every_wanted_secret_whether_it_is_there_at_the_lower_price(
    wanted: set[int], there: set[int], others: int, listing: bool
) -> None:
    async def story() -> Scene:
        scene = Scene()
        scene.fill(others)
        for number in there:
            scene.vault.set(f"secret-{number}", "x")
        if not listing:
            scene.vault.deny("list")
        for number in wanted:
            scene.wants(f"user-{number}", f"Secret-{number}")
        await scene.polled()
        await scene.polled()
        await scene.http.aclose()
        return scene

    scene = asyncio.run(story())

    pages = -(-(others + len(there)) // 25) or 1
    assert {name for name, view in scene.poller.view.secrets.items() if isinstance(view, SecretMetadata)} == {
        f"secret-{number}" for number in wanted & there
    }
    assert scene.poller.view.secrets.keys() == {f"secret-{number}" for number in wanted}
    assert scene.polls[-1][1] <= (min(pages, len(wanted)) if listing else len(wanted))


@pytest.fixture
async def running(scene: Scene) -> AsyncIterator[Scene]:
    scene.vault.set("one", "x")
    scene.is_due = nobody
    scene.wants("user", "one", interval=20)
    task = asyncio.create_task(scene.poller.run())
    await settle()
    yield scene
    task.cancel()


def times(scene: Scene) -> list[float]:
    return [(moment - START).total_seconds() for moment in scene.started]


async def test_a_poller_polls_at_once_and_then_at_the_interval(running: Scene) -> None:
    await run_for(running, 50)

    assert times(running) == [0.0, 20.0, 40.0]


async def test_each_poll_runs_in_a_frame_of_its_own(running: Scene) -> None:
    await run_for(running, 50)

    assert running.framed == [(running.vault.url, 1)] * 3


async def test_somebody_new_who_wants_it_sooner_is_heard(running: Scene) -> None:
    await run_for(running, 5)
    running.wants("hasty", "one", interval=10)
    running.poller.hurry()
    await run_for(running, 20)

    assert times(running) == [0.0, 10.0, 20.0]


async def test_a_vault_that_has_answered_a_reading_after_failures_is_polled_at_once(running: Scene) -> None:
    running.vault.close_door()
    await run_for(running, 60)
    failed, running.added[:] = len(running.polls), []
    before = running.poller.view
    running.vault.open_door()

    running.poller.answered()
    await settle()

    assert len(running.polls) == failed + 1
    assert (before.failure is None, running.poller.view.failure is None) == (False, True)
    assert running.added == ["user"]


async def test_who_wants_polls_at_once_again_and_again_has_to_wait_longer_and_longer(running: Scene) -> None:
    before = len(running.started)

    for _ in range(120):
        running.poller.hurry(now=True)
        running.clock.turn(0.5)
        await skip(0.5)

    assert 3 <= len(running.started) - before <= 9


async def test_somebody_new_who_wants_it_later_changes_nothing(running: Scene) -> None:
    await run_for(running, 5)
    running.wants("lazy", "one", interval=3600)
    running.poller.hurry()
    await run_for(running, 20)

    assert times(running) == [0.0, 20.0]


async def test_after_a_failure_the_next_poll_comes_sooner_but_never_later_than_the_interval(running: Scene) -> None:
    running.vault.fail(calls=100, kind="list")
    await run_for(running, 60)

    assert times(running) == [0.0, 20.0, 22.0, 26.0, 34.0, 50.0]


async def test_the_whole_listing_is_kept_while_somebody_searches_the_vault(scene: Scene) -> None:
    scene.vault.set("one", "x", tags={"tier": "web"})
    scene.wants("asks", "one")
    await scene.polled()
    before = scene.poller.view.listing

    scene.searches("finds")
    assert await scene.polled() == ["asks", "finds"]

    listing = scene.poller.view.listing or {}
    assert before is None
    assert listing["one"].tags == {"tier": "web"}


async def test_a_vault_that_is_searched_is_listed_whatever_that_costs(scene: Scene) -> None:
    for number in range(60):
        scene.vault.set(f"other-{number}", "x")
    scene.searches("finds")

    await scene.polled()
    await scene.polled()

    assert scene.polls == [(Mode.LIST, 3, None), (Mode.LIST, 3, None)]


async def test_searches_are_told_once_that_the_vault_does_not_let_itself_be_listed(scene: Scene) -> None:
    scene.is_due = nobody
    scene.vault.deny("list")
    scene.searches("finds")

    assert await scene.polled() == ["finds"]
    assert await scene.polled() == []
    assert scene.poller.view.list_error is not None

    scene.vault.allow("list")
    await scene.polled()
    assert scene.poller.view.list_error is None


LOST = [f"lost-{number}" for number in range(6)]


def holds_on_to(scene: Scene, *secrets: str) -> None:
    """Let a VaultSecret have keys of these secrets, which would go with them."""
    entries = [an_entry(key=name, secret_name=name) for name in secrets]
    status = a_status(*(a_status_entry(key=name, secret_name=name) for name in secrets))
    scene.vaultsecrets.put(a_vault_secret(*entries, status=status, on_source_deleted="Delete"))


async def test_nothing_is_counted_before_everybody_has_been_heard_of(scene: Scene) -> None:
    scene.vaultsecrets.has_synced = False
    holds_on_to(scene, "left", *LOST)

    await scene.polled()
    before = scene.poller.view.losses
    scene.vaultsecrets.has_synced = True
    await scene.polled()

    assert (before, scene.poller.view.losses) == (None, LossReport(known=7, lost=7, latched=True))


async def test_what_is_missing_is_known_to_nobody_before_all_are_looked_for_one_by_one(scene: Scene) -> None:
    names = [f"{'lost' if number % 2 else 'left'}-{number:02}" for number in range(3 * READS_AT_ONCE)]
    holds_on_to(scene, *names)
    for name in names:
        if name.startswith("left"):
            scene.vault.set(name, "x")
    scene.vault.deny("list")
    await scene.polled()
    missed: list[bool] = []

    def note(_: ObjectKey) -> bool:
        secrets = scene.poller.view.secrets.values()
        missed.append(any(isinstance(one, Missing) for one in secrets) and scene.poller.view.losses is None)
        return True

    scene.is_due = note
    await scene.polled()

    assert missed
    assert not any(missed)


@pytest.mark.parametrize("mode", [Mode.LIST, Mode.GET])
async def test_how_much_is_gone_is_known_before_anybody_acts_on_it(scene: Scene, mode: Mode) -> None:
    holds_on_to(scene, "left", *LOST)
    scene.vault.set("left", "x")
    latched: list[bool] = []

    def note(_: ObjectKey) -> bool:
        losses = scene.poller.view.losses
        latched.append(losses is not None and losses.tripped)
        return True

    if mode is Mode.GET:
        scene.vault.deny("list")
        await scene.polled()
    scene.is_due = note
    await scene.polled()

    assert scene.polls[-1][0] is mode
    assert scene.poller.view.losses == LossReport(known=7, lost=6, latched=True)
    assert latched[-1]


async def test_what_a_search_has_found_counts_as_gone_when_a_listing_lacks_it(scene: Scene) -> None:
    status = a_status(*(a_status_entry(key=name, secret_name=name) for name in LOST))
    find = {"find": {"names": "lost-*"}, "optional": True}
    scene.vaultsecrets.put(a_vault_secret(status=status, data=(), data_from=[find]))

    await scene.polled()

    assert scene.poller.view.losses == LossReport(known=6, lost=6, latched=True)


async def test_the_first_poll_after_a_restart_counts_what_vanished_before_it(scene: Scene) -> None:
    holds_on_to(scene, *LOST)

    await scene.polled()

    assert scene.poller.health is not None
    assert scene.poller.health.latched


async def test_a_first_poll_that_may_not_list_has_not_looked_how_much_is_gone(scene: Scene) -> None:
    holds_on_to(scene, *LOST)
    scene.vault.deny("list")

    await scene.polled()

    assert scene.poller.view.losses is None
