"""Decides which keys that the vault does not fill any more are kept, and which are removed; removes nothing itself.

One rule holds for all keys, whatever the cause: the secret is missing, is disabled or does not match a search any more,
a version is gone, a field vanished. A key keeps its last value until its grace period is over, since what the vault
says may be a fault or a mistake. The deletion guard keeps all of them while most of the vault went missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kvsecrets import SecretValue
from vaultsync.api.v1alpha1 import StatusMissing
from vaultsync.errors import SecretNotFound, SyncError
from vaultsync.policy.inputs import Holder, Inputs
from vaultsync.policy.lost_keys import Loss
from vaultsync.policy.missing import missed_keys, missing_items, missing_note, next_missing
from vaultsync.policy.plan import Plan
from vaultsync.policy.release import held_failure, is_held
from vaultsync.policy.requests import found_names, found_secrets
from vaultsync.policy.waiting import failed_or_waiting
from vaultsync.state.observed import Field
from vaultsync.state.requests import SecretRequest, search_of
from vaultsync.state.secrets import (
    CarriedReading,
    MissingReading,
    Reading,
    Readings,
    SecretRef,
    SecretState,
)
from vaultsync.state.vaults import Missing, VaultView
from vaultsync.status.outcome import Failed, Pruned, Waiting, failed
from vaultsync.texts import in_utc

CONFIRMING_POLLS = 2
"""How many polls of this process must have missed a secret before the wait of a former process counts."""

CONFIRMED_AFTER = timedelta(seconds=20)
"""How long a secret must have been missing before a target that cannot keep its key is written without it."""


@dataclass(frozen=True, slots=True)
class Deletions:
    """The keys that the vault does not fill any more: those that are removed now, and those that are kept."""

    removed: tuple[Loss, ...] = ()
    kept: tuple[Loss, ...] = ()
    missing: tuple[StatusMissing, ...] = ()
    """What the status lists once the target is written."""
    failure: Failed | None = None
    """What is reported while a key of a required secret is kept, or the deletion guard keeps any; the status then lists
    what it does if nothing is written."""
    unwritten: tuple[StatusMissing, ...] = ()
    """What the status lists as long as nothing is written."""

    @property
    def removals(self) -> frozenset[tuple[SecretRef, str]]:
        """The keys that are removed now, as `Loss.place`."""
        return frozenset(loss.place for loss in self.removed)


def decide_deletions(
    inputs: Inputs,
    readings: Readings,
    losses: Sequence[Loss],
    view: VaultView,
    *,
    filled: AbstractSet[str] | None = None,
    now: datetime,
) -> Deletions | Failed | Waiting:
    """Return which keys are removed and which are kept; also works for a part of the readings.

    Args:
        inputs: What the reconcile started with.
        readings: What was read so far.
        losses: The keys that are lost, by `find_losses`.
        view: The current view of the vault. A poll may have ended since the reconcile started, and only its view has
            the current losses.
        filled: The keys that all readings fill; None if only a part of the secrets was read.
        now: The operator's clock.

    Returns:
        The decision; or why nothing may be written: a required secret does not exist and never did, no poll has
        confirmed a loss yet, or the deletion guard keeps a key that the target cannot keep.
    """
    never_existed = _never_existed(inputs, readings)
    if never_existed is not None:
        return failed(never_existed)
    if not losses and not inputs.plan.missing:
        return Deletions()
    items = missing_items(inputs.plan, losses, now)
    removed: list[Loss] = []
    kept: list[Loss] = []
    held: list[Loss] = []
    for loss in losses:
        item = items[loss.item]
        can_keep = can_be_kept(inputs.holder, loss.key)
        guarded = is_held(inputs.vault_secret, item, view, now)
        if guarded:
            held.append(loss)
        if can_keep and (guarded or _grace_left(inputs, loss, item, view, now) > timedelta(0)):
            kept.append(loss)
        elif not guarded:
            removed.append(loss)
    unwritten = next_missing(inputs, readings, items, kept=losses, filled=filled, now=now)
    blocked = _first_unconfirmed(inputs, removed, view)
    if blocked is not None:
        return replace(blocked, missing=unwritten)
    failure = held_failure(inputs.vault_secret, held, now, unwritten)
    failure = failure or _pending(inputs, kept, items, view, unwritten, now)
    if failure is not None and len(kept) + len(removed) < len(losses):
        return failure
    missing = next_missing(inputs, readings, items, removed=removed, kept=kept, filled=filled, now=now)
    return Deletions(tuple(removed), tuple(kept), missing, failure, unwritten)


def can_be_kept(holder: Holder | None, key: str) -> bool:
    """Return whether the target holds a key as vaultsync wrote it: what others wrote is not the secret's value."""
    return holder is not None and Field("data", key) in holder.observed.ours


