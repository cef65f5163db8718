"""Requests as values: that they show no content, name their object, and hold what the API server limits."""

import re
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tests.builders import KEY, UID, a_vault_secret, an_observed
from vaultsync.adapters.kube import requests as wire
from vaultsync.adapters.kube.errors import ResourceExpired
from vaultsync.api import ObjectKey
from vaultsync.errors import Reason, SyncError
from vaultsync.state.snapshots import Bookmark, Deleted, Modified
from vaultsync.status.events import Event

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MANIFEST: dict[str, Any] = {"metadata": {"name": "db"}, "data": {"password": "bWFya2Vk"}}


def test_the_repr_of_a_request_has_no_body() -> None:
    assert "bWFya2Vk" not in repr(wire.apply_secret(KEY, MANIFEST, onto=None))


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(wire.get_secret(KEY), id="get"),
        pytest.param(wire.check_creation(KEY, MANIFEST), id="checking"),
        pytest.param(wire.remove_keys(KEY, ["extra"], resource_version="7"), id="dropping keys"),
        pytest.param(wire.orphan_secret(KEY, uid="1", resource_version="7", retained_by="2"), id="releasing"),
        pytest.param(wire.watch_secrets(None, "7"), id="watching"),
    ],
)
def test_secrets_are_requested_without_values(request_: wire.Request) -> None:
    assert request_.accept == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


def test_pages_are_requested_without_values() -> None:
    assert (
        wire.list_secrets(None, None, 500).accept == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    )


OBSERVED = an_observed()


@pytest.mark.parametrize(
    ("request_", "state"),
    [
        pytest.param(wire.apply_secret(KEY, MANIFEST, onto=None), {"resourceVersion": wire.ABSENT}, id="creating"),
        pytest.param(
            wire.apply_secret(KEY, MANIFEST, onto=OBSERVED),
            {"uid": OBSERVED.uid, "resourceVersion": OBSERVED.resource_version},
            id="applying",
        ),
        pytest.param(
            wire.remove_keys(KEY, ["extra"], resource_version="7"), {"resourceVersion": "7"}, id="removing keys"
        ),
        pytest.param(
            wire.orphan_secret(KEY, uid="1", resource_version="7", retained_by="2"),
            {"uid": "1", "resourceVersion": "7"},
            id="orphaning",
        ),
    ],
)
def test_a_write_of_a_secret_names_the_state_that_it_changes(request_: wire.Request, state: dict[str, str]) -> None:
    """Otherwise one that is carried out twice, or late, would change a Secret whose state is unknown."""
    assert isinstance(request_.body, dict)
    assert request_.body["metadata"].items() >= state.items()


def test_a_deletion_names_the_state_that_it_deletes() -> None:
    body = wire.delete_secret(KEY, uid="uid-1", resource_version="7").body

    assert isinstance(body, dict)
    assert body["preconditions"] == {"uid": "uid-1", "resourceVersion": "7"}


def test_applying_does_not_change_the_manifest() -> None:
    wire.apply_secret(KEY, MANIFEST, onto=OBSERVED)

    assert MANIFEST["metadata"] == {"name": "db"}


def test_removed_keys_are_null() -> None:
    assert wire.remove_keys(KEY, ["a", "b"], resource_version="7").body == {
        "metadata": {"resourceVersion": "7"},
        "data": {"a": None, "b": None},
    }


def test_orphaning_removes_only_our_labels_and_annotation() -> None:
    labels = ("app.kubernetes.io/managed-by", "vaultsync.dev/owner-uid", "vaultsync.dev/owner-name")
    assert wire.orphan_secret(KEY, uid="uid-1", resource_version="7", retained_by="uid-2").body == {
        "metadata": {
            "uid": "uid-1",
            "resourceVersion": "7",
            "labels": dict.fromkeys(labels),
            "annotations": {"vaultsync.dev/applied": None, "vaultsync.dev/retained-by": "uid-2"},
        }
    }


