"""Which VaultSecrets there still are: forgets those whose deletion the watch has missed; looks at nothing else of them.

Where kopf's watch cannot go on, since the API server has forgotten the moment, kopf lists everything again and tells
what is there. What went meanwhile it does not tell. Such a ghost would keep others from its target, and keep its vault
polled.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from vaultsync.adapters.cluster import NotInstalled, Roll
from vaultsync.api import ObjectKey
from vaultsync.inventory import Inventory
from vaultsync.rules.outcome import SyncError
from vaultsync.rules.schedule import Jitter, backoff

logger = logging.getLogger(__name__)

EVERY = 600.0
"""Seconds between two counts when nothing gives reason to doubt: a listing of nothing at all looks like none."""

SETTLING = 2.0
"""Seconds from a doubt to the count, since the watch's own listing brings many at once."""

_MOST_DOUBLINGS = 5


class Cluster(Protocol):
    """Where VaultSecrets are counted."""

    async def check_installed(self, namespace: str | None) -> None:
        """Make sure that they can be listed. Raises `NotInstalled` and `SyncError`."""
        ...

    async def list_vault_secrets(self, namespace: str | None) -> Roll:
        """Say which there are. Raises `NotInstalled` and `SyncError`."""
        ...


class Census:
    """Counts the VaultSecrets of the inventory against the cluster, when in doubt and every ten minutes."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespaces: Sequence[str],
        inventory: Inventory,
        gone: Callable[[ObjectKey, str], None],
        jitter: Jitter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        every: float = EVERY,
    ) -> None:
        """`gone` is called with key and uid of each that is no more; no namespaces means all of them."""
        self._cluster = cluster
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._inventory = inventory
        self._gone = gone
        self._jitter = jitter
        self._sleep = sleep
        self._every = every
        self._doubt = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Return as soon as VaultSecrets can be listed; from then on they are counted.

        Raises:
            NotInstalled: The cluster knows no such thing.
        """
        for namespace in self._namespaces:
            failures = 0
            while True:
                try:
                    await self._cluster.check_installed(namespace)
                    break
                except SyncError as error:
                    failures += 1
                    await self._lament(error, failures)
        self._task = asyncio.create_task(self._follow(), name="census")

    async def stop(self) -> None:
        """Count no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def doubt(self) -> None:
        """Have them counted soon: deletions may have been missed."""
        self._doubt.set()

    async def count(self) -> None:
        """Forget whatever is no more.

        Raises:
            NotInstalled: The cluster knows no such thing any more.
            SyncError: They cannot be listed.
        """
        for namespace in self._namespaces:
            roll = await self._cluster.list_vault_secrets(namespace)
            for known in self._inventory.all():
                served = namespace in {None, known.key.namespace}
                if served and known.key not in roll.keys and not _is_later(known.metadata.resource_version, roll):
                    logger.info("missed a deletion", extra={"vaultsecret": str(known.key)})
                    self._gone(known.key, known.metadata.uid)

    async def _follow(self) -> None:
        failures = 0
        while True:
            await self._next_occasion()
            try:
                await self.count()
                failures = 0
            except (NotInstalled, SyncError) as error:
                failures += 1
                self._doubt.set()
                await self._lament(error, failures)
            except Exception:
                logger.exception("the census broke")

    async def _next_occasion(self) -> None:
        try:
            await asyncio.wait_for(self._doubt.wait(), self._every)
            await self._sleep(SETTLING)
        except TimeoutError:
            pass
        self._doubt.clear()

    async def _lament(self, error: Exception, failures: int) -> None:
        logger.warning("VaultSecrets cannot be listed", extra={"detail": str(error)})
        await self._sleep(backoff(min(failures, _MOST_DOUBLINGS), jitter=self._jitter))


def _is_later(resource_version: str, roll: Roll) -> bool:
    """Tell whether it was made or changed after the count.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
    """
    return int(resource_version) > int(roll.resource_version)
