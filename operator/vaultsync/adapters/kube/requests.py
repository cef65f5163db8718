"""Our requests to the Kubernetes API as values, and how its documents are read; sends nothing.

Secrets are asked for as metadata alone, in every answer and every watch: their values never cross the wire to us.
https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from vaultsync.adapters.kube.errors import refusal
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    FIELD_MANAGER,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    PLURAL,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.state.observed import observed_from
from vaultsync.state.snapshots import Bookmark, Deleted, Modified, TargetEvent

JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_PAGE = 500
_WATCH_SECONDS = "300"
_MAX_MESSAGE = 1024
"""Bytes of an event's message, by the newer of the two APIs that serve events.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `about` names its object in errors. Its text form does not show the body, which may hold values."""

    method: str
    path: str
    about: str
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = JSON
    content_type: str = JSON
    body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)


def look(key: ObjectKey) -> Request:
    """Ask for a Secret's metadata."""
    return Request("GET", _secret(key), about=f"Secret {key}", accept=METADATA)


def apply(key: ObjectKey, manifest: Mapping[str, Any], *, onto: str | None = None) -> Request:
    """Apply a manifest; with the uid of an existing Secret, by force, and onto no other."""
    if onto is None:
        return _patch(key, manifest, APPLY, {})
    return _patch(key, {**manifest, "metadata": {**manifest["metadata"], "uid": onto}}, APPLY, {"force": "true"})


def give_up(key: ObjectKey, *, uid: str) -> Request:
    """Apply nothing: what we alone own goes, what others own too stays. The uid keeps it from making a Secret."""
    nothing = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": key.name, "uid": uid}}
    return _patch(key, nothing, APPLY, {})


def drop(key: ObjectKey, names: Iterable[str], *, resource_version: str) -> Request:
    """Remove keys of the data, whoever owns them, from a Secret that is still as it was then."""
    body = {"metadata": {"resourceVersion": resource_version}, "data": dict.fromkeys(names)}
    return _patch(key, body, MERGE, {})


def release(key: ObjectKey, *, uid: str, resource_version: str) -> Request:
    """Take our labels and annotation off that very Secret, whoever owns them, provided that it is still as it was then.

    An apply of nothing would take the content off as well.
    """
    labels = dict.fromkeys((MANAGED_BY_LABEL, OWNER_UID_LABEL))
    metadata = {
        "uid": uid,
        "resourceVersion": resource_version,
        "labels": labels,
        "annotations": {APPLIED_ANNOTATION: None},
    }
    return _patch(key, {"metadata": metadata}, MERGE, {})


def discard(key: ObjectKey, *, uid: str, resource_version: str) -> Request:
    """Delete that very Secret, provided that it is still as it was then.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/
    """
    return Request(
        "DELETE",
        _secret(key),
        about=f"Secret {key}",
        accept=METADATA,
        body={
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
        },
    )


def look_at_vault_secret(key: ObjectKey) -> Request:
    """Ask for a VaultSecret's metadata."""
    return Request("GET", _vault_secret(key), about=f"VaultSecret {key}", accept=METADATA)


def status(vault_secret: VaultSecretMeta, document: Mapping[str, Any]) -> Request:
    """Replace the status of that very VaultSecret.

    An apply would not do: the status of a custom resource is written whatever uid the apply names.
    """
    key = vault_secret.key
    return Request(
        "PATCH",
        f"{_vault_secret(key)}/status",
        about=f"The status of VaultSecret {key}",
        query={"fieldManager": FIELD_MANAGER},
        content_type=JSON_PATCH,
        body=[
            {"op": "test", "path": "/metadata/uid", "value": vault_secret.metadata.uid},
            {"op": "add", "path": "/status", "value": document},
        ],
    )


