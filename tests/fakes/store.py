"""What the API server in memory keeps, and what everybody but vaultsync can do to it and see of it.

It keeps what vaultsync can tell apart: who owns which field, resource versions, what watches with our label see,
deletion, garbage collection, a namespace that is going.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from tests.fakes.ownership import Fields, Path, fields_of
from tests.secrets import decoded, encoded
from vaultsync.api import MANAGED_BY, MANAGED_BY_LABEL, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import ObjectGone, Reason
from vaultsync.state.observed import Observed, observed_from

TYPE: Final = Path("", "type")
IMMUTABLE: Final = Path("", "immutable")
_LABEL: Final = Path("labels", MANAGED_BY_LABEL)


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A Secret at one moment."""

    uid: str
    created: datetime
    resource_version: int
    fields: Fields

    @property
    def is_managed(self) -> bool:
        """It carries our label, so that our watches see it."""
        return self.fields.values.get(_LABEL) == MANAGED_BY

    def observed(self) -> Observed:
        """What the adapter would make of it, read from the document that the API server would send."""
        return observed_from(
            {
                "uid": self.uid,
                "resourceVersion": str(self.resource_version),
                "creationTimestamp": _text(self.created),
                "labels": self.fields.of("labels"),
                "annotations": self.fields.of("annotations"),
                "ownerReferences": list(self.fields.of("ownerReferences").values()),
                "managedFields": self.fields.managed_fields(),
            }
        )


class Change(NamedTuple):
    """What a watch with our label sees: a Secret as it has become, or that it is out of sight."""

    resource_version: int
    key: ObjectKey
    observed: Observed | None


class Store:
    """The API server's memory, with a hand for everybody who is not vaultsync."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self.resource_version = 0
        self._now = now
        self._secrets: dict[ObjectKey, StoredSecret] = {}
        self._vault_secrets: dict[ObjectKey, dict[str, Any]] = {}
        self._going: set[str] = set()
        self._history: list[Change] = []
        self._forgotten = 0
        self._news = asyncio.Event()

    def create(
        self, key: ObjectKey, manager: str, data: Mapping[str, str], *, labels: Mapping[str, str] | None = None
    ) -> None:
        """Make a Secret of the usual type, as `kubectl create` does."""
        fields = Fields()
        manifest = {"type": "Opaque", "metadata": {"labels": labels or {}}, "data": encoded(data)}
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

    def apply_as(self, key: ObjectKey, manager: str, data: Mapping[str, str]) -> None:
        """Apply keys to a Secret under another manager's name, by force."""
        fields = self._secrets[key].fields.copy()
        fields.apply(manager, dict(fields_of({"data": encoded(data)})))
        self._put(key, fields)

    def delete(self, key: ObjectKey) -> None:
        """Delete a Secret."""
        if self._secrets.pop(key).is_managed:
            self._tell(key, None)

    def values(self, key: ObjectKey) -> dict[str, str] | None:
        """The content of a Secret, as pods read it; None if there is none."""
        secret = self._secrets.get(key)
        if secret is None:
            return None
        return decoded(secret.fields.of("data"))

    def without_data(self, key: ObjectKey) -> dict[str, Any] | None:
        """A Secret as `kubectl get` shows it, but for what it holds; None if there is none."""
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
        """Make a VaultSecret, or replace spec and annotations of one; its status stays."""
        key = ObjectKey(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        there = self._vault_secrets.get(key)
        if there is None:
            kept = {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": _text(self._now())}
        else:
            kept = {name: there["metadata"][name] for name in ("uid", "generation", "creationTimestamp")}
            kept["generation"] += manifest["spec"] != there["spec"]
        self._put_body(key, {**(there or {}), **manifest, "metadata": {**manifest["metadata"], **kept}})
        return self.vault_secret(key)

    def vault_secret(self, key: ObjectKey) -> VaultSecret:
        """The VaultSecret as it is stored."""
        return VaultSecret.parse(self._vault_secrets[key])

    def delete_vault_secret(self, key: ObjectKey) -> None:
        """Delete a VaultSecret, and with it, as the garbage collector does, the Secrets that only it owns."""
        del self._vault_secrets[key]
        self.resource_version += 1
        self.collect_garbage()

    def collect_garbage(self) -> None:
        """Delete what has owners of which none is there, as the garbage collector does all the time."""
        uids = {body["metadata"]["uid"] for body in self._vault_secrets.values()}
        for target, secret in list(self._secrets.items()):
            owners = secret.fields.of("ownerReferences").keys()
            if owners and owners.isdisjoint(uids):
                self.delete(target)

    def begin_deleting_namespace(self, namespace: str) -> None:
        """From now on nothing new can be made there; what is there can still be changed."""
        self._going.add(namespace)

    def _put(self, key: ObjectKey, fields: Fields) -> StoredSecret:
        """Store a Secret's fields; what is no change makes no new resource version, and no watch hears of it."""
        before = self._secrets.get(key)
        if before is not None and before.fields == fields:
            return before
        if before is None and key.namespace in self._going:
            raise ObjectGone(Reason.CLUSTER_UNAVAILABLE, f"Secret {key}: its namespace is gone, or being deleted.")
        uid, created = (str(uuid.uuid4()), self._now()) if before is None else (before.uid, before.created)
        after = StoredSecret(uid, created, self.resource_version + 1, fields)
        self._secrets[key] = after
        if after.is_managed:
            self._tell(key, after.observed())
        elif before is not None and before.is_managed:
            self._tell(key, None)
        else:
            self.resource_version += 1
        return after

    def _put_body(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        self.resource_version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.resource_version)}
        self._vault_secrets[key] = {**body, "metadata": metadata}

    def _tell(self, key: ObjectKey, observed: Observed | None) -> None:
        self.resource_version += 1
        self._history.append(Change(self.resource_version, key, observed))
        self._wake()

    def _wake(self) -> None:
        """Wake everybody who waits, and let those who begin to wait now wait for the next news."""
        self._news.set()
        self._news = asyncio.Event()


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
