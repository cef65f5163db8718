"""What comes of one reconcile, and the closed set of reasons; decides nothing itself.

A reason is one word that serves as the Ready condition's reason, the event's reason, a metric's label and a log field.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, assert_never

from vaultsync.api.status import StatusMissing
from vaultsync.errors import PendingDeletion, Reason, Retry, SyncError
from vaultsync.state.secrets import SecretState


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
class Pruned:
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


Outcome = Synced | Failed | Pruned | Suspended


def failed(error: SyncError) -> Failed:
    """Turn the exception that travelled up into the outcome that is reported."""
    missing = error.missing if isinstance(error, PendingDeletion) else None
    return Failed(error.reason, error.message, error.retry_after, missing)


def ready_status(outcome: Outcome) -> Literal["True", "False", "Unknown"]:
    """The Ready condition's status: `True`, `False`, or `Unknown` while nobody looks."""
    match outcome:
        case Synced():
            return "True"
        case Failed() | Pruned():
            return "False"
        case Suspended():
            return "Unknown"
        case _:
            assert_never(outcome)
