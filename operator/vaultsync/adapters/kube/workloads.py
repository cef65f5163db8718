"""Requests for Deployments, StatefulSets and DaemonSets, and how their metadata is read; sends nothing.

They are requested as metadata only, in every answer: their pod templates are never received.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from vaultsync.adapters.kube.requests import MERGE, METADATA, Request
from vaultsync.api import FIELD_MANAGER, RESTARTED_ANNOTATION, ObjectKey
from vaultsync.api.v1alpha1 import WorkloadKind
from vaultsync.policy.rollout import Workload

_RESOURCES = {
    WorkloadKind.DEPLOYMENT: "deployments",
    WorkloadKind.STATEFUL_SET: "statefulsets",
    WorkloadKind.DAEMON_SET: "daemonsets",
}


def get_workload(kind: WorkloadKind, key: ObjectKey) -> Request:
    """Get a workload's metadata."""
    return Request("GET", _path(kind, key), about=f"{kind} {key}", accept=METADATA)


def restart_workload(kind: WorkloadKind, key: ObjectKey, workload: Workload, *, at: datetime) -> Request:
    """Patch the pod template of the workload with that uid and resource version, so that its pods are replaced.

    `kubectl rollout restart` does the same with `kubectl.kubernetes.io/restartedAt` in the template alone. The
    annotation of vaultsync has its own name, which shows who restarted it, and is in the workload's own metadata
    too, where it can be read without the template.
    https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_restart/
    """
    annotations = {RESTARTED_ANNOTATION: at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    metadata = {"uid": workload.uid, "resourceVersion": workload.resource_version, "annotations": annotations}
    return Request(
        "PATCH",
        _path(kind, key),
        about=f"{kind} {key}",
        query={"fieldManager": FIELD_MANAGER},
        accept=METADATA,
        content_type=MERGE,
        body={"metadata": metadata, "spec": {"template": {"metadata": {"annotations": annotations}}}},
    )


def workload_from(metadata: Mapping[str, Any]) -> Workload:
    """Read a workload's `metadata` as the API server returns it."""
    return Workload(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        restarted=_moment((metadata.get("annotations") or {}).get(RESTARTED_ANNOTATION)),
    )


def _moment(text: str | None) -> datetime | None:
    """Read an annotation that users can edit; None unless it is a time with an offset."""
    if text is None:
        return None
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None else None
    return None


def _path(kind: WorkloadKind, key: ObjectKey) -> str:
    return f"/apis/apps/v1/namespaces/{key.namespace}/{_RESOURCES[kind]}/{key.name}"
