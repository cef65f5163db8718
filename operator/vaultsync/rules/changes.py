"""What must be read: what a poll saw of the vault against what was last read of an entry; decides on no write.

All moments but `now` are the vault's own clock, from its `Date` header. The vault stamps `updated` in whole seconds and
may stamp a second ahead, so two writes within one second look the same to a listing: an entry read that soon after its
`updated` is *unsettled* and is read once more when that second is safely past.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vaultsync.rules.outcome import NotYet, Reason, SecretRef, SecretState, SyncError

CLOCKS_APART = timedelta(hours=1)
"""By how much the vault's clock may be ahead of ours."""

MOST_LOST = 5
"""So many secrets may vanish together without anybody's being asked, even if there were no others."""

SETTLING = timedelta(seconds=3)
"""How long after `updated` a second write could still look the same."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a poll saw of one secret: the attributes of its newest version. A listing tells no `version`.

    `readable` is false while that version is disabled, or reading it was refused.
    """

    readable: bool
    updated: datetime | None
    expires: datetime | None
    seen_at: datetime
    version: str | None = None
    name: str = ""
    """In the letters of its creation."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """A poll looked for a secret, and the vault had none of that name."""

    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a vault's listing: sightings by secret name in lower case, and the vault's clock."""

    sightings: Mapping[str, Sighting]
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Survey:
    """How much a vault has lost of what would be deleted with it: secrets that were there, and those that are no more.

    How so much may go and come back: https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
    """

    known: int = 0
    lost: int = 0
    held: bool = False
    """Whether most of what was gone when so many were is still gone, and somebody waits for some of it."""

    @property
    def holds(self) -> bool:
        """Whether so many are, or were, gone together that nothing is deleted before somebody has said so."""
        return self.held or (self.lost > MOST_LOST and 2 * self.lost > self.known)


@dataclass(frozen=True, slots=True)
class Seen:
    """What polls know of one vault: sightings by secret name in lower case; nothing is known of a name without one.

    `failure` is why the vault cannot be polled at present. `catalog` is the last whole listing, where somebody searches
    the vault.
    """

    sightings: Mapping[str, Sighting | Missing] = field(default_factory=dict)
    failure: SyncError | None = None
    catalog: Mapping[str, Sighting] | None = None
    unsearchable: SyncError | None = None
    """Why there can be no catalog."""
    looked_at: datetime | None = None
    """When the last poll began that went well, by our clock."""
    survey: Survey | None = None
    """How much of the vault was gone at that poll."""

    def unknown(self, what: str) -> SyncError:
        """Why something is not known of the vault: it cannot be polled, or no poll has come to it yet."""
        return NotYet(Reason.VAULT_UNREACHABLE, what) if self.failure is None else self.failure.anew()

    def present(self, names: Iterable[str]) -> frozenset[str]:
        """Which of these, in lower case, polls have seen."""
        return frozenset(name for name in names if isinstance(self.sightings.get(name), Sighting))


def due(ref: SecretRef, state: SecretState | None, seen: Seen, *, now: datetime, recheck: timedelta) -> str | None:
    """Say why a secret must be read, or None when what we know of it still holds."""
    if state is None:
        return "never read"
    if now - state.read_at >= recheck or state.read_at - now > CLOCKS_APART:
        # A reading in the future is no reading: whoever may write annotations must not put off the recheck with one.
        return "time for a recheck"
    if not ref.follows:
        # Polls follow the newest versions alone: a pinned one that is optional and absent waits for the recheck.
        return None
    sighting = seen.sightings.get(ref.name.lower()) or (seen.catalog or {}).get(ref.name.lower())
    if sighting is None or sighting.seen_at < state.read_at:
        return None
    if isinstance(sighting, Missing):
        return None if state.version is None else "gone from the vault"
    return _difference(state, sighting)


def _difference(state: SecretState, sighting: Sighting) -> str | None:
    """Compare a reading with a sighting that is newer; the same second counts as newer, to be safe."""
    if state.version is None:
        return "appeared in the vault"
    if not sighting.readable:
        return "cannot be read"
    if (sighting.updated, sighting.expires) != (state.updated, state.expires):
        return "changed in the vault"
    if sighting.version is not None:
        return None if sighting.version == state.version else "changed in the vault"
    return "unsettled" if unsettled(state) and has_settled(state, sighting.seen_at) else None


def unsettled(state: SecretState) -> bool:
    """Tell whether a second write could hide behind the `updated` that was read."""
    return state.updated is not None and state.updated > state.read_at - SETTLING


def has_settled(state: SecretState, moment: datetime) -> bool:
    """Tell whether a reading at that moment would settle it."""
    return state.updated is not None and moment > state.updated + SETTLING
