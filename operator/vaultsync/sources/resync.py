"""Which VaultSecrets there still are: forgets those that went unheard, lets go of the targets that they left behind.

Where kopf's watch cannot go on, since the API server has forgotten the moment, kopf lists everything again and tells
what is there. What went meanwhile it does not tell. Such a ghost would keep others from its target, and keep its vault
polled.

A target with `onDelete: Retain` outlives its VaultSecret and is nobody's then, so our labels come off. Who left it is
not asked: any target whose VaultSecret is not on the roll is let go, also when that went while no operator ran.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from vaultsync.adapters.kube import Conflict, NotInstalled
from vaultsync.api import ObjectKey
from vaultsync.api.moments import is_newer
from vaultsync.errors import ObjectGone, SyncError
from vaultsync.policy.requeue import Jitter, backoff
from vaultsync.state.observed import Observed
from vaultsync.state.snapshots import ListSnapshot
from vaultsync.state.vaultsecrets import VaultSecretCache

logger = logging.getLogger(__name__)

EVERY = 600.0
"""Seconds between two counts when nothing gives reason to doubt: a listing of nothing at all looks like none."""

SETTLING = 2.0
"""Seconds from a doubt to the count, since the watch's own listing, or many deletions, bring many at once."""

RELEASES_AT_ONCE = 4
"""Of thousands that were left behind: reconciles need the connections, and nobody waits for this."""

_MAX_DOUBLINGS = 5


class KubeApi(Protocol):
    """Where VaultSecrets are counted."""

    async def check_installed(self, namespace: str | None) -> None:
        """Make sure that they can be listed. Raises `NotInstalled` and `SyncError`."""
        ...

    async def list_vault_secrets(self, namespace: str | None) -> ListSnapshot:
        """Say which there are. Raises `NotInstalled` and `SyncError`."""
        ...

    async def release(self, key: ObjectKey, *, observed: Observed) -> None:
        """Take our labels and annotation off a target that is still as observed. Raises `SyncError`."""
        ...


class Targets(Protocol):
    """What the watch of our targets last saw."""

    def known(self, namespace: str | None) -> Mapping[ObjectKey, Observed]:
        """All targets, in one namespace or in all."""
        ...


class Census:
    """Counts the VaultSecrets of the inventory against the cluster, when in doubt and every ten minutes."""

    def __init__(
        self,
        cluster: KubeApi,
        *,
        namespaces: Sequence[str],
        vaultsecrets: VaultSecretCache,
        targets: Targets,
        gone: Callable[[ObjectKey, str], None],
        jitter: Jitter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        every: float = EVERY,
    ) -> None:
        """`gone` is called with key and uid of each that is no more; no namespaces means all of them."""
        self._cluster = cluster
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._vaultsecrets = vaultsecrets
        self._targets = targets
        self._gone = gone
        self._jitter = jitter
        self._sleep = sleep
        self._every = every
        self._doubt = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Return as soon as VaultSecrets can be listed; from then on they are counted, for the first time soon.

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
        self.doubt()  # of what happened before us
        self._task = asyncio.create_task(self._follow(), name="census")

    async def stop(self) -> None:
        """Count no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def doubt(self) -> None:
        """Have them counted soon: deletions may have been missed, or have left targets behind."""
        self._doubt.set()

    async def count(self) -> None:
        """Forget whatever is no more, and let go of what it left behind.

        Raises:
            NotInstalled: The cluster knows no such thing any more.
            SyncError: They cannot be listed.
        """
        unheard: set[ObjectKey] = set()
        for namespace in self._namespaces:
            roll = await self._cluster.list_vault_secrets(namespace)
            unheard |= {key for key in roll.keys - roll.terminating if not self._vaultsecrets.knows(key)}
            for known in self._vaultsecrets.all():
                served = namespace in {None, known.key.namespace}
                came_later = is_newer(known.metadata.resource_version, roll.resource_version)
                if served and known.key not in roll.keys and not came_later:
                    logger.info("missed a deletion", extra={"vaultsecret": str(known.key)})
                    self._gone(known.key, known.metadata.uid)
            await self._release_all(self._left_behind(namespace, roll))
        if unheard and not self._vaultsecrets.has_synced:
            self.doubt()
        self._vaultsecrets.has_synced |= not unheard

    def _left_behind(self, namespace: str | None, roll: ListSnapshot) -> Mapping[ObjectKey, Observed]:
        """Targets whose VaultSecret is no more; one that another VaultSecret wants is left for that to take over."""
        return {
            key: target
            for key, target in self._targets.known(namespace).items()
            if _is_left_behind(target, roll) and not self._vaultsecrets.keys_for_target(key)
        }

    async def _release_all(self, targets: Mapping[ObjectKey, Observed]) -> None:
        places = asyncio.Semaphore(RELEASES_AT_ONCE)

        async def in_turn(key: ObjectKey, target: Observed) -> None:
            async with places:
                await self._release(key, target)

        async with asyncio.TaskGroup() as tasks:
            for key, target in targets.items():
                tasks.create_task(in_turn(key, target))

    async def _release(self, key: ObjectKey, target: Observed) -> None:
        """Let go of one target. What fails is for the next count, and keeps no other target waiting."""
        try:
            await self._cluster.release(key, observed=target)
        except (Conflict, ObjectGone):
            return
        except SyncError as error:
            logger.warning("target not released", extra={"target": str(key), "detail": error.message})
        else:
            logger.info("released target", extra={"target": str(key)})

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
        # Not by `asyncio.wait_for`: up to Python 3.11 it swallows a cancellation that comes with what it waits for.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every):
                await self._doubt.wait()
        if self._doubt.is_set():
            await self._sleep(SETTLING)
        self._doubt.clear()

    async def _lament(self, error: Exception, failures: int) -> None:
        logger.warning("VaultSecrets cannot be listed", extra={"detail": str(error)})
        await self._sleep(backoff(min(failures, _MAX_DOUBLINGS), jitter=self._jitter))


def _is_left_behind(target: Observed, roll: ListSnapshot) -> bool:
    """Tell whether the VaultSecret that it says it belongs to is no more.

    One that was written after the count may belong to a VaultSecret that is not on the roll yet; one with an owner
    reference to that VaultSecret is the garbage collector's. A copy that others made of a target says the same, maybe
    of a VaultSecret in a namespace that is not counted here; nothing of it is ours, so it is left to them.
    """
    uid = target.owner_uid
    if uid is None or uid in roll.uids or not target.ours or is_newer(target.resource_version, roll.resource_version):
        return False
    return all(owner.uid != uid for owner in target.owners)
