"""Looks at Deployments, StatefulSets and DaemonSets, and has their pods replaced; when, is decided elsewhere.

They are asked for as metadata alone, in every answer: what their pods are made of never crosses the wire to us.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from vaultsync.adapters.kube.connection import Answer, Connection
from vaultsync.adapters.kube.errors import Conflict, Forbidden
from vaultsync.adapters.kube.requests import MERGE, METADATA, Request
from vaultsync.api import FIELD_MANAGER, RESTARTED_ANNOTATION, ObjectKey
from vaultsync.api.restarts import WorkloadKind
from vaultsync.errors import SyncError
from vaultsync.policy.rollout import Workload

_RESOURCES = {
    WorkloadKind.DEPLOYMENT: "deployments",
    WorkloadKind.STATEFUL_SET: "statefulsets",
    WorkloadKind.DAEMON_SET: "daemonsets",
}


class Workloads:
    """The workloads of the cluster, as far as restarts need them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def observe(self, kind: WorkloadKind, key: ObjectKey) -> Workload | None:
        """Look at a workload's metadata; None if there is no such workload.

        Raises:
            SyncError: ClusterUnavailable, also when we may not look; the chart grants that only where it is asked to.
        """
        with suppress(Conflict):
            return workload_from((await self._send(look(kind, key))).document["metadata"])
        return None

    async def restart(self, kind: WorkloadKind, key: ObjectKey, workload: Workload, *, at: datetime) -> bool:
        """Have the pods of that very workload replaced, in the way that it says itself; that takes its time.

        Args:
            kind: What it is.
            key: Where it is.
            workload: As it was observed. If it is not so any more, nothing happens and False comes back: of several
                VaultSecrets that want it restarted in the same moment, one alone does it.
            at: The moment that it is marked with, to the second.

        Raises:
            SyncError: ClusterUnavailable, also when we may not; TargetInvalid when the cluster's own rules deny it.
        """
        try:
            await self._send(mark(kind, key, workload, at=at))
        except Conflict:
            return False
        return True

    async def _send(self, request: Request) -> Answer:
        """Send; of a right that the chart gives only where it is asked for, say by which value."""
        try:
            return await self._connection.send(request)
        except Forbidden as refused:
            hint = "set rbac.restartWorkloads in the chart's values"
            raise SyncError(refused.reason, f"{refused.message.removesuffix('.')}; {hint}.") from None


def look(kind: WorkloadKind, key: ObjectKey) -> Request:
    """Ask for a workload's metadata."""
    return Request("GET", _path(kind, key), about=f"{kind} {key}", accept=METADATA)


def mark(kind: WorkloadKind, key: ObjectKey, workload: Workload, *, at: datetime) -> Request:
    """Change the template of the pods, so that they are replaced, provided that the workload is still as it was then.

    `kubectl rollout restart` does the same with `kubectl.kubernetes.io/restartedAt` in the template alone. Ours has a
    name of its own, so that people can tell who it was, and stands in the workload's own metadata too, where it is seen
    without the template.
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
    """Read a workload's `metadata` as the API server gives it."""
    return Workload(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        restarted=_moment((metadata.get("annotations") or {}).get(RESTARTED_ANNOTATION)),
    )


def _moment(text: str | None) -> datetime | None:
    """Read an annotation that people may have written: what is no moment, or of no time zone, says nothing."""
    if text is None:
        return None
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None else None
    return None


def _path(kind: WorkloadKind, key: ObjectKey) -> str:
    return f"/apis/apps/v1/namespaces/{key.namespace}/{_RESOURCES[kind]}/{key.name}"
