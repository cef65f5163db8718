"""The storage of the fake API server, and what clients other than vaultsync do and read.

It has what vaultsync distinguishes: field ownership, resource versions, watches with vaultsync's label, deletion,
garbage collection, and namespaces that are being deleted.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from tests.fakes.ownership import Fields, Path, fields_of
from tests.secrets import decoded, encoded
from vaultsync.api import MANAGED_BY, MANAGED_BY_LABEL, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, WorkloadKind
from vaultsync.errors import ObjectGone, Reason
from vaultsync.policy.rollout import Workload
from vaultsync.state.observed import Observed, observed_from
from vaultsync.state.snapshots import ClusterEvent, ClusterKind

TYPE: Final = Path("", "type")
IMMUTABLE: Final = Path("", "immutable")
_LABEL: Final = Path("labels", MANAGED_BY_LABEL)


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A Secret at one resource version."""

    uid: str
    created: datetime
    resource_version: int
    fields: Fields
    finalizers: tuple[str, ...] = ()
    is_terminating: bool = False

    @property
    def is_managed(self) -> bool:
        """Whether it has vaultsync's label, so that its watches see it."""
        return self.fields.values.get(_LABEL) == MANAGED_BY

    def observed(self) -> Observed:
        """Return what the adapter reads from the metadata that the API server would send."""
        return observed_from(
            {
                "uid": self.uid,
                "resourceVersion": str(self.resource_version),
                "creationTimestamp": _text(self.created),
                "labels": self.fields.of("labels"),
                "annotations": self.fields.of("annotations"),
                "ownerReferences": list(self.fields.of("ownerReferences").values()),
                "managedFields": self.fields.managed_fields(),
                "finalizers": list(self.finalizers),
                **({"deletionTimestamp": _text(self.created)} if self.is_terminating else {}),
            }
        )


class Change(NamedTuple):
    """An event of a watch with vaultsync's label: the Secret after a change, or None for its deletion."""

    resource_version: int
    key: ObjectKey
    observed: Observed | None


class Backup(NamedTuple):
    """What the storage contained at one moment."""

    resource_version: int
    secrets: Mapping[ObjectKey, StoredSecret]
    vault_secrets: Mapping[ObjectKey, dict[str, Any]]


