"""What the vault gave when secrets were read for a target, and whether it may be used yet; reads nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kvsecrets import SecretValue
from vaultsync.rules.outcome import NotThere, Reason, SecretRef, SyncError


@dataclass(frozen=True, slots=True)
class Reading:
    """One secret as the vault gave it."""

    value: SecretValue
    version: str
    updated: datetime | None
    expires: datetime | None
    read_at: datetime
    content_type: str | None = None
    not_before: datetime | None = None
    """Until then it is not to be used, says the vault, which gives it all the same."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A secret that the vault does not have, and that may be absent; `why` tells it to people."""

    read_at: datetime
    why: NotThere


Readings = Mapping[SecretRef, Reading | Absent]
"""By the identity of what was asked for."""


def check_active(readings: Readings, vault_url: str) -> None:
    """Refuse what is not to be used yet.

    The vault gives it whatever its dates say, which are for those who use it.
    https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-attributes

    Raises:
        SyncError: SecretNotYetActive, to be tried again at that very moment.
    """
    for ref, reading in readings.items():
        if isinstance(reading, Reading) and reading.not_before is not None and reading.not_before > reading.read_at:
            raise SyncError(
                Reason.SECRET_NOT_YET_ACTIVE,
                f"Secret {ref.name} of vault {vault_url} has a version that is not to be used before "
                f"{reading.not_before:%Y-%m-%d %H:%M:%S} UTC; the Secret stays as it is until then.",
                retry_after=(reading.not_before - reading.read_at).total_seconds(),
            )
