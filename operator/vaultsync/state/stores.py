"""All stores in one value, which sources and controller share; stores nothing else."""

from dataclasses import dataclass, field

from vaultsync.state.targets import TargetCache
from vaultsync.state.vaults import VaultStore
from vaultsync.state.vaultsecrets import VaultSecretCache
from vaultsync.state.waits import Waits


@dataclass(frozen=True, slots=True)
class State:
    """The stores: sources write them, reconciles read them and record their own writes."""

    vaultsecrets: VaultSecretCache
    targets: TargetCache
    vaults: VaultStore
    waits: Waits = field(default_factory=Waits)
