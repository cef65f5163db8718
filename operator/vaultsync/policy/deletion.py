"""Decides which keys that the vault does not fill any more are kept, and which are removed; removes nothing itself.

One rule holds for all keys, whatever the cause: the secret is missing, is disabled or does not match a search any more,
a version is gone, a field vanished. A key keeps its last value until its grace period is over, since what the vault
says may be a fault or a mistake. The deletion guard keeps all of them while most of the vault went missing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kvsecrets import SecretValue
from vaultsync.api import RELEASE_ANNOTATION
from vaultsync.api.v1alpha1 import StatusMissing, VaultSecret
from vaultsync.errors import Reason, SecretNotFound, SyncError
from vaultsync.policy.activation import kept_inactive
from vaultsync.policy.inputs import Holder, Inputs
from vaultsync.policy.losses import is_recent, unit_of
from vaultsync.policy.plan import Plan
from vaultsync.policy.requests import asks_for, found_names, found_secrets
from vaultsync.policy.waiting import failed_or_waiting
from vaultsync.state.applied import content_fingerprint
from vaultsync.state.observed import Field
from vaultsync.state.requests import SecretRequest, search_of
from vaultsync.state.secrets import (
    CarriedReading,
    InactiveReading,
    MissingReading,
    Reading,
    Readings,
    SecretRef,
    SecretState,
)
from vaultsync.state.vaults import Missing, VaultView
from vaultsync.status.outcome import Failed, Pruned, Waiting, failed
from vaultsync.texts import listed

CONFIRMING_POLLS = 2
"""How many polls of this process must have missed a secret before the wait of a former process counts."""

MAX_USER_CLOCK_SKEW = timedelta(minutes=5)
"""By how much the clock of a user may be ahead of ours."""

CONFIRMED_AFTER = timedelta(seconds=20)
"""How long a secret must have been missing before a target that cannot keep its key is written without it."""


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
    return listed is not None and listed.readable and None is not listed.updated == state.updated


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
    items = {loss.item: _item(inputs.plan, loss, now) for loss in losses}
    removed: list[Loss] = []
    kept: list[Loss] = []
    held: list[Loss] = []
    blocked: Failed | Waiting | None = None
    for loss in losses:
        item = items[loss.item]
        can_keep = can_be_kept(inputs.holder, loss.key)
        is_held = _is_held(inputs.vault_secret, item, view, now)
        if is_held:
            held.append(loss)
        if can_keep and (is_held or _grace_left(inputs, loss, item, view, now) > timedelta(0)):
            kept.append(loss)
        elif not is_held:
            removed.append(loss)
            blocked = blocked or _unconfirmed(inputs, loss, view, is_early=not can_keep)
    unwritten = _next_missing(inputs, readings, items, kept=losses, filled=filled, now=now)
    if blocked is not None:
        return replace(blocked, missing=unwritten)
    failure = _held_failure(inputs.vault_secret, held, now, unwritten)
    failure = failure or _pending(inputs, kept, items, view, unwritten, now)
    if failure is not None and len(kept) + len(removed) < len(losses):
        return failure
    missing = _next_missing(inputs, readings, items, removed=removed, kept=kept, filled=filled, now=now)
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


def listed_missing(inputs: Inputs) -> tuple[StatusMissing, ...]:
    """Return what the status lists while nothing is read: keys that were removed are forgotten after a day."""
    required = {one.ref.name.lower() for one in inputs.plan.requests if not one.optional}
    return tuple(
        one
        for one in inputs.plan.missing
        if one.removed is None or is_recent(one, inputs.now) or (not one.key and one.secret_name in required)
    )


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


def placeholder(state: SecretState) -> CarriedReading:
    """Return a reading that fills all keys that the target has of a secret, without their content."""
    return CarriedReading(state, dict.fromkeys(state.held, SecretValue("")))


def held_in_place(inputs: Inputs, missing: tuple[StatusMissing, ...]) -> Failed | None:
    """Return a failure while the deletion guard keeps keys of a target that is in place, else None."""
    vault_secret = inputs.vault_secret
    held = [
        Loss(SecretRequest(state.ref, optional=True), key)
        for state, key, item in _missed_keys(inputs.plan.known, missing)
        if _is_held(vault_secret, item, inputs.view, inputs.now)
    ]
    return _held_failure(vault_secret, held, inputs.now, missing)


def finds_nothing(inputs: Inputs) -> bool:
    """Return whether a search that must find something does not."""
    sources = (one for one in inputs.vault_secret.spec.data_from if not one.optional)
    required = (search for source in sources if (search := search_of(source)) is not None)
    return any(not any(one.readable for one in found_secrets(search, inputs.view)) for search in required)


def kept_keys(known: Iterable[SecretState], missing: Iterable[StatusMissing]) -> frozenset[str]:
    """Return the keys that a target holds although the vault does not fill them any more, by the status."""
    return frozenset(key for _, key, _ in _missed_keys({state.ref: state for state in known}, missing))


def missing_note(vault_secret: VaultSecret, known: Iterable[SecretState], missing: Sequence[StatusMissing]) -> str:
    """Return what the condition says about what is missing; empty if nothing is."""
    missed = _missed_keys({state.ref: state for state in known}, missing)
    notes: list[str] = []
    if missed:
        deadline = min(item.since for _, _, item in missed) + vault_secret.spec.delete_after
        keys = listed(f"{key} of secret {state.ref.name}" for state, key, _ in missed)
        notes.append(f"missing in the vault, and removed from {_utc(deadline)} on unless back by then: {keys}")
    waiting = {item.secret_name for _, _, item in missed}
    gone = [_named(one) for one in missing if one.removed is not None or not (one.key or one.secret_name in waiting)]
    if gone:
        notes.append(f"gone from the vault: {listed(gone)}")
    return "".join(f"; {note}" for note in notes)


def not_present(plan: Plan, refs: Collection[SecretRef]) -> tuple[StatusMissing, ...]:
    """Return what is missing, without secrets of which the vault has just said that they are disabled."""
    present = {(ref.name.lower(), "") for ref in refs}
    present |= {
        (ref.name.lower(), key) for ref in refs if not ref.follows and ref in plan.known for key in plan.known[ref].held
    }
    return tuple(one for one in plan.missing if (one.secret_name, one.key) not in present)


def pruned(inputs: Inputs, readings: Readings, missing: tuple[StatusMissing, ...]) -> Pruned:
    """Return the outcome for a target without keys; its reason is that of the first lost secret that is required."""
    error = next(reading.error for _, reading in _absent_required(inputs.plan, readings))
    return Pruned(error.reason, error.message, missing)


def is_emptied(inputs: Inputs, readings: Readings, deletions: Deletions) -> bool:
    """Return whether no secret is left and required ones are among them, so that the target goes with its last key."""
    if deletions.kept or not all(isinstance(reading, MissingReading) for reading in readings.values()):
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


def _item(plan: Plan, loss: Loss, now: datetime) -> StatusMissing:
    """Return what the status says about a loss from now on."""
    before = {(one.secret_name, one.key): one for one in plan.missing if one.removed is None}
    name, key = loss.item
    # Earlier versions, and a secret that is lost as a whole, have no key.
    found = before.get((name, key)) or (before.get((name, "")) if key and not loss.is_partial else None)
    item = StatusMissing(secret_name=name, key=key, since=now) if found is None else found
    return item.model_copy(update={"key": key, "vault_since": item.vault_since or loss.vault_time})


def _next_missing(
    inputs: Inputs,
    readings: Readings,
    items: Mapping[tuple[str, str], StatusMissing],
    *,
    removed: Iterable[Loss] = (),
    kept: Iterable[Loss] = (),
    filled: AbstractSet[str] | None,
    now: datetime,
) -> tuple[StatusMissing, ...]:
    """Return what the status lists from now on: what is lost, and of what was lost before, what is not back."""
    stays = {loss.item for loss in kept}
    gone = {loss.item: loss for loss in removed if loss.item not in stays}
    following: dict[tuple[str, str], StatusMissing] = {}
    for one in inputs.plan.missing:
        if (one.secret_name, one.key) not in items and _is_still_missing(inputs.plan, readings, one, filled, now):
            following[one.secret_name, one.key] = one
    for key, item in items.items():
        if key not in gone:
            following[key] = item
        elif not _is_released(inputs.vault_secret, item, now):
            following[key] = item.model_copy(update={"removed": now})
        elif gone[key].is_required:
            following[key] = item
    return tuple(following.values())


def _is_still_missing(
    plan: Plan, readings: Readings, missing: StatusMissing, filled: AbstractSet[str] | None, now: datetime
) -> bool:
    """Return whether something that was missing before is not back, as far as it was read."""
    if missing.key:
        if filled is not None and missing.key in filled:
            return False
        return filled is None or is_recent(missing, now)
    requests = [one for one in plan.requests if one.ref.name.lower() == missing.secret_name and not one.unlisted]
    read = [readings.get(one.ref.identity) for one in requests]
    if requests and all(isinstance(reading, Reading | InactiveReading) for reading in read):
        return False
    is_required = any(not one.optional for one in requests)
    return filled is None or is_required or is_recent(missing, now)


def _missed_keys(
    known: Mapping[SecretRef, SecretState], missing: Iterable[StatusMissing]
) -> list[tuple[SecretState, str, StatusMissing]]:
    """Return the keys that a target holds of what is missing, each once."""
    items = {(one.secret_name, one.key): one for one in missing if one.removed is None}
    missed: list[tuple[SecretState, str, StatusMissing]] = []
    for state in known.values():
        name = state.ref.name.lower()
        for key in state.held:
            item = items.get((name, key)) or (items.get((name, "")) if state.ref.follows else None)
            if item is not None:
                missed.append((state, key, item))
    return missed


def _unconfirmed(inputs: Inputs, loss: Loss, view: VaultView, *, is_early: bool) -> Failed | Waiting | None:
    """Block a removal until a poll confirms the loss, and the deletion guard has counted it.

    A target that cannot keep the key is not written without it before the secret has been missing for a while: what
    answers for a moment in place of the vault hides secrets from polls and reads alike.
    """
    vault_url, ref = inputs.vault_secret.spec.vault_url, loss.request.ref
    if view.losses is None:
        return failed_or_waiting(view, f"Waiting for a complete poll of vault {vault_url}, which lost secrets.")
    if loss.request.unlisted:
        unconfirmed = loss.name in found_names(inputs.vault_secret.spec, view)
    elif ref.follows and not loss.is_partial:
        unconfirmed = not _is_missed(loss.name, view)
    else:
        unconfirmed = view.losses.lost.isdisjoint({loss.name, f"{loss.name}/{loss.key}"})
    if unconfirmed:
        return failed_or_waiting(
            view, f"Waiting for a poll of vault {vault_url} that confirms the deletion of secret {ref.name}."
        )
    waited = timedelta(seconds=inputs.waited.get(loss.item, 0.0))
    if is_early and not loss.is_partial and waited < CONFIRMED_AFTER:
        left = (CONFIRMED_AFTER - waited).total_seconds()
        return Waiting(f"Waiting to read again secret {ref.name} of vault {vault_url}.", retry_after=left)
    return None


def _is_missed(name: str, view: VaultView) -> bool:
    """Return whether a poll that began after this process last read a secret has found it missing, too."""
    metadata = view.secrets.get(name)
    return isinstance(metadata, Missing) and not view.reads.found_since(name, metadata.observed_at)


def _is_held(vault_secret: VaultSecret, item: StatusMissing, view: VaultView, now: datetime) -> bool:
    """Return whether the deletion guard keeps the keys of a loss, which no user has released."""
    holds = view.losses is not None and view.losses.holds(unit_of(item))
    return holds and not _is_released(vault_secret, item, now)


def _is_released(vault_secret: VaultSecret, item: StatusMissing, now: datetime) -> bool:
    released, _ = _released_until(vault_secret, now)
    return released is not None and _lost_at(item, now) <= released


def _held_failure(
    vault_secret: VaultSecret, held: Sequence[Loss], now: datetime, missing: tuple[StatusMissing, ...]
) -> Failed | None:
    """Return what is reported while the deletion guard keeps keys."""
    if not held:
        return None
    _, problem = _released_until(vault_secret, now)
    message = (
        f"Most secrets of vault {vault_secret.spec.vault_url} whose keys would be removed with them, or most keys of "
        f"its JSON objects, went missing within a day, so nothing is removed; kept: "
        f"{listed(f'{loss.key} of secret {loss.request.ref.name}' for loss in held)}. "
        f"If this is intended: kubectl annotate vaultsecret -n {vault_secret.key.namespace} {vault_secret.key.name} "
        f'--overwrite {RELEASE_ANNOTATION}="$(date -u +%FT%TZ)".{problem}'
    )
    return Failed(Reason.DELETION_HELD, message, missing=missing)


def _lost_at(missing: StatusMissing, now: datetime) -> datetime:
    """Return when a secret was lost: by the vault's clock if ours was ahead then, since no user could release it."""
    return missing.vault_since if missing.vault_since and missing.since > now else missing.since


def _released_until(vault_secret: VaultSecret, now: datetime) -> tuple[datetime | None, str]:
    """Return the time until which the annotation releases losses, and a sentence for an invalid annotation."""
    text = vault_secret.metadata.annotations.get(RELEASE_ANNOTATION)
    if text is None:
        return None, ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None, " The annotation's present value is not a time."
    if moment.tzinfo is None:
        return None, " The annotation's present value is a time without a time zone."
    if moment > now + MAX_USER_CLOCK_SKEW:
        return None, " The annotation's present value is in the future."
    return moment, ""


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
        f"{first.error.message} Its key is deleted at {_utc(deadline)}, unless the secret is back by then.",
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


def _named(missing: StatusMissing) -> str:
    return f"{missing.key} of secret {missing.secret_name}" if missing.key else missing.secret_name


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
