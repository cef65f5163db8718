"""References to secrets of a vault, what was read of them, and the state that is kept; reads nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from kvsecrets import SecretValue
from vaultsync.errors import Reason, SecretNotFound, SyncError
from vaultsync.state.vaults import Moment


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
        return SecretRef(self.name.lower(), self.version, self.previous)


@dataclass(frozen=True, slots=True)
class SecretState:
    """The last-read state of one secret: version and dates, never the value; and the keys that it fills.

    `version` is None for an optional secret that is missing. `read_at` is the time of the read, by the operator's
    clock; it decides when the secret is read again if nothing changes, and never whether something has changed.
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
    not_before: datetime | None = None
    """When the version becomes active; the vault returns it before that, too."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The version's tags, within the limits of Key Vault."""
    disabled: frozenset[str] = frozenset()
    """Of the version before the newest: the versions that were listed as disabled, and so are not taken."""


@dataclass(frozen=True, slots=True)
class MissingReading:
    """A secret that is missing from the vault and may be; `error` has reason and message for the condition."""

    read_at: datetime
    error: SecretNotFound


@dataclass(frozen=True, slots=True)
class CarriedReading:
    """A secret that the vault lost, whose keys keep the target's content until the end of the grace period."""

    state: SecretState
    """Its last-read state."""
    data: Mapping[str, SecretValue] = field(repr=False)
    """The content of its keys, in base64, as the API server returns it."""


AnyReading = Reading | MissingReading | CarriedReading
Readings = Mapping[SecretRef, AnyReading]
"""Readings by `SecretRef.identity`."""


def state_of(ref: SecretRef, reading: Reading | MissingReading, keys: tuple[str, ...] = ()) -> SecretState:
    """Return what is kept of a reading that fills these keys."""
    if isinstance(reading, MissingReading):
        return SecretState(ref, keys, None, None, None, reading.read_at)
    return SecretState(ref, keys, reading.version, reading.updated, reading.expires, reading.read_at)


class SecretsUnread(SyncError):
    """Some secrets could not be read, with the reason of the first; `refs` are their identities."""

    def __init__(self, error: SyncError, refs: frozenset[SecretRef]) -> None:
        super().__init__(error.reason, error.message, retry_after=error.retry_after)
        self.refs = refs


class FoundTooMuch(SyncError):
    """What searches find does not fit into a Secret; `read` is what was read before that was known."""

    def __init__(self, message: str, read: Mapping[SecretRef, SecretState]) -> None:
        super().__init__(Reason.TARGET_TOO_LARGE, message)
        self.read = read
