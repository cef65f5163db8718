"""The cache of target Secrets, by their metadata; reads nothing itself."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.state.claims import kept
from vaultsync.state.observed import Observed, Unclaimed, names_owner, unclaimed
from vaultsync.state.resource_versions import is_newer
from vaultsync.state.snapshots import Bookmark, Deleted, Kept, Modified, TargetEvent, TargetList


@dataclass(slots=True)
class _Scope:
    """The targets of one namespace, or of all, and the resource version that the watch has reached."""

    known: dict[ObjectKey, Observed | Unclaimed] = field(default_factory=dict)
    owned: defaultdict[str, set[ObjectKey]] = field(default_factory=lambda: defaultdict(set))
    """By the uid of the VaultSecret that their label names."""
    resource_version: str | None = None
    has_synced: bool = False
    """Whether it has been listed: until then an existing target may be unknown."""
    outdated: set[ObjectKey] = field(default_factory=set)
    """Targets that are not as cached, as after a restore of the API server: whatever is observed next replaces them."""
    is_outdated: bool = False
    """Whether no list has been observed since the API server was restored."""

    @property
    def newest_object(self) -> int:
        """The highest resource version of a target that exists, as observed or written; 0 if there is none."""
        known = (int(target.resource_version) for key, target in self.known.items() if key not in self.outdated)
        return max(known, default=0)

    @property
    def observed_version(self) -> int:
        """The resource version that list and watch have reached, with bookmarks; 0 if it must be listed."""
        return int(self.resource_version or "0")

    @property
    def newest_version(self) -> int:
        """The highest resource version that was observed or written, also of a bookmark or a list."""
        return max(self.newest_object, self.observed_version)

    def is_behind(self, key: ObjectKey, resource_version: str) -> bool:
        """Return whether a Secret is not cached as it was at that resource version, or later."""
        known = self.known.get(key)
        return known is None or key in self.outdated or is_newer(resource_version, known.resource_version)

    def replace(self, key: ObjectKey, observed: Observed | Unclaimed | None, resource_version: str) -> bool:
        """Store what was observed at that resource version; return whether it differs from the cached state."""
        if not self.is_behind(key, resource_version):
            return False
        known = self.known.get(key)
        self.set(key, observed)
        if known is None or observed is None:
            return known is not observed
        return replace(known, resource_version=observed.resource_version) != observed

    def set(self, key: ObjectKey, observed: Observed | Unclaimed | None) -> None:
        self.outdated.discard(key)
        known = self.known.pop(key, None)
        if known is not None and known.owner_uid is not None:
            self.owned[known.owner_uid].discard(key)
            if not self.owned[known.owner_uid]:
                del self.owned[known.owner_uid]
        if observed is not None:
            self.known[key] = observed
            if observed.owner_uid is not None:
                self.owned[observed.owner_uid].add(key)


@dataclass(slots=True)
class _Write:
    """A write that runs, and what the watch has brought of its target meanwhile."""

    resource_version: str | None = None
    """Where it has led, once that is known."""
    held: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    """Resource versions, and what each wakes."""


class TargetCache:
    """The Secrets that carry our label, as last observed; of those that are no VaultSecret's target, hardly anything.

    Anybody who may write Secrets can make one with our label, and as large as the API server stores it.
    """

    def __init__(
        self, namespaces: Sequence[str] = (), *, users: Callable[[ObjectKey], Collection[VaultSecret]]
    ) -> None:
        """Know of no target yet.

        Args:
            namespaces: They are watched one by one; if empty, all namespaces are watched together.
            users: Returns the VaultSecrets that name a Secret as their target.
        """
        self._users = users
        self._scopes: dict[str | None, _Scope] = {namespace: _Scope() for namespace in namespaces or (None,)}
        self._writes: dict[ObjectKey, _Write] = {}
        self.interrupted = asyncio.Event()
        """Set when a watch has failed: the API server may have been restored from a backup."""

    @property
    def scopes(self) -> Collection[str | None]:
        """The namespaces that are watched; None stands for all of them."""
        return self._scopes.keys()

    def has_synced(self, namespace: str | None) -> bool:
        """Return whether the targets of a namespace have been listed; until then `get` may not know existing ones."""
        scope = self._scopes.get(None) or self._scopes.get(namespace)
        return scope is not None and scope.has_synced

    def get(self, key: ObjectKey) -> Observed | None:
        """Return the target as last observed; None if that is not known, or there is none that carries our label."""
        scope = self._scope_of(key)
        known = None if scope is None else scope.known.get(key)
        return known if isinstance(known, Observed) else None

    def has_label(self, key: ObjectKey) -> bool:
        """Return whether there is a Secret with our label, as last observed, however little is kept of it."""
        scope = self._scope_of(key)
        return scope is not None and key in scope.known

    def kept(self, key: ObjectKey, observed: Observed) -> Observed | Unclaimed:
        """Return what is kept of a Secret: as much as the VaultSecrets ask for whose target it is."""
        return kept(observed, self._users(key))

    def within(self, namespace: str | None) -> Mapping[ObjectKey, Observed | Unclaimed]:
        """Return what is kept of all Secrets with our label, of one namespace or of all."""
        return {
            key: known
            for scope in self._scopes.values()
            for key, known in scope.known.items()
            if namespace in {None, key.namespace}
        }

    def claim(self, key: ObjectKey, observed: Observed) -> None:
        """Keep a Secret that was read since it became a target, unless it has changed meanwhile."""
        scope = self._scope_of(key)
        known = None if scope is None else scope.known.get(key)
        if scope is None or not isinstance(known, Unclaimed) or key in scope.outdated:
            return
        if (known.uid, known.resource_version) == (observed.uid, observed.resource_version):
            scope.set(key, self.kept(key, observed))

    def forget_fields(self, key: ObjectKey) -> None:
        """Keep hardly anything of a Secret, until it is read again: other VaultSecrets ask for it, or another spec."""
        scope, known = self._scope_of(key), self.get(key)
        if scope is None or known is None:
            return
        is_outdated = key in scope.outdated
        scope.set(key, unclaimed(known))
        if is_outdated:
            scope.outdated.add(key)

    def retained_by(self, uid: str) -> Collection[ObjectKey]:
        """Return the keys of the Secrets that outlive the VaultSecret of that uid, by their label."""
        owned = ((key, scope.known[key]) for scope in self._scopes.values() for key in scope.owned.get(uid, ()))
        kept = ((key, known if isinstance(known, Unclaimed) else unclaimed(known)) for key, known in owned)
        return [key for key, known in kept if known.is_retained]

    def owned_by(self, uid: str) -> Collection[ObjectKey]:
        """Return the keys of the Secrets that we wrote for the VaultSecret of that uid, by their label.

        Others may have that label, and there may be many: only those count in which a field that we applied proves it.
        """
        owned = ((key, scope.known[key]) for scope in self._scopes.values() for key in scope.owned.get(uid, ()))
        return [
            key
            for key, known in owned
            if (known.is_written_for_owner if isinstance(known, Unclaimed) else names_owner(known, uid))
        ]

    def resource_version(self, namespace: str | None) -> str | None:
        """Return the resource version from which the watch of a scope continues; None if it must be listed again."""
        return self._scopes[namespace].resource_version

    def expire(self, namespace: str | None) -> None:
        """Have a scope listed again: the server no longer has the history since the resource version."""
        self._scopes[namespace].resource_version = None

    def observed_version(self) -> int:
        """Return the resource version that list and watch have reached, with bookmarks; 0 if they must be listed."""
        return max(scope.observed_version for scope in self._scopes.values())

    def newest_version(self) -> int:
        """Return the highest resource version that was observed or written; 0 if there is none."""
        return max(scope.newest_version for scope in self._scopes.values())

    def newest_object(self) -> int:
        """Return the highest resource version of a target that exists, as observed or written; 0 if there is none."""
        return max(scope.newest_object for scope in self._scopes.values())

    @property
    def has_outdated(self) -> bool:
        """Whether some are not as cached, so that what was observed of them counts for nothing."""
        return any(scope.is_outdated or scope.outdated for scope in self._scopes.values())

    def invalidate_all(self) -> None:
        """Have all scopes listed again, whose objects replace the cached ones although their versions are lower."""
        for scope in self._scopes.values():
            scope.resource_version = None
            scope.outdated = set(scope.known)
            scope.is_outdated = True

    @contextmanager
    def writing(self, key: ObjectKey) -> Iterator[None]:
        """Hold back what changes of a target wake while we write it: our own write may be among them.

        The watch often brings it before the response does. At the end, every change wakes but the one that has led to
        the state that `record_write` has recorded.
        """
        write = self._writes.setdefault(key, _Write())
        try:
            yield
        finally:
            self._writes.pop(key, None)
            while write.held:
                resource_version, wake = write.held.pop(0)
                if resource_version != write.resource_version:
                    wake()

    def wake_unless_ours(self, key: ObjectKey, resource_version: str, wake: Callable[[], None]) -> None:
        """Call `wake` for a change that the watch has brought, at once or when our write of the target has ended."""
        write = self._writes.get(key)
        if write is None:
            wake()
        else:
            write.held.append((resource_version, wake))

    def record_write(self, key: ObjectKey, observed: Observed) -> None:
        """Store the result of our own write, unless the watch has already observed a newer state."""
        if (write := self._writes.get(key)) is not None:
            write.resource_version = observed.resource_version
        scope = self._scope_of(key)
        if scope is None:
            return
        known = None if key in scope.outdated else scope.known.get(key)
        observed_versions = {scope.resource_version, None if known is None else known.resource_version} - {None}
        if all(is_newer(observed.resource_version, version) for version in observed_versions if version is not None):
            scope.set(key, self.kept(key, observed))

    def invalidate(self, key: ObjectKey) -> None:
        """Have whatever is observed next replace a target that is not as observed any more."""
        scope = self._scope_of(key)
        if scope is not None and key in scope.known:
            scope.outdated.add(key)

    def is_outdated(self, key: ObjectKey) -> bool:
        """Return whether a target may be another than the cached one, or gone."""
        scope = self._scope_of(key)
        return scope is not None and key in scope.outdated

    def handle_event(self, namespace: str | None, event: TargetEvent) -> bool:
        """Store the object of a watch event; return whether it is new: our own writes, and older states, are not."""
        scope = self._scopes[namespace]
        if scope.is_outdated:
            return False
        if scope.resource_version is not None and not is_newer(event.resource_version, scope.resource_version):
            return False  # a list beside the watch was ahead of it
        scope.resource_version = event.resource_version
        match event:
            case Bookmark():
                return False
            case Deleted():
                return scope.replace(event.key, None, event.resource_version)
            case Modified(key, resource_version, read):
                return scope.is_behind(key, resource_version) and scope.replace(
                    key, self.kept(key, read()), resource_version
                )

    def handle_list(self, namespace: str | None, targets: TargetList[Kept]) -> set[ObjectKey]:
        """Store the objects of a list; return the keys of targets that differ from the cached state."""
        scope = self._scopes[namespace]
        scope.resource_version = targets.resource_version
        scope.is_outdated = False
        scope.has_synced = True
        keys = scope.known.keys() | targets.targets.keys()
        return {key for key in keys if scope.replace(key, targets.targets.get(key), targets.resource_version)}

    def _scope_of(self, key: ObjectKey) -> _Scope | None:
        return self._scopes.get(None) or self._scopes.get(key.namespace)
