"""The brake of one vault: once on, it stays on until what was gone is back, or nobody waits for it any more.

Otherwise releasing some, or suspending or deleting them, would leave too few for the brake to hold the others.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.policy.deletion import known_names, lost_names
from vaultsync.state.vaults import MAX_LOST, LossReport, Missing, SecretMetadata, VaultView
from vaultsync.state.vaultsecrets import VaultSecretCache


@dataclass(slots=True)
class Brake:
    """Remembers what was gone when so much was; until the operator ends."""

    _gone: set[str] = field(default_factory=set)
    _known: int = 0

    def losses(self, vaultsecrets: VaultSecretCache, vault_url: str, view: VaultView) -> LossReport | None:
        """Reckon how much is gone, after a poll of that vault; None while not everybody has been heard of."""
        if not vaultsecrets.has_synced:
            return None
        users = vaultsecrets.names(vault_url)
        missing = (name for name, metadata in view.secrets.items() if isinstance(metadata, Missing))
        touched = {key for name in missing for key in users.get(name, ())}.union(vaultsecrets.searchers(vault_url))
        lost = lost_names(_look_up(vaultsecrets, touched), view)
        # Who asks for nothing that is missing is only looked at where it matters: there may be thousands.
        all_known = len(lost) > MAX_LOST
        known = known_names(_look_up(vaultsecrets, vaultsecrets.users(vault_url))) if all_known else lost
        return self.reckon(known, lost, view)

    def reckon(self, known: AbstractSet[str], lost: AbstractSet[str], view: VaultView) -> LossReport:
        """Reckon from what would go with its secret, and what of it is gone; the former may be partial if little is."""
        losses = LossReport(len(known), len(lost))
        if losses.tripped:
            self._gone |= lost
            self._known = max(self._known, losses.known)
        gone = {name for name in self._gone if not _is_back(name, view)}
        latched = not self._gone.isdisjoint(lost) and LossReport(self._known, len(gone)).tripped
        if not latched:
            self._gone, self._known = set(), 0
        return LossReport(losses.known, losses.lost, latched=latched)


def _is_back(name: str, view: VaultView) -> bool:
    """Tell whether polls see it again; of what nobody asks for any more they say nothing."""
    metadata = view.secrets.get(name) or (view.listing or {}).get(name)
    return isinstance(metadata, SecretMetadata) and metadata.readable


def _look_up(vaultsecrets: VaultSecretCache, keys: Iterable[ObjectKey]) -> list[VaultSecret]:
    return [found for key in keys if (found := vaultsecrets.get(key)) is not None]
