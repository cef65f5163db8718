"""What the status lists as missing in the vault, and what the condition says about it; decides nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from vaultsync.api.v1alpha1 import StatusMissing, VaultSecret
from vaultsync.policy.inputs import Inputs
from vaultsync.policy.losses import is_recent
from vaultsync.policy.lost_keys import Loss
from vaultsync.policy.plan import Plan
from vaultsync.policy.release import is_released
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import InactiveReading, MissingReading, Reading, Readings, SecretRef, SecretState
from vaultsync.texts import in_utc, listed

Requests = Mapping[str, Sequence[SecretRequest]]
"""The requests of a plan by the secret's name in lower case: a search may lose thousands of secrets."""


def listed_missing(inputs: Inputs) -> tuple[StatusMissing, ...]:
    """Return what the status lists while nothing is read: keys that were removed are forgotten after a day."""
    requests = _by_name(inputs.plan)
    return tuple(
        one
        for one in inputs.plan.missing
        if one.removed is None or is_recent(one, inputs.now) or _required_by(requests, one)
    )


def _by_name(plan: Plan) -> Requests:
    requests: dict[str, list[SecretRequest]] = {}
    for one in plan.requests:
        requests.setdefault(one.ref.name.lower(), []).append(one)
    return requests


def _required_by(requests: Requests, missing: StatusMissing) -> list[SecretRequest]:
    """Return the required secrets that are missing; a part of one is that only if it is a pinned version."""
    return [
        one
        for one in requests.get(missing.secret_name, ())
        if not one.optional and (not missing.key or one.ref.version is not None)
    ]


def kept_keys(known: Iterable[SecretState], missing: Iterable[StatusMissing]) -> frozenset[str]:
    """Return the keys that a target holds although the vault does not fill them any more, by the status."""
    return frozenset(key for _, key, _ in missed_keys({state.ref: state for state in known}, missing))


def missed_keys(
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


def missing_note(vault_secret: VaultSecret, known: Iterable[SecretState], missing: Sequence[StatusMissing]) -> str:
    """Return what the condition says about what is missing; empty if nothing is."""
    missed = missed_keys({state.ref: state for state in known}, missing)
    notes: list[str] = []
    if missed:
        deadline = min(item.since for _, _, item in missed) + vault_secret.spec.delete_after
        keys = listed(f"{key} of secret {state.ref.name}" for state, key, _ in missed)
        notes.append(f"missing in the vault, and removed from {in_utc(deadline)} on unless back by then: {keys}")
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


def missing_items(plan: Plan, losses: Iterable[Loss], now: datetime) -> dict[tuple[str, str], StatusMissing]:
    """Return what the status says about losses from now on, by `Loss.item`."""
    before = {(one.secret_name, one.key): one for one in plan.missing if one.removed is None}
    return {loss.item: _missing_item(before, loss, now) for loss in losses}


def _missing_item(before: Mapping[tuple[str, str], StatusMissing], loss: Loss, now: datetime) -> StatusMissing:
    name, key = loss.item
    # Earlier versions, and a secret that is lost as a whole, have no key.
    found = before.get((name, key)) or (before.get((name, "")) if key and not loss.is_partial else None)
    item = StatusMissing(secret_name=name, key=key, since=now) if found is None else found
    return item.changed(key=key, vault_since=item.vault_since or loss.vault_time)


def next_missing(
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
    requests = _by_name(inputs.plan)
    for one in inputs.plan.missing:
        if (one.secret_name, one.key) not in items and _is_still_missing(requests, readings, one, filled, now):
            following[one.secret_name, one.key] = one
    for key, item in items.items():
        if key not in gone:
            following[key] = item
        elif not is_released(inputs.vault_secret, item, now):
            following[key] = item.changed(removed=now)
        elif gone[key].is_required:
            following[key] = item
    return tuple(following.values())


def _is_still_missing(
    requests: Requests, readings: Readings, missing: StatusMissing, filled: AbstractSet[str] | None, now: datetime
) -> bool:
    """Return whether something that was missing before is not back, as far as it was read."""
    if missing.key:
        if filled is not None and missing.key in filled:
            return False
        required = (readings.get(one.ref.identity) for one in _required_by(requests, missing))
        is_absent = any(isinstance(reading, MissingReading) for reading in required)
        return filled is None or is_absent or is_recent(missing, now)
    named = (one for one in requests.get(missing.secret_name, ()) if not one.unlisted)
    read = [readings.get(one.ref.identity) for one in named]
    if read and all(isinstance(reading, Reading | InactiveReading) for reading in read):
        return False
    return filled is None or bool(_required_by(requests, missing)) or is_recent(missing, now)


def _named(missing: StatusMissing) -> str:
    return f"{missing.key} of secret {missing.secret_name}" if missing.key else missing.secret_name
