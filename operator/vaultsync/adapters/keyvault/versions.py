"""Selects versions of a secret: the one that is active, the next one, and the one before; lists none itself.

Key Vault returns the newest version whatever its dates, which are for the users of a secret.
https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-attributes
"""

import math
from collections.abc import Sequence
from datetime import datetime

from kvsecrets import SecretProperties
from vaultsync.policy.changes import is_before


def active_time(read_at: datetime, vault_time: datetime | None, updated: datetime | None) -> datetime:
    """Return the time by which versions are active: the earlier of two clocks, so that no jump activates one early.

    Args:
        read_at: The operator's clock.
        vault_time: The vault's clock, if it sent its time. One that is before the last change of the newest version is
            wrong, and could hold it back for ever.
        updated: When the newest version was last changed.
    """
    return read_at if vault_time is None or is_before(vault_time, updated) else min(read_at, vault_time)


def is_pending(version: SecretProperties, now: datetime) -> bool:
    """Return whether a version becomes active later."""
    return version.not_before is not None and version.not_before > now


def active_version(versions: Sequence[SecretProperties], now: datetime) -> SecretProperties | None:
    """Return the newest of the enabled versions that are active; None if there is none."""
    return max((one for one in versions if _is_usable(one, now)), key=_created, default=None)


def next_version(
    versions: Sequence[SecretProperties], active: SecretProperties | None, now: datetime
) -> SecretProperties | None:
    """Return the first of the enabled versions newer than the active one that become active later."""
    since = -math.inf if active is None else _created(active)
    later = [one for one in versions if one.enabled and is_pending(one, now) and _created(one) >= since]
    return min(later, key=lambda one: (one.not_before, -_created(one)), default=None)


def activation(current: str, versions: Sequence[SecretProperties], now: datetime) -> datetime:
    """Return when a version became active; now if it is not listed. What is not active by then was never before it."""
    listed = next((one for one in versions if one.version == current), None)
    moments = () if listed is None else (listed.created_on, listed.not_before)
    return max((moment for moment in moments if moment is not None), default=now)


def version_before(current: str, versions: Sequence[SecretProperties], moment: datetime) -> str | None:
    """Return the newest of the versions that are not younger than `current` and usable at that moment, if there is one.

    The vault dates versions in whole seconds: of several in the same second as `current`, any may be returned.
    """
    until = next((_created(version) for version in versions if version.version == current), math.inf)
    older = [one for one in versions if _is_usable(one, moment) and one.version != current and _created(one) <= until]
    return max(older, key=_created).version if older else None


def unusable(versions: Sequence[SecretProperties], now: datetime) -> frozenset[str]:
    """Return the versions that are disabled or not active yet."""
    return frozenset(one.version or "" for one in versions if not _is_usable(one, now))


def _is_usable(version: SecretProperties, now: datetime) -> bool:
    return version.enabled and not is_pending(version, now)


def _created(version: SecretProperties) -> float:
    return version.created_on.timestamp() if version.created_on is not None else 0.0
