"""A Kubernetes API in memory, with the face of vaultsync's adapter; a suite in tests/contract holds it to the real one.

What everybody else does to the cluster, and sees of it, is the `Store` that it is built on.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from tests.fakes.ownership import Fields, Path, fields_of
from tests.fakes.store import IMMUTABLE, TYPE, Change, Store, StoredSecret
from vaultsync.adapters.kube import Conflict, ResourceExpired
from vaultsync.api import APPLIED_ANNOTATION, FIELD_MANAGER, MANAGED_BY_LABEL, OWNER_UID_LABEL, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.errors import NotYet, ObjectGone, Reason, SyncError
from vaultsync.state.observed import Observed
from vaultsync.state.snapshots import Bookmark, Deleted, ListSnapshot, Modified, TargetEvent, TargetList

_CLAIM: Final = (
    Path("labels", MANAGED_BY_LABEL),
    Path("labels", OWNER_UID_LABEL),
    Path("annotations", APPLIED_ANNOTATION),
)


class Posted(NamedTuple):
    """An event that was posted about a VaultSecret."""

    key: ObjectKey
    kind: str
    reason: str
    message: str


class FakeKube(Store):
    """The API server as vaultsync meets it.

    `calls` counts what was asked of it, by method; `writes` counts the calls that changed something. While a failure is
    set (`fail`) every call ends in it; `lost_answers` says of how many writes to come the answer gets lost on the way,
    although they are carried out.
    """

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(now=now)
        self.calls: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.events: list[Posted] = []
        self.lost_answers = 0
        self._failure: SyncError | None = None
        self._watches_ended = 0

    async def observe(self, key: ObjectKey) -> Observed | None:
        self._called("observe")
        secret = self._secrets.get(key)
        return None if secret is None else secret.observed()

    async def apply(self, key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Observed:
        self._called("apply")
        wanted = dict(fields_of(manifest))
        there = self._secrets.get(key)
        if onto is not None:
            there = self._same(key, onto)
        elif there is not None and (conflicts := there.fields.conflicts(FIELD_MANAGER, wanted)):
            raise _conflict(key, [conflict.owner.manager for conflict in conflicts])
        if there is not None and wanted.get(TYPE, there.fields.values[TYPE]) != there.fields.values[TYPE]:
            raise SyncError(Reason.TARGET_INVALID, f"Secret {key}: type cannot change.")
        fields = Fields() if there is None else there.fields.copy()
        fields.apply(FIELD_MANAGER, wanted)
        fields.values.setdefault(TYPE, "Opaque")
        if there is not None and there.fields.values.get(IMMUTABLE) and _is_other_content(there.fields, fields):
            raise SyncError(Reason.TARGET_IMMUTABLE, f"Secret {key} is immutable and would have to change.")
        if onto is None and (foreign := [hand.manager for hand in fields.owners if hand.manager != FIELD_MANAGER]):
            raise _conflict(key, foreign)
        return self._written("apply", key, fields).observed()

    async def withdraw(self, key: ObjectKey, *, onto: Observed) -> None:
        self._called("withdraw")
        there = self._secrets.get(key)
        if there is not None and there.uid == onto.uid:
            fields = there.fields.copy()
            fields.apply(FIELD_MANAGER, {})
            self._written("withdraw", key, fields)

    async def discard(self, key: ObjectKey, *, observed: Observed) -> None:
        self._called("discard")
        there = self._secrets.get(key)
        if there is None:
            return
        if (there.uid, str(there.resource_version)) != (observed.uid, observed.resource_version):
            raise _out_of_date(key)
        self.writes["discard"] += 1
        self.delete(key)
        self._lose_answer()

    async def drop_keys(self, key: ObjectKey, names: Iterable[str], *, observed: Observed) -> Observed:
        self._called("drop_keys")
        there = self._same(key, observed)
        if str(there.resource_version) != observed.resource_version:
            raise _out_of_date(key)
        fields = there.fields.copy()
        fields.edit(FIELD_MANAGER, dict.fromkeys(Path("data", name) for name in names))
        return self._written("drop_keys", key, fields).observed()

    async def release(self, key: ObjectKey, *, observed: Observed) -> None:
        self._called("release")
        there = self._same(key, observed)
        if str(there.resource_version) != observed.resource_version:
            raise _out_of_date(key)
        fields = there.fields.copy()
        fields.edit(FIELD_MANAGER, dict.fromkeys(_CLAIM))
        self._written("release", key, fields)

    async def ensure_current(self, vault_secret: VaultSecretMeta) -> None:
        self._called("confirm")
        body = self._vault_secrets.get(vault_secret.key)
        if body is None or body["metadata"]["uid"] != vault_secret.metadata.uid:
            raise ObjectGone(Reason.CLUSTER_UNAVAILABLE, f"VaultSecret {vault_secret.key} is gone, or being deleted.")
        if body["metadata"]["generation"] != vault_secret.metadata.generation:
            raise NotYet(Reason.CLUSTER_UNAVAILABLE, f"VaultSecret {vault_secret.key} has just been changed.")

    async def check_installed(self, namespace: str | None) -> None:
        self._called("check_installed")

    async def list_vault_secrets(self, namespace: str | None) -> ListSnapshot:
        self._called("list_vault_secrets")
        listed = {key: body for key, body in self._vault_secrets.items() if namespace in {None, key.namespace}}
        uids = frozenset(body["metadata"]["uid"] for body in listed.values())
        return ListSnapshot(frozenset(listed), uids, str(self.resource_version))

    async def find_vault_secret(self, namespace: str, *, uid: str) -> VaultSecretMeta | None:
        self._called("find_vault_secret")
        heads = [VaultSecretMeta.parse(body) for body in self._vault_secrets.values()]
        return next((head for head in heads if (head.key.namespace, head.metadata.uid) == (namespace, uid)), None)

    async def write_status(self, vault_secret: VaultSecretMeta, status: Mapping[str, Any]) -> Mapping[str, Any] | None:
        self._called("write_status")
        key = vault_secret.key
        body = self._vault_secrets.get(key)
        if body is None or body["metadata"]["uid"] != vault_secret.metadata.uid:
            return None
        if body.get("status") != status:
            self.writes["write_status"] += 1
            self._put_body(key, {**body, "status": dict(status)})
        self._lose_answer()
        return self._vault_secrets[key]

    async def post_event(
        self, vault_secret: VaultSecretMeta, *, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        self.calls["post_event"] += 1
        if self._failure is None and vault_secret.key.namespace not in self._going:
            self.writes["post_event"] += 1
            self.events.append(Posted(vault_secret.key, kind, reason, message))

    async def list_targets(self, namespace: str | None) -> TargetList:
        self._called("list_targets")
        targets = {
            key: secret.observed()
            for key, secret in self._secrets.items()
            if secret.is_managed and namespace in {None, key.namespace}
        }
        return TargetList(targets, str(self.resource_version))

    async def watch_targets(self, namespace: str | None, resource_version: str) -> AsyncGenerator[TargetEvent, None]:
        self._called("watch_targets")
        position, ended = int(resource_version), self._watches_ended
        while self._watches_ended == ended:
            news = self._news
            if self._failure is not None:
                raise self._failure
            if position < self._forgotten:
                raise ResourceExpired(Reason.CLUSTER_UNAVAILABLE, "That moment is forgotten.")
            for change in [change for change in self._history if change.resource_version > position]:
                position = change.resource_version
                if namespace in {None, change.key.namespace}:
                    yield _event(change)
            yield Bookmark(str(position))
            await news.wait()

    def posted(self, key: ObjectKey) -> list[tuple[str, str, str]]:
        """Kind, reason and message of the events about a VaultSecret."""
        return [(event.kind, event.reason, event.message) for event in self.events if event.key == key]

    def fail(self, failure: SyncError | None) -> None:
        """Let every call, and every watch, end in that failure; None makes all well again."""
        self._failure = failure
        self._wake()

    def end_watches(self) -> None:
        """End all watches, as the API server does after minutes."""
        self._watches_ended += 1
        self._wake()

    def forget_history(self) -> None:
        """Let no watch go on from a moment before this one."""
        self.resource_version += 1
        self._forgotten = self.resource_version
        self._history.clear()
        self._wake()

    def _called(self, kind: str) -> None:
        self.calls[kind] += 1
        if self._failure is not None:
            raise self._failure

    def _same(self, key: ObjectKey, observed: Observed) -> StoredSecret:
        there = self._secrets.get(key)
        if there is None or there.uid != observed.uid:
            raise _out_of_date(key)
        return there

    def _written(self, kind: str, key: ObjectKey, fields: Fields) -> StoredSecret:
        before = self.resource_version
        secret = self._put(key, fields)
        self.writes[kind] += self.resource_version != before
        self._lose_answer()
        return secret

    def _lose_answer(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer in time.")


def _event(change: Change) -> TargetEvent:
    if change.observed is None:
        return Deleted(change.key, str(change.resource_version))
    return Modified(change.key, change.observed)


def _is_other_content(before: Fields, after: Fields) -> bool:
    return before.of("data") != after.of("data") or not after.values.get(IMMUTABLE)


def _conflict(key: ObjectKey, managers: Iterable[str]) -> SyncError:
    return SyncError(Reason.TARGET_CONFLICT, f"Secret {key} belongs to somebody else: {', '.join(managers)}.")


def _out_of_date(key: ObjectKey) -> SyncError:
    text = f"Secret {key} is gone, or somebody else changed it in the same moment."
    return Conflict(Reason.CLUSTER_UNAVAILABLE, text, retry_after=1.0)
