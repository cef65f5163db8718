"""All stores in one value, which sources and controller share; stores nothing else."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.state.attempts import FailedAttempts
from vaultsync.state.budgets import ReadBudgets
from vaultsync.state.grants import Granted, GrantStore
from vaultsync.state.positions import Position
from vaultsync.state.shards import Shards
from vaultsync.state.targets import TargetCache
from vaultsync.state.vaults import UNKNOWN, VaultStore, VaultView
from vaultsync.state.vaultsecrets import UnreadableVaultSecret, VaultSecretCache
from vaultsync.state.waits import Waits


@dataclass(frozen=True, slots=True)
class State:
    """The stores: sources write them, reconciles read them and record their own writes.

    A VaultSecret is in one of two caches: in `vaultsecrets` if this replica serves its namespace, and otherwise in
    `parked`, which is as up to date, and which neither reconciles nor pollers nor metrics see.
    """

    vaultsecrets: VaultSecretCache
    targets: TargetCache
    vaults: VaultStore
    parked: VaultSecretCache = field(default_factory=VaultSecretCache)
    shards: Shards = field(default_factory=Shards.all)
    served: set[int] = field(default_factory=set)
    """The shards whose VaultSecrets are all in `vaultsecrets`."""
    waits: Waits = field(default_factory=Waits)
    attempts: FailedAttempts = field(default_factory=FailedAttempts)
    grants: GrantStore = field(default_factory=GrantStore)
    budgets: ReadBudgets = field(default_factory=ReadBudgets)

    @property
    def caches(self) -> tuple[VaultSecretCache, VaultSecretCache]:
        """Both caches of VaultSecrets."""
        return self.vaultsecrets, self.parked

    @property
    def position(self) -> Position | None:
        """How far this replica has observed and written; None if two resource versions cannot say it."""
        if not self.is_ordered:
            return None
        vaultsecrets = max(self._newest_cached(), self.vaultsecrets.forgotten_version)
        return Position(vaultsecrets, self.targets.newest_object())

    def has_reached(self, position: Position) -> bool:
        """Return whether list and watch have brought what another replica had observed; own writes are no evidence."""
        return (
            self.is_ordered
            and self.vaultsecrets.observed_version >= position.vaultsecrets
            and self.targets.observed_version() >= position.targets
        )

    @property
    def is_ordered(self) -> bool:
        """Whether what list and watch have brought has come in the order of its resource versions.

        Not if several namespaces are watched one by one, nor during a list, nor while something is not as cached, as
        after a restore of the API server, or an event that could not be handled.
        """
        is_one_watch = len(self.targets.scopes) == 1
        has_outdated = any(cache.has_outdated for cache in (*self.caches, self.targets))
        has_gaps = has_outdated or bool(self.vaultsecrets.unhandled)
        return is_one_watch and not self.vaultsecrets.is_listing and not has_gaps

    def newest_vaultsecret(self) -> int:
        """Return the highest resource version of VaultSecrets that was observed or written; 0 if there is none."""
        return max(self._newest_cached(), self.vaultsecrets.observed_version)

    def _newest_cached(self) -> int:
        return max(cache.newest_version() for cache in self.caches)

    def find(self, key: ObjectKey) -> VaultSecret | UnreadableVaultSecret | None:
        """Return the VaultSecret of that key, parked or not; None if there is none."""
        return self.vaultsecrets.find(key) or self.parked.find(key)

    def is_served(self, namespace: str | None) -> bool:
        """Return whether the VaultSecrets of a namespace belong in `vaultsecrets`; None is the cluster itself."""
        return self.shards.shard_of(namespace) in self.served

    def may_begin(self, namespace: str | None) -> bool:
        """Return whether work for a namespace may begin now: its shard is held, and its VaultSecrets are all here."""
        return self.is_served(namespace) and self.shards.may_begin(namespace)

    def count(self, grant: str) -> Mapping[str, int]:
        """Return how many VaultSecrets use a grant's identity, by namespace, whichever replica serves them."""
        return Counter(self.vaultsecrets.count(grant)) + Counter(self.parked.count(grant))

    def shares(self) -> Mapping[str, float]:
        """Return the part of each vault's users that this replica serves, by URL, in shards: of three that use it, one.

        Only VaultSecrets count that may read: the others take nothing from a budget.
        """
        if self.shards.number == 1:
            return {}
        namespaces: defaultdict[str, set[str]] = defaultdict(set)
        for cache in self.caches:
            for access in cache.accesses():
                namespaces[access.vault_url].update(key.namespace for key in cache.users(access))
        using = {url: set(map(self.shards.shard_of, names)) for url, names in namespaces.items()}
        return {url: len(shards & self.served) / len(shards) for url, shards in using.items() if shards & self.served}

    def forget(self, key: ObjectKey) -> None:
        """Forget what is known of the reconciles of a VaultSecret that is gone, or is served by another replica."""
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
