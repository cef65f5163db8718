"""The adapter with failures of a real API server; tests/contract has its successful responses."""

import logging
from typing import Any

import pytest

from tests.builders import KEY, a_vault_secret
from tests.unit.vaultsync.adapters.kube.scripted import NOW, Answer, Script, connected, document, lines, text
from vaultsync.adapters.kube import KubeApi, ResourceExpired
from vaultsync.api import ObjectKey
from vaultsync.errors import Reason, SyncError
from vaultsync.state.snapshots import Deleted

MANIFEST: dict[str, Any] = {"metadata": {"name": "db"}, "data": {"password": "bWFya2Vk"}}


def a_secret(*managers: str, name: str = "db") -> dict[str, Any]:
    """The API server's metadata of a Secret that these managers have written to."""
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": "uid-1",
            "resourceVersion": "9",
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


async def apply_to_nothing(*answers: Answer) -> Script:
    async with connected(*answers) as (connection, script):
        await KubeApi(connection, now=lambda: NOW).apply_target(KEY, MANIFEST, onto=None)
    return script


async def test_a_secret_that_only_vaultsync_wrote_counts_as_created() -> None:
    script = await apply_to_nothing(document(200, a_secret("vaultsync")))

    assert len(script.sent) == 1


async def test_a_created_secret_that_a_webhook_changed_counts_as_created() -> None:
    script = await apply_to_nothing(document(201, a_secret("vaultsync", "mutating-webhook")))

    assert len(script.sent) == 1


async def test_fields_that_were_merged_into_another_managers_secret_are_relinquished() -> None:
    answers = [document(200, a_secret("vaultsync", "helm")), document(200, a_secret("helm"))]
    async with connected(*answers) as (connection, script):
        with pytest.raises(SyncError, match="Secret shop/db was created by another manager: helm"):
            await KubeApi(connection, now=lambda: NOW).apply_target(KEY, MANIFEST, onto=None)

    assert script.sent[1].body["metadata"] == {"name": "db", "uid": "uid-1"}
    assert "data" not in script.sent[1].body


async def test_all_pages_are_listed() -> None:
    first = {"metadata": {"resourceVersion": "5", "continue": "next"}, "items": [a_secret(name="a")]}
    last = {"metadata": {"resourceVersion": "5", "continue": ""}, "items": [a_secret(name="b")]}
    async with connected(document(200, first), document(200, last)) as (connection, script):
        listing = await KubeApi(connection, now=lambda: NOW).list_targets(None)

    assert listing.targets.keys() == {ObjectKey("shop", "a"), ObjectKey("shop", "b")}
    assert listing.resource_version == "5"
    assert script.sent[1].query["continue"] == "next"


async def test_a_list_whose_resource_version_is_dropped_has_expired() -> None:
    first = {"metadata": {"resourceVersion": "5", "continue": "next"}, "items": []}
    async with connected(document(200, first), document(410, {"reason": "Expired"})) as (connection, _):
        with pytest.raises(ResourceExpired):
            await KubeApi(connection, now=lambda: NOW).list_targets(None)


async def test_a_watch_ends_when_the_server_ends_it() -> None:
    line = '{"type":"DELETED","object":{"metadata":{"name":"db","namespace":"shop","resourceVersion":"9"}}}'
    async with connected(lines(line)) as (connection, _):
        events = [event async for event in KubeApi(connection, now=lambda: NOW).watch_targets(None, "5")]

    assert events == [Deleted(KEY, "9")]


@pytest.mark.parametrize("line", ["", "invalid", '{"type":"ADDED","object":{"metadata":{"name":'])
async def test_a_watch_with_invalid_lines_is_unavailable(line: str) -> None:
    async with connected(lines(line)) as (connection, _):
        with pytest.raises(SyncError) as caught:
            await anext(KubeApi(connection, now=lambda: NOW).watch_targets(None, "5"))

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE


async def test_an_event_that_cannot_be_created_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="vaultsync")
    async with connected(text(503, "")) as (connection, _):
        await KubeApi(connection, now=lambda: NOW).create_event(
            a_vault_secret(), kind="Normal", reason="Synced", message="Created the Secret."
        )

    [record] = caplog.records
    assert record.getMessage() == "event not created"


async def test_no_event_in_a_namespace_that_is_being_deleted_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    going = {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    async with connected(document(403, going)) as (connection, _):
        await KubeApi(connection, now=lambda: NOW).create_event(
            a_vault_secret(), kind="Normal", reason="Synced", message="Created the Secret."
        )

    assert caplog.records == []
