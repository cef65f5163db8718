"""Resync with an API server in memory: what was deleted is forgotten, and the targets that it left are released."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.builders import keep_all
from tests.clocks import settle, skip
from tests.fakes import FakeKube
from tests.harness import UNAVAILABLE, MemoryHarness, key_of, longest
from tests.manifests import manifest, spec
from vaultsync.adapters.kube import Forbidden, NotInstalled
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.sources.orphans import MAX_CONCURRENT_RELEASES
from vaultsync.sources.resync import INTERVAL, OBSERVATION, SETTLING
from vaultsync.state.observed import Observed, Unclaimed
from vaultsync.state.snapshots import ListSnapshot
from vaultsync.supervisor import Supervisor


@pytest.fixture
async def watching(harness: MemoryHarness) -> MemoryHarness:
    """An operator that watches targets; a resync is made when the test says so."""
    harness.run_beside(harness.controller.targets.run())
    await harness.settle()
    return harness


@asynccontextmanager
async def watching_only(*namespaces: str, kube: type[FakeKube] = FakeKube) -> AsyncIterator[MemoryHarness]:
    """Yield one that watches the targets of these namespaces alone, or with another API server."""
    harness = MemoryHarness(watched=namespaces, kube=kube, jitter=longest)
    harness.run_beside(harness.controller.targets.run())
    await harness.settle()
    try:
        yield harness
    finally:
        await harness.aclose()


@pytest.fixture
async def running(watching: MemoryHarness) -> MemoryHarness:
    """An operator that resyncs by itself, and has done so once."""
    watching.run_beside(watching.controller.resync.run())
    await settle()
    await watching.pass_time(SETTLING)
    assert resyncs(watching) == 1
    watching.kube.calls.clear()
    return watching


def resyncs(harness: MemoryHarness) -> int:
    """Return how many were begun."""
    return harness.kube.calls["list_vaultsecrets"]


async def resync(harness: MemoryHarness) -> None:
    await harness.controller.resync.resync()
    await settle()


async def request_resync(harness: MemoryHarness) -> None:
    """Request one and wait until it was made."""
    harness.state.vaultsecrets.request_resync()
    await settle()
    await harness.pass_time(SETTLING)


async def resyncs_within(harness: MemoryHarness, seconds: int) -> list[int]:
    """Advance the time, second by second; return the seconds after which resyncs began."""
    begun: list[int] = []
    for second in range(1, seconds + 1):
        before = resyncs(harness)
        await harness.pass_time(1)
        begun += [second] * (resyncs(harness) - before)
    return begun


def put(harness: MemoryHarness, name: str, namespace: str = "shop") -> VaultSecret:
    """Create a VaultSecret that the operator has not observed."""
    return harness.kube.put_vault_secret(manifest(spec(), name=name, namespace=namespace))


def observe(harness: MemoryHarness, name: str, namespace: str = "shop") -> VaultSecret:
    """Create a VaultSecret and observe it."""
    vault_secret = put(harness, name, namespace)
    harness.controller.source.handle_changed(harness.kube.vault_secret_body(vault_secret.key))
    return vault_secret


def miss_deletion(harness: MemoryHarness, name: str, namespace: str = "shop") -> None:
    """Observe a VaultSecret that is then deleted, without an event."""
    harness.kube.delete_vault_secret(observe(harness, name, namespace).key)


def known(harness: MemoryHarness) -> list[str]:
    return sorted(str(meta.key) for meta in harness.state.vaultsecrets.metas())


async def write_target(
    harness: MemoryHarness, name: str, uid: str | None, *, namespace: str = "shop", owners: Iterable[str] = ()
) -> None:
    """Write a target of the VaultSecret of that uid, and have the watch report it."""
    labels = {MANAGED_BY_LABEL: MANAGED_BY} | ({} if uid is None else {OWNER_UID_LABEL: uid})
    written = {
        "metadata": {
            "labels": labels,
            "annotations": {APPLIED_ANNOTATION: "{}"},
            "ownerReferences": [{"apiVersion": API_VERSION, "kind": KIND, "name": "o", "uid": o} for o in owners],
        },
        "data": {"password": base64.b64encode(b"one").decode()},
    }
    await harness.kube.apply_target(ObjectKey(namespace, name), written, onto=None)
    await settle()


async def leave_targets(harness: MemoryHarness, *names: str) -> None:
    """Write targets whose VaultSecrets are then deleted."""
    for name in names:
        vault_secret = put(harness, name)
        await write_target(harness, name, vault_secret.metadata.uid)
        harness.kube.delete_vault_secret(vault_secret.key)


def copy_target(harness: MemoryHarness, name: str, uid: str) -> None:
    """Create a Secret as a user does who copies a target, with its labels and its annotation."""
    labels = {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: uid}
    harness.kube.create(key_of(name), "replicator", {"password": "one"}, labels=labels)
    harness.kube.edit(key_of(name), "replicator", annotations={APPLIED_ANNOTATION: "{}"})


async def managed(harness: MemoryHarness) -> list[str]:
    """Return the Secrets that carry our label."""
    return sorted(str(key) for key in (await harness.kube.list_targets(None, keep_all)).targets)


def answer_late(harness: MemoryHarness, listed: ListSnapshot) -> None:
    """Make the next lists show an earlier moment."""

    async def late(_: str | None) -> ListSnapshot:
        return listed

    harness.kube.list_vaultsecrets = late  # type: ignore[assignment, method-assign]  # the fake answers at once


# when it is made


async def test_the_first_resync_is_soon_after_the_start(watching: MemoryHarness) -> None:
    watching.run_beside(watching.controller.resync.run())
    await settle()
    assert resyncs(watching) == 0

    await watching.pass_time(SETTLING)

    assert resyncs(watching) == 1


async def test_many_requests_are_one_resync_a_moment_later(running: MemoryHarness) -> None:
    for _ in range(3):
        running.state.vaultsecrets.request_resync()
        await settle()
    assert resyncs(running) == 0

    await running.pass_time(SETTLING)
    assert resyncs(running) == 1
    await running.pass_time(INTERVAL / 2)

    assert resyncs(running) == 1


async def test_without_a_request_there_is_a_resync_every_ten_minutes(running: MemoryHarness) -> None:
    assert INTERVAL == 600.0
    miss_deletion(running, "deleted")

    await running.pass_time(INTERVAL - 1)
    assert resyncs(running) == 0
    await running.pass_time(2)

    assert (resyncs(running), known(running)) == (1, [])


async def test_a_resync_that_fails_is_retried_after_growing_waits(
    running: MemoryHarness, caplog: pytest.LogCaptureFixture
) -> None:
    miss_deletion(running, "deleted")
    running.kube.fail(UNAVAILABLE)
    await request_resync(running)
    assert resyncs(running) == 1
    # After 2, 4 and 8 seconds, each time with the two seconds from a request to the resync.
    assert await resyncs_within(running, 20) == [4, 10, 20]
    messages = [record.getMessage() for record in caplog.records if record.name.endswith("resync")]
    assert messages == ["resync failed"] * 4

    running.kube.fail(None)
    assert await resyncs_within(running, 60) == [18]
    assert known(running) == []


async def test_an_unexpected_exception_is_logged_and_the_resync_retried(
    running: MemoryHarness, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ZeroDivisionError("MARKED")

    async def fail(_: str | None) -> ListSnapshot:
        raise error

    monkeypatch.setattr(running.kube, "list_vaultsecrets", fail)
    await request_resync(running)
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["error"]) == ("resync error", "ZeroDivisionError")
    assert "MARKED" not in str(vars(record))
    monkeypatch.undo()
    miss_deletion(running, "deleted")

    assert await resyncs_within(running, 60) == [4]
    assert known(running) == []


async def test_what_the_watch_does_not_bring_is_listed_less_and_less_often(running: MemoryHarness) -> None:
    await request_resync(running)
    running.state.vaultsecrets.has_synced = False
    late = put(running, "late")

    await request_resync(running)
    assert await resyncs_within(running, 20) == [4, 10, 20]

    running.controller.source.handle_changed(running.kube.vault_secret_body(late.key))
    assert await resyncs_within(running, 60) == [18]
    assert running.state.vaultsecrets.has_synced


async def test_a_list_of_the_watch_is_known_to_be_whole_once_a_resync_misses_nothing_of_it(
    running: MemoryHarness,
) -> None:
    one, other = put(running, "one"), put(running, "other")
    source, vaultsecrets = running.controller.source, running.state.vaultsecrets
    source.handle_listed(running.kube.vault_secret_body(one.key))

    await running.controller.resync.resync()
    assert vaultsecrets.is_listing
    source.handle_listed(running.kube.vault_secret_body(other.key))
    vaultsecrets.request_resync()
    await running.controller.resync.resync()
    assert vaultsecrets.is_listing
    vaultsecrets.resync_requested.clear()
    await running.controller.resync.resync()
    assert not vaultsecrets.is_listing


async def test_it_begins_once_vaultsecrets_can_be_listed(
    harness: MemoryHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.kube.fail(UNAVAILABLE)
    beginning = asyncio.create_task(harness.controller.resync.wait_until_installed())
    await settle()
    await harness.pass_time(2)
    assert not beginning.done()
    harness.kube.fail(None)
    await harness.pass_time(3.9)
    assert not beginning.done()

    await harness.pass_time(0.2)

    await beginning
    assert harness.kube.calls["check_installed"] == 3
    assert caplog.messages == ["resync failed"] * 2


async def test_a_cluster_without_our_customresourcedefinition_is_an_error(harness: MemoryHarness) -> None:
    async def fail(_: str | None) -> None:
        raise NotInstalled("install them")

    harness.kube.check_installed = fail  # type: ignore[assignment, method-assign]  # the fake always has it

    with pytest.raises(NotInstalled, match="install them"):
        await harness.controller.resync.wait_until_installed()


async def test_one_namespace_in_which_they_can_be_listed_is_enough_to_begin(caplog: pytest.LogCaptureFixture) -> None:
    async with watching_only("shop", "blog") as harness:
        harness.kube.deny("shop")
        caplog.clear()

        await harness.controller.resync.wait_until_installed()

    lines = [record for record in caplog.records if "vaultsecrets" in vars(record)["detail"]]
    assert [(line.getMessage(), vars(line)["namespace"]) for line in lines] == [("namespace denied", "shop")]


async def test_the_operator_starts_without_a_namespace_that_is_denied() -> None:
    harness = MemoryHarness(watched=("shop", "blog"))
    harness.kube.deny("shop")

    async with Supervisor() as parts:
        await harness.controller.wait_until_granted(parts)
        await harness.controller.sync(parts)
        await parts.stop()

    await harness.aclose()


async def test_the_start_waits_until_those_that_exist_have_been_observed(harness: MemoryHarness) -> None:
    put(harness, "db")
    waiting = asyncio.ensure_future(harness.controller.resync.wait_until_observed())
    await harness.settle()
    assert not waiting.done()

    harness.observe("db")
    await skip(OBSERVATION)

    await waiting


async def test_the_start_does_not_wait_for_one_that_is_never_observed(harness: MemoryHarness) -> None:
    put(harness, "db")
    waiting = asyncio.ensure_future(harness.controller.resync.wait_until_observed())

    for _ in range(int(SETTLING / OBSERVATION) + 5):
        await skip(OBSERVATION)

    await waiting


async def test_the_start_does_not_wait_for_a_namespace_that_is_denied(caplog: pytest.LogCaptureFixture) -> None:
    async with watching_only("shop", "blog") as harness:
        harness.kube.deny("shop")
        caplog.clear()

        await harness.controller.resync.wait_until_observed()

    assert [record.getMessage() for record in caplog.records if record.name.startswith("vaultsync")][:1] == [
        "namespace denied"
    ]


async def test_the_start_does_not_wait_for_what_cannot_be_listed(harness: MemoryHarness) -> None:
    harness.kube.fail(UNAVAILABLE)

    await harness.controller.resync.wait_until_observed()


# what is forgotten


async def test_a_namespace_that_is_denied_stays_as_it_is_and_the_others_are_compared() -> None:
    async with watching_only("shop", "blog") as harness:
        harness.state.vaultsecrets.has_synced = False
        await leave_targets(harness, "orphaned")
        for namespace in ("shop", "blog"):
            miss_deletion(harness, "deleted", namespace)
        harness.kube.deny("shop")

        await resync(harness)

        assert known(harness) == ["shop/deleted"]
        assert harness.state.vaultsecrets.has_synced
        assert await managed(harness) == ["shop/orphaned"]
        harness.kube.deny()
        await resync(harness)
        assert (known(harness), await managed(harness)) == ([], [])


async def test_a_resync_that_is_denied_everywhere_fails() -> None:
    async with watching_only("shop", "blog") as harness:
        harness.state.vaultsecrets.has_synced = False
        harness.kube.deny("shop", "blog")

        with pytest.raises(Forbidden):
            await harness.controller.resync.resync()

        assert not harness.state.vaultsecrets.has_synced


async def test_a_vaultsecret_whose_deletion_was_missed_is_forgotten(watching: MemoryHarness) -> None:
    observe(watching, "kept")
    miss_deletion(watching, "deleted")

    await resync(watching)

    assert known(watching) == ["shop/kept"]
    assert watching.controller.queue.depth == 1


async def test_one_that_was_created_after_the_list_is_kept(watching: MemoryHarness) -> None:
    listed = await watching.kube.list_vaultsecrets(None)
    observe(watching, "newcomer")
    answer_late(watching, listed)

    await resync(watching)

    assert known(watching) == ["shop/newcomer"]


async def test_one_that_is_being_deleted_is_forgotten(watching: MemoryHarness) -> None:
    vault_secret = observe(watching, "terminating")
    listed = await watching.kube.list_vaultsecrets(None)
    answer_late(
        watching,
        ListSnapshot(listed.versions, listed.uids, listed.resource_version, terminating=frozenset({vault_secret.key})),
    )

    await resync(watching)

    assert known(watching) == []


async def test_one_whose_spec_is_not_accepted_is_forgotten_once_it_is_deleted(watching: MemoryHarness) -> None:
    vault_secret = put(watching, "unreadable")
    body = watching.kube.vault_secret_body(vault_secret.key)
    watching.controller.source.handle_changed({**body, "spec": {**body["spec"], "vaultUrl": "ftp://nowhere"}})
    await resync(watching)
    assert known(watching) == ["shop/unreadable"]

    watching.kube.delete_vault_secret(vault_secret.key)
    await resync(watching)

    assert known(watching) == []


async def test_vaultsecrets_of_other_namespaces_are_not_forgotten() -> None:
    async with watching_only("shop", "store") as harness:
        for namespace in ("shop", "store", "elsewhere"):
            miss_deletion(harness, "deleted", namespace)

        await resync(harness)

        assert known(harness) == ["elsewhere/deleted"]


async def test_all_have_been_observed_once_each_that_is_listed_is_known(watching: MemoryHarness) -> None:
    watching.state.vaultsecrets.has_synced = False
    observe(watching, "first")
    second = put(watching, "second")

    await resync(watching)
    assert not watching.state.vaultsecrets.has_synced
    body = watching.kube.vault_secret_body(second.key)
    watching.controller.source.handle_changed({**body, "spec": {**body["spec"], "vaultUrl": "ftp://nowhere"}})
    await resync(watching)

    assert watching.state.vaultsecrets.has_synced


async def test_what_is_created_after_the_first_list_need_not_have_been_observed(watching: MemoryHarness) -> None:
    watching.state.vaultsecrets.has_synced = False
    put(watching, "first")
    await resync(watching)
    observe(watching, "first")
    put(watching, "second")

    await resync(watching)

    assert watching.state.vaultsecrets.has_synced


async def test_one_that_is_being_deleted_need_not_have_been_observed(watching: MemoryHarness) -> None:
    watching.state.vaultsecrets.has_synced = False
    key = put(watching, "terminating").key
    listed = await watching.kube.list_vaultsecrets(None)
    answer_late(watching, ListSnapshot(listed.versions, listed.uids, listed.resource_version, frozenset({key})))

    await resync(watching)

    assert watching.state.vaultsecrets.has_synced


# what is released


async def test_a_target_that_outlives_its_vaultsecret_is_released_and_keeps_its_content(
    watching: MemoryHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vaultsync")
    await leave_targets(watching, "db")

    await resync(watching)

    left = await watching.kube.get_target(key_of("db"))
    assert left is not None
    assert (left.managed, left.owner_uid, left.applied) == (False, None, None)
    assert watching.kube.values(key_of("db")) == {"password": "one"}
    assert caplog.messages == ["released orphaned target"]


async def test_the_target_of_one_whose_deletion_was_missed_is_released_in_the_same_resync(
    watching: MemoryHarness,
) -> None:
    vault_secret = observe(watching, "db")
    await write_target(watching, "db", vault_secret.metadata.uid)
    watching.kube.delete_vault_secret(vault_secret.key)

    await resync(watching)

    assert (known(watching), await managed(watching)) == ([], [])


async def test_the_target_of_a_vaultsecret_that_exists_stays_ours_though_it_was_not_observed(
    watching: MemoryHarness,
) -> None:
    await write_target(watching, "renamed-since", put(watching, "db").metadata.uid)

    await resync(watching)

    assert await managed(watching) == ["shop/renamed-since"]


async def test_a_target_that_another_vaultsecret_wants_is_left_to_that_one(watching: MemoryHarness) -> None:
    await leave_targets(watching, "db")
    observe(watching, "db")

    await resync(watching)

    assert await managed(watching) == ["shop/db"]


async def test_a_target_that_the_garbage_collector_will_delete_is_left_to_it(watching: MemoryHarness) -> None:
    await write_target(watching, "db", "deleted", owners=["deleted"])

    await resync(watching)

    assert await managed(watching) == ["shop/db"]


async def test_a_target_that_has_only_other_owners_is_released(watching: MemoryHarness) -> None:
    await write_target(watching, "db", "deleted", owners=["another-owner"])

    await resync(watching)

    assert await managed(watching) == []


async def test_a_target_that_names_no_vaultsecret_stays_as_it_is(watching: MemoryHarness) -> None:
    await write_target(watching, "db", None)

    await resync(watching)

    assert await managed(watching) == ["shop/db"]


async def test_a_copy_of_a_target_by_another_controller_is_not_released(watching: MemoryHarness) -> None:
    copy_target(watching, "copy", "deleted")
    await settle()

    await resync(watching)

    assert await managed(watching) == ["shop/copy"]
    assert watching.kube.calls["orphan_target"] == 0


async def test_a_copy_in_a_watched_namespace_of_a_target_elsewhere_is_not_released() -> None:
    async with watching_only("shop") as harness:
        copy_target(harness, "copy", put(harness, "db", "elsewhere").metadata.uid)
        await settle()

        await resync(harness)

        assert await managed(harness) == ["shop/copy"]


async def test_a_target_that_was_written_after_the_list_may_belong_to_a_new_vaultsecret(
    watching: MemoryHarness,
) -> None:
    list_vaultsecrets = watching.kube.list_vaultsecrets

    async def slow(namespace: str | None) -> ListSnapshot:
        listed = await list_vaultsecrets(namespace)
        await write_target(watching, "db", put(watching, "newcomer").metadata.uid)
        return listed

    watching.kube.list_vaultsecrets = slow  # type: ignore[method-assign]  # the fake answers at once
    await resync(watching)

    assert key_of("db") in watching.state.targets.within(None)
    assert await managed(watching) == ["shop/db"]


async def test_a_target_that_was_changed_and_not_observed_is_left_for_the_next_resync(
    watching: MemoryHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vaultsync")
    await leave_targets(watching, "db")
    observed = watching.state.targets.within(None)
    watching.kube.edit(key_of("db"), "kubectl", data={"password": "two"})
    assert watching.state.targets.within(None) == observed

    await watching.controller.resync.resync()

    assert watching.kube.calls["orphan_target"] == 1
    assert (await managed(watching), caplog.messages) == (["shop/db"], [])


async def test_each_namespace_is_compared_with_its_own_list() -> None:
    async with watching_only("shop", "store") as harness:
        for namespace in ("shop", "store"):
            await write_target(harness, "db", put(harness, "other", namespace).metadata.uid, namespace=namespace)
        for namespace in ("store", "elsewhere"):
            await write_target(harness, "left", "deleted", namespace=namespace)

        await resync(harness)

        assert await managed(harness) == ["elsewhere/left", "shop/db", "store/db"]


async def test_nothing_is_released_in_a_cluster_that_lacks_our_customresourcedefinition(
    watching: MemoryHarness,
) -> None:
    await leave_targets(watching, "db")

    async def fail(_: str | None) -> ListSnapshot:
        raise NotInstalled("install them")

    watching.kube.list_vaultsecrets = fail  # type: ignore[assignment, method-assign]  # the fake always has it
    with pytest.raises(NotInstalled):
        await resync(watching)

    assert await managed(watching) == ["shop/db"]


class SeparateVersions(FakeKube):
    """An API server that keeps VaultSecrets in a separate store, whose resource versions are far from the others."""

    offset = 0

    async def list_vaultsecrets(self, namespace: str | None) -> ListSnapshot:
        listed = await super().list_vaultsecrets(namespace)
        resource_version = str(int(listed.resource_version) + self.offset)
        return ListSnapshot(listed.versions, listed.uids, resource_version, listed.terminating)

    def _put_body(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        super()._put_body(key, body)
        stored = self._vault_secrets[key]
        resource_version = str(int(stored["metadata"]["resourceVersion"]) + self.offset)
        self._vault_secrets[key] = {**stored, "metadata": {**stored["metadata"], "resourceVersion": resource_version}}


class AheadOfSecrets(SeparateVersions):
    """Its VaultSecrets' resource versions are all higher than those of Secrets."""

    offset = 1_000_000


