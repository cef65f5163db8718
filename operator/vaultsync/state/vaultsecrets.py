"""The cache of VaultSecrets, indexed by key, target, and what they may read; reads and decides nothing itself."""

import asyncio
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta
from vaultsync.state.access import Access
from vaultsync.state.claims import believed_status, bounded_meta
from vaultsync.state.grants import Decision, Granted
from vaultsync.state.requests import named_secrets, searches
from vaultsync.state.resource_versions import is_newer

_Name = TypeVar("_Name")


@dataclass(frozen=True, slots=True)
class UnreadableVaultSecret:
    """A VaultSecret whose spec this version of the operator does not accept, and why."""

    meta: VaultSecretMeta
    error: str

    @property
    def key(self) -> ObjectKey:
        """Its namespace and name."""
        return self.meta.key


def meta_of(known: VaultSecret | UnreadableVaultSecret) -> VaultSecretMeta:
    """Return what is known of a VaultSecret, whether its spec is accepted or not."""
    return known.meta if isinstance(known, UnreadableVaultSecret) else known


@dataclass(slots=True)
class _Demand:
    """What VaultSecrets need from one vault."""

    users: set[ObjectKey] = field(default_factory=set)
    names: defaultdict[str, set[ObjectKey]] = field(default_factory=lambda: defaultdict(set))
    intervals: Counter[timedelta] = field(default_factory=Counter)
    searchers: set[ObjectKey] = field(default_factory=set)

    def add(self, key: ObjectKey, vault_secret: VaultSecret) -> None:
        self.users.add(key)
        self.intervals[vault_secret.spec.refresh_interval] += 1
        for name in followed_names(vault_secret):
            self.names[name].add(key)
        if searches(vault_secret.spec):
            self.searchers.add(key)

    def remove(self, vault_secret: VaultSecret) -> None:
        self.users.remove(vault_secret.key)
        self.searchers.discard(vault_secret.key)
        self.intervals.subtract([vault_secret.spec.refresh_interval])
        self.intervals += Counter()  # drops what counts zero
        for name in followed_names(vault_secret):
            _discard(self.names, name, vault_secret.key)


class _Rank(NamedTuple):
    """The place of a VaultSecret among those of its namespace that use a grant: the oldest come first."""

    created: datetime
    key: ObjectKey