def carried_readings(
    plan: Plan, readings: Readings, kept: Iterable[Loss], data: Mapping[str, SecretValue]
) -> dict[SecretRef, CarriedReading | Reading]:
    """Return the readings that have the target keep these keys; `data` is the target's, in base64."""
    contents: dict[SecretRef, dict[str, SecretValue]] = {}
    for loss in kept:
        contents.setdefault(loss.request.ref.identity, {})[loss.key] = data[loss.key]
    partial = {loss.request.ref.identity for loss in kept if loss.is_partial}
    carried: dict[SecretRef, CarriedReading | Reading] = {}
    for ref, content in contents.items():
        reading = readings.get(ref)
        if ref in partial and isinstance(reading, Reading):
            carried[ref] = replace(reading, kept=content)
        else:
            carried[ref] = CarriedReading(plan.known[ref], content)
    return carried


def kept_failure(inputs: Inputs, deletions: Deletions, error: SyncError) -> Failed:
    """Return the failure of a write that would have kept keys: their grace period ends nevertheless.

    They may be its cause, as where both former and present fields of an object are too large together.
    """
    missing = deletions.unwritten
    note = missing_note(inputs.vault_secret, inputs.plan.known.values(), missing).removeprefix("; ")
    failure = failed(error)
    message = f"{failure.message} {note[0].upper()}{note[1:]}." if note else failure.message
    return replace(failure, message=message, missing=missing)


def placeholder(state: SecretState) -> CarriedReading:
    """Return a reading that fills all keys that the target has of a secret, without their content."""
    return CarriedReading(state, dict.fromkeys(state.held, SecretValue("")))


def held_in_place(inputs: Inputs, missing: tuple[StatusMissing, ...]) -> Failed | None:
    """Return a failure while the deletion guard keeps keys of a target that is in place, else None."""
    vault_secret = inputs.vault_secret
    held = [
        Loss(SecretRequest(state.ref, optional=True), key)
        for state, key, item in missed_keys(inputs.plan.known, missing)
        if is_held(vault_secret, item, inputs.view, inputs.now)
    ]
    return held_failure(vault_secret, held, inputs.now, missing)


def finds_nothing(inputs: Inputs) -> bool:
    """Return whether a search that must find something does not."""
    sources = (one for one in inputs.vault_secret.spec.data_from if not one.optional)
    required = (search for source in sources if (search := search_of(source)) is not None)
    return any(not any(one.readable for one in found_secrets(search, inputs.view)) for search in required)


def pruned(inputs: Inputs, readings: Readings, missing: tuple[StatusMissing, ...]) -> Pruned:
    """Return the outcome for a target without keys; its reason is that of the first lost secret that is required."""
    error = next(reading.error for _, reading in _absent_required(inputs.plan, readings))
    return Pruned(error.reason, error.message, missing)


def lacks_all(inputs: Inputs, readings: Readings) -> bool:
    """Return whether no secret is left and required ones are among them, so that the target goes with its last key."""
    if not all(isinstance(reading, MissingReading) for reading in readings.values()):
        return False
    return any(True for _ in _absent_required(inputs.plan, readings))


def _absent_required(plan: Plan, readings: Readings) -> Iterable[tuple[SecretRequest, MissingReading]]:
    for one in plan.requests:
        reading = readings.get(one.ref.identity)
        if not one.optional and isinstance(reading, MissingReading):
            yield one, reading


def _never_existed(inputs: Inputs, readings: Readings) -> SecretNotFound | None:
    """Return the error of a required secret that was never there, in contrast to one that is lost."""
    plan, written = inputs.plan, None if inputs.holder is None else inputs.holder.observed.applied
    for one, reading in _absent_required(plan, readings):
        state, name = plan.known.get(one.ref.identity), one.ref.name.lower()
        if state is not None and state.version is not None:
            continue
        # What was missing before may be another version of it.
        is_new = written is not None and one.ref.identity not in written.by_ref
        if is_new or all(missing.secret_name != name for missing in plan.missing):
            return reading.error
    return None


