"""Our targets as last seen, by their metadata: tells when one changed or vanished by another's hand; judges nothing.

It lists what carries our label, then follows what happens to it. A watch that breaks goes on where it stopped, or
begins with a list again, which is compared with what was known, so that no deletion is missed in between.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from vaultsync.adapters.kube import ResourceExpired
from vaultsync.api import ObjectKey
from vaultsync.api.moments import is_newer
from vaultsync.errors import SyncError
from vaultsync.policy.requeue import Jitter, backoff
from vaultsync.state.observed import Observed
from vaultsync.state.snapshots import Bookmark, Deleted, Modified, TargetEvent, TargetList

logger = logging.getLogger(__name__)

_MAX_DOUBLINGS = 5
"""The wait after a failure grows to 32 seconds and no further: until the watch is back nobody sees tampering."""


class KubeApi(Protocol):
    """Where targets are seen."""

    async def list_targets(self, namespace: str | None) -> TargetList:
        """List what carries our label, in one namespace or in all. Raises `SyncError`."""
        ...

    def watch_targets(self, namespace: str | None, resource_version: str) -> AsyncGenerator[TargetEvent, None]:
        """Follow what happens from that moment on, for some minutes. Raises `SyncError`."""
        ...


@dataclass(slots=True)
class _View:
    """What is known of one namespace, or of all: the targets, and the moment that the watch has come to.

    Resource versions grow, so that two of them tell which moment came first.
    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
    """

    known: dict[ObjectKey, Observed] = field(default_factory=dict)
    owned: defaultdict[str, set[ObjectKey]] = field(default_factory=lambda: defaultdict(set))
    """By the uid of the VaultSecret that they say they belong to."""
    position: str | None = None

    def take(self, event: TargetEvent) -> bool:
        """Follow an event; tell whether it is news, which our own writes and what they overtook are not."""
        self.position = event.resource_version
        match event:
            case Bookmark():
                return False
            case Deleted():
                return self._replace(event.key, None, event.resource_version)
            case Modified():
                return self._replace(event.key, event.observed, event.resource_version)

    def compare(self, listing: TargetList) -> set[ObjectKey]:
        """Follow a listing; tell whose state is news. What we wrote after its moment stays as we wrote it."""
        self.position = listing.resource_version
        keys = self.known.keys() | listing.targets.keys()
        return {key for key in keys if self._replace(key, listing.targets.get(key), listing.resource_version)}

    def remember(self, key: ObjectKey, observed: Observed) -> None:
        """Take a write of ours as seen, unless the watch has come past it and knows better."""
        if self.position is None or is_newer(observed.resource_version, self.position):
            self._set(key, observed)

    def _replace(self, key: ObjectKey, observed: Observed | None, moment: str) -> bool:
        known = self.known.get(key)
        if known is not None and not is_newer(moment, known.resource_version):
            return False
        self._set(key, observed)
        if known is None or observed is None:
            return known is not observed
        return replace(known, resource_version=observed.resource_version) != observed

    def _set(self, key: ObjectKey, observed: Observed | None) -> None:
        known = self.known.pop(key, None)
        if known is not None and known.owner_uid is not None:
            self.owned[known.owner_uid].discard(key)
            if not self.owned[known.owner_uid]:
                del self.owned[known.owner_uid]
        if observed is not None:
            self.known[key] = observed
            if observed.owner_uid is not None:
                self.owned[observed.owner_uid].add(key)


class Targets:
    """The targets as last seen, kept up to date from `start` to `stop`; within one event loop.

    `synced` is set once every namespace has been listed; `get` knows nothing before. The first listing is no news.
    """

    def __init__(
        self,
        cluster: KubeApi,
        *,
        namespaces: Sequence[str],
        on_change: Callable[[ObjectKey], None],
        jitter: Jitter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start nothing yet.

        Args:
            cluster: Where targets are seen.
            namespaces: Which namespaces are watched, each by itself; all of them, by one watch, if none is named.
            on_change: Called with a target's key when another's hand has changed or deleted it, or taken our label off
                it. It must return at once.
            jitter: Spreads the waits after failures.
            sleep: Waits so many seconds.
        """
        self._cluster = cluster
        self._on_change = on_change
        self._jitter = jitter
        self._sleep = sleep
        self._views: dict[str | None, _View] = {namespace: _View() for namespace in namespaces or (None,)}
        self._tasks: list[asyncio.Task[None]] = []
        self.synced = asyncio.Event()

    def get(self, key: ObjectKey) -> Observed | None:
        """The target as last seen; None if there is none that carries our label."""
        view = self._view(key)
        return None if view is None else view.known.get(key)

    def known(self, namespace: str | None) -> Mapping[ObjectKey, Observed]:
        """All targets as last seen, in one namespace or in all."""
        return {
            key: observed
            for view in self._views.values()
            for key, observed in view.known.items()
            if namespace in {None, key.namespace}
        }

    def owned_by(self, uid: str) -> Collection[ObjectKey]:
        """The targets that say that they belong to the VaultSecret of that uid, as last seen."""
        return [key for view in self._views.values() for key in view.owned.get(uid, ())]

    def remember(self, key: ObjectKey, observed: Observed) -> None:
        """Take what we wrote ourselves as seen, so that the watch's word of it is no news."""
        view = self._view(key)
        if view is not None:
            view.remember(key, observed)

    def start(self) -> None:
        """Begin to list and to watch."""
        self._tasks = [
            asyncio.create_task(self._follow(namespace, view), name=f"targets of {namespace or 'all namespaces'}")
            for namespace, view in self._views.items()
        ]

    async def stop(self) -> None:
        """End all watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _view(self, key: ObjectKey) -> _View | None:
        return self._views.get(None) or self._views.get(key.namespace)

    async def _follow(self, namespace: str | None, view: _View) -> None:
        """Keep one view up to date, for ever: whatever goes wrong, it is tried again."""
        failures = 0
        while True:
            heard, trouble = False, "nothing came"
            try:
                position = view.position or await self._list(namespace, view)
                async with aclosing(self._cluster.watch_targets(namespace, position)) as events:
                    async for event in events:
                        heard, failures = True, 0
                        self._take(event, view)
            except ResourceExpired as error:
                view.position, trouble = None, error.message
            except SyncError as error:
                trouble = error.message
            except Exception:
                logger.exception("the watch of targets broke", extra={"namespace": namespace})
                view.position = None
            if not heard:
                # A watch lasts for minutes and brings a bookmark a minute: silence is a failure too.
                failures += 1
                logger.warning("targets are out of sight", extra={"namespace": namespace, "detail": trouble})
                await self._sleep(backoff(min(failures, _MAX_DOUBLINGS), jitter=self._jitter))

    async def _list(self, namespace: str | None, view: _View) -> str:
        listing = await self._cluster.list_targets(namespace)
        changed = view.compare(listing)
        if self.synced.is_set():
            for key in changed:
                self._on_change(key)
        elif all(one.position is not None for one in self._views.values()):
            self.synced.set()
        return listing.resource_version

    def _take(self, event: TargetEvent, view: _View) -> None:
        if view.take(event) and not isinstance(event, Bookmark):
            self._on_change(event.key)
