"""Which VaultSecrets there are: by key, by target, and by the vault that they ask; in memory, reads nothing itself."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from vaultsync.api import ObjectKey
from vaultsync.api.moments import is_newer
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta
from vaultsync.state.requests import named_secrets, searches

_Name = TypeVar("_Name")


@dataclass(slots=True)
class _Demand:
    """What is asked of one vault, and by whom."""

    users: set[ObjectKey] = field(default_factory=set)
    names: defaultdict[str, set[ObjectKey]] = field(default_factory=lambda: defaultdict(set))
    intervals: Counter[timedelta] = field(default_factory=Counter)
    searchers: set[ObjectKey] = field(default_factory=set)

    def add(self, vault_secret: VaultSecret) -> None:
        self.users.add(vault_secret.key)
        self.intervals[vault_secret.spec.refresh_interval] += 1
        for name in followed_names(vault_secret):
            self.names[name].add(vault_secret.key)
        if searches(vault_secret.spec):
            self.searchers.add(vault_secret.key)

    def remove(self, vault_secret: VaultSecret) -> None:
        self.users.remove(vault_secret.key)
        self.searchers.discard(vault_secret.key)
        self.intervals.subtract([vault_secret.spec.refresh_interval])
        self.intervals += Counter()  # which drops what counts zero
        for name in followed_names(vault_secret):
            _discard(self.names, name, vault_secret.key)


class VaultSecretCache:
    """The VaultSecrets as last seen, with the indexes that keep every look-up independent of how many there are."""

    def __init__(self) -> None:
        self._by_key: dict[ObjectKey, VaultSecret] = {}
        self._by_target: defaultdict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        self._by_vault: defaultdict[str, _Demand] = defaultdict(_Demand)
        self._uids: set[str] = set()
        self._told: dict[ObjectKey, VaultSecretMeta] = {}
        """What we have told of some, and what the watch has not come to yet."""
        self._unreadable: set[ObjectKey] = set()
        self.has_synced = False
        """Whether all have been heard of that there were at some moment since the start."""

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: ObjectKey) -> VaultSecret | None:
        """The VaultSecret of that key, if there is one."""
        return self._by_key.get(key)

    def has_uid(self, uid: str) -> bool:
        """Tell whether there is a VaultSecret of that uid, as far as we have heard."""
        return uid in self._uids

    def knows(self, key: ObjectKey) -> bool:
        """Tell whether we have heard of it, readable or not."""
        return key in self._by_key or key in self._unreadable

    def refuse(self, key: ObjectKey) -> None:
        """Remember that it cannot be read, until it is heard of again."""
        self.drop(key)
        self._unreadable.add(key)

    def all(self) -> Collection[VaultSecret]:
        """All of them, as they are now."""
        return tuple(self._by_key.values())

    def put(self, vault_secret: VaultSecret) -> None:
        """Remember it in place of what was known of its key, but for a status that we have written since."""
        told = self._told.get(vault_secret.key)
        self.drop(vault_secret.key)
        if told is not None and _is_of_later(told, vault_secret):
            self._told[vault_secret.key] = told
            vault_secret = vault_secret.model_copy(update={"status": told.status})
        self._by_key[vault_secret.key] = vault_secret
        self._uids.add(vault_secret.metadata.uid)
        self._by_target[vault_secret.target_key].add(vault_secret.key)
        if not vault_secret.spec.suspend:
            self._by_vault[vault_secret.spec.vault_url].add(vault_secret)

    def record_status(self, written: VaultSecretMeta) -> None:
        """Take our own status as known at once; what people changed meanwhile comes by the watch."""
        known = self._by_key.get(written.key)
        if known is None or known.metadata.uid != written.metadata.uid:
            return
        if _asked(known) == _asked(written):
            self.put(known.model_copy(update={"metadata": written.metadata, "status": written.status}))
        else:
            # With its metadata it would pass for newer than the watch's word of what people changed.
            self._told[written.key] = written
            self.put(known)

    def drop(self, key: ObjectKey) -> None:
        """Forget it; unknown keys are fine."""
        self._told.pop(key, None)
        self._unreadable.discard(key)
        vault_secret = self._by_key.pop(key, None)
        if vault_secret is None:
            return
        self._uids.discard(vault_secret.metadata.uid)
        _discard(self._by_target, vault_secret.target_key, key)
        if vault_secret.spec.suspend:
            return
        demand = self._by_vault[vault_secret.spec.vault_url]
        demand.remove(vault_secret)
        if not demand.users:
            del self._by_vault[vault_secret.spec.vault_url]

    def competing(self, vault_secret: VaultSecret) -> Iterable[VaultSecret]:
        """Everybody else who wants the same target."""
        keys_for_target = self._by_target.get(vault_secret.target_key, ())
        return [self._by_key[key] for key in keys_for_target if key != vault_secret.key]

    def keys_for_target(self, target: ObjectKey) -> Collection[ObjectKey]:
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
        demand = self._by_vault.get(vault_url)
        return demand.users if demand else ()

    def names(self, vault_url: str) -> Mapping[str, Collection[ObjectKey]]:
        """Who asks that vault for the newest version of which secret, by its name in lower case."""
        demand = self._by_vault.get(vault_url)
        return demand.names if demand else {}

    def searchers(self, vault_url: str) -> Collection[ObjectKey]:
        """Who searches that vault by name or tags, so that all that it lists is of interest."""
        demand = self._by_vault.get(vault_url)
        return demand.searchers if demand else ()

    def refresh_interval(self, vault_url: str) -> timedelta | None:
        """The shortest interval that anybody wants for that vault."""
        demand = self._by_vault.get(vault_url)
        return min(demand.intervals) if demand else None


def followed_names(vault_secret: VaultSecret) -> Iterable[str]:
    """The secrets whose newest version it names, in lower case: the vault tells names apart without regard to case."""
    return {wanted.ref.name.lower() for wanted in named_secrets(vault_secret.spec) if wanted.ref.follows}


def _asked(head: VaultSecretMeta) -> tuple[object, ...]:
    return head.metadata.generation, head.metadata.annotations


def _is_of_later(told: VaultSecretMeta, heard: VaultSecretMeta) -> bool:
    """Tell whether a status was written to that very object after what was heard of it."""
    same = told.metadata.uid == heard.metadata.uid
    return same and is_newer(told.metadata.resource_version, heard.metadata.resource_version)


def _discard(index: MutableMapping[_Name, set[ObjectKey]], name: _Name, key: ObjectKey) -> None:
    keys = index.get(name)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[name]
