"""What failed after reading is not read again, until something that it depends on has changed."""

from datetime import timedelta

import pytest

from tests.harness import MemoryHarness, entry
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.attempts import REJECTED_FOR

BROKEN = entry(property="user")
"""Asks for a property of a value that is not JSON."""

DAY = timedelta(days=1).total_seconds()


@pytest.fixture
async def failing(harness: MemoryHarness) -> MemoryHarness:
    """A VaultSecret with two secrets that have been read, one of them in vain; all counts are at zero."""
    harness.vault.set("other", "x")
    await harness.pass_time()
    harness.apply(BROKEN, entry("other", "other"))
    await harness.poll()
    await harness.poll()
    assert harness.ready().reason == Reason.PROPERTY_MISSING
    harness.reset_counts()
    return harness


async def test_the_same_failure_is_reported_without_a_read(failing: MemoryHarness) -> None:
    message = failing.ready().message
    for _ in range(10):
        await failing.poll()
        await failing.reconcile()

    assert (failing.reads, failing.ready().message) == (0, message)


async def test_a_new_version_is_read(failing: MemoryHarness) -> None:
    failing.vault.set("db-password", '{"user": "scott"}')
    await failing.poll()

    assert failing.values() == {"password": "scott", "other": "x"}


async def test_a_new_spec_is_read(failing: MemoryHarness) -> None:
    failing.apply(entry())
    await failing.drain()

    assert failing.values() == {"password": "first"}


async def test_a_requested_refresh_reads_once(failing: MemoryHarness) -> None:
    failing.apply(BROKEN, entry("other", "other"), annotations={"vaultsync.dev/refresh-now": "1"})
    await failing.drain()
    assert failing.reads == 2

    await failing.poll()
    await failing.reconcile()

    assert failing.reads == 2


async def test_a_target_that_is_deleted_is_a_reason_to_read(harness: MemoryHarness) -> None:
    harness.apply()
    await harness.drain()
    harness.apply(BROKEN)
    await harness.poll()
    await harness.poll()
    harness.reset_counts()
    await harness.poll()
    assert harness.reads == 0

    harness.users.delete(harness.key_of("db"))
    await harness.drain()

    assert harness.reads == 1


async def test_a_restart_reads_again(failing: MemoryHarness) -> None:
    await failing.restart()
    await failing.drain()

    assert failing.reads == 2


async def test_the_recheck_reads_again(failing: MemoryHarness) -> None:
    await failing.pass_time(DAY)
    await failing.reconcile()

    assert failing.reads == 2


async def test_what_heals_with_time_is_read_at_that_time(harness: MemoryHarness) -> None:
    harness.vault.set("db-next", "later", not_before=harness.clock() + timedelta(hours=1))
    harness.apply(entry(name="db-next"))
    for _ in range(3):
        await harness.poll()
    harness.reset_counts()
    for _ in range(50):
        await harness.poll()
    assert (harness.reads, harness.ready().reason) == (0, Reason.SECRET_NOT_YET_ACTIVE)

    await harness.pass_time(600)
    await harness.drain()

    assert harness.values() == {"password": "later"}


async def test_what_the_api_server_has_rejected_is_tried_again_after_a_minute(harness: MemoryHarness) -> None:
    harness.kube.rejection = SyncError(Reason.TARGET_INVALID, "exceeded quota")
    harness.apply()
    await harness.poll()
    await harness.poll()
    harness.reset_counts()
    for _ in range(5):
        await harness.poll(seconds=REJECTED_FOR.total_seconds() / 10)
    assert harness.reads == 0

    harness.kube.rejection = None
    await harness.pass_time(120)  # the refresh interval, which is longer
    await harness.drain()

    assert harness.values() == {"password": "first"}


async def test_what_could_not_be_read_is_read_before_all_others(harness: MemoryHarness) -> None:
    lines = [entry(f"key-{number}", f"secret-{number}") for number in range(20)]
    for number in range(20):
        harness.vault.set(f"secret-{number}", "x", enabled=number != 7)
    await harness.pass_time()
    harness.apply(*lines)
    await harness.poll()
    await harness.poll()
    assert harness.ready().reason == Reason.SECRET_DISABLED
    harness.reset_counts()

    await harness.reconcile()
    assert harness.reads == 1
    harness.vault.enable("secret-7")
    await harness.poll()

    assert harness.values() == {f"key-{number}": "x" for number in range(20)}


async def test_nothing_is_kept_of_a_vaultsecret_that_succeeds_or_is_deleted(failing: MemoryHarness) -> None:
    failing.apply(BROKEN, name="second")
    await failing.poll()
    assert len(failing.state.attempts._by_key) == 2

    failing.apply(entry())
    failing.remove("second")
    await failing.drain()

    assert failing.state.attempts._by_key == {}
