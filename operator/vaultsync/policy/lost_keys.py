"""Finds the keys of a target that the vault does not fill any more; decides nothing about them."""

from collections.abc import Callable, Sequence
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
    unfilled = [group for one in inputs.plan.requests if (group := _unfilled(inputs, one, readings, filled))]
    if not unfilled:
        return ()
    is_loss = _loss_filter(inputs)
    losses: list[Loss] = []
    for group in unfilled:
        lost = [loss for loss in group if is_loss(loss)]
        # Of a required secret that is missing, and whose keys were renamed, nothing else is left.
        is_last = not lost and group[0].error is not None and group[0].is_required
        losses += group if is_last else lost
    return tuple(loss for loss in losses if loss.key not in inputs.vault_secret.spec.target.template)


def _unfilled(
    inputs: Inputs, request: SecretRequest, readings: Readings, filled: AbstractSet[str] | None
) -> Sequence[Loss]:
    """Return the keys that the target has of one secret, and that it does not fill any more."""
    state, reading = inputs.plan.known.get(request.ref.identity), readings.get(request.ref.identity)
    if state is None:
        return ()
    if isinstance(reading, MissingReading):
        return [Loss(request, key, reading.error, reading.error.vault_time) for key in state.held]
    vault_time = reading.vault_time if isinstance(reading, Reading | InactiveReading) else None
    if request.unlisted and (reading is not None or filled is not None):
        return [Loss(request, key, None, vault_time) for key in state.held]
    if isinstance(reading, Reading) and filled is not None:
        return [Loss(request, key, None, vault_time, is_partial=True) for key in state.held if key not in filled]
    return ()


def _loss_filter(inputs: Inputs) -> Callable[[Loss], bool]:
    """Return the function that returns whether the vault has taken a key away.

    Otherwise it was the spec, by which the VaultSecret's users decide.
    """
    holder, vault_secret = inputs.holder, inputs.vault_secret
    if holder is not None and holder.spec_content == content_fingerprint(vault_secret):
        return lambda _: True
    missing = {(one.secret_name, one.key) for one in inputs.plan.missing}
    is_by_this_spec = holder is not None and not holder.is_by_other_spec(vault_secret)

    def is_loss(loss: Loss) -> bool:
        may_be_lost = loss.item in missing or not loss.is_partial or is_by_this_spec
        return (
            may_be_lost and not _is_deselected(inputs, loss) and asks_for(vault_secret.spec, loss.request.ref, loss.key)
        )

    return is_loss


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