def _first_unconfirmed(inputs: Inputs, removed: Sequence[Loss], view: VaultView) -> Failed | Waiting | None:
    """Block removals until each of them is confirmed."""
    searched = any(loss.request.unlisted for loss in removed)
    found = found_names(inputs.vault_secret.spec, view) if searched else frozenset[str]()
    blocks = (_unconfirmed(inputs, loss, view, found) for loss in removed)
    return next((blocked for blocked in blocks if blocked is not None), None)


def _unconfirmed(inputs: Inputs, loss: Loss, view: VaultView, found: AbstractSet[str]) -> Failed | Waiting | None:
    """Block a removal until a poll confirms the loss, and the deletion guard has counted it.

    A target that cannot keep the key is not written without it before the secret has been missing for a while: what
    answers for a moment in place of the vault hides secrets from polls and reads alike.
    """
    vault_url, ref = inputs.vault_secret.spec.vault_url, loss.request.ref
    if view.losses is None:
        return failed_or_waiting(view, f"Waiting for a complete poll of vault {vault_url}, which lost secrets.")
    if loss.request.unlisted:
        unconfirmed = loss.name in found
    elif ref.follows and not loss.is_partial:
        unconfirmed = not _is_missed(loss.name, view)
    else:
        unconfirmed = view.losses.lost.isdisjoint({loss.name, f"{loss.name}/{loss.key}"})
    if unconfirmed:
        return failed_or_waiting(
            view, f"Waiting for a poll of vault {vault_url} that confirms the deletion of secret {ref.name}."
        )
    waited = timedelta(seconds=inputs.waited.get(loss.item, 0.0))
    is_early = not can_be_kept(inputs.holder, loss.key)
    if is_early and not loss.is_partial and waited < CONFIRMED_AFTER:
        left = (CONFIRMED_AFTER - waited).total_seconds()
        return Waiting(f"Waiting to read again secret {ref.name} of vault {vault_url}.", retry_after=left)
    return None


def _is_missed(name: str, view: VaultView) -> bool:
    """Return whether a poll that began after this process last read a secret has found it missing, too."""
    metadata = view.secrets.get(name)
    return isinstance(metadata, Missing) and not view.reads.found_since(name, metadata.observed_at)


def _pending(
    inputs: Inputs,
    kept: Iterable[Loss],
    items: Mapping[tuple[str, str], StatusMissing],
    view: VaultView,
    missing: tuple[StatusMissing, ...],
    now: datetime,
) -> Failed | None:
    """Return what is reported while keys of required secrets are kept: the first deadline."""
    required = [loss for loss in kept if loss.is_required]
    if not required:
        return None
    first = min(required, key=lambda loss: (items[loss.item].since, loss.request.ref.name))
    assert first.error is not None
    deadline = items[first.item].since + inputs.vault_secret.spec.delete_after
    left = min(_grace_left(inputs, loss, items[loss.item], view, now) for loss in kept)
    return Failed(
        first.error.reason,
        f"{first.error.message} Its key is deleted at {in_utc(deadline)}, unless the secret is back by then.",
        retry_after=left.total_seconds(),
        missing=missing,
    )


def _grace_left(inputs: Inputs, loss: Loss, missing: StatusMissing, view: VaultView, now: datetime) -> timedelta:
    """Return what is left of the grace period.

    It is over if this process has known the loss for so long by its monotonic clock. What a former process has waited
    counts if the operator's clock and the vault's agree, since one of them may have jumped, and if polls of this
    process confirm it.
    """
    delete_after = inputs.vault_secret.spec.delete_after
    left = delete_after - timedelta(seconds=inputs.waited.get(loss.item, 0.0))
    metadata = view.secrets.get(loss.name)
    polls = metadata.polls if isinstance(metadata, Missing) else view.polls if loss.request.unlisted else 0
    confirmed = loss.is_partial or polls >= CONFIRMING_POLLS
    if not confirmed or missing.vault_since is None or loss.vault_time is None:
        return left
    by_clocks = delete_after - min(now - missing.since, loss.vault_time - missing.vault_since)
    return min(left, by_clocks)
