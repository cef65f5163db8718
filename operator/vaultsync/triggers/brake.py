"""The brake of one vault: once on, it stays on until what was gone is back, or nobody waits for it any more.

Otherwise releasing some, or suspending or deleting them, would leave too few for the brake to hold the others.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.inventory import Inventory
from vaultsync.rules.changes import MOST_LOST, Missing, Seen, Sighting, Survey
from vaultsync.rules.deletion import known_names, lost_names


@dataclass(slots=True)
class Brake:
    """Remembers what was gone when so much was; until the operator ends."""

    _gone: set[str] = field(default_factory=set)
    _known: int = 0

    def survey(self, inventory: Inventory, vault_url: str, seen: Seen) -> Survey | None:
        """Reckon how much is gone, after a poll of that vault; None while not everybody has been heard of."""
        if not inventory.is_complete:
            return None
        users = inventory.names(vault_url)
        missing = (name for name, sighting in seen.sightings.items() if isinstance(sighting, Missing))
        touched = {key for name in missing for key in users.get(name, ())}.union(inventory.searchers(vault_url))
        lost = lost_names(_look_up(inventory, touched), seen)
        # Who asks for nothing that is missing is only looked at where it matters: there may be thousands.
        all_known = len(lost) > MOST_LOST
        known = known_names(_look_up(inventory, inventory.users(vault_url))) if all_known else lost
        return self.reckon(known, lost, seen)

    def reckon(self, known: AbstractSet[str], lost: AbstractSet[str], seen: Seen) -> Survey:
        """Reckon from what would go with its secret, and what of it is gone; the former may be partial if little is."""
        survey = Survey(len(known), len(lost))
        if survey.holds:
            self._gone |= lost
            self._known = max(self._known, survey.known)
        gone = {name for name in self._gone if not _is_back(name, seen)}
        held = not self._gone.isdisjoint(lost) and Survey(self._known, len(gone)).holds
        if not held:
            self._gone, self._known = set(), 0
        return Survey(survey.known, survey.lost, held=held)


def _is_back(name: str, seen: Seen) -> bool:
    """Tell whether polls see it again; of what nobody asks for any more they say nothing."""
    sighting = seen.sightings.get(name) or (seen.catalog or {}).get(name)
    return isinstance(sighting, Sighting) and sighting.readable


def _look_up(inventory: Inventory, keys: Iterable[ObjectKey]) -> list[VaultSecret]:
    return [found for key in keys if (found := inventory.get(key)) is not None]