class VaultSecretCache:
    """The VaultSecrets as last observed; with the indexes, the cost of a lookup does not depend on their number.

    Each is stored with the decision of the grants. Only those that are granted, and within the number that the quota
    allows, count as users of a vault.

    A status that was written and not yet observed by the watch replaces that of an observed object.
    """

    def __init__(self) -> None:
        self._by_key: dict[ObjectKey, VaultSecret] = {}
        self._unreadable: dict[ObjectKey, UnreadableVaultSecret] = {}
        self._by_target: defaultdict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        self._by_access: defaultdict[Access, _Demand] = defaultdict(_Demand)
        self._decisions: dict[ObjectKey, Decision] = {}
        self._ranks: defaultdict[tuple[str, str], list[_Rank]] = defaultdict(list)
        """Those that are granted, by grant and namespace."""
        self._admitted: dict[ObjectKey, Access] = {}
        """Those that grant and quota let read, with what they read from: users of vaults, unless they are suspended."""
        self._uids: set[str] = set()
        self._unobserved_status: dict[ObjectKey, VaultSecretMeta] = {}
        self._outdated: set[ObjectKey] = set()
        self.has_synced = False
        """Whether a list has shown that every existing VaultSecret has been observed."""
        self.is_listing = False
        """Whether what was observed last is on a list, which has no order: other objects may be missing."""
        self.observed_version = 0
        """The highest resource version that list and watch have brought, also of what is gone; not of own writes."""
        self.forgotten_version = 0
        """The highest resource version that exists, and that the watch did not bring in time."""
        self.unhandled: set[ObjectKey] = set()
        """VaultSecrets whose last event could not be handled: they are not cached as they were observed."""
        self.is_moving = False
        """Whether only some of a shard's VaultSecrets are here: what is lost cannot be compared with what is known."""
        self.resync_requested = asyncio.Event()
        """Set when deletions may have been missed, so that the VaultSecrets are listed soon."""

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: ObjectKey) -> VaultSecret | None:
        """Return the VaultSecret of that key; None if there is none whose spec is accepted."""
        return self._by_key.get(key)

    def unreadable(self, key: ObjectKey) -> UnreadableVaultSecret | None:
        """Return the VaultSecret of that key; None unless its spec is not accepted."""
        return self._unreadable.get(key)

    def find(self, key: ObjectKey) -> VaultSecret | UnreadableVaultSecret | None:
        """Return the VaultSecret of that key, readable or not; None if there is none."""
        return self._by_key.get(key) or self._unreadable.get(key)

    def has_uid(self, uid: str) -> bool:
        """Return whether a readable VaultSecret of that uid has been observed."""
        return uid in self._uids

    def all(self) -> Collection[VaultSecret]:
        """Return all readable ones."""
        return tuple(self._by_key.values())

    def metas(self) -> Collection[VaultSecretMeta]:
        """Return the metadata of all, readable or not."""
        return (*self._by_key.values(), *(one.meta for one in self._unreadable.values()))

    @property
    def has_outdated(self) -> bool:
        """Whether some are not as cached, so that what was observed of them counts for nothing."""
        return bool(self._outdated)

    def newest_version(self) -> int:
        """Return the highest resource version that was observed, or written; 0 if there is none."""
        metas = (meta for meta in (*self.metas(), *self._unobserved_status.values()) if meta.key not in self._outdated)
        return max((int(meta.metadata.resource_version) for meta in metas), default=0)

    def invalidate_all(self) -> None:
        """Have whatever is observed next replace the cached VaultSecrets: the API server was restored."""
        self.observed_version = self.forgotten_version = 0
        self.unhandled.clear()
        self._unobserved_status.clear()
        self._outdated = {meta.key for meta in self.metas()}

    def invalidate(self, key: ObjectKey) -> None:
        """Have whatever is observed next replace a cached VaultSecret."""
        self._outdated.add(key)

    def is_outdated(self, key: ObjectKey) -> bool:
        """Return whether a VaultSecret has not been observed since the API server was restored."""
        return key in self._outdated

    def observe(self, version: str, *, is_listing: bool) -> None:
        """Record that list or watch have brought a resource version; a list begins from zero, and has no order."""
        before = 0 if is_listing and not self.is_listing else self.observed_version
        self.is_listing = is_listing
        self.observed_version = max(before, int(version))

    def forget_until(self, version: str) -> None:
        """Record that a list has shown a resource version that the watch did not bring in time."""
        self.forgotten_version = max(self.forgotten_version, int(version))

    def put(self, vault_secret: VaultSecret, decision: Decision) -> set[ObjectKey]:
        """Store what was observed and decided, but keep a newer status that was written since.

        Returns:
            The keys of others that may read from now on, or must not any more, as the quota counts them.
        """
        key = vault_secret.key  # one for all indexes: each that is made takes memory
        written = self._unobserved_status.get(key)
        affected = self.delete(key)
        if written is not None and _is_newer(written, vault_secret):
            self._unobserved_status[key] = written
            vault_secret = vault_secret.model_copy(update={"status": written.status})
        vault_secret = believed_status(vault_secret)
        self._by_key[key] = vault_secret
        self._uids.add(vault_secret.metadata.uid)
        self._by_target[vault_secret.target_key].add(key)
        self._decisions[key] = decision
        if isinstance(decision, Granted):
            insort(self._ranks[_tenant(decision, key)], by_age(vault_secret))
            affected ^= self._recount(decision, key)
        return affected - {key}

    def put_unreadable(self, unreadable: UnreadableVaultSecret) -> set[ObjectKey]:
        """Store one whose spec is not accepted; it has no target and no vault. Returns the same as `put`."""
        affected = self.delete(unreadable.key)
        self._unreadable[unreadable.key] = replace(unreadable, meta=bounded_meta(unreadable.meta))
        return affected

    def record_status(self, written: VaultSecretMeta) -> None:
        """Store a status that was just written; concurrent changes of users arrive by the watch.

        No index depends on the status.
        """
        if written.key in self._outdated:
            return
        unreadable = self._unreadable.get(written.key)
        if unreadable is not None and _requested(unreadable.meta) == _requested(written):
            self._unreadable[written.key] = UnreadableVaultSecret(written, unreadable.error)
            return
        known = self._by_key.get(written.key)
        if known is None or known.metadata.uid != written.metadata.uid:
            return
        if _requested(known) == _requested(written):
            self._unobserved_status.pop(written.key, None)
            current = known.model_copy(update={"metadata": written.metadata, "status": written.status})
            # Of its own spec, a status of ours has nothing that is not believed.
            is_of_spec = written.status.observed_generation == known.metadata.generation
            self._by_key[written.key] = current if is_of_spec else believed_status(current)
        elif _is_newer(written, known):
            # With the metadata of the response, the user's change that the watch delivers would not be newer.
            self._unobserved_status[written.key] = written
            self._by_key[written.key] = believed_status(known.model_copy(update={"status": written.status}))

    def delete(self, key: ObjectKey) -> set[ObjectKey]:
        """Remove the VaultSecret of that key, if there is one. Returns the same as `put`."""
        self._outdated.discard(key)
        self._unobserved_status.pop(key, None)
        self._unreadable.pop(key, None)
        vault_secret = self._by_key.pop(key, None)
        if vault_secret is None:
            return set()
        self._uids.discard(vault_secret.metadata.uid)
        _discard(self._by_target, vault_secret.target_key, key)
        decision = self._decisions.pop(key)
        if not isinstance(decision, Granted):
            return set()
        self._dismiss(vault_secret)
        tenant = _tenant(decision, key)
        ranks = self._ranks[tenant]
        del ranks[bisect_left(ranks, by_age(vault_secret))]
        if not ranks:
            del self._ranks[tenant]
            return set()
        return self._recount(decision, key)

    def _recount(self, granted: Granted, key: ObjectKey) -> set[ObjectKey]:
        """Serve the oldest VaultSecrets of a tenant, up to its quota, after one was added or removed.

        Returns:
            Those of which that has changed: at most the one, and one at the limit of the quota.
        """
        ranks, most = self._ranks[_tenant(granted, key)], granted.quota.vault_secrets
        changed = set()
        if key in self._decisions:
            changed |= self._admit(key, is_within=bisect_left(ranks, by_age(self._by_key[key])) < most)
        for index in (most - 1, most):
            if index < len(ranks):
                changed |= self._admit(ranks[index].key, is_within=index < most)
        return changed

    def _admit(self, key: ObjectKey, *, is_within: bool) -> set[ObjectKey]:
        if is_within == (key in self._admitted):
            return set()
        vault_secret, decision = self._by_key[key], self._decisions[key]
        assert isinstance(decision, Granted)
        if is_within:
            self._admitted[key] = decision.access
            if not vault_secret.spec.suspend:
                self._by_access[decision.access].add(key, vault_secret)
        else:
            self._dismiss(vault_secret)
        return {key}

    def _dismiss(self, vault_secret: VaultSecret) -> None:
        access = self._admitted.pop(vault_secret.key, None)
        if access is None or vault_secret.spec.suspend:
            return
        self._by_access[access].remove(vault_secret)
        if not self._by_access[access].users:
            del self._by_access[access]

    def request_resync(self) -> None:
        """Request that the VaultSecrets are listed soon."""
        self.resync_requested.set()

    def competing(self, vault_secret: VaultSecret) -> Iterable[VaultSecret]:
        """Return every other VaultSecret that names the same target."""
        keys = self._by_target.get(vault_secret.target_key, ())
        return [self._by_key[key] for key in keys if key != vault_secret.key]

    def keys_for_target(self, target: ObjectKey) -> Collection[ObjectKey]:
        """Return the keys of all VaultSecrets that name that target."""
        return tuple(self._by_target.get(target, ()))

    def for_target(self, target: ObjectKey) -> Collection[VaultSecret]:
        """Return all VaultSecrets that name that target."""
        return tuple(self._by_key[key] for key in self._by_target.get(target, ()))

    def decision(self, key: ObjectKey) -> Decision | None:
        """Return what the grants allow a VaultSecret, without regard to the number of others."""
        return self._decisions.get(key)

    def granted(self, key: ObjectKey) -> Granted | None:
        """Return what a VaultSecret may read; None if it may read nothing."""
        decision = self._decisions.get(key)
        return decision if isinstance(decision, Granted) and key in self._admitted else None

    def within_count(self, vault_secret: VaultSecret, granted: Granted) -> bool:
        """Return whether a VaultSecret is among the oldest that the quota allows.

        It is not before all older ones are counted, which they are not yet while grants that changed are decided again.
        """
        decision = self._decisions.get(vault_secret.key)
        if decision is not granted and decision != granted:
            return False
        ranks = self._ranks.get(_tenant(granted, vault_secret.key), [])
        return bisect_left(ranks, by_age(vault_secret)) < granted.quota.vault_secrets

    def count(self, grant: str) -> Mapping[str, int]:
        """Return how many VaultSecrets use a grant's identity, by namespace."""
        return {namespace: len(ranks) for (name, namespace), ranks in self._ranks.items() if name == grant}

    def accesses(self) -> Collection[Access]:
        """Return how vaults are used by VaultSecrets; suspended ones do not count."""
        return self._by_access.keys()

    def users(self, access: Access) -> Collection[ObjectKey]:
        """Return the keys of the VaultSecrets that use that vault by that grant."""
        demand = self._by_access.get(access)
        return demand.users if demand else ()

    def names(self, access: Access) -> Mapping[str, Collection[ObjectKey]]:
        """Return the keys of the VaultSecrets that use the newest version of each secret, by name in lower case."""
        demand = self._by_access.get(access)
        return demand.names if demand else {}

    def searchers(self, access: Access) -> Collection[ObjectKey]:
        """Return the keys of the VaultSecrets that search that vault, and so need its whole listing."""
        demand = self._by_access.get(access)
        return demand.searchers if demand else ()

    def refresh_interval(self, access: Access) -> timedelta | None:
        """Return the shortest refresh interval among the VaultSecrets of that vault; None if there are none."""
        demand = self._by_access.get(access)
        return min(demand.intervals) if demand else None