def event_body(message: str) -> dict[str, Any]:
    body = wire.create_event(KEY, Event("Warning", "VaultFailed", message), event_id="0123", uid=UID, at=NOW).body
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize("name", ["db", "a" * 253, f"{'a' * 199}-b", f"{'a' * 199}.b"])
def test_the_name_of_an_event_is_one_that_kubernetes_accepts(name: str) -> None:
    event = Event("Normal", "Created", "Created the Secret.")
    request = wire.create_event(ObjectKey("shop", name), event, event_id="0123456789abcdef", uid=UID, at=NOW)

    made = cast("dict[str, Any]", request.body)["metadata"]["name"]

    assert len(made) <= 253
    assert all(re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", part) for part in made.split("."))
    assert made.endswith(".0123456789abcdef")


def test_an_event_involves_the_vaultsecret() -> None:
    vault_secret = a_vault_secret()

    assert event_body("It broke.")["involvedObject"] == {
        "apiVersion": "vaultsync.dev/v1alpha1",
        "kind": "VaultSecret",
        "namespace": "shop",
        "name": "db",
        "uid": vault_secret.metadata.uid,
    }


def test_an_event_has_timestamps_in_the_format_of_the_api_server() -> None:
    body = event_body("It broke.")

    assert (body["firstTimestamp"], body["lastTimestamp"]) == ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z")


def test_a_long_message_is_cut() -> None:
    message = event_body("é" * 1024)["message"]

    assert message == "é" * 510 + "…"


@pytest.mark.parametrize(
    ("namespace", "path"), [(None, "/api/v1/secrets"), ("shop", "/api/v1/namespaces/shop/secrets")]
)
def test_only_secrets_with_our_label_are_watched(namespace: str | None, path: str) -> None:
    request = wire.watch_secrets(namespace, "7")

    assert request.path == path
    assert request.query["labelSelector"] == "app.kubernetes.io/managed-by=vaultsync"
    assert (request.query["resourceVersion"], request.query["allowWatchBookmarks"]) == ("7", "true")


@pytest.mark.parametrize(("namespace", "path"), [(None, "default"), ("shop", "shop")])
def test_the_current_resource_version_is_requested_by_the_list_of_a_single_name(
    namespace: str | None, path: str
) -> None:
    request = wire.list_no_secrets(namespace)

    assert request.path == f"/api/v1/namespaces/{path}/secrets"
    assert request.query["fieldSelector"] == "metadata.name=vaultsync"
    assert request.accept == wire.METADATA_LIST


def test_a_page_continues_after_the_one_before() -> None:
    first, second = wire.list_secrets("shop", None, 500), wire.list_secrets("shop", "abc", 7)

    assert ("continue" in first.query, second.query["continue"]) == (False, "abc")


METADATA = {
    "name": "db",
    "namespace": "shop",
    "uid": "u",
    "resourceVersion": "9",
    "creationTimestamp": "2026-03-01T12:00:00Z",
}


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED"])
def test_a_created_or_changed_target_is_modified(kind: str) -> None:
    event = wire.target_event({"type": kind, "object": {"metadata": METADATA}})

    assert isinstance(event, Modified)
    assert (event.key, event.resource_version) == (KEY, "9")


def test_a_deleted_target_is_deleted() -> None:
    event = wire.target_event({"type": "DELETED", "object": {"metadata": METADATA}})

    assert event == Deleted(KEY, "9")


def test_a_bookmark_has_only_a_resource_version() -> None:
    event = wire.target_event({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "12"}}})

    assert event == Bookmark("12")


def test_a_resource_version_that_is_too_old_ends_the_watch() -> None:
    with pytest.raises(ResourceExpired):
        wire.target_event({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})


@pytest.mark.parametrize("code", [{"code": 500}, {}])
def test_any_other_error_ends_the_watch_too(code: dict[str, int]) -> None:
    with pytest.raises(SyncError) as caught:
        wire.target_event({"type": "ERROR", "object": {"kind": "Status", **code}})

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE
