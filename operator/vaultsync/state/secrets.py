"""What the vault gave when secrets were read for a target, and whether it may be used yet; reads nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from kvsecrets import SecretValue
from vaultsync.errors import SecretNotFound


class SecretRef(NamedTuple):
    """One thing to read from the vault: a secret's newest version, a pinned one, or the one before the newest."""

    name: str
    version: str | None = None
    previous: bool = False

    @property
    def follows(self) -> bool:
        """Whether it is the newest version, which polls tell about."""
        return self.version is None and not self.previous

    @property
    def identity(self) -> "SecretRef":
        """The same for all spellings: the vault tells names apart without regard to case."""
        return SecretRef(self.name.lower(), self.version, self.previous)


@dataclass(frozen=True, slots=True)
class SecretState:
    """What is known of one secret as it was last read: versions and dates, never the value; and the keys that it fills.

    `version` is None for an optional secret that is absent. `read_at` is the vault's clock at that reading.
    """

    ref: SecretRef
    keys: tuple[str, ...]
    version: str | None
    updated: datetime | None
    expires: datetime | None
    read_at: datetime


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
class MissingReading:
    """A secret that the vault does not have, and that may be absent; `why` tells it to people."""

    read_at: datetime
    why: SecretNotFound


Readings = Mapping[SecretRef, Reading | MissingReading]
"""By the identity of what was asked for."""
