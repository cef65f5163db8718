"""The event that people see in `kubectl describe`: one for each deed and each new failure, none for repetition."""

from dataclasses import dataclass
from typing import Literal, assert_never

from vaultsync.api.v1alpha1 import VaultSecretStatus
from vaultsync.rules.outcome import Change, Failed, Outcome, Suspended, Synced
from vaultsync.rules.status import READY, condition

_WORDS = {
    Change.NONE: "Synced",
    Change.CREATED: "Created",
    Change.UPDATED: "Updated",
    Change.ROTATED: "Rotated",
    Change.HEALED: "Tampered",
}


@dataclass(frozen=True, slots=True)
class Event:
    """An event about a VaultSecret; `reason` is one CamelCase word."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


def event_for(before: VaultSecretStatus, outcome: Outcome) -> Event | None:
    """Say what is worth an event, given the status as it was before."""
    match outcome:
        case Synced(change=Change.NONE):
            ready = condition(before, READY)
            recovered = ready is not None and ready.status == "False"
            return Event("Normal", _WORDS[Change.NONE], "In sync again.") if recovered else None
        case Synced():
            kind: Literal["Normal", "Warning"] = "Warning" if outcome.change is Change.HEALED else "Normal"
            return Event(kind, _WORDS[outcome.change], outcome.detail)
        case Failed() | Suspended():
            if _is_known(before, outcome):
                return None
            return Event("Warning" if isinstance(outcome, Failed) else "Normal", outcome.reason, outcome.message)
        case _:
            assert_never(outcome)


def _is_known(before: VaultSecretStatus, outcome: Failed | Suspended) -> bool:
    ready = condition(before, READY)
    return ready is not None and (ready.reason, ready.message) == (outcome.reason, outcome.message)
