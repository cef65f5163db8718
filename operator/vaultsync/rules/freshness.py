"""How fresh a target is known to be: when it last held what the vault held, and whether that is too long ago."""

from datetime import datetime, timedelta

from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretStatus
from vaultsync.rules.status import READY, condition

PATIENCE = 3
"""Refresh intervals without a successful look at the vault after which a target counts as stale."""


def last_success(vault_secret: VaultSecret, looked_at: datetime | None) -> datetime | None:
    """Tell when the target was last known to hold what the vault holds; None if it never did.

    `looked_at` is when the vault's last successful poll began. While all is well, each poll confirms the target.
    Otherwise it is the moment at which the trouble was noticed, a poll or two later than it began at most.
    """
    status = vault_secret.status
    if not status.entries:
        return None
    read_at = min(entry.read_at for entry in status.entries)
    ready = condition(status, READY)
    confirmed = looked_at if ready is None or ready.status == "True" else ready.last_transition_time
    return read_at if confirmed is None else max(read_at, confirmed)


def is_stale(vault_secret: VaultSecret, success: datetime | None, *, now: datetime) -> bool:
    """Tell whether nobody knows any more if the target holds what the vault holds; a suspended one's user knows."""
    if success is None or vault_secret.spec.suspend:
        return False
    return now - success > PATIENCE * vault_secret.spec.refresh_interval


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
