"""The Leases of the election: get, list, create, update and delete them; decides nothing.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/
"""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from vaultsync.adapters.kube.connection import Connection
from vaultsync.adapters.kube.errors import Conflict, Forbidden
from vaultsync.adapters.kube.requests import Request
from vaultsync.api import (
    INSTALLATION_ANNOTATION,
    LEASE_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    NAMESPACES_ANNOTATION,
    POSITION_ANNOTATION,
    SHARDS_ANNOTATION,
)
from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.policy.leases import LEASE_DURATION, REQUEST_TIMEOUT, Installation, Lease
from vaultsync.state.positions import Position
from vaultsync.texts import one_line

MAX_LEASES: Final = 500
"""Leases that are read of a list. Whoever may write more of them with our label may also take ours."""

_MAX_NAME: Final = 253
_MAX_TRANSITIONS: Final = 2**31 - 1
_POSITION: Final = re.compile("vaultsecrets=([0-9]{1,20}),secrets=([0-9]{1,20})")
_NO_ANNOTATIONS: Final[Mapping[str, str]] = {}


class LeaseKind(StrEnum):
    """What a Lease stands for."""

    SHARD = "shard"
    """Its holder serves a shard."""
    MEMBER = "member"
    """Its holder is alive."""


class Leases:
    """The Leases of one kind in one namespace. Every failure is a `SyncError`; requests wait for no other requests."""

    def __init__(
        self, connection: Connection, *, namespace: str, kind: LeaseKind, installation: Installation, identity: str
    ) -> None:
        """Send nothing yet.

        Args:
            connection: The API server.
            namespace: Where the Leases are.
            kind: Which Leases they are.
            installation: Ours; it is written into each Lease.
            identity: The name of this replica, by which it holds a Lease.
        """
        self._connection = connection
        self._namespace = namespace
        self._kind = kind
        self._installation = installation
        self._identity = identity

    async def list(self) -> list[Lease]:
        """List the Leases of all installations, as they are in the storage now.

        Raises:
            SyncError: ClusterUnavailable; of the kind Forbidden if the permission is missing. There are too many: what
                is not on the list may be live.
        """
        request = Request(
            "GET",
            self._path(),
            about=f"Leases in namespace {self._namespace}",
            query={"labelSelector": f"{LEASE_LABEL}={self._kind}", "limit": str(MAX_LEASES)},
        )
        document = await self._connection.send_apart(request, REQUEST_TIMEOUT)
        if (document.get("metadata") or {}).get("continue"):
            text = f"{request.about}: over {MAX_LEASES} have the label {LEASE_LABEL}; delete the unused ones."
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, text)
        return [lease_from(item) for item in document.get("items") or ()]

    async def get(self, name: str) -> Lease | None:
        """Get a Lease; returns None if there is none of that name. Raises as `list`."""
        try:
            return await self._send("GET", name, None)
        except ObjectGone:
            raise
        except Conflict:
            return None

    async def check_rights(self, name: str) -> None:
        """Check that the API server's roles allow to update the Lease of that name, without a write.

        Every user may request that, unless an administrator has changed it; then the right is taken to be there.
        https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access

        Raises:
            Forbidden: They do not.
            SyncError: ClusterUnavailable.
        """
        try:
            review = await self._connection.send_apart(access_review(self._namespace, name), REQUEST_TIMEOUT)
        except Forbidden:
            return
        if not (review.get("status") or {}).get("allowed"):
            text = f"{self._about(name)}: the operator's service account may not update leases."
            raise Forbidden(Reason.CLUSTER_UNAVAILABLE, text)

    async def acquire(self, name: str, present: Lease | None, *, at: datetime) -> Lease:
        """Take a Lease that is as it was read, or create it; returns it as it is now.

        Raises:
            Conflict: It was changed, created or deleted since.
            SyncError: As `list`.
        """
        transitions = 0 if present is None else min(present.transitions + 1, _MAX_TRANSITIONS)
        spec = self._spec(at) | {"acquireTime": _micro_time(at), "leaseTransitions": transitions}
        return await self._write(name, present, spec)

    async def renew(self, lease: Lease, *, at: datetime) -> Lease:
        """Renew a Lease that is ours, as it was read; returns it as it is now. Raises as `acquire`."""
        return await self._write(lease.name, lease, self._spec(at) | {"leaseTransitions": lease.transitions})

    async def release(self, lease: Lease, *, at: datetime, position: Position | None = None) -> None:
        """Release a Lease that is ours, as it was read: any replica may take it at once. Raises as `acquire`.

        `position` is what this replica has observed of the API server; the next write of the Lease removes it.
        """
        spec = {"renewTime": _micro_time(at), "leaseTransitions": lease.transitions}
        observed = _NO_ANNOTATIONS if position is None else {POSITION_ANNOTATION: _text(position)}
        await self._write(lease.name, lease, spec, observed)

    async def delete(self, lease: Lease) -> None:
        """Delete a Lease as it was read. Raises as `acquire`."""
        preconditions = {"uid": lease.uid, "resourceVersion": lease.resource_version}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        await self._connection.send_apart(self._request("DELETE", lease.name, body), REQUEST_TIMEOUT)

    def _spec(self, at: datetime) -> dict[str, Any]:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(LEASE_DURATION),
            "renewTime": _micro_time(at),
        }

    async def _write(
        self, name: str, present: Lease | None, spec: Mapping[str, Any], more: Mapping[str, str] = _NO_ANNOTATIONS
    ) -> Lease:
        metadata: dict[str, Any] = {
            "name": name,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, LEASE_LABEL: self._kind},
            "annotations": {
                INSTALLATION_ANNOTATION: self._installation.name,
                SHARDS_ANNOTATION: str(self._installation.shards),
                NAMESPACES_ANNOTATION: ",".join(sorted(self._installation.namespaces)),
                **more,
            },
        }
        if present is not None:
            metadata |= {"uid": present.uid, "resourceVersion": present.resource_version}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        return await self._send("POST" if present is None else "PUT", name, body)

    async def _send(self, method: str, name: str, body: Mapping[str, Any] | None) -> Lease:
        request = self._request(method, name, body)
        lease = lease_from(await self._connection.send_apart(request, REQUEST_TIMEOUT))
        if lease.name != name or not lease.resource_version:
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, f"{request.about}: the Kubernetes API did not return it.")
        return lease

    def _request(self, method: str, name: str, body: Mapping[str, Any] | None) -> Request:
        return Request(
            method,
            self._path() if method == "POST" else f"{self._path()}/{name}",
            about=self._about(name),
            body=body,
            fenced=False,
        )

    def _about(self, name: str) -> str:
        return f"Lease {self._namespace}/{name}"

    def _path(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases"


def access_review(namespace: str, name: str) -> Request:
    """Create a SelfSubjectAccessReview of an update of a Lease; it is answered, and not stored."""
    attributes = {
        "group": "coordination.k8s.io",
        "resource": "leases",
        "namespace": namespace,
        "name": name,
        "verb": "update",
    }
    return Request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        about=f"SelfSubjectAccessReview of Lease {namespace}/{name}",
        fenced=False,
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        },
    )


