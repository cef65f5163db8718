"""The status that people see of a VaultSecret, from the one before and an outcome; whether to write it is not ours."""

from datetime import datetime

from vaultsync.api.v1alpha1 import Condition, StatusEntry, StatusTarget, VaultSecret, VaultSecretHead, VaultSecretStatus
from vaultsync.rules.outcome import Change, Outcome, SecretState, Synced, ready_status

READY = "Ready"


def status_after(vault_secret: VaultSecret, outcome: Outcome, *, now: datetime) -> VaultSecretStatus:
    """Build the next status; what a failure tells nothing about stays as it was."""
    if not isinstance(outcome, Synced):
        return status_of_untouched(vault_secret, outcome, now=now)
    return VaultSecretStatus(
        observed_generation=vault_secret.metadata.generation,
        conditions=(_ready(vault_secret, outcome, now=now),),
        target=StatusTarget(name=vault_secret.target_key.name),
        entries=tuple(_entry(key, state) for state in outcome.secrets for key in state.keys),
        left_out=outcome.left_out or None,
        last_change_time=vault_secret.status.last_change_time if outcome.change is Change.NONE else now,
    )


def status_of_untouched(head: VaultSecretHead, outcome: Outcome, *, now: datetime) -> VaultSecretStatus:
    """Build the next status of one whose target was left alone, for whose spec we need not know."""
    return VaultSecretStatus(
        observed_generation=head.metadata.generation,
        conditions=(_ready(head, outcome, now=now),),
        target=head.status.target,
        entries=head.status.entries,
        left_out=head.status.left_out,
        last_change_time=head.status.last_change_time,
    )


def condition(status: VaultSecretStatus, kind: str) -> Condition | None:
    """Find a condition by its type."""
    return next((one for one in status.conditions if one.type == kind), None)


def _ready(head: VaultSecretHead, outcome: Outcome, *, now: datetime) -> Condition:
    before = condition(head.status, READY)
    status = ready_status(outcome)
    unchanged = before is not None and before.status == status
    return Condition(
        type=READY,
        status=status,
        reason=outcome.reason.value,
        message=outcome.message,
        last_transition_time=before.last_transition_time if before is not None and unchanged else now,
        observed_generation=head.metadata.generation,
    )


def _entry(key: str, state: SecretState) -> StatusEntry:
    return StatusEntry(
        key=key,
        secret_name=state.ref.name,
        version=state.version,
        updated=state.updated,
        expires=state.expires,
        read_at=state.read_at,
    )
