"""The adapter with failures of a real API server; tests/contract has its successful responses."""

import json
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.builders import FIRST, KEY, SECOND, UID, a_grant, a_state, a_vault_secret, keep_all
from tests.unit.vaultsync.adapters.kube.scripted import NOW, Answer, connected, document, hanging_up, lines, text
from vaultsync import __version__
from vaultsync.adapters.kube import Conflict, KubeApi, ResourceExpired
from vaultsync.api import APPLIED_ANNOTATION, ObjectKey
from vaultsync.errors import Reason, SyncError
from vaultsync.state.applied import to_annotation
from vaultsync.state.observed import observed_from
from vaultsync.state.snapshots import Deleted
from vaultsync.status.events import Event

CREATED = Event("Normal", "Created", "Created the Secret.")
MANIFEST: dict[str, Any] = {"metadata": {"name": "db"}, "data": {"password": "bWFya2Vk"}}


def a_secret(*managers: str, name: str = "db", uid: str = "uid-1", version: str = "9") -> dict[str, Any]:
    """The API server's metadata of a Secret that these managers have written to."""
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": uid,
            "resourceVersion": version,
            "creationTimestamp": "2026-03-01T12:00:00Z",
            "managedFields": [
                {
                    "manager": manager,
                    "operation": "Apply" if manager == "vaultsync" else "Update",
                    "fieldsV1": {"f:data": {f"f:{manager}": {}}},
                }
                for manager in managers
            ],
        }
    }


