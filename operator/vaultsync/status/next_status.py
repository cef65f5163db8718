"""The status that people see of a VaultSecret, from the one before and an outcome; whether to write it is not ours."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import assert_never

from vaultsync.api.v1alpha1 import (
    Condition,
    StatusEntry,
    StatusTarget,
    VaultSecret,
    VaultSecretMeta,
    VaultSecretStatus,
)
from vaultsync.errors import Reason, SyncError
from vaultsync.state.secrets import SecretState
from vaultsync.status.conditions import EXPIRING, READY, STALE, ConditionState, condition, next_condition
from vaultsync.status.expiry import expiring
from vaultsync.status.freshness import last_success, staleness
from vaultsync.status.outcome import Change, Failed, Outcome, Pruned, Suspended, Synced, ready_status

_LASTING = {reason.value for reason in Reason} - {Reason.CLUSTER_UNAVAILABLE, Reason.TARGET_CONFLICT}
"""What a target shows nothing of that is in place; the others are over by then."""


def status_after(
    vault_secret: VaultSecret,
    outcome: Outcome,
    *,
    now: datetime,
    polled_at: datetime | None,
    notice: timedelta,
    back: Collection[str] = (),
) -> VaultSecretStatus:
    """Build the next status; what a failure tells nothing about stays as it was.

    Args:
        vault_secret: The VaultSecret with the status before.
        outcome: What came of the reconcile.
        now: Our clock.
        polled_at: When the vault's last successful poll began, if there was one.
        notice: How long before its date a secret counts as expiring.
        back: Which secrets polls have seen, by their names in lower case: what was missing of them is back.
    """
    success = last_success(vault_secret.status, polled_at)
    stale = staleness(vault_secret, outcome, success, interval=vault_secret.spec.refresh_interval, now=now)
    before = vault_secret.status
    match outcome:
        case Failed() | Suspended():
            return _untouched(vault_secret, outcome, stale, now=now, notice=notice, back=back)
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
            entries = tuple(_entry(key, state) for state in outcome.secrets for key in state.keys)
            return VaultSecretStatus(
                observed_generation=vault_secret.metadata.generation,
                conditions=_conditions(vault_secret, outcome, stale, entries, now=now, notice=notice),
                target=StatusTarget(name=vault_secret.target_key.name),
                entries=entries,
                missing=outcome.missing,
                left_out=outcome.left_out or None,
                last_change_time=before.last_change_time if outcome.change is Change.NONE else now,
                content_change_time=now if outcome.content_changed else before.content_change_time,
                restarts=before.restarts,
                last_handled_refresh=before.last_handled_refresh if outcome.refreshed is None else outcome.refreshed,
            )
        case _:
            assert_never(outcome)


def status_of_unreadable(
    head: VaultSecretMeta, outcome: Failed, *, now: datetime, notice: timedelta
) -> VaultSecretStatus:
    """Build the next status of one whose spec cannot be read and whose target was left alone."""
    stale = staleness(head, outcome, last_success(head.status, None), interval=None, now=now)
    return _untouched(head, outcome, stale, now=now, notice=notice)


def check_known_trouble(status: VaultSecretStatus, polled_at: datetime | None) -> None:
    """Go on saying what was said last of a target in place, if it was a failure, until somebody has looked.

    `looked_at` is when the vault's last successful poll began, if there was one.

    Raises:
        SyncError: The failure that the status tells of.
    """
    ready = condition(status, READY) if polled_at is None else None
    if ready is not None and ready.status == "False" and ready.reason in _LASTING:
        raise SyncError(Reason(ready.reason), ready.message)


def _untouched(
    head: VaultSecretMeta,
    outcome: Failed | Suspended,
    stale: ConditionState,
    *,
    now: datetime,
    notice: timedelta,
    back: Collection[str] = (),
) -> VaultSecretStatus:
    news: dict[str, object] = {
        "observed_generation": head.metadata.generation,
        "conditions": _conditions(head, outcome, stale, head.status.entries, now=now, notice=notice),
        "missing": tuple(one for one in head.status.missing if one.secret_name not in back),
    }
    if isinstance(outcome, Failed):
        news |= {"missing": outcome.missing} if outcome.missing is not None else {}
        news |= {"last_handled_refresh": outcome.refreshed} if outcome.refreshed is not None else {}
    return head.status.model_copy(update=news)


def _conditions(
    head: VaultSecretMeta,
    outcome: Outcome,
    stale: ConditionState,
    entries: Sequence[StatusEntry],
    *,
    now: datetime,
    notice: timedelta,
) -> tuple[Condition, ...]:
    ready = ConditionState(ready_status(outcome), outcome.reason.value, outcome.message)
    said = {READY: ready, STALE: stale, EXPIRING: expiring(entries, now=now, notice=notice)}
    return tuple(next_condition(head, kind, one, now=now) for kind, one in said.items())


def _entry(key: str, state: SecretState) -> StatusEntry:
    return StatusEntry(
        key=key,
        secret_name=state.ref.name,
        version=state.version,
        updated=state.updated,
        expires=state.expires,
        read_at=state.read_at,
    )
