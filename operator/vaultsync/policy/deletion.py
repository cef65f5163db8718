"""Decides when the keys of secrets that are missing from the vault are deleted; deletes nothing itself.

Deletions propagate only after a grace period: a secret that is being recovered returns 404 for seconds. The deletion
guard blocks them while most of a vault's secrets are missing at once, which is more likely an error than intended.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kvsecrets import SecretValue
from vaultsync.api import RELEASE_ANNOTATION
from vaultsync.api.v1alpha1 import OnSourceDeleted, StatusMissing, VaultSecret
from vaultsync.errors import Reason
from vaultsync.policy.inputs import Inputs
from vaultsync.policy.plan import Plan
from vaultsync.policy.requests import disabled_finds
from vaultsync.policy.waiting import failed_or_waiting
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import CarriedReading, InactiveReading, MissingReading, Reading, Readings, SecretRef
from vaultsync.state.vaults import Missing, SecretMetadata, VaultView
from vaultsync.status.outcome import Failed, Pruned, Waiting, failed

CONFIRMING_POLLS = 2
"""How many polls of this process must have missed a secret before the wait of a former process counts."""

MAX_USER_CLOCK_SKEW = timedelta(minutes=5)
"""By how much the clock of a user may be ahead of ours."""

CONFIRMED_AFTER = 20.0
"""Seconds for which reads must have missed an optional version that is not known to be deleted before its key goes."""


@dataclass(frozen=True, slots=True)
class Deletions:
    """Secrets that the vault had and has lost: those whose keys are deleted now, and those that are not due yet."""

    confirmed: tuple[StatusMissing, ...] = ()
    """Secrets whose keys are deleted now."""
    pending: Failed | None = None
    """What is reported while the keys of some of them are kept until the end of their grace period."""
    kept: frozenset[SecretRef] = frozenset()
    """The secrets whose keys are kept."""


def confirmed_deletions(
    inputs: Inputs, readings: Readings, view: VaultView, *, now: datetime
) -> Deletions | Failed | Waiting:
    """Return which keys may be deleted; also works for a part of the readings.

    Args:
        inputs: What the reconcile started with.
        readings: What was read so far.
        view: The current view of the vault. A poll may have ended since the reconcile started, and only its view has
            the current losses.
        now: The operator's clock.

    Returns:
        The deletions, or why nothing may be written: a secret does not exist and never did; the deletion guard has
        tripped; all lost secrets are within their grace period; no poll has confirmed the loss yet.
    """
    inputs = _without_recovered(inputs, readings)
    vault_secret, plan = inputs.vault_secret, inputs.plan
    absent = _absent(readings)
    lost: list[SecretRequest] = []
    for one in plan.requests:
        reading = absent.get(one.ref.identity)
        if reading is None:
            continue
        if _existed(one, plan):
            lost.append(one)
        elif not one.optional:
            return failed(reading.error)
    disabled = tuple(disabled_finds(vault_secret.spec, plan.known, view))
    if not lost and not disabled:
        return Deletions()
    missing = _missing(plan, (*lost, *disabled), now, absent)
    blocked = _unconfirmed(inputs, lost, missing, view, now=now) or _seen_missing_once(inputs, lost, absent)
    if blocked is not None:
        return blocked
    return _split(inputs, [*lost, *disabled], absent, missing, view, now=now)


def deletions_held(inputs: Inputs) -> Failed | None:
    """Return a failure for a VaultSecret that would lose keys while the deletion guard has tripped, else None."""
    vault_secret, plan, view = inputs.vault_secret, inputs.plan, inputs.view
    if plan.read_reason is None:
        return None
    deletes = vault_secret.spec.on_source_deleted is OnSourceDeleted.DELETE
    lost = [
        one
        for one in plan.requests
        if (one.unlisted or _is_missed(one, view)) and (one.optional or deletes) and _existed(one, plan)
    ]
    lost += disabled_finds(vault_secret.spec, plan.known, view)
    return _held(vault_secret, plan, _missing(plan, lost, inputs.now), view, now=inputs.now) if lost else None


def lost_requests(plan: Plan, readings: Readings) -> tuple[SecretRequest, ...]:
    """Return the requests for secrets that existed before and that were found missing."""
    absent = _absent(readings)
    return tuple(one for one in plan.requests if one.ref.identity in absent and _existed(one, plan))


def returned(inputs: Inputs, readings: Readings) -> Waiting | None:
    """Block deletions if one of the lost secrets is back, by what was read again."""
    back = next((ref.name for ref, reading in readings.items() if not isinstance(reading, MissingReading)), None)
    if back is None:
        return None
    return Waiting(f"Secret {back} of vault {inputs.vault_secret.spec.vault_url} was missing, and is back.")


def loses_keys(inputs: Inputs, readings: Readings, view: VaultView) -> bool:
    """Return whether the target would be written without keys that it had, since the vault does not have the secrets.

    That holds for a target that is created again, too.
    """
    plan = inputs.plan
    return _fills_keys(plan, _absent(readings)) or any(disabled_finds(inputs.vault_secret.spec, plan.known, view))


def carried_readings(
    plan: Plan, kept: Iterable[SecretRef], data: Mapping[str, SecretValue]
) -> dict[SecretRef, CarriedReading] | None:
    """Return the readings that keep the keys of secrets as they are; None if the target lacks some.

    Args:
        plan: Has the last-read state of the secrets.
        kept: The secrets that are lost and within their grace period, or have no active version.
        data: The part of the target's data that no other writer has changed, in base64.
    """
    carried: dict[SecretRef, CarriedReading] = {}
    for ref in kept:
        state = plan.known.get(ref)
        if state is None or not (state.version is None or data.keys() >= set(state.keys)):
            return None
        if state.version is None:
            continue  # the target holds nothing of it
        carried[ref] = CarriedReading(state, {key: data[key] for key in state.keys})
    return carried


def pruned(readings: Readings, missing: tuple[StatusMissing, ...]) -> Pruned:
    """Return the outcome for a target without keys; its reason is that of the first lost secret."""
    gone = {one.secret_name for one in missing}
    error = next(
        reading.error
        for ref, reading in readings.items()
        if isinstance(reading, MissingReading) and ref.name.lower() in gone
    )
    return Pruned(error.reason, error.message, missing)


def _absent(readings: Readings) -> dict[SecretRef, MissingReading]:
    return {ref: reading for ref, reading in readings.items() if isinstance(reading, MissingReading)}


def _without_recovered(inputs: Inputs, readings: Readings) -> Inputs:
    """Return the inputs without losses that are over: if a secret is lost again, its grace period starts again."""
    plan = inputs.plan
    unread = {
        one.ref.name.lower()
        for one in plan.requests
        if not isinstance(readings.get(one.ref.identity), Reading | InactiveReading)
    }
    recovered = {one.ref.name.lower() for one in plan.requests} - unread
    missing = tuple(one for one in plan.missing if one.secret_name not in recovered)
    return replace(inputs, plan=replace(plan, missing=missing))


def _existed(request: SecretRequest, plan: Plan) -> bool:
    """Return whether a secret existed before, in contrast to one that was never set."""
    state = plan.known.get(request.ref.identity)
    if state is not None and state.version is not None:
        return True
    name = request.ref.name.lower()
    return any(missing.secret_name == name for missing in plan.missing)


def _is_missed(request: SecretRequest, view: VaultView) -> bool:
    """Return whether a poll that began after this process last read it has found it missing, too."""
    name = request.ref.name.lower()
    metadata = view.secrets.get(name)
    return isinstance(metadata, Missing) and not view.reads.found_since(name, metadata.observed_at)


def _missing(
    plan: Plan, lost: Iterable[SecretRequest], now: datetime, absent: Mapping[SecretRef, MissingReading] | None = None
) -> dict[str, StatusMissing]:
    """Return since when each lost secret has been missing, by its name in lower case."""
    before = {missing.secret_name: missing for missing in plan.missing}
    times = {ref.name: reading.error.vault_time for ref, reading in (absent or {}).items()}
    missing: dict[str, StatusMissing] = {}
    for name in dict.fromkeys(one.ref.name.lower() for one in lost):
        one = before.get(name) or StatusMissing(secret_name=name, since=now)
        missing[name] = one if one.vault_since else one.model_copy(update={"vault_since": times.get(name)})
    return missing


def _all_missing(plan: Plan, missing: Mapping[str, StatusMissing]) -> tuple[StatusMissing, ...]:
    """Return what is missing now, and what was missing before."""
    return tuple({**{one.secret_name: one for one in plan.missing}, **missing}.values())


def _unconfirmed(
    inputs: Inputs,
    lost: Iterable[SecretRequest],
    missing: Mapping[str, StatusMissing],
    view: VaultView,
    *,
    now: datetime,
) -> Failed | Waiting | None:
    """Block deletions until a poll confirms them, and the deletion guard has counted the losses."""
    vault_url = inputs.vault_secret.spec.vault_url
    if view.losses is None:
        return failed_or_waiting(view, f"Waiting for a complete poll of vault {vault_url}, which lost secrets.")
    held = _held(inputs.vault_secret, inputs.plan, missing, view, now=now)
    if held is not None:
        return held
    for one in lost:
        name = one.ref.name.lower()
        if one.unlisted:
            unconfirmed = view.listing is not None and name in view.listing
        else:
            unconfirmed = one.ref.follows and not _is_missed(one, view)
        if unconfirmed:
            return failed_or_waiting(
                view, f"Waiting for a poll of vault {vault_url} that confirms the deletion of secret {one.ref.name}."
            )
    return None


def _seen_missing_once(
    inputs: Inputs, lost: Iterable[SecretRequest], absent: Mapping[SecretRef, MissingReading]
) -> Waiting | None:
    """Block the deletion of an optional version until a later read has missed it, too.

    It has no grace period, and an empty vault that answers for a moment in place of the right one hides secrets from
    polls and reads alike. A secret whose deletion the vault itself reports is not hidden, and with the newest version
    all others are lost.
    """
    for one in lost:
        if not one.optional or (not one.ref.follows and SecretRef(one.ref.name).identity in absent):
            continue
        error = absent[one.ref.identity].error
        if error.reason is not Reason.SECRET_SOFT_DELETED and error.missing_for < CONFIRMED_AFTER:
            vault_url = inputs.vault_secret.spec.vault_url
            return Waiting(f"Waiting to read again a version of secret {one.ref.name} of vault {vault_url}.")
    return None


def _held(
    vault_secret: VaultSecret, plan: Plan, missing: Mapping[str, StatusMissing], view: VaultView, *, now: datetime
) -> Failed | None:
    """Block everything while the deletion guard has tripped, except for losses that a user has released."""
    if view.losses is None or not view.losses.tripped:
        return None
    released, problem = _released_until(vault_secret, now)
    if released is not None and all(_lost_at(one, now) <= released for one in missing.values()):
        return None
    message = (
        f"Most secrets of vault {vault_secret.spec.vault_url} whose keys would be deleted with them went missing "
        "at once, so nothing is deleted; the Secret stays as it is. If this is intended: kubectl annotate "
        f"vaultsecret -n {vault_secret.key.namespace} {vault_secret.key.name} --overwrite "
        f'{RELEASE_ANNOTATION}="$(date -u +%FT%TZ)".{problem}'
    )
    return Failed(Reason.DELETION_HELD, message, missing=_all_missing(plan, missing))


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


def _split(
    inputs: Inputs,
    lost: Sequence[SecretRequest],
    absent: Mapping[SecretRef, MissingReading],
    missing: Mapping[str, StatusMissing],
    view: VaultView,
    *,
    now: datetime,
) -> Deletions | Failed:
    """Split required secrets by whether their grace period is over; one whose key is deleted already has none left."""
    plan, delete_after = inputs.plan, inputs.vault_secret.spec.delete_after
    confirmed: dict[str, StatusMissing] = {}
    pending: list[tuple[datetime, SecretRequest]] = []
    left: list[timedelta] = []
    for one in lost:
        if one.optional:
            continue
        entry, state = missing[one.ref.name.lower()], plan.known.get(one.ref.identity)
        is_deleted = state is not None and state.version is None
        grace = _grace_left(inputs, entry, absent.get(one.ref.identity), view.secrets.get(entry.secret_name), now)
        if grace > timedelta(0) and not is_deleted:
            left.append(grace)
            pending.append((entry.since + delete_after, one))
        else:
            confirmed[entry.secret_name] = entry
    if not pending:
        return Deletions(tuple(confirmed.values()))
    deadline, first = min(pending, key=lambda entry: (entry[0], entry[1].ref.name))
    error = absent[first.ref.identity].error
    failure = Failed(
        error.reason,
        f"{error.message} Its key is deleted at {deadline:%Y-%m-%d %H:%M:%S} UTC, unless the secret is back by then.",
        retry_after=min(left).total_seconds(),
        missing=_all_missing(plan, missing),
    )
    # The version before the newest goes with it, although that one may be missing by itself.
    names = {one.ref.name.lower() for _, one in pending}
    kept = {
        one.ref.identity for one in lost if one.ref.name.lower() in names and (one.ref.previous or not one.optional)
    }
    refs = {one.ref.identity for one in lost}
    has_other_changes = bool(confirmed) and not (plan.due and plan.due <= refs)
    if not has_other_changes and not _fills_keys(plan, refs - kept):
        return failure
    return Deletions(tuple(confirmed.values()), failure, frozenset(kept))


def _grace_left(
    inputs: Inputs,
    missing: StatusMissing,
    reading: MissingReading | None,
    metadata: SecretMetadata | Missing | None,
    now: datetime,
) -> timedelta:
    """Return what is left of the grace period.

    It is over if this process has known the secret to be missing for so long by its monotonic clock. What a former
    process has waited counts if the operator's clock and the vault's agree, since one of them may have jumped, and if
    polls of this process confirm it.
    """
    delete_after = inputs.vault_secret.spec.delete_after
    left = delete_after - timedelta(seconds=inputs.waited.get(missing.secret_name, 0.0))
    vault_time = None if reading is None else reading.error.vault_time
    confirmed = isinstance(metadata, Missing) and metadata.polls >= CONFIRMING_POLLS
    if not confirmed or missing.vault_since is None or vault_time is None:
        return left
    by_clocks = delete_after - min(now - missing.since, vault_time - missing.vault_since)
    return min(left, by_clocks)


def _fills_keys(plan: Plan, refs: Iterable[SecretRef]) -> bool:
    """Return whether the target has keys of some of these secrets."""
    states = (plan.known.get(ref) for ref in refs)
    return any(state is not None and state.version is not None and state.keys for state in states)
