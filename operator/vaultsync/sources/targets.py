"""The informer of target Secrets, by their metadata alone; reconciles nothing.

It lists the Secrets with our label and then watches them. An interrupted watch continues where it stopped, or starts
again with a list, which is compared with the cache, so that no deletion is missed in between.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial

from vaultsync.adapters.kube import Forbidden, ResourceExpired
from vaultsync.api import ObjectKey
from vaultsync.controller.queue import WorkQueue, is_cancelled
from vaultsync.controller.turns import Priority
from vaultsync.errors import SyncError, error_fields
from vaultsync.interfaces import KubeApi
from vaultsync.policy.requeue import Jitter, watch_backoff
from vaultsync.sources.denials import Denials
from vaultsync.sources.open_watches import OpenWatches
from vaultsync.state.resource_versions import is_newer
from vaultsync.state.snapshots import Bookmark, TargetEvent
from vaultsync.state.stores import State

logger = logging.getLogger(__name__)

MIN_WATCH = 10.0
"""Seconds that a watch must last if it brings nothing: the API server lets it last for longer."""


class TargetInformer:
    """Keeps the cache of targets up to date while it runs, and wakes the VaultSecrets of targets that changed.

    The first list wakes none; `has_synced` is set once every scope has been listed, but for those that are denied. Such
    a scope is requested again with backoff, and its VaultSecrets are reconciled once it has been listed.
    """

    def __init__(
        self,
        kube: KubeApi,
        state: State,
        queue: WorkQueue,
        *,
        jitter: Jitter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._state = state
        self._targets = state.targets
        self._queue = queue
        self._jitter = jitter
        self._sleep = sleep
        self._clock = clock
        self.denials = Denials("secrets")
        self.has_synced = asyncio.Event()
        self._open = OpenWatches(self._targets.scopes, self.denials, clock=clock)

    @property
    def is_up(self) -> bool:
        """Whether every scope is watched that is not denied, and at least one."""
        return self._open.are_up

    async def run(self) -> None:
        """List and watch every scope, until cancelled; failures are retried."""
        async with asyncio.TaskGroup() as tasks:
            for namespace in self._targets.scopes:
                tasks.create_task(self._follow(namespace), name=f"watch of targets in {namespace or 'all namespaces'}")

    async def catch_up(self) -> None:
        """Have the cache as new as the API server was at the begin of the call; repeated until that succeeds."""
        async with asyncio.TaskGroup() as tasks:
            for namespace in self._targets.scopes:
                tasks.create_task(self._catch_up(namespace))

    async def _catch_up(self, namespace: str | None) -> None:
        failures = 0
        # One that was denied so far is listed by the task that watches it, which wakes its VaultSecrets.
        while self._targets.has_synced(namespace):
            try:
                listed = await self._kube.list_targets(namespace, self._targets.kept)
            except Forbidden:
                return
            except SyncError as error:
                failures += 1
                logger.warning("secret list failed", extra={"namespace": namespace, "detail": error.message})
                await self._sleep(self._backoff(failures))
                continue
            position = self._targets.resource_version(namespace)
            if position is None or is_newer(listed.resource_version, position):
                for key in self._targets.handle_list(namespace, listed):
                    self._wake(key)
            return

    async def _follow(self, namespace: str | None) -> None:
        failures, on_open = 0, partial(self._open.add, namespace)
        while True:
            healthy, detail, begun = False, "nothing was received", self._clock()
            try:
                position = self._targets.resource_version(namespace) or await self._list(namespace)
                async with aclosing(self._kube.watch_targets(namespace, position, on_open)) as events:
                    async for event in events:
                        healthy, failures = True, 0
                        self.denials.remove(namespace)
                        self._handle(namespace, event)
                # While nothing changes, there are no events, and perhaps no bookmarks.
                healthy = healthy or self._clock() - begun > MIN_WATCH
                self.denials.remove(namespace)
            except Forbidden:
                # Not an interruption while it lasts, which would have each attempt look for a restore.
                failures += 1
                if self.denials.add(namespace):
                    self._targets.interrupted.set()
                self._sync()
                await self._sleep(self._backoff(failures))
                continue
            except ResourceExpired as error:
                self._targets.expire(namespace)
                detail = error.message
            except SyncError as error:
                detail = error.message
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_cancelled():
                    raise
                # A task group ignores a task that is cancelled by itself.
                fields = {"namespace": namespace, **error_fields(error)}
                logger.error("secret watch error", extra=fields)  # noqa: TRY400  without its text
                self._targets.expire(namespace)
            if not healthy:
                failures += 1
                self._targets.interrupted.set()
                logger.warning("secret watch interrupted", extra={"namespace": namespace, "detail": detail})
                await self._sleep(self._backoff(failures))

    def _backoff(self, failures: int) -> float:
        return watch_backoff(failures, jitter=self._jitter)

    async def _list(self, namespace: str | None) -> str:
        listed = await self._kube.list_targets(namespace, self._targets.kept)
        joins = self.has_synced.is_set() and not self._targets.has_synced(namespace)
        changed = self._targets.handle_list(namespace, listed)
        self.denials.remove(namespace)
        if joins:
            self._join(namespace)
        elif self.has_synced.is_set():
            for key in changed:
                self._wake(key)
        self._sync()
        return listed.resource_version

    def _sync(self) -> None:
        """Record that all scopes that can be listed have been, if there are any."""
        synced = {namespace for namespace in self._targets.scopes if self._targets.has_synced(namespace)}
        if synced and synced.union(self.denials.namespaces) >= set(self._targets.scopes):
            self.has_synced.set()

    def _join(self, namespace: str | None) -> None:
        """Wake the VaultSecrets that wait for the list of their targets, and have orphans released."""
        for meta in self._state.vaultsecrets.metas():
            if namespace in {None, meta.key.namespace}:
                self._queue.add(meta.key, Priority.ROUTINE)
        self._state.vaultsecrets.request_resync()

    def _handle(self, namespace: str | None, event: TargetEvent) -> None:
        if self._targets.handle_event(namespace, event) and not isinstance(event, Bookmark):
            self._targets.wake_unless_ours(event.key, event.resource_version, partial(self._wake, event.key))

    def _wake(self, target: ObjectKey) -> None:
        for key in self._state.vaultsecrets.keys_for_target(target):
            self._queue.add(key, Priority.URGENT)
