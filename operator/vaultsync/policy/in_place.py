"""The outcome of a reconcile that needs neither a read nor a write; reads nothing itself."""

from dataclasses import replace

from vaultsync.api.v1alpha1 import StatusMissing
from vaultsync.policy.activation import inactive_in_place
from vaultsync.policy.deletion import held_in_place
from vaultsync.policy.diff import content_changed
from vaultsync.policy.inputs import Inputs
from vaultsync.policy.missing import kept_keys, listed_missing, missing_note
from vaultsync.policy.requests import left_out
from vaultsync.state.applied import applied_keys
from vaultsync.status.next_status import last_failure
from vaultsync.status.outcome import Change, Failed, Synced, failed


def outcome_in_place(inputs: Inputs) -> Synced | Failed:
    """Return Synced; the failure of the vault's polls, which leaves unknown whether it is in sync; or the last one.

    While the deletion guard keeps keys, that is the failure.
    """
    vault_secret, view = inputs.vault_secret, inputs.view
    if view.failure is not None:
        return failed(view.failure)
    if inputs.plan.failure is not None:
        return failed(inputs.plan.failure)
    failure = last_failure(vault_secret.status, view.polled_at)
    if failure is not None:
        return failure
    missing = listed_missing(inputs)
    held = held_in_place(inputs, missing)
    outcome = kept_in_place(inputs, missing)
    return replace(held, written=outcome) if held is not None and isinstance(outcome, Synced) else held or outcome


def kept_in_place(inputs: Inputs, missing: tuple[StatusMissing, ...]) -> Synced | Failed:
    """Return the outcome for a target that is as it was written last, while the vault lacks that."""
    inactive = inactive_in_place(inputs, inputs.plan.known.values())
    if inactive is not None:
        return replace(inactive, missing=missing)
    vault_secret, target, view = inputs.vault_secret, inputs.target, inputs.view
    assert target is not None
    assert target.applied is not None
    secrets = tuple(inputs.plan.known.values())
    omitted = vault_secret.status.left_out or 0 if view.listing is None else left_out(vault_secret.spec, view)
    return Synced(
        secrets,
        applied_keys(vault_secret, target.applied),
        left_out=omitted,
        missing=missing,
        kept=kept_keys(secrets, missing),
        note=missing_note(vault_secret, secrets, missing),
        content_changed=content_changed(vault_secret, target, Change.NONE, secrets),
    )
