"""What is known of each vault."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from vaultsync.errors import NotYet, Reason, SyncError

MAX_LOST = 5
"""So many secrets may vanish together without anybody's being asked, even if there were no others."""


@dataclass(frozen=True, slots=True)
class SecretMetadata:
    """What a poll saw of one secret: the attributes of its newest version. A listing tells no `version`.

    `readable` is false while that version is disabled, or reading it was refused.
    """

    readable: bool
    updated: datetime | None
    expires: datetime | None
    observed_at: datetime
    version: str | None = None
    name: str = ""
    """In the letters of its creation."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """A poll looked for a secret, and the vault had none of that name."""

    observed_at: datetime


@dataclass(frozen=True, slots=True)
class ListingPage:
    """One page of a vault's listing: sightings by secret name in lower case, and the vault's clock."""

    secrets: Mapping[str, SecretMetadata]
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class LossReport:
    """How much a vault has lost of what would be deleted with it: secrets that were there, and those that are no more.

    How so much may go and come back: https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
    """

    known: int = 0
    lost: int = 0
    latched: bool = False
    """Whether most of what was gone when so many were is still gone, and somebody waits for some of it."""

    @property
    def tripped(self) -> bool:
        """Whether so many are, or were, gone together that nothing is deleted before somebody has said so."""
        return self.latched or (self.lost > MAX_LOST and 2 * self.lost > self.known)


@dataclass(frozen=True, slots=True)
class VaultView:
    """What polls know of one vault: sightings by secret name in lower case; nothing is known of a name without one.

    `failure` is why the vault cannot be polled at present. `catalog` is the last whole listing, where somebody searches
    the vault.
    """

    secrets: Mapping[str, SecretMetadata | Missing] = field(default_factory=dict)
    failure: SyncError | None = None
    listing: Mapping[str, SecretMetadata] | None = None
    list_error: SyncError | None = None
    """Why there can be no catalog."""
    polled_at: datetime | None = None
    """When the last poll began that went well, by our clock."""
    losses: LossReport | None = None
    """How much of the vault was gone at that poll."""

    def unknown(self, what: str) -> SyncError:
        """Why something is not known of the vault: it cannot be polled, or no poll has come to it yet."""
        return NotYet(Reason.VAULT_UNREACHABLE, what) if self.failure is None else self.failure.anew()

    def present(self, names: Iterable[str]) -> frozenset[str]:
        """Which of these, in lower case, polls have seen."""
        return frozenset(name for name in names if isinstance(self.secrets.get(name), SecretMetadata))
