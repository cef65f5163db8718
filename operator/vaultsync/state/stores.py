"""All stores in one value, which sources and controller share; stores nothing else."""

from dataclasses import dataclass, field, replace

from vaultsync.api import ObjectKey
from vaultsync.state.attempts import FailedAttempts
from vaultsync.state.budgets import ReadBudgets
from vaultsync.state.grants import Granted, GrantStore
from vaultsync.state.targets import TargetCache
from vaultsync.state.vaults import UNKNOWN, VaultStore, VaultView
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
    grants: GrantStore = field(default_factory=GrantStore)
    budgets: ReadBudgets = field(default_factory=ReadBudgets)

    def forget(self, key: ObjectKey) -> None:
        """Forget what is known of the reconciles of a VaultSecret that does not exist any more."""
        self.waits.forget(key)
        self.attempts.forget(key)

    def view_of(self, granted: Granted | None) -> VaultView:
        """Return the view of a vault, with nothing in its listing that is not granted; `UNKNOWN` without a grant."""
        if granted is None:
            return UNKNOWN
        view = self.vaults.view(granted.access)
        if view.listing is None:
            return view
        return replace(view, listing=view.listing.restricted(granted.secrets))
