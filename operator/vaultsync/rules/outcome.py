"""What comes of one reconcile, and the closed set of reasons; decides nothing itself.

A reason is one word that serves as the Ready condition's reason, the event's reason, a metric's label and a log field.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple, assert_never

from vaultsync.api.status import StatusMissing


class Retry(StrEnum):
    """When a failed reconcile is tried again by itself."""

    SOON = "soon"
    """With backoff, from a second to minutes: the trouble may pass by itself."""

    LATER = "later"
    """At the refresh interval: somebody has to change something first, in the vault or in the manifest."""


class Reason(StrEnum):
    """Why a VaultSecret is, or is not, in sync."""

    SYNCED = "Synced"
    SUSPENDED = "Suspended"
    INVALID_SPEC = "InvalidSpec"
    SECRET_NOT_FOUND = "SecretNotFound"
    SECRET_SOFT_DELETED = "SecretSoftDeleted"
    SECRET_DISABLED = "SecretDisabled"
    SECRET_NOT_YET_ACTIVE = "SecretNotYetActive"
    DELETION_HELD = "DeletionHeld"
    ACCESS_DENIED = "AccessDenied"
    FIREWALL_DENIED = "FirewallDenied"
    LOGIN_FAILED = "LoginFailed"
    VAULT_NOT_FOUND = "VaultNotFound"
    VAULT_UNREACHABLE = "VaultUnreachable"
    VAULT_THROTTLED = "VaultThrottled"
    VAULT_FAILED = "VaultFailed"
    ENCODING_INVALID = "EncodingInvalid"
    PROPERTY_MISSING = "PropertyMissing"
    CERTIFICATE_INVALID = "CertificateInvalid"
    TEMPLATE_INVALID = "TemplateInvalid"
    TARGET_CONFLICT = "TargetConflict"
    TARGET_INVALID = "TargetInvalid"
    TARGET_TOO_LARGE = "TargetTooLarge"
    TARGET_IMMUTABLE = "TargetImmutable"
    CLUSTER_UNAVAILABLE = "ClusterUnavailable"
    INTERNAL_ERROR = "InternalError"

    @property
    def sentence(self) -> str:
        """What the word means, for people."""
        return _SENTENCES[self]

    @property
    def retry(self) -> Retry:
        """Whether it is tried again soon or waits for the user."""
        return Retry.SOON if self in _PASSES_BY_ITSELF else Retry.LATER


_SENTENCES = {
    Reason.SYNCED: "The target holds what the vault holds.",
    Reason.SUSPENDED: "The VaultSecret is suspended: nothing is read or written.",
    Reason.INVALID_SPEC: "The VaultSecret asks for something that cannot be.",
    Reason.SECRET_NOT_FOUND: "The vault has no such secret, or no such version of it.",
    Reason.SECRET_SOFT_DELETED: "The secret was deleted in the vault and can still be recovered.",
    Reason.SECRET_DISABLED: "The secret is disabled in the vault.",
    Reason.SECRET_NOT_YET_ACTIVE: "The secret's newest version is not to be used yet.",
    Reason.DELETION_HELD: (
        "Most of the secrets whose keys would go with them vanished at once; nothing is deleted until somebody says so."
    ),
    Reason.ACCESS_DENIED: "The vault refuses: the operator's identity lacks a permission.",
    Reason.FIREWALL_DENIED: "The vault's firewall does not let the operator in.",
    Reason.LOGIN_FAILED: "The identity provider did not let the operator log in.",
    Reason.VAULT_NOT_FOUND: "No vault has this name: it does not resolve.",
    Reason.VAULT_UNREACHABLE: "The vault does not answer.",
    Reason.VAULT_THROTTLED: "The vault says that it is asked too often.",
    Reason.VAULT_FAILED: "The vault answered with an error of its own, or with nonsense.",
    Reason.ENCODING_INVALID: "The value is not what the entry's encoding promises.",
    Reason.PROPERTY_MISSING: "The value is no JSON, or does not hold what is asked of it.",
    Reason.CERTIFICATE_INVALID: "The value is no certificate that a server could use.",
    Reason.TEMPLATE_INVALID: "A template cannot be rendered.",
    Reason.TARGET_CONFLICT: "A Secret of that name belongs to somebody else.",
    Reason.TARGET_INVALID: "The cluster refuses the Secret as it would be.",
    Reason.TARGET_TOO_LARGE: "The Secret would be larger than the 1 MiB that Kubernetes allows.",
    Reason.TARGET_IMMUTABLE: "The Secret is immutable and would have to change.",
    Reason.CLUSTER_UNAVAILABLE: "The Kubernetes API does not answer, or refuses the operator.",
    Reason.INTERNAL_ERROR: "vaultsync itself failed; this is a bug.",
}

_PASSES_BY_ITSELF = frozenset(
    {
        Reason.LOGIN_FAILED,
        Reason.VAULT_NOT_FOUND,
        Reason.VAULT_UNREACHABLE,
        Reason.VAULT_THROTTLED,
        Reason.VAULT_FAILED,
        Reason.CLUSTER_UNAVAILABLE,
        Reason.INTERNAL_ERROR,
    }
)


class SyncError(Exception):
    """Why a reconcile cannot go on; raised by rules and adapters, turned into `Failed` in one place.

    The message names vault, secret and key, never content. `retry_after` is a wait in seconds that the vault or the
    cluster asked for, or after which things will be otherwise.
    """

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    def anew(self) -> "SyncError":
        """The same once more: each raise of one and the same would add to its traceback, for as long as it lasts."""
        return SyncError(self.reason, self.message, retry_after=self.retry_after)


class NotThere(SyncError):
    """The vault has no such secret, deleted or never set; `looked_at` is the vault's clock at that look."""

    def __init__(self, reason: Reason, message: str, *, looked_at: datetime) -> None:
        super().__init__(reason, message)
        self.looked_at = looked_at


