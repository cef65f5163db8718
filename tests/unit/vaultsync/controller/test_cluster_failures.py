"""Failures of the API server, and objects that are deleted meanwhile: nothing is lost, and nothing comes back."""

from tests.harness import DB, UNAVAILABLE, MemoryHarness
from vaultsync.policy.requeue import Result
from vaultsync.status.outcome import Gone


async def test_nothing_is_lost_while_the_api_server_does_not_answer(synced: MemoryHarness) -> None:
    await synced.rotate()
    synced.kube.fail(UNAVAILABLE)
    await synced.poll()
    assert synced.values() == {"password": "first"}

    synced.kube.fail(None)
    await synced.reconcile()

    assert synced.values() == {"password": "second"}
    assert synced.ready().status == "True"


async def test_a_status_that_could_not_be_written_is_written_soon_after(harness: MemoryHarness) -> None:
    harness.apply()
    original = harness.kube.patch_status

    async def fail(*_: object) -> None:
        raise UNAVAILABLE

    harness.kube.patch_status = fail  # type: ignore[assignment, method-assign]  # the fake cannot fail one call alone
    (after,) = await harness.drain()
    assert harness.values() == {"password": "first"}
    assert after.failed
    assert harness.recorded.failed_reports == [UNAVAILABLE]

    harness.kube.patch_status = original  # type: ignore[method-assign]
    await harness.reconcile()

    assert harness.ready().status == "True"


async def test_a_status_that_conflicts_with_another_write_is_retried_and_not_taken_for_a_deletion(
    harness: MemoryHarness,
) -> None:
    harness.apply()
    original = harness.kube.patch_status

    async def conflict(*_: object) -> None:
        return None

    harness.kube.patch_status = conflict  # type: ignore[assignment, method-assign]  # the fake has no such conflicts
    (after,) = await harness.drain()
    assert after.failed
    assert not harness.resync_requested

    harness.kube.patch_status = original  # type: ignore[method-assign]
    await harness.reconcile()

    assert harness.ready().status == "True"


async def test_a_lost_response_costs_no_second_write(harness: MemoryHarness) -> None:
    harness.apply()
    harness.kube.lost_answers = 1

    assert (await harness.drain())[0].failed
    await harness.reconcile()

    assert harness.values() == {"password": "first"}
    assert harness.ready().status == "True"
    assert harness.writes["apply_target"] == 1


async def test_a_type_that_cannot_be_changed_is_reported(synced: MemoryHarness) -> None:
    synced.apply(target={"type": "helm.sh/release.v1"})

    await synced.drain()

    assert synced.ready().reason == "TargetInvalid"
    assert synced.values() == {"password": "first"}


async def test_nothing_is_created_or_reported_in_a_namespace_that_is_being_deleted(harness: MemoryHarness) -> None:
    harness.apply()
    harness.kube.begin_deleting_namespace("shop")

    (after,) = await harness.drain()

    assert (harness.values(), harness.writes) == (None, {})
    assert (after, harness.resync_requested) == (Result.done(), True)
    assert [type(outcome) for outcome in harness.recorded.outcomes] == [Gone]


async def test_a_target_that_the_garbage_collector_deleted_is_not_created_again(synced: MemoryHarness) -> None:
    synced.kube.delete_vault_secret(DB)
    synced.names.clear()

    await synced.drain()

    assert synced.values() is None
    assert synced.reads == 0
    await synced.controller.resync.resync()
    assert synced.state.vaultsecrets.get(DB) is None


async def test_a_vaultsecret_that_is_gone_when_its_status_is_written_is_forgotten(harness: MemoryHarness) -> None:
    harness.apply(onDelete="Retain")
    harness.kube.delete_vault_secret(DB)
    harness.names.clear()

    await harness.drain()

    assert harness.resync_requested
    assert harness.events == [("Normal", "Created")]


async def test_nothing_is_read_or_written_before_the_targets_of_its_namespace_could_be_listed() -> None:
    harness = MemoryHarness(watched=("shop", "blog"))
    await harness.start([])
    harness.apply()
    await harness.drain()
    await harness.poll()
    harness.kube.deny("shop")
    await harness.restart([])
    harness.reset_counts()

    harness.apply(target={"name": "renamed"})
    await harness.drain()

    assert harness.kube.calls["get_target"] == 0
    assert (harness.reads, set(harness.writes) - {"patch_status", "create_event"}) == (0, set())
    assert (harness.values("db"), harness.values("renamed")) == ({"password": "first"}, None)
    ready = harness.ready()
    assert (ready.reason, ready.message) == (
        "ClusterUnavailable",
        "The operator's service account may not list and watch the Secrets of namespace shop.",
    )

    harness.kube.deny()
    await harness.pass_time(40)
    await harness.drain()

    assert (harness.values("db"), harness.values("renamed")) == (None, {"password": "first"})
    assert harness.ready().status == "True"
    await harness.aclose()


async def test_what_is_in_place_is_neither_read_nor_written_once_its_namespace_is_no_longer_denied() -> None:
    harness = MemoryHarness(watched=("shop", "blog"))
    await harness.start([])
    harness.apply()
    await harness.drain()
    await harness.poll()
    harness.kube.deny("shop")
    harness.reset_counts()
    await harness.restart()
    await harness.poll()

    harness.kube.deny()
    await harness.pass_time(40)
    await harness.drain()
    await harness.poll()

    assert (harness.reads, harness.writes.get("apply_target", 0)) == (0, 0)
    assert harness.ready().status == "True"
    await harness.aclose()
