"""Resync: lists the VaultSecrets, removes deleted ones from the caches, and releases their targets; reconciles nothing.

If kopf's watch cannot continue, since the API server no longer has the history, kopf lists everything again and reports
what exists, but not what was deleted meanwhile. A deleted VaultSecret in the cache would block others from its target,
and keep its vault polled.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress

from vaultsync.adapters.kube import Forbidden, NotInstalled
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.errors import SyncError, error_fields
from vaultsync.interfaces import KubeApi
from vaultsync.policy.requeue import Jitter, watch_backoff
from vaultsync.sources.orphans import orphans, release_orphans
from vaultsync.sources.vaultsecrets import VaultSecretSource
from vaultsync.state.resource_versions import is_newer
from vaultsync.state.snapshots import ListSnapshot
from vaultsync.state.stores import State
from vaultsync.state.vaultsecrets import meta_of

logger = logging.getLogger(__name__)

INTERVAL = 600.0
"""Resync interval in seconds: a target that could not be released is released then."""

OBSERVATION = 0.1
"""Seconds between two looks at which VaultSecrets were observed."""

MAX_OBSERVATION = 30.0
"""Seconds to wait for the observation of the VaultSecrets at the start, at most."""

SETTLING = 2.0
"""Seconds from a request to the resync: a relist of the watch, or many deletions, cause many requests at once."""


class Resync:
    """Compares the cached VaultSecrets with the API server, on request and every ten minutes."""

    def __init__(
        self,
        kube: KubeApi,
        state: State,
        source: VaultSecretSource,
        *,
        namespaces: Sequence[str],
        jitter: Jitter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        interval: float = INTERVAL,
    ) -> None:
        """`source` removes what is gone from the cache; if `namespaces` is empty, all are listed."""
        self._kube = kube
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._state = state
        self._source = source
        self._jitter = jitter
        self._sleep = sleep
        self._interval = interval
        self._unobserved: set[ObjectKey] | None = None
        """Which VaultSecrets of the first list were not observed yet."""

    async def wait_until_installed(self) -> None:
        """Wait until VaultSecrets can be listed, in one namespace at least: then the cluster has the resource.

        Raises:
            NotInstalled: The cluster lacks our CustomResourceDefinition.
        """
        failures = 0
        while not await self._is_installed():
            failures += 1
            await self._back_off(failures)

    async def wait_until_observed(self) -> None:
        """Wait until the VaultSecrets that exist have been observed, or no more of them are.

        What is missed only costs requests: its target is read once more.
        """
        lists: list[ListSnapshot] = []
        for namespace in self._namespaces:
            try:
                lists.append(await self._kube.list_vaultsecrets(namespace))
            except Forbidden:
                self._source.denials.add(namespace)
            except (NotInstalled, SyncError) as error:
                _log_failure(error)
        await self._wait_for(lists)

    async def catch_up(self) -> None:
        """Have the caches as new as the API server was at the begin of the call; repeated until that succeeds.

        Lists only show what is missing: the watch brings it, whose events have an order. A parked VaultSecret that it
        does not bring soon is forgotten until it does: by an old spec, a Secret would be written as it was before.
        """
        failures = 0
        while True:
            lists: list[ListSnapshot] = []
            try:
                for namespace in self._namespaces:
                    with suppress(Forbidden):
                        lists.append(await self._compare(namespace))
            except (NotInstalled, SyncError) as error:
                failures += 1
                _log_failure(error)
                await self._sleep(watch_backoff(failures, jitter=self._jitter))
                continue
            for key, version in await self._wait_for(lists):
                self._state.vaultsecrets.forget_until(version)
                if (known := self._state.parked.find(key)) is not None:
                    self._source.forget(key, meta_of(known).metadata.uid)
            return

    async def _wait_for(self, lists: Iterable[ListSnapshot]) -> Collection[tuple[ObjectKey, str]]:
        """Wait until what is on these lists has been observed, or no more of it is; return the rest."""
        missing = [one for listed in lists for one in self._missing(listed)]
        looks, idle, left = 0, 0, len(missing)
        # On a busy machine each look takes longer: what counts is that it brings nothing new.
        while missing and idle * OBSERVATION < SETTLING and looks * OBSERVATION < MAX_OBSERVATION:
            if looks:
                await self._sleep(OBSERVATION)
            missing = [(key, version) for key, version in missing if not self._has_observed(key, version)]
            looks, idle, left = looks + 1, idle + 1 if len(missing) == left else 0, len(missing)
        return missing

    def _missing(self, listed: ListSnapshot) -> Sequence[tuple[ObjectKey, str]]:
        """Return what is on a list and was not observed like that yet, or later; what is being deleted never is."""
        return [
            (key, version)
            for key, version in listed.versions.items()
            if key not in listed.terminating and not self._has_observed(key, version)
        ]

    def _has_observed(self, key: ObjectKey, version: str) -> bool:
        """Return whether a VaultSecret is cached as it was at that resource version, or later."""
        known = self._state.find(key)
        return known is not None and not is_newer(version, meta_of(known).metadata.resource_version)

    async def _is_installed(self) -> bool:
        for namespace in self._namespaces:
            try:
                await self._kube.check_installed(namespace)
            except Forbidden:
                self._source.denials.add(namespace)
            except SyncError as error:
                _log_failure(error)
            else:
                return True
        return False

    async def run(self) -> None:
        """Resync until cancelled, for the first time soon; a failed resync is retried."""
        self._state.vaultsecrets.request_resync()  # something may have been deleted before the start
        failures = 0
        while True:
            await self._next()
            try:
                await self.resync()
                # What the watch does not bring, it may never bring: the lists come later and later.
                failures = 0 if self._state.vaultsecrets.has_synced else failures + 1
                if failures:
                    await self._back_off(failures)
            except (NotInstalled, SyncError) as error:
                failures += 1
                _log_failure(error)
                await self._back_off(failures)
            except Exception as error:  # noqa: BLE001  it is logged, without its text
                failures += 1
                logger.error("resync error", extra=error_fields(error))  # noqa: TRY400  the same
                await self._back_off(failures)

    async def resync(self) -> None:
        """Remove every VaultSecret that does not exist any more from the cache, and release orphaned targets.

        A namespace that is denied stays as it is, and keeps no other from being compared.

        Raises:
            NotInstalled: The cluster lacks our CustomResourceDefinition.
            SyncError: They cannot be listed; if they are denied, in all namespaces.
        """
        vaultsecrets = self._state.vaultsecrets
        unobserved: set[ObjectKey] = set()
        is_behind = False
        denied: list[Forbidden] = []
        for namespace in self._namespaces:
            try:
                listed = await self._compare(namespace)
                unobserved |= {key for key in listed.keys - listed.terminating if self._state.find(key) is None}
                is_behind = is_behind or bool(self._missing(listed))
            except Forbidden as error:
                self._source.denials.add(namespace)
                denied.append(error)
            else:
                self._source.denials.remove(namespace)
        if len(denied) == len(self._namespaces):
            raise denied[0]
        # Another list of the watch, whose objects come meanwhile, requests another resync.
        if not is_behind and not vaultsecrets.resync_requested.is_set():
            vaultsecrets.is_listing = False
        if not vaultsecrets.has_synced:
            # Only those of the first list count: others may be created all the time.
            self._unobserved = unobserved if self._unobserved is None else self._unobserved & unobserved
            vaultsecrets.has_synced = not self._unobserved

    async def _compare(self, namespace: str | None) -> ListSnapshot:
        """Compare one namespace, or all, and return what exists."""
        targets = self._state.targets.within(namespace)
        listed = await self._kube.list_vaultsecrets(namespace)
        for known in [meta for cache in self._state.caches for meta in cache.metas()]:
            is_outdated = any(cache.is_outdated(known.key) for cache in self._state.caches)
            if namespace in {None, known.key.namespace} and _is_gone(known, listed, is_outdated=is_outdated):
                logger.info("pruned deleted VaultSecret", extra={"vaultsecret": str(known.key)})
                self._source.forget(known.key, known.metadata.uid)
        await release_orphans(self._kube, orphans(targets, listed, self._state))
        return listed

    async def _next(self) -> None:
        requested = self._state.vaultsecrets.resync_requested
        # Not by `asyncio.wait_for`: up to Python 3.11 it swallows a cancellation that comes with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                await requested.wait()
        if requested.is_set():
            await self._sleep(SETTLING)
        requested.clear()

    async def _back_off(self, failures: int) -> None:
        self._state.vaultsecrets.request_resync()
        await self._sleep(watch_backoff(failures, jitter=self._jitter))


def _log_failure(error: NotInstalled | SyncError) -> None:
    logger.warning("resync failed", extra={"error": type(error).__name__, "detail": str(error)})


def _is_gone(known: VaultSecretMeta, listed: ListSnapshot, *, is_outdated: bool) -> bool:
    """Return whether a VaultSecret is not on a list, or being deleted, and was not created or changed since.

    After a restore of the API server the resource version does not say when it was created or changed.
    """
    is_listed = known.metadata.uid in listed.uids and known.key not in listed.terminating
    return not is_listed and (is_outdated or not is_newer(known.metadata.resource_version, listed.resource_version))
