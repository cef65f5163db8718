"""What changes with time or on a user's request: dates, staleness, refreshes, another target, restarts."""

from datetime import timedelta

from tests.harness import NOTICE, SKEW, UNAVAILABLE, MemoryHarness, entry, key_of
from vaultsync.api import REFRESH_ANNOTATION
from vaultsync.api.v1alpha1 import WorkloadKind


async def test_a_condition_reports_that_a_secret_expires_soon_and_that_it_has_expired(harness: MemoryHarness) -> None:
    harness.vault.set("db-password", "x", expires_on=harness.vault_time() + NOTICE + timedelta(minutes=10))
    harness.apply()
    await harness.drain()
    assert harness.condition("Expiring").reason == "FarFromExpiry"

    await harness.pass_time(1020)
    await harness.drain()
    assert harness.condition("Expiring").reason == "ExpiresSoon"

    await harness.pass_time(NOTICE.total_seconds())
    await harness.drain()
    assert harness.condition("Expiring").reason == "Expired"
    assert harness.values() == {"password": "x"}


async def test_after_three_intervals_without_the_vault_a_target_is_stale_until_it_is_confirmed(
    synced: MemoryHarness,
) -> None:
    synced.vault.close_door()
    await synced.poll()
    await synced.poll()
    assert synced.condition("Stale").status == "False"

    await synced.pass_time(360 + SKEW.total_seconds())
    await synced.drain()
    assert synced.condition("Stale").status == "True"
    assert synced.values() == {"password": "first"}

    synced.vault.open_door()
    await synced.poll()
    await synced.reconcile()
    assert synced.condition("Stale").status == "False"


async def test_everything_is_read_once_more_when_a_user_requests_a_refresh(synced: MemoryHarness) -> None:
    await synced.pass_time()
    synced.apply(annotations={REFRESH_ANNOTATION: "now"})
    await synced.drain()
    assert (synced.reads, synced.status().last_handled_refresh) == (1, "now")

    await synced.assert_idle()


async def test_a_requested_refresh_returns_no_read_that_began_before_it(harness: MemoryHarness) -> None:
    harness.apply()
    await harness.drain()
    harness.vault.set("db-password", "second")

    harness.apply(annotations={REFRESH_ANNOTATION: "now"})
    await harness.drain()

    assert harness.values() == {"password": "second"}


async def test_a_requested_refresh_of_a_search_requests_a_poll(harness: MemoryHarness) -> None:
    harness.vault.set("shop-user", "app")
    find = [{"find": {"names": "shop-*"}}]
    harness.apply(data=[], dataFrom=find)
    await harness.poll()
    assert not harness.poll_requested

    harness.apply(annotations={REFRESH_ANNOTATION: "now"}, data=[], dataFrom=find)
    await harness.drain()

    assert harness.poll_requested


async def test_another_target_replaces_the_previous_one_but_not_its_copy(synced: MemoryHarness) -> None:
    synced.kube.create(key_of("copy"), "kubectl", {"password": "first"})

    synced.apply(target={"name": "other"})
    await synced.drain()

    assert (synced.values("db"), synced.values("other")) == (None, {"password": "first"})
    assert synced.values("copy") == {"password": "first"}
    await synced.poll()
    await synced.assert_idle()


async def test_a_chain_of_renames_leaves_one_target_whatever_fails_in_between(synced: MemoryHarness) -> None:
    synced.apply(target={"name": "second"})
    synced.kube.lost_answers = 1
    await synced.drain()
    synced.apply(target={"name": "third"})
    synced.kube.fail(UNAVAILABLE)
    await synced.drain()
    synced.kube.fail(None)

    await synced.reconcile()
    await synced.reconcile()

    assert [synced.values(name) for name in ("db", "second", "third")] == [None, None, {"password": "first"}]
    await synced.poll()
    await synced.assert_idle()


async def test_a_workload_is_restarted_for_a_rotation_and_not_for_the_creation(harness: MemoryHarness) -> None:
    harness.kube.make_workload(WorkloadKind.DEPLOYMENT, key_of("web"))
    harness.apply(restart=[{"kind": "Deployment", "name": "web"}])
    await harness.drain()
    await harness.poll()
    assert harness.kube.restarts == []

    await harness.rotate()
    await harness.poll()
    await harness.poll()

    assert len(harness.kube.restarts) == 1
    assert harness.status().content_change_time is not None
    await harness.poll()
    await harness.assert_idle()


async def test_corrected_drift_does_not_count_as_a_change_of_content(synced: MemoryHarness) -> None:
    synced.kube.edit(key_of("db"), "kubectl", data={"extra": "x"})

    await synced.drain()

    assert synced.status().content_change_time is None


async def test_drift_is_not_corrected_for_a_vaultsecret_that_was_deleted_and_not_observed(
    synced: MemoryHarness,
) -> None:
    synced.kube.edit(key_of("db"), "kubectl", data={"password": "hacked"})
    synced.apply(entry(), onDelete="Retain")
    await synced.drain()
    synced.remove(observed=False)
    synced.kube.edit(key_of("db"), "kubectl", data={"password": "hacked"})

    await synced.drain()

    assert synced.values() == {"password": "hacked"}
    assert synced.resync_requested
