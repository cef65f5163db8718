"""What is kept of a reconcile that has failed, and for how long reading again is useless; reads nothing itself."""

from datetime import datetime, timedelta
from typing import Final

from vaultsync.errors import Reason, Retry, SyncError
from vaultsync.policy.inputs import Inputs
from vaultsync.state.attempts import Basis, FailedAttempt
from vaultsync.state.listings import SecretMetadata
from vaultsync.state.observed import Observed
from vaultsync.state.secrets import (
    CarriedReading,
    FoundTooMuch,
    MissingReading,
    Readings,
    SecretRef,
    SecretState,
    state_of,
)
from vaultsync.status.outcome import Failed, Outcome

REJECTED_FOR: Final = timedelta(minutes=1)
"""How long what the API server has rejected is not read again: quotas and policies change without an event."""


def unread_attempt(inputs: Inputs, refs: frozenset[SecretRef]) -> FailedAttempt:
    """Return what is kept if some secrets could not be read."""
    return FailedAttempt(Basis.of(inputs.vault_secret, inputs.target), unread=refs)


def missing_refs(readings: Readings) -> frozenset[SecretRef]:
    """Return the identities of the secrets that were not found."""
    return frozenset(ref for ref, reading in readings.items() if isinstance(reading, MissingReading))


def failed_attempt(
    inputs: Inputs, readings: Readings, outcome: Outcome, *, target: Observed | None, now: datetime
) -> FailedAttempt | None:
    """Return what is kept of a reconcile that has read all secrets, and has left this target.

    Nothing is if it succeeded or waits, if it is retried soon, if keys of missing secrets are kept for a while, or if
    there is a foreign Secret of that name, which is not watched.
    """
    if not isinstance(outcome, Failed) or outcome.missing is not None:
        return None
    if outcome.written is not None and outcome.reason is not Reason.TARGET_CHANGED:
        return None
    if outcome.retry is Retry.SOON or outcome.reason is Reason.TARGET_CONFLICT:
        return None
    read = {ref: state_of(ref, one) for ref, one in readings.items() if not isinstance(one, CarriedReading)}
    until = now + REJECTED_FOR if outcome.reason is Reason.TARGET_INVALID else None
    if outcome.retry_after is not None:
        until = now + min(timedelta(seconds=outcome.retry_after), inputs.config.recheck)
    failure = SyncError(outcome.reason, outcome.message)
    return FailedAttempt(Basis.of(inputs.vault_secret, target), read=read, failure=failure, until=until)


def found_too_much(inputs: Inputs, error: FoundTooMuch, *, now: datetime) -> FailedAttempt:
    """Return what is kept if reading was stopped: the other secrets count as if they had been read as listed."""
    read = {one.ref.identity: _as_listed(inputs, one.ref.identity, now) for one in inputs.plan.requests}
    basis = Basis.of(inputs.vault_secret, inputs.target)
    return FailedAttempt(basis, read={**read, **error.read}, failure=SyncError(error.reason, error.message))


def _as_listed(inputs: Inputs, ref: SecretRef, now: datetime) -> SecretState:
    listed = inputs.view.find(ref.name)
    if not isinstance(listed, SecretMetadata):
        return SecretState(ref, (), None, None, None, now)
    return SecretState(ref, (), listed.version or "", listed.updated, listed.expires, now)
