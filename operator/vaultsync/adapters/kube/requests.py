"""The requests to the Kubernetes API as values, and how its documents are read; sends nothing.

Secrets are requested as metadata only, in every list and every watch, and in most responses. Values are received where
the operator needs them: of a target some of whose keys must stay, and in the response to an apply, which is compared
with what was sent.
https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from vaultsync.adapters.kube.errors import api_error
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    FIELD_MANAGER,
    GRANT_PLURAL,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_NAME_LABEL,
    OWNER_UID_LABEL,
    PLURAL,
    REPLACING_ANNOTATION,
    RETAINED_BY_ANNOTATION,
    ObjectKey,
)
from vaultsync.api.grants import GrantMeta
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.state.observed import Observed, observed_from
from vaultsync.state.snapshots import Bookmark, ClusterEvent, ClusterKind, Deleted, Modified, TargetEvent
from vaultsync.status.events import Event
from vaultsync.texts import one_line

JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"

ABSENT = "1"
"""A resource version that no object has: it is that of an empty etcd."""

_NAMESPACE = re.compile("/apis?/(?:[^/]+/){1,2}namespaces/([^/]+)/")
_KEPT_METADATA = ("name", "namespace", "labels", "annotations", "ownerReferences")
_KEPT = ("apiVersion", "kind", "type", "immutable", "data")
"""What a Secret that is created again has in common with the one before."""

_ANY_NAMESPACE = "default"
"""A namespace for a request that needs one, whichever it is."""
WATCH_SECONDS = 20
"""Seconds that a watch lasts: a connection that is dead and still open is noticed soon after.

The next watch continues from the last event or bookmark. Of a kind of which nothing has changed there may be neither.
"""
_MAX_PREFIX = 200
"""Characters of a VaultSecret's name that are in the name of its events, which is at most 253 long."""

_MAX_MESSAGE = 1024
"""The limit of an event's message in bytes, by the newer of the two APIs of events.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `about` names its object in errors. The body may hold values, and is not part of its `repr`."""

    method: str
    path: str
    about: str
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = JSON
    content_type: str = JSON
    body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)
    fenced: bool = True
    """Whether it is sent only while this replica serves its namespace, unless it reads."""

    @property
    def namespace(self) -> str | None:
        """The namespace of its object; None if that has none."""
        matched = _NAMESPACE.match(self.path)
        return None if matched is None else matched[1]


def get_secret(key: ObjectKey) -> Request:
    """Get a Secret's metadata."""
    return Request("GET", _secret(key), about=f"Secret {key}", accept=METADATA)


def get_secret_data(key: ObjectKey) -> Request:
    """Get a whole Secret, its data included."""
    return Request("GET", _secret(key), about=f"Secret {key}")


