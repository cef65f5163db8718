"""The outcome of one reconcile, as values; decides nothing itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, assert_never

from vaultsync.api.status import StatusMissing
from vaultsync.errors import Reason, Retry, SyncError
from vaultsync.state.secrets import SecretState
from vaultsync.texts import in_utc


class Change(StrEnum):
    """What a successful reconcile did to the target."""

    NONE = "none"
    CREATED = "created"
    ADOPTED = "adopted"
    """It belonged to another owner and was taken over, as `target.adopt` and the Secret itself allow."""
    UPDATED = "updated"
    """The spec has changed."""
    ROTATED = "rotated"
    """The vault holds other versions than before."""
    REMOVED = "removed"
    """The vault lost some secrets, and their keys were deleted."""
    DELETED = "deleted"
    """The vault lost all of the secrets, and the target was deleted."""
    RELEASED = "released"
    """The vault lost all of the secrets, and the target, which was adopted, stays with its content."""
    RELABELED = "relabeled"
    """Tags or dates in the vault have changed, and with them labels or annotations."""
    HEALED = "healed"
    """Another writer had changed or deleted the target."""


@dataclass(frozen=True, slots=True)
class Synced:
    """The target matches the vault; `detail` describes what was done, for the event, and is empty if nothing was."""

    secrets: tuple[SecretState, ...]
    keys: frozenset[str]
    """The target's keys."""
    change: Change = Change.NONE
    detail: str = ""
    left_out: int = 0
    """How many secrets match a search and are disabled."""
    missing: tuple[StatusMissing, ...] = ()
    """What the vault lost, as the status lists it."""
    kept: frozenset[str] = frozenset()
    """Those of the keys that the vault does not fill any more, and that are kept until their grace period is over."""
    note: str = ""
    """What the condition says about what is missing."""
    content_changed: bool = False
    """Whether the content of the target has changed; false if the target was created."""
    refreshed: str | None = None
    """The text of the refresh annotation for which everything was read again."""
    warnings: tuple[str, ...] = ()
    """What is wrong with the content that was written, in sentences."""
    altered: tuple[str, ...] = ()
    """Fields that an admission policy or webhook changed as they were written."""

    @property
    def reason(self) -> Reason:
        """The reason for condition, event, metric and log."""
        return Reason.SYNCED

    @property
    def message(self) -> str:
        """The condition's message: stable while nothing changes."""
        count = len(self.keys - self.kept)
        return f"{count} {'key is' if count == 1 else 'keys are'} in sync{self.note}{_pending(self.secrets)}."


@dataclass(frozen=True, slots=True)
class Failed:
    """The target was not changed, and why; `missing` is None if nothing new is known about lost secrets."""

    reason: Reason
    message: str
    retry_after: float | None = None
    missing: tuple[StatusMissing, ...] | None = None
    refreshed: str | None = None
    """The text of the refresh annotation for which everything was read again, without success."""
    written: Synced | None = None
    """What was written, or is in place, nevertheless: the target with all other keys, as the vault has them."""

    @property
    def retry(self) -> Retry:
        """When it is retried."""
        return self.reason.retry


@dataclass(frozen=True, slots=True)
class Pruned:
    """There is no target, since the vault lost all of the secrets and `onSourceDeleted` is Delete."""

    reason: Reason
    message: str
    missing: tuple[StatusMissing, ...]
    change: Change = Change.NONE
    """`DELETED` or `RELEASED` if this reconcile did so."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """Nothing was read or written, since the VaultSecret is suspended."""

    @property
    def reason(self) -> Reason:
        """The reason for condition, event, metric and log."""
        return Reason.SUSPENDED

    @property
    def message(self) -> str:
        """The condition's message."""
        return Reason.SUSPENDED.sentence


@dataclass(frozen=True, slots=True)
class Waiting:
    """The target was not changed, since something is not known yet; the message names it."""

    message: str
    after_poll: int | None = None
    """How many of the vault's polls have ended without it, if it waits for another poll."""
    retry_after: float | None = None
    """When it is known to be over, in seconds; None if something wakes the VaultSecret then."""
    is_long: bool = False
    """Whether it may take minutes, so that users must see it even after a failure."""
    missing: tuple[StatusMissing, ...] | None = None
    """What the vault lost, as the status lists it; None if nothing new is known."""

    @property
    def reason(self) -> Reason:
        """The reason for condition, metric and log."""
        return Reason.WAITING


@dataclass(frozen=True, slots=True)
class Gone:
    """The VaultSecret or its namespace is gone, or being deleted: nothing was written and nothing is reported."""

    message: str


def _pending(secrets: Iterable[SecretState]) -> str:
    """Return what becomes active next, as part of a sentence; empty if nothing does."""
    pending = {one.ref.name: one.pending for one in secrets if one.pending is not None}
    if not pending:
        return ""
    name, first = min(pending.items(), key=lambda one: (one[1].not_before, one[0]))
    moment = in_utc(first.not_before)
    others = f", and {len(pending) - 1} more later" if len(pending) > 1 else ""
    if first.none_active:
        return f"; secret {name} has no version that is active before {moment}{others}"
    return f"; version {first.version} of secret {name} becomes active at {moment}{others}"


Outcome = Synced | Failed | Pruned | Suspended | Waiting | Gone
Reported = Synced | Failed | Pruned | Suspended | Waiting
"""The outcomes that the status shows."""


def failed(error: SyncError) -> Failed:
    """Return the outcome for an error."""
    return Failed(error.reason, error.message, error.retry_after)


def ready_status(outcome: Reported) -> Literal["True", "False", "Unknown"]:
    """Return the Ready condition's status: `Unknown` while the operator waits, or is suspended."""
    match outcome:
        case Synced():
            return "True"
        case Failed() | Pruned():
            return "False"
        case Suspended() | Waiting():
            return "Unknown"
        case _:
            assert_never(outcome)