class BehindSecrets(SeparateVersions):
    """Its VaultSecrets' resource versions are all lower than those of Secrets."""

    def __init__(self, **more: Any) -> None:  # noqa: ANN401  they are passed on
        super().__init__(**more)
        self.resource_version = 2_000_000

    offset = -1_000_000


@pytest.mark.parametrize("kube", [AheadOfSecrets, BehindSecrets])
async def test_resource_versions_of_secrets_are_not_compared_with_those_of_vaultsecrets(kube: type[FakeKube]) -> None:
    async with watching_only(kube=kube) as harness:
        await leave_targets(harness, "orphan")
        miss_deletion(harness, "deleted")
        list_vaultsecrets = harness.kube.list_vaultsecrets

        async def slow(namespace: str | None) -> ListSnapshot:
            listed = await list_vaultsecrets(namespace)
            await write_target(harness, "new", put(harness, "newcomer").metadata.uid)
            return listed

        harness.kube.list_vaultsecrets = slow  # type: ignore[method-assign]  # the fake answers at once
        await resync(harness)

        assert (known(harness), await managed(harness)) == ([], ["shop/new"])


# releases


@pytest.fixture
def rejected(watching: MemoryHarness, monkeypatch: pytest.MonkeyPatch) -> dict[str, SyncError]:
    """Why targets of these names cannot be released."""
    rejected: dict[str, SyncError] = {}
    orphan_target = watching.kube.orphan_target

    async def orphan(key: ObjectKey, *, observed: Observed | Unclaimed, retained_by: str) -> None:
        if key.name in rejected:
            raise rejected[key.name]
        await orphan_target(key, observed=observed, retained_by=retained_by)

    monkeypatch.setattr(watching.kube, "orphan_target", orphan)
    return rejected


