"""The Kubernetes API in memory, with the interface of `KubeApi`; tests/contract compares it with a real one.

What other clients do and read is in its base class `Store`.
"""

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from kvsecrets import SecretValue
from tests.builders import keep_all, modified
from tests.fakes.ownership import Fields, Path, fields_of
from tests.fakes.store import IMMUTABLE, TYPE, Change, Store, StoredSecret, terminating
from vaultsync.adapters.kube import Conflict, Forbidden, ResourceExpired
from vaultsync.api import (
    APPLIED_ANNOTATION,
    FIELD_MANAGER,
    MANAGED_BY_LABEL,
    OWNER_NAME_LABEL,
    OWNER_UID_LABEL,
    REPLACING_ANNOTATION,
    RETAINED_BY_ANNOTATION,
    ObjectKey,
)
from vaultsync.api.grants import GrantMeta
from vaultsync.api.v1alpha1 import ObjectMeta, VaultSecretMeta, WorkloadKind, with_labels
from vaultsync.errors import ObjectChanged, ObjectGone, Reason, SyncError
from vaultsync.policy.rollout import Workload
from vaultsync.state.applied import annotation_hash
from vaultsync.state.observed import Field, Observed, Unclaimed
from vaultsync.state.snapshots import (
    Bookmark,
    ClusterEvent,
    ClusterKind,
    ClusterList,
    CurrentVersions,
    Deleted,
    Kept,
    ListSnapshot,
    TargetEvent,
    TargetList,
)
from vaultsync.status.events import Event

_OWNERSHIP: Final = (
    Path("labels", MANAGED_BY_LABEL),
    Path("labels", OWNER_UID_LABEL),
    Path("labels", OWNER_NAME_LABEL),
    Path("annotations", APPLIED_ANNOTATION),
)
_RETAINED_BY: Final = Path("annotations", RETAINED_BY_ANNOTATION)


class Posted(NamedTuple):
    """An event that was created about a VaultSecret."""

    key: ObjectKey
    kind: str
    reason: str
    message: str


class Restarted(NamedTuple):
    """A workload that was restarted, and the time in its annotation."""

    kind: WorkloadKind
    key: ObjectKey
    at: datetime


