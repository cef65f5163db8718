"""Why a reconcile cannot go on: the closed set of reasons, and the errors that carry one."""

from datetime import datetime
from enum import StrEnum

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


class SecretNotFound(SyncError):
    """The vault has no such secret, deleted or never set; `looked_at` is the vault's clock at that look."""

    def __init__(self, reason: Reason, message: str, *, polled_at: datetime) -> None:
        super().__init__(reason, message)
        self.polled_at = polled_at


class PendingDeletion(SyncError):
    """The vault had secrets that it has no more, and their keys stay for now; `missing` tells which, and since when."""

    def __init__(
        self, reason: Reason, message: str, *, missing: tuple[StatusMissing, ...], retry_after: float | None = None
    ) -> None:
        super().__init__(reason, message, retry_after=retry_after)
        self.missing = missing


class NotYet(SyncError):
    """Something is not known yet and will be in a moment: nothing is told to anybody."""


class ObjectGone(SyncError):
    """The VaultSecret or its namespace is gone, or being deleted: nothing is to be written, and nobody to be told."""


class ObjectChanged(SyncError):
    """The spec of the VaultSecret has changed since it was read; the watch delivers the change in a moment."""
