"""References to secrets of a vault, what was read of them, and the state that is kept; reads nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from kvsecrets import SecretValue
from vaultsync.errors import Reason, SecretNotFound, SyncError
from vaultsync.state.moments import Moment


class SecretRef(NamedTuple):
    """A version of a secret in the vault: the newest, a pinned one, or the one before the newest."""

    name: str
    version: str | None = None
    previous: bool = False

    @property
    def follows(self) -> bool:
        """Whether it is the newest version, which polls observe."""
        return self.version is None and not self.previous

    @property
    def read_as(self) -> str:
        """The name under which `Reads` has it: the secret's in lower case, with a suffix if it is not the newest."""
        return f"{self.name.lower()}/previous" if self.previous else self.name.lower()

    @property
    def identity(self) -> "SecretRef":
        """The reference with its name in lower case, since the vault ignores the case of names."""
        name = self.name.lower()
        return self if name == self.name else SecretRef(name, self.version, self.previous)


class Version(NamedTuple):
    """A version of a secret, and its dates as polls observe them."""

    id: str
    updated: datetime | None
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class PendingVersion:
    """The next version that becomes active, of a secret whose newest version is not active yet."""

    version: str
    not_before: datetime
    """When it becomes active, by the vault."""
    newest: Version
    """The newest version, which polls observe: the same one, or one that becomes active after it."""
    none_active: bool = False
    """Whether no version is active until then."""


@dataclass(frozen=True, slots=True)
class SecretState:
    """The last-read state of one secret: version and dates, never the value; and the keys that it fills.

    `version` is None for an optional secret that is missing or has no active version. `read_at` is the time of the
    read, by the operator's clock; it decides when the secret is read again if nothing changes, and never whether
    something has changed.
    """

    ref: SecretRef
    keys: tuple[str, ...]
    version: str | None
    updated: datetime | None
    expires: datetime | None
    read_at: datetime
    encoding: str | None = None
    """How the vault's text was encoded by the secret's tags, if it was decoded for that."""
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Those of the vault, while they are used: by `target.metadataFrom`."""
    pending: PendingVersion | None = None
    """The next version, if the newest one was not active yet."""
    certificates: Mapping[str, datetime] = field(default_factory=dict, compare=False)
    """When the certificates in its keys expire, by key; the status has it, and the annotation does not."""
    kept: tuple[str, ...] = ()
    """Keys that an earlier version filled and this one does not, until the end of their grace period."""

    @property
    def newest(self) -> Version | None:
        """The newest version, which polls observe; None if the secret was missing."""
        if self.pending is not None:
            return self.pending.newest
        return None if self.version is None else Version(self.version, self.updated, self.expires)

    @property
    def newest_updated(self) -> datetime | None:
        """When the newest version was last changed; None if the secret was missing."""
        return None if self.newest is None else self.newest.updated

    @property
    def held(self) -> tuple[str, ...]:
        """All keys that the target holds of it."""
        return () if self.version is None else self.keys + self.kept


@dataclass(frozen=True, slots=True)
class Reading:
    """One secret as the vault returned it; `began` is when this process called it."""

    value: SecretValue
    version: str
    updated: datetime | None
    expires: datetime | None
    began: Moment
    read_at: datetime
    """When its response arrived, by the operator's clock."""
    vault_time: datetime | None = None
    """The same by the vault's clock, if it sent its time."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The version's tags, within the limits of Key Vault."""
    pending: PendingVersion | None = None
    """The next version, if the newest one is not active yet."""
    unusable: frozenset[str] = frozenset()
    """If it was chosen from a list of versions: those that were listed as disabled or not active yet."""
    kept: Mapping[str, SecretValue] = field(default_factory=dict, repr=False)
    """What the target holds in keys that the value does not fill any more, such as those of fields that vanished, until
    the end of their grace period; in base64."""

    @property
    def newest(self) -> Version:
        """The newest version, which polls observe."""
        return Version(self.version, self.updated, self.expires) if self.pending is None else self.pending.newest


@dataclass(frozen=True, slots=True)
class InactiveReading:
    """A secret of which no version is active yet, or whose pinned version is not."""

    pending: PendingVersion
    began: Moment
    read_at: datetime
    vault_time: datetime | None = None
    unusable: frozenset[str] = frozenset()
    """The versions that were listed as disabled or not active yet."""

    @property
    def newest(self) -> Version:
        """The newest version, which polls observe."""
        return self.pending.newest


@dataclass(frozen=True, slots=True)
class MissingReading:
    """A secret that is missing from the vault and may be; `error` has reason and message for the condition."""

    read_at: datetime
    error: SecretNotFound


@dataclass(frozen=True, slots=True)
class CarriedReading:
    """A secret whose keys keep the target's content: it was lost a short time ago, or no version is active."""

    state: SecretState
    """Its last-read state."""
    kept: Mapping[str, SecretValue] = field(repr=False)
    """The content of its keys, in base64, as the API server returns it."""


VaultReading = Reading | InactiveReading
"""What the vault has of a secret."""

AnyReading = VaultReading | MissingReading | CarriedReading
Readings = Mapping[SecretRef, AnyReading]
"""Readings by `SecretRef.identity`."""


def state_of(ref: SecretRef, reading: VaultReading | MissingReading, keys: tuple[str, ...] = ()) -> SecretState:
    """Return what is kept of a reading that fills these keys."""
    match reading:
        case MissingReading():
            return SecretState(ref, keys, None, None, None, reading.read_at)
        case InactiveReading():
            return SecretState(ref, keys, None, None, None, reading.read_at, pending=reading.pending)
        case Reading():
            version = reading.version, reading.updated, reading.expires
            filled, kept = (tuple(key for key in keys if (key in reading.kept) is is_kept) for is_kept in (False, True))
            return SecretState(ref, filled, *version, reading.read_at, pending=reading.pending, kept=kept)


class SecretsUnread(SyncError):
    """Some secrets could not be read, with the reason of the first; `refs` are their identities.

    `present` are those of them that the vault has, and that are disabled.
    """

    def __init__(
        self, error: SyncError, refs: frozenset[SecretRef], present: frozenset[SecretRef] = frozenset()
    ) -> None:
        super().__init__(error.reason, error.message, retry_after=error.retry_after)
        self.refs = refs
        self.present = present


class FoundTooMuch(SyncError):
    """What searches find does not fit into a Secret; `read` is what was read before that was known."""

    def __init__(self, message: str, read: Mapping[SecretRef, SecretState]) -> None:
        super().__init__(Reason.TARGET_TOO_LARGE, message)
        self.read = read
