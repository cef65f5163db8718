"""Finds conditions in a status and builds the next ones; other modules decide what they report.

https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from vaultsync.api.v1alpha1 import Condition, VaultSecretMeta, VaultSecretStatus
from vaultsync.errors import Reason, Retry, is_same_message
from vaultsync.texts import MAX_MESSAGE, one_line

READY = "Ready"
STALE = "Stale"
EXPIRING = "Expiring"
STALLED = "Stalled"
RECONCILING = "Reconciling"

_NEEDS_A_CHANGE = frozenset(reason.value for reason in Reason if reason.retry is Retry.LATER)


class ConditionState(NamedTuple):
    """Status, reason and message of a condition; the message must be stable while nothing changes."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def condition(status: VaultSecretStatus, kind: str) -> Condition | None:
    """Return the condition of a type; None if the status does not have it."""
    return next((one for one in status.conditions if one.type == kind), None)


def shown(message: str) -> str:
    """Return a message as a condition has it: names that users chose may be part of it."""
    return one_line(message, MAX_MESSAGE)


def next_condition(vault_secret: VaultSecretMeta, kind: str, state: ConditionState, *, now: datetime) -> Condition:
    """Return the next condition of a type; the transition time is kept while the status is the same.

    So is the message, as long as only its request id is another one.
    """
    before, generation = condition(vault_secret.status, kind), vault_secret.metadata.generation
    message = shown(state.message)
    if before is not None and is_same_message(before.message, message):
        message = before.message
    unchanged = before is not None and before.status == state.status
    after = (state.status, state.reason, message, generation)
    if before is not None and (before.status, before.reason, before.message, before.observed_generation) == after:
        return before
    return Condition(
        type=kind,
        status=state.status,
        reason=state.reason,
        message=message,
        last_transition_time=before.last_transition_time if before is not None and unchanged else now,
        observed_generation=generation,
    )


def progress(ready: Condition, before: Iterable[Condition], *, now: datetime) -> tuple[Condition, ...]:
    """Return the condition by which kstatus, and so Helm, Flux and kpt, waits for an object; none if it is ready.

    Stalled: a change is needed first; a wait ends. Reconciling: it may become ready by itself.
    Both are there only while they are true, and have reason and message of Ready.
    https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md

    Args:
        ready: The next Ready condition.
        before: The conditions before.
        now: The current time.
    """
    if ready.status == "True":
        return ()
    is_stalled = (ready.status == "False" and ready.reason in _NEEDS_A_CHANGE) or ready.reason == Reason.SUSPENDED
    kind = STALLED if is_stalled else RECONCILING
    known = next((one for one in before if one.type == kind and one.status == "True"), None)
    since = now if known is None else known.last_transition_time
    return (ready.changed(type=kind, status="True", last_transition_time=since),)
