"""The condition Stale: when the target last matched the vault, and whether that is too long ago; reads no clock."""

from datetime import UTC, datetime, timedelta
from typing import assert_never

from vaultsync.api.v1alpha1 import VaultSecretMeta, VaultSecretStatus
from vaultsync.errors import Reason
from vaultsync.status.conditions import READY, STALE, ConditionState, condition
from vaultsync.status.outcome import Failed, Pruned, Reported, Suspended, Synced, Waiting
from vaultsync.texts import in_utc

STALE_AFTER = 3
"""Number of refresh intervals without confirmation after which a target is stale."""

_LAST = datetime.max.replace(tzinfo=UTC)

_NOTHING_WRITTEN = ConditionState("Unknown", "NothingWritten", "There is no Secret to compare with the vault.")


def last_success(status: VaultSecretStatus, polled_at: datetime | None) -> datetime | None:
    """Return when the target was last confirmed to match the vault; None if never.

    `polled_at` is when the vault's last successful poll began. While the target is in sync, each poll confirms it.
    Otherwise it is the time when the failure was first reported, at most two polls after it began.
    """
    if not status.entries:
        return None
    read_at = min(entry.read_at for entry in status.entries)
    ready = condition(status, READY)
    confirmed = polled_at if ready is None or ready.status == "True" else ready.last_transition_time
    return read_at if confirmed is None else max(read_at, confirmed)


def staleness(
    vault_secret: VaultSecretMeta,
    outcome: Reported,
    success: datetime | None,
    *,
    interval: timedelta | None,
    now: datetime,
) -> ConditionState:
    """Return whether it has not been confirmed for too long that the target matches the vault.

    `interval` is how often the vault is polled; None if the spec is invalid.
    """
    match outcome:
        case Synced():
            return ConditionState("False", "Fresh", "The Secret matches the vault.")
        case Suspended():
            return ConditionState("Unknown", "Suspended", "The vault is not read while the VaultSecret is suspended.")
        case Pruned():
            return _NOTHING_WRITTEN
        case Failed() | Waiting():
            return _staleness_of_failed(vault_secret, success, interval, now)
        case _:
            assert_never(outcome)


def _staleness_of_failed(
    vault_secret: VaultSecretMeta, success: datetime | None, interval: timedelta | None, now: datetime
) -> ConditionState:
    before = condition(vault_secret.status, STALE)
    if success is None:
        return _NOTHING_WRITTEN
    if before is not None and before.status == "True":
        # It stays stale, with the same message, until it is in sync again.
        return ConditionState("True", before.reason, before.message)
    if interval is None:
        return ConditionState("False", "Fresh", "Not evaluated while the spec is invalid.")
    if now - success < STALE_AFTER * interval:
        return ConditionState(
            "False", "Fresh", f"The Secret matched the vault less than {STALE_AFTER} refresh intervals ago."
        )
    since = in_utc(success)
    return ConditionState("True", "NotConfirmed", f"The Secret was last confirmed to match the vault at {since}.")


def stale_at(status: VaultSecretStatus, interval: timedelta) -> datetime | None:
    """Return when a target that is not in sync becomes stale by its status; None if it does not."""
    ready, stale, success = condition(status, READY), condition(status, STALE), last_success(status, None)
    if ready is None or ready.status == "True" or ready.reason == Reason.SUSPENDED:
        return None
    is_fresh = stale is not None and stale.status == "False"
    # Users can write the status: an interval after the last of all times would overflow.
    if not is_fresh or success is None or success > _LAST - STALE_AFTER * interval:
        return None
    return success + STALE_AFTER * interval


def rotation_delay(before: VaultSecretStatus, after: VaultSecretStatus) -> timedelta | None:
    """Return the time from the change in the vault to its reading, for the newest changed version; None without one.

    It includes by how much the operator's clock is ahead of the vault's. The first version of a new key does not count.
    A version that was set in advance changes the vault when it becomes active.
    """
    versions = {entry.key: entry.version for entry in before.entries}
    activated = {entry.pending.version: entry.pending.not_before for entry in before.entries if entry.pending}
    changed = [
        (max(entry.updated, activated.get(entry.version or "", entry.updated)), entry.read_at)
        for entry in after.entries
        if entry.updated is not None and versions.get(entry.key) not in {None, entry.version}
    ]
    if not changed:
        return None
    updated, read_at = max(changed)
    return max(read_at - updated, timedelta(0))
