"""What users write into the annotation of a target, or into the status: it can cause reads, and stops nothing."""

import json
from typing import Any

import pytest

from tests.harness import DB, MemoryHarness, entry, key_of
from vaultsync.api import APPLIED_ANNOTATION
from vaultsync.policy.guards import LASTING

NAMES = pytest.mark.parametrize(
    "name", ["shop/one", "", "x" * 200, "\ud800", "never-there"], ids=["slash", "empty", "long", "surrogate", "unknown"]
)
WHOLE = {"password": "first", "shop-one": "1"}


@pytest.fixture
async def searching(harness: MemoryHarness) -> MemoryHarness:
    harness.vault.set("shop-one", "1")
    harness.apply(entry(), dataFrom=[{"find": {"names": "shop-*"}}])
    await harness.poll()
    await harness.poll()
    assert harness.values() == WHOLE
    return harness


async def assert_synced(harness: MemoryHarness) -> None:
    for _ in range(3):
        await harness.poll()
    assert harness.values() == WHOLE
    await harness.rotate()
    await harness.poll()
    await harness.poll()
    assert harness.values() == WHOLE | {"password": "second"}
    await harness.assert_idle()


@NAMES
async def test_a_name_in_the_annotation_that_was_never_found_stops_no_sync(searching: MemoryHarness, name: str) -> None:
    state = {"name": name, "version": "1", "readAt": 1, "keys": ["key"]}
    searching.kube.edit(DB, "kubectl", annotations={APPLIED_ANNOTATION: json.dumps({"spec": "", "secrets": [state]})})
    await searching.drain()

    await assert_synced(searching)


@NAMES
async def test_a_name_in_the_status_that_was_never_found_stops_no_sync(searching: MemoryHarness, name: str) -> None:
    status: dict[str, Any] = searching.status().to_wire()
    status["entries"].append({"key": "key", "secretName": name, "version": "1", "readTime": "2026-03-01T12:00:00Z"})
    await searching.kube.patch_status(searching.users.vault_secret(DB), status)
    searching.observe("db")
    searching.kube.delete(DB)
    await searching.drain()

    await assert_synced(searching)


async def test_a_status_that_is_dated_at_the_end_of_time_hides_no_failure(harness: MemoryHarness) -> None:
    harness.apply()
    await harness.poll()
    await harness.poll()
    status: dict[str, Any] = harness.status().to_wire()
    status["entries"][0]["readTime"] = "9999-12-31T23:59:59Z"
    await harness.kube.patch_status(harness.users.vault_secret(DB), status)
    harness.observe("db")
    harness.vault.delete("db-password")
    await harness.poll()

    assert (harness.ready().status, harness.ready().reason) == ("False", "SecretSoftDeleted")
    assert harness.recorded.errors == []


async def test_a_change_in_the_future_does_not_keep_the_key_of_a_disabled_secret_for_good(
    searching: MemoryHarness,
) -> None:
    searching.vault.disable("shop-one")
    searching.vault.set("shop-two", "2")
    target = searching.kube.without_data(DB)
    assert target is not None
    document = json.loads(target["metadata"]["annotations"][APPLIED_ANNOTATION])
    for state in document["secrets"]:
        state["updated"] += 10**8
    searching.kube.edit(DB, "kubectl", annotations={APPLIED_ANNOTATION: json.dumps(document)})
    await searching.drain()

    for _ in range(int(LASTING.total_seconds() / 60) + 2):
        await searching.poll()
    await searching.poll(3600)
    assert searching.values() == {"password": "first", "shop-two": "2"}
    await searching.assert_idle()


async def test_a_status_with_many_names_does_not_keep_the_deletion_guard_from_tripping(harness: MemoryHarness) -> None:
    names = [f"shop-{number}" for number in range(6)]
    for name in names:
        harness.vault.set(name, "x")
    harness.apply(*[entry(name, name, optional=True) for name in names])
    harness.apply(name="other")
    await harness.poll()
    await harness.poll()
    status: dict[str, Any] = harness.status("other").to_wire()
    read_at = {"version": "1", "readTime": "2026-03-01T12:00:00Z"}
    status["entries"] += [{"key": f"key-{n}", "secretName": f"never-there-{n}", **read_at} for n in range(100)]
    await harness.kube.patch_status(harness.users.vault_secret(key_of("other")), status)
    harness.observe("other")

    for name in names:
        harness.vault.delete(name)
    await harness.poll()

    assert harness.values() == dict.fromkeys(names, "x")
    assert harness.ready().reason == "DeletionHeld"


@pytest.mark.parametrize("named", ["before", "after"])
async def test_a_change_at_the_end_of_time_hides_no_failure(harness: MemoryHarness, named: str) -> None:
    restart = [{"kind": "Deployment", "name": "web"}]
    harness.apply(restart=restart if named == "before" else [])
    await harness.poll()
    await harness.poll()
    status: dict[str, Any] = harness.status().to_wire() | {"contentChangeTime": "9999-12-31T23:59:59Z"}
    await harness.kube.patch_status(harness.users.vault_secret(DB), status)
    harness.observe("db")
    harness.apply(restart=restart)
    harness.vault.delete("db-password")
    await harness.poll()

    assert (harness.ready().status, harness.ready().reason) == ("False", "SecretSoftDeleted")
    assert harness.recorded.errors == []
