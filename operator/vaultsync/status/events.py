"""The events of a VaultSecret: one for each change of the target and each new failure, none for repetitions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, assert_never

from vaultsync.api.v1alpha1 import VaultSecretStatus
from vaultsync.errors import is_same_message
from vaultsync.status.conditions import EXPIRING, READY, STALE, condition, shown
from vaultsync.status.outcome import Change, Failed, Gone, Outcome, Pruned, Suspended, Synced, Waiting

_WORDS = {
    Change.NONE: "Synced",
    Change.CREATED: "Created",
    Change.ADOPTED: "Adopted",
    Change.UPDATED: "Updated",
    Change.ROTATED: "Rotated",
    Change.RELABELED: "Relabeled",
    Change.HEALED: "Tampered",
    Change.REMOVED: "SourceDeleted",
    Change.DELETED: "SourceDeleted",
    Change.RELEASED: "SourceDeleted",
}

_REMOVED = {
    Change.DELETED: "Deleted the Secret.",
    Change.RELEASED: "Released the Secret, which was adopted; its content stays.",
}

CHAIN_INCOMPLETE = "ChainIncomplete"

_ALARMING = frozenset({Change.HEALED, Change.REMOVED, Change.DELETED, Change.RELEASED})


@dataclass(frozen=True, slots=True)
class Event:
    """An event about a VaultSecret; `reason` is in CamelCase."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str
    records_action: bool = field(default=False, compare=False)
    """Whether it records an action; without the event, there would be no trace of it."""


def events_for(before: VaultSecretStatus, after: VaultSecretStatus, outcome: Outcome) -> Iterator[Event]:
    """Yield the events for an outcome, from the status before and after it."""
    written = outcome.written if isinstance(outcome, Failed) else outcome
    if isinstance(written, Synced) and written.change is not Change.NONE:
        yield Event(_kind(written.change), _WORDS[written.change], written.detail, records_action=True)
        if written.warnings:
            yield Event("Warning", CHAIN_INCOMPLETE, " ".join(written.warnings))
    event = _of_outcome(before, outcome)
    if event is not None:
        yield event
    if isinstance(outcome, Synced):
        yield from _newly_missing(before, after, outcome)
    for kind in (STALE, EXPIRING):
        was, now = condition(before, kind), condition(after, kind)
        if now is not None and now.status == "True" and (was is None or was.reason != now.reason):
            yield Event("Warning", STALE if kind == STALE else now.reason, now.message)


def _newly_missing(before: VaultSecretStatus, after: VaultSecretStatus, outcome: Synced) -> Iterator[Event]:
    """Yield an event for what has gone missing; while it makes the VaultSecret not ready, the failure says it."""
    known = {(one.secret_name, one.key, one.since) for one in before.missing}
    new = [one for one in after.missing if one.removed is None and (one.secret_name, one.key, one.since) not in known]
    if new and outcome.kept:
        note = outcome.note.removeprefix("; ")
        yield Event("Warning", "SourceMissing", f"{note[:1].upper()}{note[1:]}.")


def _of_outcome(before: VaultSecretStatus, outcome: Outcome) -> Event | None:
    match outcome:
        case Synced(change=Change.NONE):
            ready = condition(before, READY)
            recovered = ready is not None and ready.status == "False"
            return Event("Normal", _WORDS[Change.NONE], "In sync again.") if recovered else None
        case Pruned(change=Change.DELETED | Change.RELEASED as change):
            return Event("Warning", _WORDS[change], f"{_REMOVED[change]} {outcome.message}", records_action=True)
        case Synced() | Waiting() | Gone():
            return None
        case Failed() | Pruned() | Suspended():
            if _is_known(before, outcome):
                return None
            return Event("Normal" if isinstance(outcome, Suspended) else "Warning", outcome.reason, outcome.message)
        case _:
            assert_never(outcome)


def _kind(change: Change) -> Literal["Normal", "Warning"]:
    return "Warning" if change in _ALARMING else "Normal"


def _is_known(before: VaultSecretStatus, outcome: Failed | Pruned | Suspended) -> bool:
    ready = condition(before, READY)
    if ready is None or ready.reason != outcome.reason:
        return False
    return is_same_message(ready.message, shown(outcome.message))