def followed_names(vault_secret: VaultSecret) -> Iterable[str]:
    """Return the names, in lower case, of the secrets whose newest version a VaultSecret uses."""
    return {request.ref.name.lower() for request in named_secrets(vault_secret.spec) if request.ref.follows}


def _tenant(granted: Granted, key: ObjectKey) -> tuple[str, str]:
    return granted.access.grant, key.namespace


def by_age(vault_secret: VaultSecretMeta) -> _Rank:
    """Return the place of a VaultSecret among others: the oldest comes first."""
    return _Rank(vault_secret.metadata.creation_timestamp, vault_secret.key)


def _requested(meta: VaultSecretMeta) -> tuple[object, ...]:
    """Return the identity of the object and the part of it that users write."""
    return meta.metadata.uid, meta.metadata.generation, meta.metadata.annotations, meta.metadata.labels


def _is_newer(written: VaultSecretMeta, observed: VaultSecretMeta) -> bool:
    """Return whether a status was written to that very object after it was observed."""
    same = written.metadata.uid == observed.metadata.uid
    return same and is_newer(written.metadata.resource_version, observed.metadata.resource_version)


def _discard(index: MutableMapping[_Name, set[ObjectKey]], name: _Name, key: ObjectKey) -> None:
    keys = index.get(name)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[name]