async def test_the_user_agent_names_the_replica(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    async with connected(document(404, {"reason": "NotFound"})) as (connection, script):
        config = {
            "clusters": [{"name": "c", "cluster": {"server": connection.server}}],
            "users": [{"name": "u", "user": {"token": "our-token"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        kubeconfig.write_text(json.dumps(config))
        async with await KubeApi.connect({"KUBECONFIG": str(kubeconfig)}, identity="vaultsync-1") as api:
            assert await api.get_target(KEY) is None

    assert script.sent[0].headers["User-Agent"] == f"vaultsync/{__version__} (vaultsync-1)"


CHANGED = document(409, {"reason": "Conflict"})


async def test_a_secret_that_exists_is_not_created_again() -> None:
    """The first request may have created it, or another client: the next reconcile looks."""
    async with connected(hanging_up, CHANGED) as (connection, script):
        with pytest.raises(Conflict):
            await KubeApi(connection).apply_target(KEY, MANIFEST, onto=None)

    assert [(sent.method, sent.body["metadata"]) for sent in script.sent] == [
        ("PATCH", {"name": "db", "resourceVersion": "1"})
    ] * 2


async def test_a_secret_that_has_changed_since_is_read_and_written_as_it_is_now() -> None:
    before, now = a_secret("vaultsync", version="8"), a_secret("vaultsync", "stranger", version="9")
    async with connected(CHANGED, document(200, now), document(200, now)) as (connection, script):
        await KubeApi(connection).apply_target(KEY, MANIFEST, onto=observed_from(before["metadata"]))

    writes = [sent.body["metadata"] for sent in script.sent if sent.method == "PATCH"]
    assert writes == [{"name": "db", "uid": "uid-1", "resourceVersion": version} for version in ("8", "9")]


def applied(version: str) -> dict[str, Any]:
    """The annotations of a target with that version of a secret."""
    return {APPLIED_ANNOTATION: to_annotation(a_vault_secret(), [a_state(version=version)], created=True)}


def with_annotations(secret: dict[str, Any], annotations: dict[str, Any] | None) -> dict[str, Any]:
    return {**secret, "metadata": secret["metadata"] | ({} if annotations is None else {"annotations": annotations})}


@pytest.mark.parametrize(
    ("now", "repeats"),
    [(applied(FIRST), True), (applied(SECOND), True), (applied("3" * 32), False), (None, False)],
    ids=["as it was", "our own write, whose response was lost", "a write of another process", "taken over"],
)
async def test_a_write_is_not_repeated_on_what_another_process_has_written(
    now: dict[str, Any] | None, repeats: bool
) -> None:
    before = observed_from(with_annotations(a_secret("vaultsync"), applied(FIRST))["metadata"])
    manifest = {"metadata": {"name": "db", "annotations": applied(SECOND)}}
    found = document(200, with_annotations(a_secret("vaultsync", version="9"), now))
    async with connected(CHANGED, found, document(200, a_secret("vaultsync"))) as (connection, script):
        api = KubeApi(connection)
        if repeats:
            await api.apply_target(KEY, manifest, onto=before)
        else:
            with pytest.raises(Conflict):
                await api.apply_target(KEY, manifest, onto=before)

    assert [sent.method for sent in script.sent] == ["PATCH", "GET", *(["PATCH"] if repeats else [])]


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(document(404, {}), id="deleted"),
        pytest.param(document(200, a_secret("helm", uid="uid-2")), id="replaced"),
    ],
)
async def test_a_secret_that_was_deleted_or_replaced_is_not_written(found: Answer) -> None:
    before = observed_from(a_secret("vaultsync")["metadata"])
    async with connected(CHANGED, found) as (connection, script):
        with pytest.raises(Conflict):
            await KubeApi(connection).apply_target(KEY, MANIFEST, onto=before)

    assert [sent.method for sent in script.sent] == ["PATCH", "GET"]


async def test_all_pages_are_listed() -> None:
    first = {"metadata": {"resourceVersion": "5", "continue": "next"}, "items": [a_secret(name="a")]}
    last = {"metadata": {"resourceVersion": "5", "continue": ""}, "items": [a_secret(name="b")]}
    async with connected(document(200, first), document(200, last)) as (connection, script):
        listing = await KubeApi(connection).list_targets(None, keep_all)

    assert listing.targets.keys() == {ObjectKey("shop", "a"), ObjectKey("shop", "b")}
    assert listing.resource_version == "5"
    assert script.sent[1].query["continue"] == "next"


async def test_a_list_whose_resource_version_is_dropped_has_expired() -> None:
    first = {"metadata": {"resourceVersion": "5", "continue": "next"}, "items": []}
    async with connected(document(200, first), document(410, {"reason": "Expired"})) as (connection, _):
        with pytest.raises(ResourceExpired):
            await KubeApi(connection).list_targets(None, keep_all)


async def test_a_watch_ends_when_the_server_ends_it() -> None:
    line = '{"type":"DELETED","object":{"metadata":{"name":"db","namespace":"shop","resourceVersion":"9"}}}'
    async with connected(lines(line)) as (connection, _):
        events = [event async for event in KubeApi(connection).watch_targets(None, "5")]

    assert events == [Deleted(KEY, "9")]


@pytest.mark.parametrize("line", ["", "invalid", '{"type":"ADDED","object":{"metadata":{"name":'])
async def test_a_watch_with_invalid_lines_is_unavailable(line: str) -> None:
    async with connected(lines(line)) as (connection, _):
        with pytest.raises(SyncError) as caught:
            await anext(KubeApi(connection).watch_targets(None, "5"))

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE


async def test_an_event_that_cannot_be_created_is_an_error() -> None:
    async with connected(text(503, "")) as (connection, _):
        with pytest.raises(SyncError, match="Event of VaultSecret shop/db"):
            await KubeApi(connection).create_event(KEY, CREATED, event_id="0123", uid=UID, at=NOW)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (403, {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}),
        (409, {"reason": "AlreadyExists"}),
    ],
    ids=["a namespace that is being deleted", "an earlier attempt"],
)
async def test_an_event_that_needs_not_be_created_is_none(status: int, answer: Mapping[str, object]) -> None:
    async with connected(document(status, answer)) as (connection, _):
        await KubeApi(connection).create_event(KEY, CREATED, event_id="0123", uid=UID, at=NOW)


def patched_status(kube: KubeApi, kind: str) -> Awaitable[object]:
    """Write the status of a VaultSecret or a VaultGrant."""
    if kind == "VaultSecret":
        return kube.patch_status(a_vault_secret(), {})
    return kube.patch_grant_status(a_grant("shop").metadata, {})


@pytest.mark.parametrize("kind", ["VaultSecret", "VaultGrant"])
async def test_a_status_that_does_not_fit_an_older_schema_says_to_upgrade_it(kind: str) -> None:
    causes = [{"reason": "FieldValueRequired", "message": "Required value", "field": "status.entries[0].readAt"}]
    refusal = document(422, {"reason": "Invalid", "details": {"name": "db", "causes": causes}})

    async with connected(refusal) as (connection, _):
        with pytest.raises(SyncError, match=rf"readAt is required.*Definition of {kind}s .*apply the folder") as caught:
            await patched_status(KubeApi(connection), kind)

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE


async def test_a_policy_that_denies_a_status_is_no_matter_of_its_schema() -> None:
    denial = document(
        422, {"message": "ValidatingAdmissionPolicy 'ours.status' with binding", "details": {"name": "db"}}
    )

    async with connected(denial) as (connection, _):
        with pytest.raises(SyncError, match=r"denied by the admission policy ours.status\.$"):
            await patched_status(KubeApi(connection), "VaultSecret")
