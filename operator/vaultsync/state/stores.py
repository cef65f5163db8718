"""All stores in one value, which sources and controller share; stores nothing else."""

from dataclasses import dataclass, field

from vaultsync.api import ObjectKey
from vaultsync.state.attempts import FailedAttempts
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
    attempts: FailedAttempts = field(default_factory=FailedAttempts)

    def forget(self, key: ObjectKey) -> None:
        """Forget what is known of the reconciles of a VaultSecret that does not exist any more."""
        self.waits.forget(key)
        self.attempts.forget(key)
