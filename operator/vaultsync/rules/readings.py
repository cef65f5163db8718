"""What the vault gave when secrets were read for a target; reads nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kvsecrets import SecretValue
from vaultsync.rules.outcome import SecretRef


@dataclass(frozen=True, slots=True)
class Reading:
    """One secret as the vault gave it."""

    value: SecretValue
    version: str
    updated: datetime | None
    expires: datetime | None
    read_at: datetime
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """An optional secret that the vault does not have."""

    read_at: datetime


Readings = Mapping[SecretRef, Reading | Absent]
"""By the identity of what was asked for."""
