"""The shortest scenarios of faults that lost something once; the machine of `test_convergence` searches for more."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.convergence.desired_spec import NAMES
from tests.convergence.machine import MemoryConvergence
from tests.convergence.memory_harness import GatedHarness, run_frozen
from tests.vault_faults import READS, Kind


@contextmanager
def scenario() -> Iterator[MemoryConvergence]:
    """Begin a scenario; at its end everything becomes healthy, and the target must be right soon."""
    machine = MemoryConvergence()
    try:
        machine.begin(data="password", sources="nothing", deletes=False)
        yield machine
    except BaseException:
        machine.failed = True
        raise
    finally:
        machine.teardown()


@pytest.mark.parametrize("how", ["label", "a key is added"])
@pytest.mark.parametrize("resends", [True, False])
def test_another_writer_changes_a_new_secret_whose_answer_was_lost(how: str, resends: bool) -> None:
    with scenario() as state:
        state.scenario.delete_target()
        state.harness.lose_answer_and(lambda: state.scenario.write_meanwhile(how), resends=resends)
        state.advance(70)
        state.advance(70)
        assert state.harness.values() is not None


@pytest.mark.parametrize("rotated", [True, False])
@pytest.mark.parametrize("ahead", [600, 3000, 9000, -600, -9000])
def test_responses_are_misdated(rotated: bool, ahead: int) -> None:
    with scenario() as state:
        state.advance(700)
        if rotated:
            state.scenario.rotate("db-password")
        state.harness.faults.skew(timedelta(seconds=ahead), responses=999)
        state.advance(70)
        state.harness.faults.end()
        state.scenario.rotate("db-password")
        state.advance(70)
        state.advance(70)
        assert state.harness.values() == {"password": state.scenario.vault.secrets["db-password"].newest.value}


def test_the_operators_clock_jumps_before_a_version_is_active() -> None:
    with scenario() as state:
        state.harness.clock.error = timedelta(hours=2)
        state.scenario.rotate("db-password", starts=timedelta(minutes=50))
        state.advance(70)
        assert state.harness.values() == {"password": "MARKED-1"}
        assert "becomes active at" in state.harness.ready().message


def test_a_previous_version_is_not_found_once() -> None:
    with scenario() as state:
        state.scenario.apply(data="password and previous, token")
        state.scenario.rotate("db-password")
        state.advance(700)
        state.advance(700)
        state.scenario.rotate("api-token")
        state.harness.faults.not_found("db-password", kind=Kind.GET_VERSION, reads=1)
        state.advance(70)


def test_a_list_of_versions_lacks_the_previous_one_once() -> None:
    with scenario() as state:
        state.scenario.apply(data="password and previous, token")
        state.scenario.rotate("db-password")
        state.advance(700)
        state.advance(700)
        state.scenario.rotate("api-token")
        state.harness.faults.skip_versions("db-password", listings=1)
        state.advance(70)


@pytest.mark.parametrize("how", ["renamed", "deleted"])
@pytest.mark.parametrize("some", [["shop-user"], NAMES], ids=["a part", "all"])
def test_a_target_is_made_from_an_incomplete_listing(how: str, some: list[str]) -> None:
    with scenario() as state:
        state.scenario.apply(sources="shop")
        state.advance(700)
        state.advance(700)
        state.harness.faults.skip(some, listings=9)
        state.advance(70)
        if how == "renamed":
            state.scenario.apply(target="other")
        else:
            state.scenario.delete_target()
        state.advance(70)


def test_a_user_releases_losses_of_a_target_whose_owners_label_was_changed() -> None:
    with scenario() as state:
        state.scenario.apply(data="password and token", deletes=True)
        state.advance(700)
        state.scenario.delete("api-token")
        state.scenario.bulk_vanish()
        state.advance(70)
        state.scenario.tamper("the owner's label is changed")
        state.advance(2000)
        assert state.harness.ready().reason == "DeletionHeld"
        state.scenario.release_db()
        state.advance(700)
        assert state.harness.values() == {"password": "MARKED-1"}


@pytest.mark.parametrize("ahead", [7200, 90000])
def test_the_operators_clock_jumps_within_a_grace_period(ahead: int) -> None:
    with scenario() as state:
        state.scenario.apply(data="password and token", deletes=True)
        state.advance(70)
        state.scenario.delete("api-token")
        state.advance(70)
        state.advance(70)
        state.harness.clock.error = timedelta(seconds=ahead)
        state.advance(700)
        assert (state.harness.values() or {}).keys() == {"password", "token"}


@pytest.mark.parametrize("kinds", [READS, frozenset(Kind), frozenset({Kind.LIST})], ids=["get", "all", "list"])
@pytest.mark.parametrize("changed", ["the secret", "the spec", "the target"])
def test_a_replica_lags(kinds: frozenset[Kind], changed: str) -> None:
    with scenario() as state:
        state.advance(700)
        state.scenario.rotate("db-password")
        state.advance(70)
        state.scenario.lag(NAMES, lag=timedelta(minutes=5), kinds=kinds, lasts=timedelta(minutes=3))
        if changed == "the secret":
            state.scenario.rotate("db-password")
        elif changed == "the spec":
            state.scenario.apply(label="depot")
        else:
            state.scenario.delete_target()
        state.advance(70)


def test_a_vault_is_listed_again_soon_after_a_permission_is_back() -> None:
    async def test(harness: GatedHarness) -> None:
        harness.apply()
        await harness.poll()
        harness.vault.deny("list")
        await harness.poll(70)
        harness.vault.allow("list")
        for _ in range(10):
            await harness.poll(60)
        await harness.assert_idle()

    run_frozen(test)


def test_an_earlier_target_is_deleted_whose_label_was_changed() -> None:
    with scenario() as state:
        state.harness.cut_off(away=True)
        state.scenario.tamper("our label is removed")
        state.scenario.apply(target="other")
        state.harness.cut_off(away=False)
        state.advance(70)
        state.advance(70)
        assert state.harness.values("db") is None


def test_a_missing_secret_costs_few_calls() -> None:
    with scenario() as state:
        state.advance(700)
        state.scenario.delete("db-password")
        state.advance(700)
        state.advance(70)
        state.harness.reset_counts()
        state.advance(70)
        calls = state.harness.vault.calls
        assert calls["get"] <= 1
        assert calls["get_deleted"] <= 1


def test_a_deleted_secret_is_purged() -> None:
    with scenario() as state:
        state.advance(700)
        state.scenario.delete("db-password")
        state.advance(70)
        assert state.harness.ready().reason == "SecretSoftDeleted"
        state.scenario.vault.purge("db-password", state.harness.vault_time())
        for _ in range(20):
            state.advance(60)
        assert state.harness.ready().reason == "SecretNotFound"