class Vanished(SyncError):
    """The vault had secrets that it has no more, and their keys stay for now; `missing` tells which, and since when."""

    def __init__(
        self, reason: Reason, message: str, *, missing: tuple[StatusMissing, ...], retry_after: float | None = None
    ) -> None:
        super().__init__(reason, message, retry_after=retry_after)
        self.missing = missing


class NotYet(SyncError):
    """Something is not known yet and will be in a moment: nothing is told to anybody."""


class GoingAway(SyncError):
    """The VaultSecret or its namespace is gone, or being deleted: nothing is to be written, and nobody to be told."""


class SecretRef(NamedTuple):
    """One thing to read from the vault: a secret's newest version, a pinned one, or the one before the newest."""

    name: str
    version: str | None = None
    previous: bool = False

    @property
    def follows(self) -> bool:
        """Whether it is the newest version, which polls tell about."""
        return self.version is None and not self.previous

    @property
    def identity(self) -> "SecretRef":
        """The same for all spellings: the vault tells names apart without regard to case."""
        return SecretRef(self.name.lower(), self.version, self.previous)


@dataclass(frozen=True, slots=True)
class SecretState:
    """What is known of one secret as it was last read: versions and dates, never the value; and the keys that it fills.

    `version` is None for an optional secret that is absent. `read_at` is the vault's clock at that reading.
    """

    ref: SecretRef
    keys: tuple[str, ...]
    version: str | None
    updated: datetime | None
    expires: datetime | None
    read_at: datetime


class Change(StrEnum):
    """What a successful reconcile did to the target."""

    NONE = "none"
    CREATED = "created"
    ADOPTED = "adopted"
    """It was somebody else's and was taken over, as the manifest says."""
    UPDATED = "updated"
    """The manifest asked for something else."""
    ROTATED = "rotated"
    """The vault holds other versions than before."""
    REMOVED = "removed"
    """The vault has some secrets no more, and their keys went."""
    DELETED = "deleted"
    """The vault has none of the secrets any more, and the target went."""
    HEALED = "healed"
    """Somebody else had changed or deleted the target."""


@dataclass(frozen=True, slots=True)
class Synced:
    """The target is as it should be; `detail` tells what was done, for the event, and is empty if nothing was."""

    secrets: tuple[SecretState, ...]
    keys: frozenset[str]
    """The target's keys."""
    change: Change = Change.NONE
    detail: str = ""
    left_out: int = 0
    """How many secrets fit a search and are disabled."""
    missing: tuple[StatusMissing, ...] = ()
    """What the vault has no more, and whose keys went."""
    content_changed: bool = False
    """Whether the target holds something else than before; not so if it was not there before."""
    refreshed: str | None = None
    """The text of the annotation for which everything was read again."""

    @property
    def reason(self) -> Reason:
        """The word for condition, event, metric and log."""
        return Reason.SYNCED

    @property
    def message(self) -> str:
        """The sentence for the condition: stable while nothing changes."""
        gone = f"; gone from the vault: {', '.join(one.secret_name for one in self.missing)}" if self.missing else ""
        return f"{len(self.keys)} {'key is' if len(self.keys) == 1 else 'keys are'} in sync{gone}."


@dataclass(frozen=True, slots=True)
class Failed:
    """The target was left as it was, and why; `missing` is None where nothing new is known about what vanished."""

    reason: Reason
    message: str
    retry_after: float | None = None
    missing: tuple[StatusMissing, ...] | None = None
    refreshed: str | None = None
    """The text of the annotation for which everything was read again, in vain."""

    @property
    def retry(self) -> Retry:
        """Whether it is tried again soon or waits for the user."""
        return self.reason.retry


@dataclass(frozen=True, slots=True)
class Emptied:
    """There is no target, since the vault has none of the secrets any more and the manifest wants that."""

    reason: Reason
    message: str
    missing: tuple[StatusMissing, ...]
    change: Change = Change.NONE
    """`DELETED` if it went just now."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """Nothing was looked at, since the user said so."""

    @property
    def reason(self) -> Reason:
        """The word for condition, event, metric and log."""
        return Reason.SUSPENDED

    @property
    def message(self) -> str:
        """The sentence for the condition."""
        return Reason.SUSPENDED.sentence


Outcome = Synced | Failed | Emptied | Suspended


def failed(error: SyncError) -> Failed:
    """Turn the exception that travelled up into the outcome that is reported."""
    missing = error.missing if isinstance(error, Vanished) else None
    return Failed(error.reason, error.message, error.retry_after, missing)


def ready_status(outcome: Outcome) -> Literal["True", "False", "Unknown"]:
    """The Ready condition's status: `True`, `False`, or `Unknown` while nobody looks."""
    match outcome:
        case Synced():
            return "True"
        case Failed() | Emptied():
            return "False"
        case Suspended():
            return "Unknown"
        case _:
            assert_never(outcome)
