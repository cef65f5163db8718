"""Which VaultSecrets there are: by key, by target, and by the vault that they ask; in memory, reads nothing itself."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, MutableMapping
from datetime import timedelta
from typing import TypeVar

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret

_Name = TypeVar("_Name")


class Inventory:
    """The VaultSecrets as last seen, with the indexes that keep every look-up independent of how many there are."""

    def __init__(self) -> None:
        self._by_key: dict[ObjectKey, VaultSecret] = {}
        self._by_target: defaultdict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        self._by_vault: defaultdict[str, set[ObjectKey]] = defaultdict(set)
        self._by_name: defaultdict[str, defaultdict[str, set[ObjectKey]]] = defaultdict(lambda: defaultdict(set))

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: ObjectKey) -> VaultSecret | None:
        """The VaultSecret of that key, if there is one."""
        return self._by_key.get(key)

    def put(self, vault_secret: VaultSecret) -> None:
        """Remember it in place of what was known of its key."""
        self.drop(vault_secret.key)
        self._by_key[vault_secret.key] = vault_secret
        self._by_target[vault_secret.target_key].add(vault_secret.key)
        if vault_secret.spec.suspend:
            return
        vault = vault_secret.spec.vault_url
        self._by_vault[vault].add(vault_secret.key)
        for name in unpinned_names(vault_secret):
            self._by_name[vault][name].add(vault_secret.key)

    def drop(self, key: ObjectKey) -> None:
        """Forget it; unknown keys are fine."""
        vault_secret = self._by_key.pop(key, None)
        if vault_secret is None:
            return
        vault = vault_secret.spec.vault_url
        _discard(self._by_target, vault_secret.target_key, key)
        _discard(self._by_vault, vault, key)
        for name in unpinned_names(vault_secret):
            if vault in self._by_name:
                _discard(self._by_name[vault], name, key)
        if not self._by_name.get(vault, True):
            del self._by_name[vault]

    def keys(self) -> Collection[ObjectKey]:
        """All of them."""
        return self._by_key.keys()

    def rivals(self, vault_secret: VaultSecret) -> Iterable[VaultSecret]:
        """Everybody else who wants the same target."""
        claimants = self._by_target.get(vault_secret.target_key, ())
        return [self._by_key[key] for key in claimants if key != vault_secret.key]

    def claimants(self, target: ObjectKey) -> Collection[ObjectKey]:
        """Who wants that target."""
        return tuple(self._by_target.get(target, ()))

    def vault_of(self, key: ObjectKey) -> str:
        """The URL of the vault that it asks; empty if it is unknown."""
        vault_secret = self._by_key.get(key)
        return "" if vault_secret is None else vault_secret.spec.vault_url

    def vaults(self) -> Collection[str]:
        """The vaults that are asked at present, suspended VaultSecrets left out."""
        return self._by_vault.keys()

    def users(self, vault_url: str) -> Collection[ObjectKey]:
        """Who asks that vault."""
        return self._by_vault.get(vault_url, ())

    def names(self, vault_url: str) -> Mapping[str, Collection[ObjectKey]]:
        """Who asks that vault for the newest version of which secret, by its name in lower case."""
        return self._by_name.get(vault_url, {})

    def refresh_interval(self, vault_url: str) -> timedelta | None:
        """The shortest interval that anybody wants for that vault."""
        users = self._by_vault.get(vault_url, ())
        return min((self._by_key[key].spec.refresh_interval for key in users), default=None)


def unpinned_names(vault_secret: VaultSecret) -> Iterable[str]:
    """The secrets whose newest version it wants, in lower case: the vault tells names apart without regard to case."""
    return {entry.secret_name.lower() for entry in vault_secret.spec.data if entry.version is None}


def _discard(index: MutableMapping[_Name, set[ObjectKey]], name: _Name, key: ObjectKey) -> None:
    keys = index.get(name)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[name]