def lease_from(document: Mapping[str, Any]) -> Lease:
    """Read a Lease: the API server checks types, and nothing else of what others write.

    https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/#LeaseSpec
    """
    metadata, spec = document.get("metadata") or {}, document.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    shards = str(annotations.get(SHARDS_ANNOTATION, ""))
    holder = one_line(str(spec.get("holderIdentity") or ""), _MAX_NAME) or None
    return Lease(
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        resource_version=str(metadata.get("resourceVersion") or ""),
        holder=holder,
        renewed=str(spec.get("renewTime") or ""),
        transitions=_transitions(spec.get("leaseTransitions")),
        installation=one_line(str(annotations.get(INSTALLATION_ANNOTATION) or ""), _MAX_NAME),
        shards=int(shards) if shards.isascii() and shards.isdigit() and len(shards) < len("10000") else None,
        namespaces=frozenset(filter(None, str(annotations.get(NAMESPACES_ANNOTATION) or "").split(","))),
        position=_position(annotations.get(POSITION_ANNOTATION)) if holder is None else None,
    )


def _position(text: object) -> Position | None:
    found = _POSITION.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else Position(*map(int, found.groups()))


def _text(position: Position) -> str:
    return f"vaultsecrets={position.vaultsecrets},secrets={position.targets}"


def _transitions(number: object) -> int:
    return number if isinstance(number, int) and 0 <= number <= _MAX_TRANSITIONS else 0


def _micro_time(at: datetime) -> str:
    """Return a time as Kubernetes' MicroTime."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