def apply_secret(key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Request:
    """Apply a manifest by force to the Secret with that uid at that resource version; None creates one.

    Apply has no "only if absent". The API server compares the resource version only with that of an existing object:
    `ABSENT` creates a Secret, and is a conflict with every Secret that exists. The response is the whole Secret.
    """
    state = {"resourceVersion": ABSENT}
    if onto is not None:
        state = {"uid": onto.uid, "resourceVersion": onto.resource_version}
    body = {**manifest, "metadata": {**manifest["metadata"], **state}}
    return replace(_patch(key, body, APPLY, {"force": "true"}), accept=JSON)


def check_creation(key: ObjectKey, manifest: Mapping[str, Any]) -> Request:
    """Create a Secret in a dry run: it is validated and admitted as it would be, and not stored.

    That there is none of that name is checked last, so the error that there is one means that nothing else is wrong.
    https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
    """
    return Request(
        "POST",
        _secrets(key.namespace),
        about=f"Secret {key}",
        query={"fieldManager": FIELD_MANAGER, "dryRun": "All"},
        accept=METADATA,
        body=manifest,
    )


def announce_replacement(key: ObjectKey, *, uid: str, resource_version: str) -> Request:
    """Annotate the Secret at that resource version, with that resource version, so that it is never the same text."""
    annotations = {REPLACING_ANNOTATION: resource_version}
    metadata = {"uid": uid, "resourceVersion": resource_version, "annotations": annotations}
    return _patch(key, {"metadata": metadata}, MERGE, {})


def manifest_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the manifest that creates the same Secret again."""
    metadata = {name: document["metadata"][name] for name in _KEPT_METADATA if name in document["metadata"]}
    return {"metadata": metadata, **{name: document[name] for name in _KEPT if name in document}}


def remove_keys(key: ObjectKey, names: Iterable[str], *, resource_version: str) -> Request:
    """Remove keys of the data, whatever their owners, from the Secret at that resource version."""
    body = {"metadata": {"resourceVersion": resource_version}, "data": dict.fromkeys(names)}
    return _patch(key, body, MERGE, {})


def remove_owners(key: ObjectKey, *, uid: str, resource_version: str) -> Request:
    """Remove all owner references from the Secret at that resource version, and the mark of a released one.

    An apply removes only what it owns.
    """
    metadata = {
        "uid": uid,
        "resourceVersion": resource_version,
        "ownerReferences": None,
        "annotations": {RETAINED_BY_ANNOTATION: None},
    }
    return _patch(key, {"metadata": metadata}, MERGE, {})


def remove_annotations(key: ObjectKey, names: Iterable[str], *, uid: str, resource_version: str) -> Request:
    """Remove annotations, whatever their managers, from the Secret with that uid at that resource version."""
    metadata = {"uid": uid, "resourceVersion": resource_version, "annotations": dict.fromkeys(names)}
    return _patch(key, {"metadata": metadata}, MERGE, {})


def orphan_secret(
    key: ObjectKey, *, uid: str, resource_version: str, retained_by: str, owners: Iterable[str] = ()
) -> Request:
    """Remove vaultsync's labels and annotation from the Secret at that resource version, whatever their managers.

    An apply of no fields would remove the data as well. The owner references of the uids `owners` are removed, too.
    https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/#use-a-strategic-merge-patch-to-update-a-deployment
    """
    labels = dict.fromkeys((MANAGED_BY_LABEL, OWNER_UID_LABEL, OWNER_NAME_LABEL))
    metadata: dict[str, Any] = {
        "uid": uid,
        "resourceVersion": resource_version,
        "labels": labels,
        "annotations": {APPLIED_ANNOTATION: None, RETAINED_BY_ANNOTATION: retained_by},
    }
    if removed := [{"$patch": "delete", "uid": owner} for owner in owners]:
        metadata["ownerReferences"] = removed
    return _patch(key, {"metadata": metadata}, STRATEGIC_MERGE, {})


def delete_secret(key: ObjectKey, *, uid: str, resource_version: str) -> Request:
    """Delete the Secret with that uid at that resource version.

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


def get_vaultsecret(key: ObjectKey) -> Request:
    """Get a VaultSecret's metadata."""
    return Request("GET", _vault_secret(key), about=f"VaultSecret {key}", accept=METADATA)


def patch_status(vault_secret: VaultSecretMeta, document: Mapping[str, Any]) -> Request:
    """Replace the status of the VaultSecret with that uid.

    It is not an apply, since the API server ignores the uid of an apply to the status of a custom resource.
    """
    key = vault_secret.key
    return _patch_status(_vault_secret(key), f"VaultSecret {key}", vault_secret.metadata.uid, document)


def patch_grant_status(grant: GrantMeta, document: Mapping[str, Any]) -> Request:
    """Replace the status of the VaultGrant with that uid."""
    path = f"/apis/{API_VERSION}/{GRANT_PLURAL}/{grant.name}"
    return _patch_status(path, f"VaultGrant {grant.name}", grant.uid, document)


def _patch_status(path: str, about: str, uid: str, document: Mapping[str, Any]) -> Request:
    return Request(
        "PATCH",
        f"{path}/status",
        about=f"Status of {about}",
        query={"fieldManager": FIELD_MANAGER},
        accept=METADATA,
        content_type=JSON_PATCH,
        body=[
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": document},
        ],
    )


def create_event(key: ObjectKey, event: Event, *, event_id: str, uid: str, at: datetime) -> Request:
    """Create an event about the VaultSecret of that uid; a long message is cut.

    `event_id` is part of its name: two requests with the same one do not create two events.
    """
    moment = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    subject = {"apiVersion": API_VERSION, "kind": KIND, "namespace": key.namespace, "name": key.name, "uid": uid}
    return Request(
        "POST",
        f"/api/v1/namespaces/{key.namespace}/events",
        about=f"Event of VaultSecret {key}",
        accept=METADATA,
        body={
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{key.name[:_MAX_PREFIX].rstrip('-.')}.{event_id}", "namespace": key.namespace},
            "involvedObject": subject,
            "type": event.kind,
            "reason": event.reason,
            "message": one_line(event.message, _MAX_MESSAGE),
            "source": {"component": FIELD_MANAGER},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        },
    )


def list_secrets(namespace: str | None, position: str | None, limit: int) -> Request:
    """List a page of the Secrets with vaultsync's label, in one namespace or in all."""
    return _targets(namespace, _part(position, limit), METADATA_LIST)


def list_no_secrets(namespace: str | None) -> Request:
    """List the Secrets of one name, of which there may be none: only the resource version of the list matters.

    For the first Secret with our label, an API server that lists from its storage would read all before it, values
    included; for one name it reads one key.
    """
    query = {"limit": "1", "fieldSelector": f"metadata.name={MANAGED_BY}"}
    return _targets(_ANY_NAMESPACE if namespace is None else namespace, query, METADATA_LIST)


def watch_secrets(namespace: str | None, resource_version: str) -> Request:
    """Watch the Secrets with vaultsync's label from a resource version on; the server ends it after `WATCH_SECONDS`."""
    return _targets(namespace, _watch(resource_version), METADATA)


def target_event(document: Mapping[str, Any]) -> TargetEvent:
    """Read one line of a watch. Raises `SyncError` if it is an error.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
    """
    metadata = _watched(document, "Secrets")["metadata"]
    match document["type"]:
        case "BOOKMARK":
            return Bookmark(metadata["resourceVersion"])
        case "DELETED":
            return Deleted(key_of(metadata), metadata["resourceVersion"])
        case _:
            return Modified(key_of(metadata), metadata["resourceVersion"], partial(observed_from, metadata))


def key_of(metadata: Mapping[str, Any]) -> ObjectKey:
    """Read the key from an object's metadata."""
    return ObjectKey(metadata["namespace"], metadata["name"])


def list_vaultsecrets(namespace: str | None, position: str | None, limit: int) -> Request:
    """List a page of the VaultSecrets' metadata, in one namespace or in all."""
    where = "" if namespace is None else f"/namespaces/{namespace}"
    return Request(
        "GET",
        f"/apis/{API_VERSION}{where}/{PLURAL}",
        about="VaultSecrets" + ("" if namespace is None else f" in namespace {namespace}"),
        query=_part(position, limit),
        accept=METADATA_LIST,
    )


def list_cluster(kind: ClusterKind, name: str | None, position: str | None, limit: int) -> Request:
    """List a page of the objects of a kind, or the one of that name."""
    return _cluster(kind, name, _part(position, limit), is_list=True)


def watch_cluster(kind: ClusterKind, name: str | None, resource_version: str) -> Request:
    """Watch the objects of a kind, or the one of that name, from a resource version on."""
    return _cluster(kind, name, _watch(resource_version), is_list=False)


def cluster_event(document: Mapping[str, Any]) -> ClusterEvent:
    """Read one line of a watch of objects of the cluster. Raises `SyncError` if it is an error."""
    item = _watched(document, "objects of the cluster")
    metadata = item["metadata"]
    match document["type"]:
        case "BOOKMARK":
            return ClusterEvent(None, None, metadata["resourceVersion"])
        case "DELETED":
            return ClusterEvent(metadata["name"], None, metadata["resourceVersion"])
        case _:
            return ClusterEvent(metadata["name"], item, metadata["resourceVersion"])


def _cluster(kind: ClusterKind, name: str | None, query: Mapping[str, str], *, is_list: bool) -> Request:
    """Request objects of a kind: one by its name needs a permission for that name only."""
    selector = {} if name is None else {"fieldSelector": f"metadata.name={name}"}
    path, accept = f"/apis/{API_VERSION}/{GRANT_PLURAL}", JSON
    if kind is ClusterKind.NAMESPACES:
        path, accept = "/api/v1/namespaces", METADATA_LIST if is_list else METADATA
    return Request(
        "GET", path, about=kind.value if name is None else f"{kind} {name}", query={**query, **selector}, accept=accept
    )


def _watch(resource_version: str) -> dict[str, str]:
    return {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": resource_version,
        "timeoutSeconds": str(WATCH_SECONDS),
    }


def _watched(document: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """Return the object of one line of a watch. Raises `SyncError` if it is an error."""
    item: Mapping[str, Any] = document["object"]
    if document["type"] == "ERROR":
        raise api_error(int(item.get("code") or 500), item, f"Watch of {what}")
    return item


def _part(position: str | None, limit: int) -> dict[str, str]:
    return {"limit": str(limit)} if position is None else {"limit": str(limit), "continue": position}


def _secrets(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets"


def _secret(key: ObjectKey) -> str:
    return f"{_secrets(key.namespace)}/{key.name}"


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
        "/api/v1/secrets" if namespace is None else _secrets(namespace),
        about="Secrets with vaultsync's label" + ("" if namespace is None else f" in namespace {namespace}"),
        query={**query, "labelSelector": f"{MANAGED_BY_LABEL}={MANAGED_BY}"},
        accept=accept,
    )