async def test_a_target_that_cannot_be_released_does_not_keep_the_others_and_is_retried(
    watching: MemoryHarness, rejected: dict[str, SyncError], caplog: pytest.LogCaptureFixture
) -> None:
    rejected["a"] = SyncError(Reason.TARGET_INVALID, "The admission policy denies it.")
    await leave_targets(watching, "a", "b", "c")

    await resync(watching)
    assert await managed(watching) == ["shop/a"]
    assert [(record.getMessage(), vars(record)["target"]) for record in caplog.records] == [
        ("orphaned target not released", "shop/a")
    ]

    rejected.clear()
    await resync(watching)
    assert await managed(watching) == []


async def test_a_target_whose_namespace_is_being_deleted_is_not_logged(
    watching: MemoryHarness, rejected: dict[str, SyncError], caplog: pytest.LogCaptureFixture
) -> None:
    rejected["db"] = ObjectGone(Reason.CLUSTER_UNAVAILABLE, "Its namespace is being deleted.")
    await leave_targets(watching, "db")

    await resync(watching)

    assert caplog.messages == []


async def test_of_many_targets_a_few_are_released_at_once(
    watching: MemoryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, may_continue = list[str](), asyncio.Event()
    orphan_target = watching.kube.orphan_target

    async def slow(key: ObjectKey, *, observed: Observed | Unclaimed, retained_by: str) -> None:
        waiting.append(key.name)
        await may_continue.wait()
        await orphan_target(key, observed=observed, retained_by=retained_by)

    monkeypatch.setattr(watching.kube, "orphan_target", slow)
    await leave_targets(watching, *(f"db-{number}" for number in range(MAX_CONCURRENT_RELEASES + 3)))

    task = asyncio.create_task(resync(watching))
    await settle()
    assert len(waiting) == MAX_CONCURRENT_RELEASES
    may_continue.set()
    await task

    assert await managed(watching) == []
