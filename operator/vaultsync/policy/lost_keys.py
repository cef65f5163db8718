"""Finds the keys of a target that the vault does not fill any more; decides nothing about them."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from vaultsync.errors import SecretNotFound
from vaultsync.policy.activation import kept_inactive
from vaultsync.policy.inputs import Inputs
from vaultsync.policy.requests import asks_for
from vaultsync.state.applied import content_fingerprint
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import (
    InactiveReading,
    MissingReading,
    Reading,
    Readings,
    SecretRef,
    SecretState,
)


@dataclass(frozen=True, slots=True)
class Loss:
    """A key that the target has, and that the vault does not fill any more."""

    request: SecretRequest
    key: str
    error: SecretNotFound | None = None
    """Why its secret could not be read, if it is missing."""
    vault_time: datetime | None = None
    """When that was found, by the vault's clock, if it sent its time."""
    is_partial: bool = False
    """Whether its secret was read, and only does not fill the key any more."""

    @property
    def name(self) -> str:
        """The secret's name in lower case."""
        return self.request.ref.name.lower()

    @property
    def item(self) -> tuple[str, str]:
        """The name and the key by which the status has it: without the key, if the secret itself is lost."""
        return self.name, self.key if self.is_partial or not self.request.ref.follows else ""

    @property
    def place(self) -> tuple[SecretRef, str]:
        """The version of the secret that filled the key, and the key."""
        return self.request.ref.identity, self.key

    @property
    def is_required(self) -> bool:
        """Whether the VaultSecret is not ready while it is missing."""
        return not self.request.optional and not self.is_partial


def find_losses(inputs: Inputs, readings: Readings, filled: AbstractSet[str] | None = None) -> tuple[Loss, ...]:
    """Return the keys that the target has, by its last-read state, and that the vault does not fill any more.

    Args:
        inputs: What the reconcile started with.
        readings: What was read; secrets that were not read yet are not lost.
        filled: The keys that all readings fill; None if only a part of the secrets was read.
    """
    losses: list[Loss] = []
    for one in inputs.plan.requests:
        state, reading = inputs.plan.known.get(one.ref.identity), readings.get(one.ref.identity)
        if state is None:
            continue
        if isinstance(reading, MissingReading):
            losses += _lost_with_secret(inputs, one, state, reading.error)
            continue
        vault_time = reading.vault_time if isinstance(reading, Reading | InactiveReading) else None
        if one.unlisted and (reading is not None or filled is not None):
            lost = (Loss(one, key, None, vault_time) for key in state.held)
        elif isinstance(reading, Reading) and filled is not None:
            lost = (Loss(one, key, None, vault_time, is_partial=True) for key in state.held if key not in filled)
        else:
            continue
        losses += (loss for loss in lost if _is_loss(inputs, loss))
    return tuple(loss for loss in losses if loss.key not in inputs.vault_secret.spec.target.template)


def _lost_with_secret(
    inputs: Inputs, request: SecretRequest, state: SecretState, error: SecretNotFound
) -> Sequence[Loss]:
    """Return the keys of a secret that is missing: all that the target has of a required one whose keys were renamed.

    Nothing else is left of it.
    """
    every = [Loss(request, key, error, error.vault_time) for key in state.held]
    lost = [loss for loss in every if _is_loss(inputs, loss)]
    return lost if lost or request.optional else every


def _is_loss(inputs: Inputs, loss: Loss) -> bool:
    """Return whether the vault has taken the key away, and not the spec, by which the VaultSecret's users decide."""
    holder, vault_secret = inputs.holder, inputs.vault_secret
    if holder is not None and holder.spec_content == content_fingerprint(vault_secret):
        return True
    if _is_deselected(inputs, loss):
        return False
    is_known = any((one.secret_name, one.key) == loss.item for one in inputs.plan.missing)
    may_be_lost = is_known or not loss.is_partial or (holder is not None and not holder.is_by_other_spec(vault_secret))
    return may_be_lost and asks_for(vault_secret.spec, loss.request.ref, loss.key)


def _is_deselected(inputs: Inputs, loss: Loss) -> bool:
    """Return whether a secret that no search finds any more is in the vault as it was when it filled the key."""
    listing, state = inputs.view.listing, inputs.plan.known[loss.request.ref.identity]
    listed = None if listing is None or not loss.request.unlisted else listing.get(loss.name)
    return listed is not None and listed.readable and listed.updated is not None and listed.updated == state.updated


def inactive_keys(inputs: Inputs, readings: Readings) -> tuple[Loss, ...]:
    """Return the keys of secrets of which no version is active yet, and which keep their content until then."""
    inactive, spec = kept_inactive(inputs, readings), inputs.vault_secret.spec
    return tuple(
        Loss(one, key)
        for one in inputs.plan.requests
        if one.ref.identity in inactive and not one.unlisted
        for key in inputs.plan.known[one.ref.identity].held
        if asks_for(spec, one.ref, key)
    )
