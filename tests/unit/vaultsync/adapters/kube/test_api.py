"""What the adapter makes of answers that a real API server gives in bad moments; tests/contract has the good ones."""

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
    """What the API server tells of a Secret that these managers have written to."""
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
        await KubeApi(connection, now=lambda: NOW).apply(KEY, MANIFEST, onto=None)
    return script


async def test_a_secret_that_was_there_already_by_our_own_hand_is_taken_as_made() -> None:
    script = await apply_to_nothing(document(200, a_secret("vaultsync")))

    assert len(script.sent) == 1


async def test_a_secret_that_somebody_wrote_to_in_the_answer_to_its_making_is_ours() -> None:
    script = await apply_to_nothing(document(201, a_secret("vaultsync", "mutating-webhook")))

    assert len(script.sent) == 1


async def test_what_was_merged_into_a_strangers_secret_is_taken_back_from_that_very_secret() -> None:
    answers = [document(200, a_secret("vaultsync", "helm")), document(200, a_secret("helm"))]
    async with connected(*answers) as (connection, script):
        with pytest.raises(SyncError, match="Secret shop/db belongs to somebody else: helm made it"):
            await KubeApi(connection, now=lambda: NOW).apply(KEY, MANIFEST, onto=None)

    assert script.sent[1].body["metadata"] == {"name": "db", "uid": "uid-1"}
    assert "data" not in script.sent[1].body


async def test_pages_are_read_until_the_last() -> None:
    first = {"metadata": {"resourceVersion": "5", "continue": "next"}, "items": [a_secret(name="a")]}
    last = {"metadata": {"resourceVersion": "5", "continue": ""}, "items": [a_secret(name="b")]}
    async with connected(document(200, first), document(200, last)) as (connection, script):
        listing = await KubeApi(connection, now=lambda: NOW).list_targets(None)

    assert listing.targets.keys() == {ObjectKey("shop", "a"), ObjectKey("shop", "b")}
    assert listing.resource_version == "5"
    assert script.sent[1].query["continue"] == "next"


async def test_a_listing_that_takes_longer_than_the_server_remembers_has_expired() -> None:
    first = {"metadata": {"resourceVersion": "5", "continue": "next"}, "items": []}
    async with connected(document(200, first), document(410, {"reason": "Expired"})) as (connection, _):
        with pytest.raises(ResourceExpired):
            await KubeApi(connection, now=lambda: NOW).list_targets(None)


async def test_a_watch_ends_when_the_server_ends_it() -> None:
    line = '{"type":"DELETED","object":{"metadata":{"name":"db","namespace":"shop","resourceVersion":"9"}}}'
    async with connected(lines(line)) as (connection, _):
        events = [event async for event in KubeApi(connection, now=lambda: NOW).watch_targets(None, "5")]

    assert events == [Deleted(KEY, "9")]


@pytest.mark.parametrize("line", ["", "nonsense", '{"type":"ADDED","object":{"metadata":{"name":'])
async def test_a_watch_that_brings_nonsense_is_unavailable(line: str) -> None:
    async with connected(lines(line)) as (connection, _):
        with pytest.raises(SyncError) as caught:
            await anext(KubeApi(connection, now=lambda: NOW).watch_targets(None, "5"))

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE


async def test_an_event_that_cannot_be_posted_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="vaultsync")
    async with connected(text(503, "")) as (connection, _):
        await KubeApi(connection, now=lambda: NOW).post_event(
            a_vault_secret(), kind="Normal", reason="Synced", message="Created the Secret."
        )

    [record] = caplog.records
    assert record.getMessage() == "event not posted"


async def test_a_namespace_that_is_going_takes_no_events_and_needs_none(caplog: pytest.LogCaptureFixture) -> None:
    going = {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    async with connected(document(403, going)) as (connection, _):
        await KubeApi(connection, now=lambda: NOW).post_event(
            a_vault_secret(), kind="Normal", reason="Synced", message="Created the Secret."
        )

    assert caplog.records == []
