"""The reasons for every outcome of a reconcile, and the errors that have one; writes no condition itself."""

import re
import traceback
from datetime import datetime
from enum import StrEnum

_REQUEST_ID = re.compile("[0-9A-Za-z-]{1,64}")
_WITH_REQUEST_ID = re.compile(rf" Request id: {_REQUEST_ID.pattern}[.]$")


class Retry(StrEnum):
    """When a failed reconcile is retried."""

    SOON = "soon"
    """With backoff from one second: the failure may resolve by itself."""

    LATER = "later"
    """At the refresh interval: a user must change something first, in the vault, in Azure or in the manifest. What was
    read and cannot be used is not read again before that."""


class Reason(StrEnum):
    """The reason of the Ready condition, of events, metrics and log lines."""

    SYNCED = "Synced"
    SUSPENDED = "Suspended"
    WAITING = "Waiting"
    INVALID_SPEC = "InvalidSpec"
    NOT_GRANTED = "NotGranted"
    QUOTA_EXCEEDED = "QuotaExceeded"
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
    TARGET_CHANGED = "TargetChanged"
    TARGET_TERMINATING = "TargetTerminating"
    CLUSTER_UNAVAILABLE = "ClusterUnavailable"
    INTERNAL_ERROR = "InternalError"

    @property
    def sentence(self) -> str:
        """The sentence that explains the reason in the documentation."""
        return _SENTENCES[self]

    @property
    def retry(self) -> Retry:
        """When a reconcile with this reason is retried."""
        return Retry.SOON if self in _RETRIED_SOON else Retry.LATER


_SENTENCES = {
    Reason.SYNCED: "The Secret matches the vault.",
    Reason.SUSPENDED: "The VaultSecret is suspended: nothing is read or written.",
    Reason.WAITING: "vaultsync waits for something that it needs in order to decide.",
    Reason.INVALID_SPEC: "The VaultSecret's spec is invalid.",
    Reason.NOT_GRANTED: "No VaultGrant allows what the VaultSecret asks for; nothing is asked of the vault.",
    Reason.QUOTA_EXCEEDED: "The VaultSecret exceeds a quota of its VaultGrant.",
    Reason.SECRET_NOT_FOUND: "The secret, or the pinned version of it, does not exist in the vault.",
    Reason.SECRET_SOFT_DELETED: "The secret was deleted in the vault and can still be recovered.",
    Reason.SECRET_DISABLED: "The secret is disabled in the vault.",
    Reason.SECRET_NOT_YET_ACTIVE: "No version of the secret is active yet.",
    Reason.DELETION_HELD: (
        "Most of what could take keys with it went missing within a day; removals wait for confirmation."
    ),
    Reason.ACCESS_DENIED: "The vault denies access: the identity lacks a permission.",
    Reason.FIREWALL_DENIED: "The vault's firewall rejects the operator's requests.",
    Reason.LOGIN_FAILED: "The identity got no token from the identity provider.",
    Reason.VAULT_NOT_FOUND: "The vault's host name does not resolve.",
    Reason.VAULT_UNREACHABLE: "The vault does not respond.",
    Reason.VAULT_THROTTLED: "The vault is throttling requests (HTTP 429).",
    Reason.VAULT_FAILED: "The vault returned a server error or an unexpected response.",
    Reason.ENCODING_INVALID: "The value cannot be converted with the entry's encoding.",
    Reason.PROPERTY_MISSING: (
        "The value is not in the format that its entry names, or does not have the requested property."
    ),
    Reason.CERTIFICATE_INVALID: "The value is not a certificate that a server can use.",
    Reason.TEMPLATE_INVALID: "A template cannot be rendered.",
    Reason.TARGET_CONFLICT: "A Secret with this name exists and has another owner.",
    Reason.TARGET_INVALID: "The API server rejects the Secret.",
    Reason.TARGET_TOO_LARGE: "The Secret would be larger than the 1 MiB that Kubernetes allows.",
    Reason.TARGET_IMMUTABLE: "The Secret needs a change but is immutable.",
    Reason.TARGET_CHANGED: "An admission policy or webhook changed the Secret as it was written.",
    Reason.TARGET_TERMINATING: "The Secret is being deleted, and a finalizer delays that.",
    Reason.CLUSTER_UNAVAILABLE: "The Kubernetes API does not respond, or denies a permission.",
    Reason.INTERNAL_ERROR: "vaultsync failed with an unexpected error; this is a bug.",
}


_RETRIED_SOON = frozenset(
    {
        Reason.WAITING,
        Reason.LOGIN_FAILED,
        Reason.VAULT_NOT_FOUND,
        Reason.VAULT_UNREACHABLE,
        Reason.VAULT_THROTTLED,
        Reason.VAULT_FAILED,
        Reason.TARGET_TERMINATING,
        Reason.CLUSTER_UNAVAILABLE,
        Reason.INTERNAL_ERROR,
    }
)


class SyncError(Exception):
    """A reconcile cannot continue.

    The message names vault, secret and key, never a value. `retry_after` is the time in seconds after which to retry,
    if the vault or the API server has requested one or if it is known otherwise.
    """

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class NoLogin(SyncError):
    """Whoever runs a command has no Azure login."""


class SecretNotFound(SyncError):
    """The secret does not exist in the vault.

    `observed_at` is when that was observed, by the operator's clock, and `vault_time` by the vault's, if it is known.
    `missing_for` is for how many seconds every read has observed it.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        observed_at: datetime,
        vault_time: datetime | None = None,
        missing_for: float = 0.0,
    ) -> None:
        super().__init__(reason, message)
        self.observed_at = observed_at
        self.vault_time = vault_time
        self.missing_for = missing_for


class ListingTooLong(SyncError):
    """A vault lists more than is read and kept: its secrets can be read, and not searched."""

    def __init__(self, subject: str) -> None:
        super().__init__(Reason.VAULT_FAILED, f"The listing of {subject} is longer than vaultsync reads.")


class ObjectGone(SyncError):
    """The VaultSecret or its namespace is deleted or being deleted: nothing is written or reported."""


class ObjectChanged(SyncError):
    """The spec of the VaultSecret has changed since it was read; the watch delivers the change."""


class NotServed(SyncError):
    """This replica does not serve the namespace, or not any more: nothing was written, or the answer is not known."""


class StillBusy(SyncError):
    """Work of others comes first; it is tried again soon."""


def with_request_id(message: str, request_id: str | None) -> str:
    """Return the message of a failed call, with the id by which the service's support finds the call, if it has one."""
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        return message
    return f"{message} Request id: {request_id}."


def is_same_message(one: str, other: str) -> bool:
    """Return whether two messages differ at most in a request id, which each call has of its own.

    A condition keeps the id of the first call. Otherwise each retry of a lasting failure would be a status write.
    """
    return _WITH_REQUEST_ID.sub("", one) == _WITH_REQUEST_ID.sub("", other)


def error_fields(error: BaseException) -> dict[str, str]:
    """Return the type and the traceback of an unexpected exception, for a log line; of a group, of its first cause.

    The text of an exception may hold anything, a value too: it is never logged.
    """
    where = traceback.format_tb(error.__traceback__)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
        where += traceback.format_tb(error.__traceback__)
    return {"error": type(error).__name__, "where": "".join(where)}