class Store:
    """The storage, with the operations of other clients."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self.resource_version = 0
        self._now = now
        self._secrets: dict[ObjectKey, StoredSecret] = {}
        self._vault_secrets: dict[ObjectKey, dict[str, Any]] = {}
        self._workloads: dict[tuple[WorkloadKind, ObjectKey], Workload] = {}
        self._terminating: set[str] = set()
        self._history: list[Change] = []
        self._cluster: dict[ClusterKind, dict[str, dict[str, Any]]] = {kind: {} for kind in ClusterKind}
        self._cluster_history: list[tuple[ClusterKind, ClusterEvent]] = []
        self._oldest_version = 0
        self._changed = asyncio.Event()

    def create(
        self,
        key: ObjectKey,
        manager: str,
        data: Mapping[str, str],
        **metadata: Any,  # noqa: ANN401
    ) -> None:
        """Create an Opaque Secret, as `kubectl create` does."""
        fields = Fields()
        manifest = {"type": "Opaque", "metadata": metadata, "data": encoded(data)}
        fields.edit(manager, dict(fields_of(manifest)))
        self._put(key, fields)

    def edit(
        self,
        key: ObjectKey,
        manager: str,
        *,
        data: Mapping[str, str | None] | None = None,
        labels: Mapping[str, str | None] | None = None,
        annotations: Mapping[str, str | None] | None = None,
    ) -> None:
        """Set fields of a Secret, or remove those that are None, as `kubectl edit` does."""
        manifest = {
            "metadata": {"labels": labels or {}, "annotations": annotations or {}},
            "data": encoded(data or {}),
        }
        fields = self._secrets[key].fields.copy()
        fields.edit(manager, dict(fields_of(manifest)))
        self._put(key, fields)

    def own(self, key: ObjectKey, manager: str, reference: Mapping[str, Any]) -> None:
        """Add an owner reference to a Secret, as its controller does."""
        fields = self._secrets[key].fields.copy()
        fields.edit(manager, {Path("ownerReferences", reference["uid"]): dict(reference)})
        self._put(key, fields)

    def disown(self, key: ObjectKey, manager: str, uid: str) -> None:
        """Remove an owner reference from a Secret."""
        fields = self._secrets[key].fields.copy()
        fields.edit(manager, {Path("ownerReferences", uid): None})
        self._put(key, fields)

    def apply_as(self, key: ObjectKey, manager: str, data: Mapping[str, str]) -> None:
        """Apply keys to a Secret under another manager's name, by force."""
        fields = self._secrets[key].fields.copy()
        fields.apply(manager, dict(fields_of({"data": encoded(data)})))
        self._put(key, fields)

    def delete(self, key: ObjectKey) -> None:
        """Delete a Secret; one with finalizers stays until they are removed."""
        secret = self._secrets[key]
        if not secret.finalizers:
            del self._secrets[key]
            if secret.is_managed:
                self._record(key, None)
        elif not secret.is_terminating:
            self._store(key, replace(secret, is_terminating=True))

    def hold(self, key: ObjectKey, *finalizers: str) -> None:
        """Replace the finalizers of a Secret."""
        secret = replace(self._secrets[key], finalizers=finalizers)
        self._store(key, secret)
        if secret.is_terminating:
            self.delete(key)

    def values(self, key: ObjectKey) -> dict[str, str] | None:
        """Return the data of a Secret as pods read it; None if there is none."""
        secret = self._secrets.get(key)
        if secret is None:
            return None
        return decoded(secret.fields.of("data"))

    def without_data(self, key: ObjectKey) -> dict[str, Any] | None:
        """Return a Secret as `kubectl get` does, without its data; None if there is none."""
        secret = self._secrets.get(key)
        if secret is None:
            return None
        fields = secret.fields
        metadata = {
            "uid": secret.uid,
            **{area: fields.of(area) for area in ("labels", "annotations")},
            "ownerReferences": list(fields.of("ownerReferences").values()),
            "managedFields": fields.managed_fields(),
        }
        return {**fields.of(""), "metadata": metadata}

    def put_vault_secret(self, manifest: Mapping[str, Any]) -> VaultSecret:
        """Create a VaultSecret, or replace its spec and annotations; its status stays."""
        key = ObjectKey(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        stored = self._vault_secrets.get(key)
        if stored is None:
            kept = {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": _text(self._now())}
        else:
            kept = {name: stored["metadata"][name] for name in ("uid", "generation", "creationTimestamp")}
            kept["generation"] += manifest["spec"] != stored["spec"]
        self._put_body(key, {**(stored or {}), **manifest, "metadata": {**manifest["metadata"], **kept}})
        return self.vault_secret(key)

    def vault_secret(self, key: ObjectKey) -> VaultSecret:
        """Return a stored VaultSecret."""
        return VaultSecret.parse(self._vault_secrets[key])

    def vault_secret_body(self, key: ObjectKey) -> Mapping[str, Any]:
        """A VaultSecret as its JSON."""
        return self._vault_secrets[key]

    def delete_vault_secret(self, key: ObjectKey) -> None:
        """Delete a VaultSecret, and collect the Secrets that only it owns."""
        del self._vault_secrets[key]
        self.resource_version += 1
        self.collect_garbage()

    def collect_garbage(self) -> None:
        """Delete Secrets whose owners are all gone, as the garbage collector does."""
        uids = {body["metadata"]["uid"] for body in self._vault_secrets.values()}
        for target, secret in list(self._secrets.items()):
            owners = secret.fields.of("ownerReferences").keys()
            if owners and owners.isdisjoint(uids):
                self.delete(target)

    def put_grant(self, name: str, spec: Mapping[str, Any]) -> None:
        """Create a VaultGrant, or replace its spec."""
        self._put_cluster(ClusterKind.GRANTS, name, {"spec": spec})

    def put_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a namespace, or replace its labels."""
        self._put_cluster(ClusterKind.NAMESPACES, name, {"metadata": {"labels": labels}})

    def delete_cluster(self, kind: ClusterKind, name: str) -> None:
        """Delete a VaultGrant or a namespace."""
        del self._cluster[kind][name]
        self.resource_version += 1
        self._cluster_history.append((kind, ClusterEvent(name, None, str(self.resource_version))))
        self._wake()

    def make_workload(self, kind: WorkloadKind, key: ObjectKey) -> None:
        """Create a workload; it runs no pods."""
        created = self._now().replace(microsecond=0)
        self._put_workload(kind, key, Workload(str(uuid.uuid4()), "", created=created, restarted=None))

    def touch_workload(self, kind: WorkloadKind, key: ObjectKey) -> None:
        """Change a part of a workload that vaultsync does not read."""
        self._put_workload(kind, key, self._workloads[kind, key])

    def delete_workload(self, kind: WorkloadKind, key: ObjectKey) -> None:
        """Delete a workload."""
        del self._workloads[kind, key]

    def backup(self) -> Backup:
        """Return the content of the storage, as an etcd snapshot has it."""
        return Backup(self.resource_version, dict(self._secrets), dict(self._vault_secrets))

    def restore(self, backup: Backup) -> None:
        """Take the storage back to a backup: resource versions go back, and there is no history."""
        self.resource_version = self._oldest_version = backup.resource_version
        self._secrets, self._vault_secrets = dict(backup.secrets), dict(backup.vault_secrets)
        self._history.clear()
        self._wake()

    def begin_deleting_namespace(self, namespace: str) -> None:
        """From now on nothing can be created there; existing objects can still be changed."""
        self._terminating.add(namespace)

    def _put(self, key: ObjectKey, fields: Fields) -> StoredSecret:
        """Store a Secret's fields; without a change there is no new resource version and no event."""
        before = self._secrets.get(key)
        if before is not None and before.fields == fields:
            return before
        if before is None and key.namespace in self._terminating:
            raise terminating(key)
        return self._store(key, replace(before or self._new(), fields=fields))

    def _new(self) -> StoredSecret:
        return StoredSecret(str(uuid.uuid4()), self._now(), 0, Fields())

    def _store(self, key: ObjectKey, secret: StoredSecret) -> StoredSecret:
        before = self._secrets.get(key)
        after = self._secrets[key] = replace(secret, resource_version=self.resource_version + 1)
        if after.is_managed:
            self._record(key, after.observed())
        elif before is not None and before.is_managed:
            self._record(key, None)
        else:
            self.resource_version += 1
        return after

    def _put_workload(self, kind: WorkloadKind, key: ObjectKey, workload: Workload) -> None:
        self.resource_version += 1
        self._workloads[kind, key] = replace(workload, resource_version=str(self.resource_version))

    def _put_cluster(self, kind: ClusterKind, name: str, body: Mapping[str, Any]) -> None:
        before = self._cluster[kind].get(name, {"metadata": {"uid": str(uuid.uuid4()), "generation": 0}})["metadata"]
        self.resource_version += 1
        metadata = {
            **body.get("metadata", {}),
            "name": name,
            "uid": before["uid"],
            "generation": before["generation"] + 1,
            "resourceVersion": str(self.resource_version),
        }
        stored = self._cluster[kind][name] = {**body, "metadata": metadata}
        self._cluster_history.append((kind, ClusterEvent(name, stored, str(self.resource_version))))
        self._wake()

    def _put_body(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        self.resource_version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.resource_version)}
        self._vault_secrets[key] = {**body, "metadata": metadata}

    def _record(self, key: ObjectKey, observed: Observed | None) -> None:
        self.resource_version += 1
        self._history.append(Change(self.resource_version, key, observed))
        self._wake()

    def _wake(self) -> None:
        """Wake all waiting watches."""
        self._changed.set()
        self._changed = asyncio.Event()


def terminating(key: ObjectKey) -> ObjectGone:
    """Return the error of a creation in a namespace that is being deleted."""
    return ObjectGone(Reason.CLUSTER_UNAVAILABLE, f"Secret {key}: its namespace is gone, or being deleted.")


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
