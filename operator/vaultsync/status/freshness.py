"""How fresh a target is known to be: when it last held what the vault held, and whether that is too long ago."""

from datetime import datetime, timedelta
from typing import assert_never

from vaultsync.api.v1alpha1 import VaultSecretMeta, VaultSecretStatus
from vaultsync.status.conditions import READY, STALE, ConditionState, condition
from vaultsync.status.outcome import Failed, Outcome, Pruned, Suspended, Synced

PATIENCE = 3
"""Refresh intervals without a successful look at the vault after which a target counts as stale."""

_NOTHING_WRITTEN = ConditionState("Unknown", "NothingWritten", "There is no Secret that could be stale.")


def last_success(status: VaultSecretStatus, polled_at: datetime | None) -> datetime | None:
    """Tell when the target was last known to hold what the vault holds; None if it never did.

    `looked_at` is when the vault's last successful poll began. While all is well, each poll confirms the target.
    Otherwise it is the moment at which the trouble was noticed, a poll or two later than it began at most.
    """
    if not status.entries:
        return None
    read_at = min(entry.read_at for entry in status.entries)
    ready = condition(status, READY)
    confirmed = polled_at if ready is None or ready.status == "True" else ready.last_transition_time
    return read_at if confirmed is None else max(read_at, confirmed)


def staleness(
    head: VaultSecretMeta, outcome: Outcome, success: datetime | None, *, interval: timedelta | None, now: datetime
) -> ConditionState:
    """Say whether nobody knows any more if the target holds what the vault holds.

    `interval` is how often the vault is asked; None if the spec cannot be read.
    """
    match outcome:
        case Synced():
            return ConditionState("False", "Fresh", "The Secret is known to hold what the vault holds.")
        case Suspended():
            return ConditionState("Unknown", "Suspended", "Nobody looks while the VaultSecret is suspended.")
        case Pruned():
            return _NOTHING_WRITTEN
        case Failed():
            return _staleness_of_failed(head, success, interval, now)
        case _:
            assert_never(outcome)


def _staleness_of_failed(
    head: VaultSecretMeta, success: datetime | None, interval: timedelta | None, now: datetime
) -> ConditionState:
    before = condition(head.status, STALE)
    if success is None:
        return _NOTHING_WRITTEN
    if before is not None and before.status == "True":
        # As long as it fails it gets no fresher, whatever else there is to be said about it meanwhile.
        return ConditionState("True", before.reason, before.message)
    if interval is None or now < success + PATIENCE * interval:
        return ConditionState(
            "False", "Fresh", "The Secret was known to hold what the vault holds until a short while ago."
        )
    since = f"{success:%Y-%m-%d %H:%M:%S} UTC"
    return ConditionState("True", "NotConfirmed", f"The Secret was last known to hold what the vault holds at {since}.")


def stale_at(status: VaultSecretStatus, interval: timedelta) -> datetime | None:
    """Tell when a target that is not in sync turns stale, if it does; `status` is the one that says so."""
    ready, stale, success = condition(status, READY), condition(status, STALE), last_success(status, None)
    fails_and_is_fresh = (ready and ready.status, stale and stale.status) == ("False", "False")
    return success + PATIENCE * interval if fails_and_is_fresh and success is not None else None


def rotation_delay(before: VaultSecretStatus, after: VaultSecretStatus) -> timedelta | None:
    """Tell how long after its change in the vault the newest of the new versions was read; None without any.

    Both moments are the vault's own clock. A version that fills a new key is none that anybody waited for.
    """
    versions = {entry.key: entry.version for entry in before.entries}
    changed = [
        (entry.updated, entry.read_at)
        for entry in after.entries
        if entry.updated is not None and versions.get(entry.key) not in {None, entry.version}
    ]
    if not changed:
        return None
    updated, read_at = max(changed)
    return max(read_at - updated, timedelta(0))