class FakeKube(Store):
    """The API server, as vaultsync uses it.

    `calls` counts calls by method; `writes` counts those that changed something. While a failure is set by `fail`,
    every call raises it. `lost_answers` is the number of next writes that are carried out and whose response is lost.
    `mutate` changes the fields of Secrets as they are applied, as admission policies do.
    `rejection` is why admission rejects new Secrets, if it does. While `is_full` is set, Secrets can only be read and
    deleted, as when etcd is out of space.
    """

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(now=now)
        self.calls: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.events: list[Posted] = []
        self._event_ids: set[str] = set()
        self.restarts: list[Restarted] = []
        self.lost_answers = 0
        self.mutate: Callable[[dict[Path, Any]], None] | None = None
        self.rejection: SyncError | None = None
        self.is_full = False
        self.denied: set[str | None] = set()
        """The namespaces in which nothing may be listed and watched."""
        self._failure: SyncError | None = None
        self._watches_ended = 0

    async def get_target(self, key: ObjectKey) -> Observed | None:
        self._called("get_target")
        secret = self._secrets.get(key)
        return None if secret is None else secret.observed()

    async def get_target_data(self, key: ObjectKey, *, observed: Observed) -> Mapping[str, SecretValue]:
        self._called("get_target_data")
        there = self._unchanged(key, observed)
        return {name: SecretValue(text) for name, text in there.fields.of("data").items()}

    async def get_target_manifest(self, key: ObjectKey, *, observed: Observed) -> SecretValue:
        data = await self.get_target_data(key, observed=observed)
        fields = self._secrets[key].fields
        metadata = {"name": key.name, "namespace": key.namespace}
        areas: dict[str, Any] = {area: fields.of(area) for area in ("labels", "annotations")}
        areas["ownerReferences"] = list(fields.of("ownerReferences").values())
        content = {"data": {name: value.reveal() for name, value in data.items()}}
        return SecretValue(json.dumps({**fields.of(""), "metadata": metadata | areas, **content}))

    async def check_creation(self, key: ObjectKey, manifest: Mapping[str, Any]) -> None:
        self._called("check_creation")
        self._admit(key)

    async def announce_replacement(self, key: ObjectKey, *, observed: Observed) -> Observed:
        self._called("announce_replacement")
        stored = self._unchanged(key, observed)
        fields = stored.fields.copy()
        fields.edit(FIELD_MANAGER, {Path("annotations", REPLACING_ANNOTATION): observed.resource_version})
        return self._written("announce_replacement", key, fields).observed()

    async def apply_target(self, key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Observed:
        self._called("apply_target")
        desired = dict(fields_of(manifest))
        stored = self._secrets.get(key)
        if onto is not None:
            stored = self._same(key, onto)
            written = annotation_hash(desired.get(Path("annotations", APPLIED_ANNOTATION)))
            if not _may_follow(stored.observed(), onto, written):
                raise _stale(key)
        elif stored is not None:
            raise _stale(key)
        else:
            self._admit(key)
        if stored is not None and desired.get(TYPE, stored.fields.values[TYPE]) != stored.fields.values[TYPE]:
            raise SyncError(Reason.TARGET_INVALID, f"Secret {key}: type cannot be changed.")
        fields = Fields() if stored is None else stored.fields.copy()
        fields.apply(FIELD_MANAGER, desired)
        fields.values.setdefault(TYPE, "Opaque")
        if stored is not None and stored.fields.values.get(IMMUTABLE) and _is_other_content(stored.fields, fields):
            raise SyncError(Reason.TARGET_IMMUTABLE, f"Secret {key} is immutable and has to change.")
        if self.mutate is not None:
            self.mutate(fields.values)
        altered = sorted(Field(*path) for path, sent in desired.items() if fields.values.get(path) != sent)
        return replace(self._written("apply_target", key, fields).observed(), altered=tuple(altered))

    async def delete_target(self, key: ObjectKey, *, observed: Observed) -> None:
        self._called("delete_target")
        stored = self._secrets.get(key)
        if stored is None:
            return
        if (stored.uid, str(stored.resource_version)) != (observed.uid, observed.resource_version):
            raise _stale(key)
        self.writes["delete_target"] += 1
        self.delete(key)
        self._lose_answer()

    async def remove_keys(self, key: ObjectKey, names: Iterable[str], *, observed: Observed) -> Observed:
        self._called("remove_keys")
        stored = self._unchanged(key, observed)
        fields = stored.fields.copy()
        fields.edit(FIELD_MANAGER, dict.fromkeys(Path("data", name) for name in names))
        return self._written("remove_keys", key, fields).observed()

    async def remove_owners(self, key: ObjectKey, *, observed: Observed) -> Observed:
        self._called("remove_owners")
        stored = self._unchanged(key, observed)
        fields = stored.fields.copy()
        owners = (Path("ownerReferences", uid) for uid in fields.of("ownerReferences"))
        fields.edit(FIELD_MANAGER, dict.fromkeys([*owners, _RETAINED_BY]))
        return self._written("remove_owners", key, fields).observed()

    async def remove_annotations(self, key: ObjectKey, names: Iterable[str], *, observed: Observed) -> Observed:
        self._called("remove_annotations")
        stored = self._unchanged(key, observed)
        fields = stored.fields.copy()
        fields.edit(FIELD_MANAGER, dict.fromkeys(Path("annotations", name) for name in names))
        return self._written("remove_annotations", key, fields).observed()

    async def orphan_target(self, key: ObjectKey, *, observed: Observed | Unclaimed, retained_by: str) -> None:
        self._called("orphan_target")
        stored = self._unchanged(key, observed)
        fields = stored.fields.copy()
        removed = dict.fromkeys([*_OWNERSHIP, Path("ownerReferences", retained_by)])
        fields.edit(FIELD_MANAGER, {**removed, _RETAINED_BY: retained_by})
        self._written("orphan_target", key, fields)

    async def ensure_current(self, vault_secret: VaultSecretMeta) -> None:
        self._called("ensure_current")
        body = self._vault_secrets.get(vault_secret.key)
        if body is None or body["metadata"]["uid"] != vault_secret.metadata.uid:
            raise ObjectGone(Reason.CLUSTER_UNAVAILABLE, f"VaultSecret {vault_secret.key} is gone, or being deleted.")
        if body["metadata"]["generation"] != vault_secret.metadata.generation:
            text = f"The spec of VaultSecret {vault_secret.key} has changed."
            raise ObjectChanged(Reason.CLUSTER_UNAVAILABLE, text)

    async def check_installed(self, namespace: str | None) -> None:
        self._called("check_installed", namespace)

    async def list_vaultsecrets(self, namespace: str | None) -> ListSnapshot:
        self._called("list_vaultsecrets", namespace)
        listed = {key: body for key, body in self._vault_secrets.items() if namespace in {None, key.namespace}}
        versions = {key: body["metadata"]["resourceVersion"] for key, body in listed.items()}
        uids = frozenset(body["metadata"]["uid"] for body in listed.values())
        return ListSnapshot(versions, uids, str(self.resource_version))

    async def current_versions(self, namespace: str | None) -> CurrentVersions:
        targets, vaultsecrets = await self.list_targets(namespace, keep_all), await self.list_vaultsecrets(namespace)
        return CurrentVersions(targets.resource_version, vaultsecrets.resource_version)

    async def find_vaultsecret(self, namespace: str, *, uid: str) -> VaultSecretMeta | None:
        self._called("find_vaultsecret")
        heads = [VaultSecretMeta.parse(body) for body in self._vault_secrets.values()]
        return next((head for head in heads if (head.key.namespace, head.metadata.uid) == (namespace, uid)), None)

    async def patch_status(self, vault_secret: VaultSecretMeta, status: Mapping[str, Any]) -> ObjectMeta | None:
        self._called("patch_status")
        key = vault_secret.key
        body = self._vault_secrets.get(key)
        if body is None or body["metadata"]["uid"] != vault_secret.metadata.uid:
            return None
        if body.get("status") != status:
            self.writes["patch_status"] += 1
            self._put_body(key, {**body, "status": dict(status)})
        self._lose_answer()
        return ObjectMeta.parse(with_labels(self._vault_secrets[key]["metadata"], vault_secret.label_keys))

    async def patch_grant_status(self, grant: GrantMeta, status: Mapping[str, Any]) -> None:
        self._called("patch_grant_status")
        body = self._cluster[ClusterKind.GRANTS].get(grant.name)
        if body is not None and body["metadata"]["uid"] == grant.uid:
            self.writes["patch_grant_status"] += 1
            body["status"] = dict(status)

    async def create_event(self, key: ObjectKey, event: Event, *, event_id: str, uid: str, at: datetime) -> None:
        self._called("create_event")
        if key.namespace not in self._terminating and event_id not in self._event_ids:
            self._event_ids.add(event_id)
            self.writes["create_event"] += 1
            self.events.append(Posted(key, event.kind, event.reason, event.message))

    async def list_targets(
        self, namespace: str | None, keep: Callable[[ObjectKey, Observed], Kept]
    ) -> TargetList[Kept]:
        self._called("list_targets", namespace)
        targets = {
            key: keep(key, secret.observed())
            for key, secret in self._secrets.items()
            if secret.is_managed and namespace in {None, key.namespace}
        }
        return TargetList(targets, str(self.resource_version))

    async def watch_targets(
        self, namespace: str | None, resource_version: str, on_open: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[TargetEvent, None]:
        self._called("watch_targets", namespace)
        on_open()
        position, ended = int(resource_version), self._watches_ended
        while self._watches_ended == ended:
            changed = self._changed
            if self._failure is not None:
                raise self._failure
            if position < self._oldest_version:
                raise ResourceExpired(Reason.CLUSTER_UNAVAILABLE, "The resource version is too old.")
            for change in [change for change in self._history if change.resource_version > position]:
                position = change.resource_version
                if namespace in {None, change.key.namespace}:
                    yield _event(change)
            yield Bookmark(str(position))
            await changed.wait()

    async def list_cluster(self, kind: ClusterKind, name: str | None = None) -> ClusterList:
        self._called("list_cluster", kind)
        objects = {one: body for one, body in self._cluster[kind].items() if name in {None, one}}
        return ClusterList(objects, str(self.resource_version))

    async def watch_cluster(
        self, kind: ClusterKind, name: str | None, resource_version: str
    ) -> AsyncGenerator[ClusterEvent, None]:
        self._called("watch_cluster", kind)
        position, ended = int(resource_version), self._watches_ended
        while self._watches_ended == ended:
            changed = self._changed
            if self._failure is not None:
                raise self._failure
            for changed_kind, event in tuple(self._cluster_history):
                if changed_kind is kind and int(event.resource_version) > position and name in {None, event.name}:
                    position = int(event.resource_version)
                    yield event
            await changed.wait()

    async def get_workload(self, kind: WorkloadKind, key: ObjectKey) -> Workload | None:
        self._called("get_workload")
        return self._workloads.get((kind, key))

    async def restart_workload(self, kind: WorkloadKind, key: ObjectKey, workload: Workload, *, at: datetime) -> bool:
        self._called("restart_workload")
        found = self._workloads.get((kind, key))
        if found is None or (found.uid, found.resource_version) != (workload.uid, workload.resource_version):
            return False
        restarted = at.replace(microsecond=0)
        self._put_workload(kind, key, replace(found, restarted=restarted))
        self.writes["restart_workload"] += 1
        self.restarts.append(Restarted(kind, key, restarted))
        self._lose_answer()
        return True

    def posted(self, key: ObjectKey) -> list[tuple[str, str, str]]:
        """Kind, reason and message of the events about a VaultSecret."""
        return [(event.kind, event.reason, event.message) for event in self.events if event.key == key]

    def fail(self, failure: SyncError | None) -> None:
        """Make every call and every watch raise that failure, until it is set to None."""
        self._failure = failure
        self._wake()

    def end_watches(self) -> None:
        """End all watches, as the API server does after some minutes."""
        self._watches_ended += 1
        self._wake()

    def forget_history(self) -> None:
        """Make all earlier resource versions too old for a watch."""
        self.resource_version += 1
        self._oldest_version = self.resource_version
        self._history.clear()
        self._wake()

    def deny(self, *namespaces: str | None) -> None:
        """Take the permissions of these namespaces away, and grant all others; open watches end."""
        self.denied = set(namespaces)
        self.end_watches()

    def _called(self, kind: str, namespace: str | None = "") -> None:
        self.calls[kind] += 1
        if self._failure is not None:
            raise self._failure
        if namespace in self.denied:
            text = f"Namespace {namespace}: the operator's service account may not list secrets."
            raise Forbidden(Reason.CLUSTER_UNAVAILABLE, text)

    def _admit(self, key: ObjectKey) -> None:
        if key.namespace in self._terminating:
            raise terminating(key)
        if self.rejection is not None:
            raise self.rejection

    def _same(self, key: ObjectKey, observed: Observed | Unclaimed) -> StoredSecret:
        stored = self._secrets.get(key)
        if stored is None or stored.uid != observed.uid:
            raise _stale(key)
        return stored

    def _unchanged(self, key: ObjectKey, observed: Observed | Unclaimed) -> StoredSecret:
        stored = self._same(key, observed)
        if str(stored.resource_version) != observed.resource_version:
            raise _stale(key)
        return stored

    def _written(self, kind: str, key: ObjectKey, fields: Fields) -> StoredSecret:
        if self.is_full:
            raise SyncError(
                Reason.CLUSTER_UNAVAILABLE, f"Secret {key}: the Kubernetes API responded with HTTP status 500."
            )
        before = self.resource_version
        secret = self._put(key, fields)
        self.writes[kind] += self.resource_version != before
        self._lose_answer()
        return secret

    def _lose_answer(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API did not respond in time.")


def _event(change: Change) -> TargetEvent:
    if change.observed is None:
        return Deleted(change.key, str(change.resource_version))
    return modified(change.key, change.observed)


def _may_follow(stored: Observed, onto: Observed, written: str) -> bool:
    is_same = (stored.adopt_by, stored.owners) == (onto.adopt_by, onto.owners)
    return (stored.applied_hash == onto.applied_hash and is_same) or stored.applied_hash == written != onto.applied_hash


def _is_other_content(before: Fields, after: Fields) -> bool:
    return before.of("data") != after.of("data") or not after.values.get(IMMUTABLE)


def _stale(key: ObjectKey) -> SyncError:
    text = f"Secret {key} is gone, or was changed at the same time."
    return Conflict(Reason.CLUSTER_UNAVAILABLE, text, retry_after=1.0)
