"""Detects that the API server was restored from a backup, and has everything read again; reconciles nothing.

Resource versions go back then. A watch from a version of the future stays silent until they have caught up, and every
object that was restored is older than the cached one, which no change replaces.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from vaultsync.adapters.kube import Forbidden, NotInstalled
from vaultsync.errors import SyncError, error_fields
from vaultsync.interfaces import KubeApi
from vaultsync.policy.requeue import Jitter, watch_backoff
from vaultsync.state.snapshots import CurrentVersions
from vaultsync.state.stores import State

logger = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds between two checks while no watch is interrupted."""

FIRST_PAUSE = 60.0
MAX_PAUSE = 300.0
"""Seconds until everything may be read again once more; doubled each time, from the first up to the maximum."""


class RestoreCheck:
    """Compares the current resource versions with the newest that were observed; lower ones mean a restore.

    It checks at an interval, and as soon as possible after a watch was interrupted: a restore restarts the API server,
    and its resource versions may catch up before the interval is over.

    Everything is read again then. What looks like another restore soon after is handled later, each time after a longer
    pause, since several API servers whose caches are behind look like one restore after the other. It is remembered
    until then: the resource versions may catch up meanwhile.
    """

    def __init__(
        self,
        kube: KubeApi,
        state: State,
        *,
        namespaces: Sequence[str],
        restart: Callable[[], None],
        jitter: Jitter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`restart` has all VaultSecrets listed again. If `namespaces` is empty, all are watched."""
        self._kube = kube
        self._state = state
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._restart = restart
        self._jitter = jitter
        self._sleep = sleep
        self._clock = clock
        self._noticed = False
        """Whether a restore was noticed, and nothing was read again yet."""
        self._pause = 0.0
        self._not_before = -math.inf
        """When everything may be read again."""

    async def run(self) -> None:
        """Check until cancelled; failures are retried."""
        failures = 0
        interrupted = self._state.targets.interrupted
        while True:
            if not failures:
                with suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL):
                        await interrupted.wait()
            interrupted.clear()
            try:
                await self.check()
                failures = 0
            except (NotInstalled, SyncError):
                # The watches and the resync log the same.
                failures += 1
            except Exception as error:  # noqa: BLE001  it is logged, without its text
                failures += 1
                logger.error("restore check error", extra=error_fields(error))  # noqa: TRY400  the same
            if failures:
                await self._sleep(watch_backoff(failures, jitter=self._jitter))

    async def check(self) -> None:
        """Have everything read again if the resource version of a kind is lower than one that was observed before.

        Raises:
            NotInstalled: The cluster lacks our CustomResourceDefinition.
            SyncError: ClusterUnavailable.
        """
        targets, caches = self._state.targets, self._state.caches
        observed = targets.newest_version(), self._state.newest_vaultsecret()
        current = await self._current()
        if int(current.targets) < observed[0] or int(current.vaultsecrets) < observed[1]:
            self._noticed = True
        if not self._noticed or self._clock() < self._not_before:
            return
        self._noticed = False
        self._postpone_next()
        logger.warning("API server was restored", extra={"detail": "its resource versions went back"})
        targets.invalidate_all()
        for cache in caches:
            cache.invalidate_all()
        self._restart()
        self._state.vaultsecrets.request_resync()

    def _postpone_next(self) -> None:
        quiet = self._clock() >= self._not_before + MAX_PAUSE
        self._pause = FIRST_PAUSE if quiet else min(2 * self._pause, MAX_PAUSE)
        self._not_before = self._clock() + self._pause

    async def _current(self) -> CurrentVersions:
        """Return the current versions, which are the same in all namespaces, from one that is not denied."""
        for namespace in self._namespaces[:-1]:
            with suppress(Forbidden):
                return await self._kube.current_versions(namespace)
        return await self._kube.current_versions(self._namespaces[-1])