def event(
    vault_secret: VaultSecretMeta, *, kind: Literal["Normal", "Warning"], reason: str, message: str, now: datetime
) -> Request:
    """Post an event about a VaultSecret; a long message is cut."""
    key, moment = vault_secret.key, now.strftime("%Y-%m-%dT%H:%M:%SZ")
    subject = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "namespace": key.namespace,
        "name": key.name,
        "uid": vault_secret.metadata.uid,
    }
    return Request(
        "POST",
        f"/api/v1/namespaces/{key.namespace}/events",
        about=f"An event of VaultSecret {key}",
        accept=METADATA,
        body={
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{key.name}.", "namespace": key.namespace},
            "involvedObject": subject,
            "type": kind,
            "reason": reason,
            "message": cut(message),
            "source": {"component": FIELD_MANAGER},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        },
    )


def page(namespace: str | None, position: str | None) -> Request:
    """Ask for a page of the Secrets with our label, in one namespace or in all."""
    return _targets(namespace, _part(position), METADATA_LIST)


def watch(namespace: str | None, resource_version: str) -> Request:
    """Ask for what happens from a moment on to the Secrets with our label; the server ends it in five minutes."""
    query = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": resource_version,
        "timeoutSeconds": _WATCH_SECONDS,
    }
    return _targets(namespace, query, METADATA)


def target_event(document: Mapping[str, Any]) -> TargetEvent:
    """Read one line of a watch; raises `SyncError` where the server says that it cannot go on.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
    """
    thing = document["object"]
    if document["type"] == "ERROR":
        raise refusal(int(thing.get("code") or 500), thing, "The watch of Secrets")
    metadata = thing["metadata"]
    match document["type"]:
        case "BOOKMARK":
            return Bookmark(metadata["resourceVersion"])
        case "DELETED":
            return Deleted(key_of(metadata), metadata["resourceVersion"])
        case _:
            return Modified(key_of(metadata), observed_from(metadata))


def key_of(metadata: Mapping[str, Any]) -> ObjectKey:
    """Read the key from an object's metadata."""
    return ObjectKey(metadata["namespace"], metadata["name"])


def cut(message: str) -> str:
    """Shorten a message to what an event may hold, on a character's border."""
    content = message.encode()
    if len(content) <= _MAX_MESSAGE:
        return message
    return content[: _MAX_MESSAGE - 3].decode(errors="ignore") + "…"


def vault_secrets(namespace: str | None, position: str | None, *, limit: int = _PAGE) -> Request:
    """Ask for a page of the VaultSecrets' metadata, in one namespace or in all."""
    where = "" if namespace is None else f"/namespaces/{namespace}"
    return Request(
        "GET",
        f"/apis/{API_VERSION}{where}/{PLURAL}",
        about="The VaultSecrets" + ("" if namespace is None else f" in namespace {namespace}"),
        query=_part(position, limit),
        accept=METADATA_LIST,
    )


def _part(position: str | None, limit: int = _PAGE) -> dict[str, str]:
    return {"limit": str(limit)} if position is None else {"limit": str(limit), "continue": position}


def _secret(key: ObjectKey) -> str:
    return f"/api/v1/namespaces/{key.namespace}/secrets/{key.name}"


def _vault_secret(key: ObjectKey) -> str:
    return f"/apis/{API_VERSION}/namespaces/{key.namespace}/{PLURAL}/{key.name}"


def _patch(key: ObjectKey, body: Mapping[str, Any], content_type: str, query: Mapping[str, str]) -> Request:
    return Request(
        "PATCH",
        _secret(key),
        about=f"Secret {key}",
        query={"fieldManager": FIELD_MANAGER, **query},
        accept=METADATA,
        content_type=content_type,
        body=body,
    )


def _targets(namespace: str | None, query: Mapping[str, str], accept: str) -> Request:
    return Request(
        "GET",
        "/api/v1/secrets" if namespace is None else f"/api/v1/namespaces/{namespace}/secrets",
        about="The Secrets with our label" + ("" if namespace is None else f" in namespace {namespace}"),
        query={**query, "labelSelector": f"{MANAGED_BY_LABEL}={MANAGED_BY}"},
        accept=accept,
    )
