"""Conditions: how what is said becomes one, and how one is found; decides on nothing that is said.

https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md
"""

from datetime import datetime
from typing import Literal, NamedTuple

from vaultsync.api.v1alpha1 import Condition, VaultSecretMeta, VaultSecretStatus

READY = "Ready"
STALE = "Stale"
EXPIRING = "Expiring"


class ConditionState(NamedTuple):
    """What a condition says; the message stays the same as long as nothing changes."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def condition(status: VaultSecretStatus, kind: str) -> Condition | None:
    """Find a condition by its type."""
    return next((one for one in status.conditions if one.type == kind), None)


def next_condition(head: VaultSecretMeta, kind: str, said: ConditionState, *, now: datetime) -> Condition:
    """Make the condition that follows the one of that type, if there is one."""
    before = condition(head.status, kind)
    unchanged = before is not None and before.status == said.status
    return Condition(
        type=kind,
        status=said.status,
        reason=said.reason,
        message=said.message,
        last_transition_time=before.last_transition_time if before is not None and unchanged else now,
        observed_generation=head.metadata.generation,
    )
