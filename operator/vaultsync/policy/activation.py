"""Decides about secrets of which no version is active yet: whether that blocks a write, and which keys are kept.

The vault returns a secret regardless of its dates; they are for its users.
https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-attributes
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from vaultsync.errors import Reason
from vaultsync.policy.changes import until_active
from vaultsync.policy.inputs import Inputs
from vaultsync.state.observed import Field
from vaultsync.state.secrets import (
    CarriedReading,
    InactiveReading,
    Reading,
    Readings,
    SecretRef,
    SecretState,
    state_of,
)
from vaultsync.status.outcome import Failed
from vaultsync.texts import in_utc

_UNCHANGED: Final = "the Secret stays as it is until then"


def inactive_secret(inputs: Inputs, readings: Readings) -> Failed | None:
    """Block a write without the key of a required secret of which no version is active, if the target lacks it."""
    states = _inactive_states(readings)
    unmade = _required(inputs) - kept_inactive(inputs, readings)
    return _failure(inputs, [state for ref, state in states.items() if ref in unmade], _UNCHANGED)


def kept_inactive(inputs: Inputs, readings: Readings) -> frozenset[SecretRef]:
    """Return the secrets of which no version is active and whose keys the target has: these keep their content."""
    return frozenset(ref for ref in _inactive_states(readings) if _fills_keys(inputs, ref))


def unkept_inactive(inputs: Inputs, readings: Readings) -> Failed:
    """Return the failure if the content of such keys cannot be kept by a write, so that nothing is written."""
    states = _inactive_states(readings)
    failure = _failure(inputs, [states[ref] for ref in kept_inactive(inputs, readings)], _UNCHANGED)
    assert failure is not None
    return failure


def inactive_in_place(inputs: Inputs, states: Iterable[SecretState]) -> Failed | None:
    """Return the failure of a target that is written, in which keys of required secrets are kept."""
    inactive = [one for one in states if one.pending is not None and one.pending.none_active]
    required = _required(inputs)
    kept = [one for one in inactive if one.ref.identity in required]
    return _failure(inputs, kept, "its keys keep their content until then")


def carried_inactive(
    carried: Mapping[SecretRef, CarriedReading | Reading], readings: Readings
) -> Mapping[SecretRef, CarriedReading | Reading]:
    """Return carried readings with what was read of those secrets of which no version is active."""
    return {ref: _with_pending(one, readings.get(ref)) for ref, one in carried.items()}


def _with_pending(carried: CarriedReading | Reading, reading: object) -> CarriedReading | Reading:
    if not isinstance(reading, InactiveReading) or isinstance(carried, Reading):
        return carried
    return replace(carried, state=replace(carried.state, read_at=reading.read_at, pending=reading.pending))


def _inactive_states(readings: Readings) -> dict[SecretRef, SecretState]:
    return {ref: state_of(ref, one) for ref, one in readings.items() if isinstance(one, InactiveReading)}


def _fills_keys(inputs: Inputs, ref: SecretRef) -> bool:
    """Return whether the target has keys of a secret, whichever writer wrote them last."""
    state, target = inputs.plan.known.get(ref), inputs.target
    if state is None or state.version is None or target is None:
        return False
    fields = {Field("data", key) for key in state.held}
    return not fields.isdisjoint(target.ours) or not fields.isdisjoint(target.foreign)


def _required(inputs: Inputs) -> frozenset[SecretRef]:
    return frozenset(one.ref.identity for one in inputs.plan.requests if not one.optional)


def _failure(inputs: Inputs, inactive: Iterable[SecretState], what: str) -> Failed | None:
    """Return the failure for these secrets, with the date of the first; None if there are none."""
    moments = sorted(
        (one.pending.not_before, one.ref.name, until_active(one, inputs.now)) for one in inactive if one.pending
    )
    if not moments:
        return None
    not_before, name, wait = moments[0]
    others = f", and {len(moments) - 1} more" if len(moments) > 1 else ""
    return Failed(
        Reason.SECRET_NOT_YET_ACTIVE,
        f"Secret {name} of vault {inputs.vault_secret.spec.vault_url} has no version that is active before "
        f"{in_utc(not_before)}{others}; {what}.",
        retry_after=max(wait.total_seconds(), 0.0),
    )
