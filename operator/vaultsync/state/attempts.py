"""What the last failed reconcile of a VaultSecret has read, so that it is not read again to fail again; no values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from vaultsync.api import REFRESH_ANNOTATION, RELEASE_ANNOTATION, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import SyncError
from vaultsync.state.access import Access
from vaultsync.state.observed import Observed
from vaultsync.state.secrets import SecretRef, SecretState


@dataclass(frozen=True, slots=True)
class Basis:
    """What a reconcile depends on, beside the vault: the spec, the requests of users, and the target."""

    requested: tuple[object, ...]
    target: tuple[str, str] | None

    @classmethod
    def of(cls, vault_secret: VaultSecret, target: Observed | None) -> "Basis":
        """Return that of a reconcile; any change of it is a reason to try again."""
        metadata = vault_secret.metadata
        annotations = (metadata.annotations.get(name) for name in (REFRESH_ANNOTATION, RELEASE_ANNOTATION))
        requested = (metadata.uid, metadata.generation, *annotations)
        return cls(requested, None if target is None else (target.uid, target.resource_version))


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A reconcile that has failed, and what it depended on."""

    basis: Basis
    unread: frozenset[SecretRef] = frozenset()
    """The secrets that could not be read, by identity; empty if all have been read."""
    read: Mapping[SecretRef, SecretState] = field(default_factory=dict)
    """What was read, by identity, if all have been read."""
    failure: SyncError | None = None
    """How it failed after that."""
    until: datetime | None = None
    """When it may succeed although nothing has changed, by the operator's clock; None if never."""


class FailedAttempts:
    """The last failed reconcile of each VaultSecret."""

    def __init__(self) -> None:
        self._by_key: dict[ObjectKey, tuple[Access, FailedAttempt]] = {}

    def get(self, key: ObjectKey, access: Access | None) -> FailedAttempt | None:
        """Return the failed attempt of a VaultSecret; None if the last one has not failed, or had another access."""
        before, attempt = self._by_key.get(key, (None, None))
        return attempt if before == access else None

    def put(self, key: ObjectKey, access: Access, attempt: FailedAttempt) -> None:
        """Record a failed attempt, in place of the one before."""
        self._by_key[key] = access, attempt

    def forget(self, key: ObjectKey) -> None:
        """Forget the failure of a VaultSecret that has succeeded, or does not exist any more."""
        self._by_key.pop(key, None)
