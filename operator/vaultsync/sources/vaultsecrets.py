"""Receives VaultSecrets from their watch, writes them into a cache and wakes the queue; reconciles nothing.

Each is stored with what the grants allow it, which is decided again when the grants have changed. Those of namespaces
that this replica does not serve are parked: they are kept as up to date, and wake nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vaultsync.api import PLURAL, REFRESH_ANNOTATION, RELEASE_ANNOTATION, ObjectKey
from vaultsync.api.v1alpha1 import InvalidSpec, OnDelete, VaultSecret, VaultSecretMeta, VaultSecretSpec
from vaultsync.controller.queue import WorkQueue
from vaultsync.controller.turns import Priority
from vaultsync.policy.grants import decide
from vaultsync.sources.denials import Denials
from vaultsync.sources.poller import Pollers
from vaultsync.state.grants import Decision, GrantView
from vaultsync.state.resource_versions import is_newer
from vaultsync.state.stores import State
from vaultsync.state.vaultsecrets import UnreadableVaultSecret, VaultSecretCache, by_age, meta_of

Known = VaultSecret | UnreadableVaultSecret

DECISIONS_PER_TURN = 100
"""VaultSecrets that are decided again before control returns to the event loop."""


class VaultSecretSource:
    """Writes observed VaultSecrets into the cache, and wakes queue and pollers."""

    def __init__(self, state: State, queue: WorkQueue, pollers: Pollers) -> None:
        self._state = state
        self._vaultsecrets = state.vaultsecrets
        self._queue = queue
        self._pollers = pollers
        self.denials = Denials(PLURAL)

    def handle_listed(self, body: Mapping[str, Any]) -> None:
        """Handle a listed object. If it is cached already, the watch was restarted and deletions may have been missed.

        kopf reports the objects of a list without a type of event.
        """
        if self._state.find(key_of(body)) is not None:
            self._vaultsecrets.request_resync()
        self._observe(body, is_listing=True)

    def handle_changed(self, body: Mapping[str, Any]) -> None:
        """Store a VaultSecret, and have it reconciled if more than its status has changed."""
        self._observe(body, is_listing=False)

    def _observe(self, body: Mapping[str, Any], *, is_listing: bool) -> None:
        self._vaultsecrets.observe(body["metadata"]["resourceVersion"], is_listing=is_listing)
        key = key_of(body)
        try:
            self._store_observed(key, body)
        except Exception:
            self._vaultsecrets.unhandled.add(key)
            raise
        self._vaultsecrets.unhandled.discard(key)

    def _store_observed(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        if "deletionTimestamp" in body["metadata"]:
            # It waits for dependents or a finalizer: a target that is deleted meanwhile must not be created again.
            self.forget(key, body["metadata"]["uid"])
            return
        cache = self._cache_of(key)
        known, is_outdated = cache.find(key), cache.is_outdated(key)
        if known is not None and not is_outdated and not _is_newer(body, known):
            return
        try:
            current: Known = VaultSecret.parse(body)
        except InvalidSpec as error:
            # The schema rejects such objects; this one was admitted by another version of it.
            current = UnreadableVaultSecret(VaultSecretMeta.parse(body), str(error))
        if cache is self._state.parked:
            self._put(cache, current)
            self._forget_fields(known, current)
        else:
            self._store(known, current, is_outdated=is_outdated)

    def _cache_of(self, key: ObjectKey) -> VaultSecretCache:
        """Return the cache that a VaultSecret is in, or to which it is added."""
        if self._vaultsecrets.find(key) is not None or self._state.is_served(key.namespace):
            return self._vaultsecrets
        return self._state.parked

    def handle_deleted(self, body: Mapping[str, Any]) -> None:
        """Remove a VaultSecret that was deleted; the resync releases a target that it leaves behind.

        The event's own object decides: one that was being deleted, or could not be read, was removed before.
        """
        self._vaultsecrets.observe(body["metadata"]["resourceVersion"], is_listing=False)
        key, uid = key_of(body), body["metadata"]["uid"]
        self.forget(key, uid)
        if not self._state.is_served(key.namespace):
            return  # who serves it releases what it leaves behind; each gain is followed by a resync
        spec = body.get("spec")
        retains = isinstance(spec, Mapping) and spec.get("onDelete") == OnDelete.RETAIN
        if retains or self._outlived(uid):
            self._vaultsecrets.request_resync()

    def _outlived(self, uid: str) -> bool:
        """Return whether the garbage collector leaves a target of the VaultSecret: it was adopted."""
        return bool(self._state.targets.retained_by(uid))

    def request_resync(self) -> None:
        """Request a resync: the watch was interrupted, and deletions may have been missed."""
        self._vaultsecrets.request_resync()

    def forget(self, key: ObjectKey, uid: str) -> None:
        """Remove the VaultSecret of that uid, but not a successor of the same name; wake those that compete with it.

        A resync forgets what was gone when it listed, and the watch may have brought a successor meanwhile.
        """
        self._vaultsecrets.unhandled.discard(key)
        cache = self._cache_of(key)
        known = cache.find(key)
        if known is None or meta_of(known).metadata.uid != uid:
            return
        if cache is self._state.parked:
            cache.delete(key)
            self._forget_fields(known, None)
            return
        affected = self._vaultsecrets.delete(key)
        self._queue.forget(key)
        self._state.forget(key)
        self._adapt(known, None)
        self._wake(affected)

    async def handle_grants(self, view: GrantView, *, affects: Callable[[VaultSecret], bool] = lambda _: True) -> None:
        """Store the grants and the labels of namespaces; decide again, and wake those for which that makes a change.

        From the start of this call on, each reconcile decides by them.
        """
        self._state.grants.view = view
        # The oldest first: by a quota that counts only some, one that exceeds it would be served for a moment.
        affected = sorted((one for cache in self._state.caches for one in cache.all() if affects(one)), key=by_age)
        for number, one in enumerate(affected, start=1):
            # It may have changed or gone meanwhile, or have been parked.
            cache = self._cache_of(one.key)
            vault_secret = cache.get(one.key)
            if vault_secret is not None:
                self._decide_again(cache, vault_secret)
            if number % DECISIONS_PER_TURN == 0:
                await asyncio.sleep(0)

    def _decide_again(self, cache: VaultSecretCache, vault_secret: VaultSecret) -> None:
        decision = decide(vault_secret, self._state.grants.view)
        if decision == cache.decision(vault_secret.key):
            return
        affected = self._put_decided(cache, vault_secret, decision)
        if cache is self._vaultsecrets:
            self._pollers.sync()
            self._wake({vault_secret.key, *affected})

    def _put(self, cache: VaultSecretCache, one: Known) -> set[ObjectKey]:
        if isinstance(one, UnreadableVaultSecret):
            return cache.put_unreadable(one)
        return self._put_decided(cache, one, decide(one, self._state.grants.view))

    def _put_decided(self, cache: VaultSecretCache, one: VaultSecret, decision: Decision) -> set[ObjectKey]:
        """Store a VaultSecret; if it reaches its vault otherwise from now on, a tripped deletion guard goes with it."""
        before = cache.granted(one.key)
        affected = cache.put(one, decision)
        after = cache.granted(one.key)
        is_parked = cache is self._state.parked
        if before is not None and after is not None and cache.users(after.access) and not is_parked:
            self._state.vaults.inherit_losses(before.access, after.access)
        return affected

    def park(self, key: ObjectKey) -> None:
        """Move a VaultSecret whose namespace is served no longer out of the state; what runs for it is cancelled."""
        self._queue.drop(key)
        self._move(key, self._vaultsecrets, self._state.parked)
        self._state.forget(key)

    def unpark(self, key: ObjectKey) -> None:
        """Move a VaultSecret into the state, and wake nothing."""
        self._move(key, self._state.parked, self._vaultsecrets)

    def _move(self, key: ObjectKey, origin: VaultSecretCache, destination: VaultSecretCache) -> None:
        one, is_outdated = origin.find(key), origin.is_outdated(key)
        if one is None:
            return
        origin.delete(key)
        self._put(destination, one)
        if is_outdated:
            destination.invalidate(key)

    def wake(self, key: ObjectKey) -> None:
        """Have a VaultSecret reconciled that was moved into the state; one that was in sync comes last."""
        one = self._vaultsecrets.find(key)
        if one is not None:
            self._queue.add(key, _priority(None, one))

    def _wake(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            one = self._vaultsecrets.find(key)
            self._queue.add(key, Priority.URGENT if one is None else _priority_of_change(meta_of(one)))

    def _store(self, known: Known | None, current: Known, *, is_outdated: bool) -> None:
        self._wake(self._put(self._vaultsecrets, current))
        if not is_outdated and known is not None and _is_same(known, current):
            return
        self._adapt(known, current)
        self._queue.add(current.key, _priority(known, current))

    def _adapt(self, before: Known | None, after: Known | None) -> None:
        """Wake the pollers and the competing VaultSecrets that a change affects."""
        self._pollers.sync()
        granted = None if after is None else self._vaultsecrets.granted(meta_of(after).key)
        if granted is not None:
            self._state.vaults.reschedule(granted.access)
        self._forget_fields(before, after)
        old, new = _target(before), _target(after)
        if old is None or old == new:
            return
        for target in {old, new} - {None}:
            assert target is not None
            self._wake(self._vaultsecrets.keys_for_target(target))

    def _forget_fields(self, before: Known | None, after: Known | None) -> None:
        """Have the target read once more if another spec bounds what is kept of it."""
        if _spec(before) == _spec(after):
            return
        for target in {_target(before), _target(after)} - {None}:
            assert target is not None
            self._state.targets.forget_fields(target)


def _target(known: Known | None) -> ObjectKey | None:
    return known.target_key if isinstance(known, VaultSecret) else None


def _spec(known: Known | None) -> VaultSecretSpec | None:
    return known.spec if isinstance(known, VaultSecret) else None


def _is_same(known: Known, current: Known) -> bool:
    return type(known) is type(current) and _requested(known) == _requested(current)


def _requested(known: Known) -> tuple[object, ...]:
    """Return what users have written; annotations and labels do not change the generation."""
    metadata = meta_of(known).metadata
    annotations = (metadata.annotations.get(name) for name in (REFRESH_ANNOTATION, RELEASE_ANNOTATION))
    return metadata.uid, metadata.generation, metadata.labels, *annotations


def _priority(before: Known | None, after: Known) -> Priority:
    """Low priority for objects already synced before a restart."""
    meta = meta_of(after)
    synced = before is None and meta.status.observed_generation == meta.metadata.generation
    return Priority.ROUTINE if synced else _priority_of_change(meta)


def _priority_of_change(meta: VaultSecretMeta) -> Priority:
    """A Secret that is in use comes before those that are not there yet."""
    return Priority.NEW if meta.status.target is None else Priority.URGENT


def _is_newer(body: Mapping[str, Any], known: Known) -> bool:
    """Return whether an observed object is newer than the cached one: the watch also delivers our own writes."""
    return is_newer(body["metadata"]["resourceVersion"], meta_of(known).metadata.resource_version)


def key_of(body: Mapping[str, Any]) -> ObjectKey:
    """Return the key of any namespaced object."""
    return ObjectKey(body["metadata"]["namespace"], body["metadata"]["name"])
