"""Computes the next status of a VaultSecret from the previous one and an outcome; does not write it."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import assert_never

from vaultsync.api.status import StatusPending
from vaultsync.api.v1alpha1 import (
    Condition,
    StatusEntry,
    StatusGrant,
    StatusMissing,
    StatusTarget,
    VaultSecret,
    VaultSecretMeta,
    VaultSecretStatus,
)
from vaultsync.errors import Reason
from vaultsync.state.secrets import PendingVersion, SecretState
from vaultsync.status.conditions import EXPIRING, READY, STALE, ConditionState, condition, next_condition, progress
from vaultsync.status.expiry import expiring
from vaultsync.status.freshness import last_success, staleness
from vaultsync.status.outcome import Change, Failed, Pruned, Reported, Suspended, Synced, Waiting, ready_status

_PERSISTENT = {reason.value for reason in Reason} - {
    Reason.CLUSTER_UNAVAILABLE,
    Reason.NOT_GRANTED,
    Reason.QUOTA_EXCEEDED,
    Reason.TARGET_CONFLICT,
    Reason.TARGET_TERMINATING,
}
"""Reasons that may still hold although the target is in place; the other failures are over by then."""

_UNOBSERVED = {Reason.SUSPENDED.value, Reason.NOT_GRANTED.value, Reason.QUOTA_EXCEEDED.value}
"""Reasons of the Ready condition while nothing is asked of the vault."""


def status_after(
    vault_secret: VaultSecret,
    outcome: Reported,
    *,
    now: datetime,
    polled_at: datetime | None,
    notice: timedelta,
    present: Collection[str] = (),
    granted: StatusGrant | None = None,
) -> VaultSecretStatus:
    """Return the next status; fields that the outcome does not change are kept.

    Args:
        vault_secret: The VaultSecret with its previous status.
        outcome: The outcome of the reconcile.
        now: The current time.
        polled_at: When the vault's last successful poll began, if there was one.
        notice: How long before its expiry date a secret is reported as expiring.
        present: Names, in lower case, of secrets that are not missing any more: they are removed from `missing`.
        granted: The grant by which the VaultSecret was reconciled, if it was granted.
    """
    success = last_success(vault_secret.status, polled_at)
    stale = staleness(vault_secret, outcome, success, interval=vault_secret.spec.refresh_interval, now=now)
    before = vault_secret.status
    match outcome:
        case Failed(written=Synced() as written):
            status = _synced(vault_secret, written, outcome, stale, now=now, notice=notice, granted=granted)
            return status.model_copy(update={"missing": outcome.missing or written.missing})
        case Failed() | Suspended() | Waiting():
            return _untouched(vault_secret, outcome, stale, now=now, notice=notice, present=present)
        case Pruned():
            return VaultSecretStatus(
                observed_generation=vault_secret.metadata.generation,
                conditions=_conditions(vault_secret, outcome, stale, (), now=now, notice=notice),
                missing=outcome.missing,
                last_change_time=before.last_change_time if outcome.change is Change.NONE else now,
                restarts=before.restarts,
                last_handled_refresh=before.last_handled_refresh,
            )
        case Synced():
            return _synced(vault_secret, outcome, outcome, stale, now=now, notice=notice, granted=granted)
        case _:
            assert_never(outcome)


def _synced(
    vault_secret: VaultSecret,
    written: Synced,
    outcome: Reported,
    stale: ConditionState,
    *,
    now: datetime,
    notice: timedelta,
    granted: StatusGrant | None,
) -> VaultSecretStatus:
    """Build the status for a target that was written or is in place; the conditions are those of the outcome."""
    before = vault_secret.status
    entries = tuple(_entries(written.secrets, before.entries))
    return VaultSecretStatus(
        observed_generation=vault_secret.metadata.generation,
        conditions=_conditions(vault_secret, outcome, stale, entries, now=now, notice=notice),
        target=_target(vault_secret, written.change),
        grant=granted or before.grant,
        entries=entries,
        missing=written.missing,
        altered=written.altered,
        left_out=written.left_out or None,
        last_change_time=before.last_change_time if written.change is Change.NONE else now,
        content_change_time=now if written.content_changed else before.content_change_time,
        restarts=before.restarts,
        last_handled_refresh=before.last_handled_refresh if written.refreshed is None else written.refreshed,
    )


def _target(vault_secret: VaultSecret, change: Change) -> StatusTarget:
    """Return the target that was written; one that is in place stays as it was reported: an upgrade writes nothing."""
    before, name = vault_secret.status.target, vault_secret.target_key.name
    if before is not None and before.name == name and change is Change.NONE:
        return before
    return StatusTarget(name=name, vault_url=vault_secret.spec.vault_url)


def status_of_unreadable(
    vault_secret: VaultSecretMeta, outcome: Failed, *, now: datetime, notice: timedelta
) -> VaultSecretStatus:
    """Return the next status of a VaultSecret whose spec is invalid and whose target was not changed."""
    stale = staleness(vault_secret, outcome, last_success(vault_secret.status, None), interval=None, now=now)
    return _untouched(vault_secret, outcome, stale, now=now, notice=notice)


def last_failure(status: VaultSecretStatus, polled_at: datetime | None) -> Failed | None:
    """Return the failure in the status, as long as the vault was not polled since the start; None if there is none.

    After a restart, a target that is in place does not show that its VaultSecret failed before, so the failure is
    still reported.

    Args:
        status: The status before.
        polled_at: When the vault's last successful poll began, if there was one.
    """
    ready = condition(status, READY) if polled_at is None else None
    if ready is not None and ready.status == "False" and ready.reason in _PERSISTENT:
        return Failed(Reason(ready.reason), ready.message)
    return None


def still_missing(status: VaultSecretStatus, now: datetime) -> tuple[StatusMissing, ...]:
    """Return what the status lists as missing; since now if the vault was not asked, as it may have been back."""
    ready = condition(status, READY)
    if ready is None or ready.reason not in _UNOBSERVED:
        return status.missing
    return tuple(one.changed(since=now, vault_since=None) for one in status.missing)


def _untouched(
    vault_secret: VaultSecretMeta,
    outcome: Failed | Suspended | Waiting,
    stale: ConditionState,
    *,
    now: datetime,
    notice: timedelta,
    present: Collection[str] = (),
) -> VaultSecretStatus:
    before = vault_secret.status
    conditions = _conditions(vault_secret, outcome, stale, before.entries, now=now, notice=notice)
    missing = before.missing if conditions[0].reason in _UNOBSERVED else still_missing(before, now)
    changes: dict[str, object] = {
        "observed_generation": vault_secret.metadata.generation,
        "conditions": conditions,
    }
    if isinstance(outcome, Failed | Waiting) and outcome.missing is not None:
        missing = outcome.missing
    changes["missing"] = tuple(one for one in missing if one.key or one.secret_name not in present)
    if isinstance(outcome, Failed) and outcome.refreshed is not None:
        changes["last_handled_refresh"] = outcome.refreshed
    return vault_secret.status.model_copy(update=changes)


def _conditions(
    vault_secret: VaultSecretMeta,
    outcome: Reported,
    stale: ConditionState,
    entries: Sequence[StatusEntry],
    *,
    now: datetime,
    notice: timedelta,
) -> tuple[Condition, ...]:
    states = {STALE: stale, EXPIRING: expiring(entries, now=now, notice=notice)}
    others = (next_condition(vault_secret, kind, state, now=now) for kind, state in states.items())
    ready = _ready(vault_secret, outcome, now)
    return (ready, *progress(ready, vault_secret.status.conditions, now=now), *others)


def _ready(vault_secret: VaultSecretMeta, outcome: Reported, now: datetime) -> Condition:
    """Return the Ready condition. Waiting does not replace a failure, unless users must see it."""
    before = condition(vault_secret.status, READY)
    if isinstance(outcome, Waiting) and not outcome.is_long and before is not None and before.status == "False":
        return before
    state = ConditionState(ready_status(outcome), outcome.reason.value, outcome.message)
    return next_condition(vault_secret, READY, state, now=now)


def _entries(secrets: Iterable[SecretState], before: Iterable[StatusEntry]) -> Iterator[StatusEntry]:
    """Yield an entry for each key; that of a kept one stays as it was, since its content is of an earlier version."""
    earlier = {(entry.key, entry.secret_name.lower()): entry for entry in before}
    for state in secrets:
        yield from (_entry(key, state) for key in state.keys)
        for key in state.kept:
            yield earlier.get((key, state.ref.name.lower())) or _entry(key, state)


def _entry(key: str, state: SecretState) -> StatusEntry:
    return StatusEntry(
        key=key,
        secret_name=state.ref.name,
        version=state.version,
        updated=state.updated,
        expires=state.expires,
        certificate_expires=state.certificates.get(key),
        read_at=state.read_at,
        pending=None if state.pending is None else _pending(state.pending),
    )


def _pending(pending: PendingVersion) -> StatusPending:
    return StatusPending(
        version=pending.version,
        not_before=pending.not_before,
        none_active=pending.none_active,
        newest=pending.newest.id,
        newest_updated=pending.newest.updated,
        newest_expires=pending.newest.expires,
    )
