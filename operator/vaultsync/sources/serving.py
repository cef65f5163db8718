"""Serves the shards that the election gives: moves their VaultSecrets into the state, and out again; elects nothing.

Every replica observes all VaultSecrets and targets. Those of shards that it does not hold are parked, out of sight of
queue, pollers and metrics. A shard is served once the caches are as new as those of its previous holder, or else as the
API server: nothing that the holder has written is repeated, and what is in place is neither read nor written again, as
after a restart.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.controller.events import EventWriter
from vaultsync.controller.queue import WorkQueue
from vaultsync.errors import error_fields
from vaultsync.interfaces import Recorder, VaultClients
from vaultsync.sources.poller import Pollers
from vaultsync.sources.resync import Resync
from vaultsync.sources.targets import TargetInformer
from vaultsync.sources.vaultsecrets import VaultSecretSource
from vaultsync.state.positions import Position, farthest
from vaultsync.state.stores import State
from vaultsync.state.vaultsecrets import VaultSecretCache, by_age, meta_of

logger = logging.getLogger(__name__)

BATCH = 50
"""VaultSecrets that are moved before control returns to the event loop."""

WAKE_PAUSE = 0.03
"""Seconds between two batches of VaultSecrets that are reconciled after a gain.

What has changed is in the first one, and has to log in and to read meanwhile: a busy event loop would delay each step.
Reconciling a batch that is in place takes half as long.
"""

DIVISION_INTERVAL = 5.0
"""Seconds between two divisions of the budgets of vaults: VaultSecrets of other shards come and go."""

REACH_TIMEOUT = 1.0
"""Seconds to wait until the watches have brought what the previous holder has observed, before all is listed."""

REACH_CHECK = 0.05

DRAIN_TIMEOUT = 1.0
"""Seconds that running reconciles may take to finish when a shard is given up."""


class ShardMover:
    """Moves the VaultSecrets of shards between the parked ones and the state, while it runs."""

    def __init__(
        self,
        state: State,
        source: VaultSecretSource,
        queue: WorkQueue,
        events: EventWriter,
        pollers: Pollers,
        *,
        resync: Resync,
        targets: TargetInformer,
        vaults: VaultClients,
        recorder: Recorder,
    ) -> None:
        """Serve nothing yet."""
        self._state = state
        self._source = source
        self._queue = queue
        self._events = events
        self._pollers = pollers
        self._resync = resync
        self._targets = targets
        self._vaults = vaults
        self._recorder = recorder
        self._wanted: set[int] = set()
        """The shards to serve."""
        self._positions: dict[int, Position | None] = {}
        """What the previous holders have observed, by the shards to serve."""
        self._coming: set[int] = set()
        """Those that this round begins to serve, and that were not lost since its begin."""
        self._waiting: list[ObjectKey] = []
        """VaultSecrets that are served and not reconciled yet since then, the next one last."""
        self._loaded: set[int] = set()
        """The shards of which VaultSecrets may be in the state."""
        self._draining: set[int] = set()
        """Those for which reconciles may finish."""
        self._changed = asyncio.Event()

    def gained(self, shards: AbstractSet[int], position: Position | None) -> None:
        """Begin to serve shards soon: once the caches have reached that position, or the API server."""
        self._recorder.shards_gained(len(shards))
        self._wanted |= shards
        self._positions |= dict.fromkeys(shards, position)
        self._changed.set()

    def lost(self, shards: AbstractSet[int]) -> None:
        """End what runs for shards at once, and move their VaultSecrets out soon."""
        self._stop(shards)
        for task in self._running(shards):
            task.cancel()
        self._events.drop(partial(self._is_in, shards))

    async def drain(self, shards: AbstractSet[int]) -> Position | None:
        """Begin nothing more for shards, and wait until nothing runs for them; what takes too long is cancelled.

        Returns what this replica has observed, if it has served these shards, and nothing was cancelled.
        """
        has_served = shards <= self._state.served
        self._draining |= shards
        self._stop(shards)
        if running := self._running(shards):
            await asyncio.wait(running, timeout=DRAIN_TIMEOUT)
        if running := self._running(shards):
            has_served = False
            for task in running:
                task.cancel()
            await asyncio.wait(running)
        await self._events.drain(partial(self._is_in, shards))
        self._draining -= shards
        self._changed.set()
        return self._state.position if has_served else None

    async def run(self) -> None:
        """Move what has to be moved, until cancelled."""
        while True:
            await self._changes_within(DIVISION_INTERVAL)
            self._changed.clear()
            try:
                await self._move()
            except Exception as error:  # noqa: BLE001  it is logged, without its text; the next round tries again
                logger.error("shards not moved", extra=error_fields(error))  # noqa: TRY400  the same

    async def _move(self) -> None:
        await self._park_lost()
        self._coming = self._wanted - self._state.served
        if self._coming:
            await self._catch_up()
        if self._coming:
            await self._unpark(frozenset(self._coming))
        if self._wanted - self._state.served:
            self._changed.set()  # they were gained meanwhile
        self._vaults.divide_budgets(self._state.shares())
        await self._wake()

    async def _park_lost(self) -> None:
        if leaving := self._loaded - self._wanted - self._draining:
            await self._park(leaving)

    def _stop(self, shards: AbstractSet[int]) -> None:
        if lost := self._wanted & shards:
            self._recorder.shards_lost(len(lost))
        self._wanted -= shards
        self._coming -= shards
        self._state.served.difference_update(shards)
        self._vaults.divide_budgets(self._state.shares())
        self._changed.set()

    def _running(self, shards: AbstractSet[int]) -> list[asyncio.Task[None]]:
        return list(self._queue.running_of(partial(self._is_in, shards)).values())

    def _is_in(self, shards: AbstractSet[int], namespace: str) -> bool:
        return self._state.shards.shard_of(namespace) in shards

    async def _catch_up(self) -> None:
        """Wait until the caches are as new as needed, or all shards that come are lost.

        What is lost meanwhile is parked. What is gained meanwhile comes with the next round: the replica before it may
        have written since this one has begun.
        """
        catching_up = asyncio.create_task(self._new_caches())
        try:
            while self._coming and not catching_up.done():
                changed = asyncio.create_task(self._changed.wait())
                try:
                    await asyncio.wait({catching_up, changed}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                self._changed.clear()
                await self._park_lost()
            if self._coming:
                await catching_up
        finally:
            catching_up.cancel()
            await asyncio.wait({catching_up})

    async def _new_caches(self) -> None:
        position = farthest(self._positions[shard] for shard in self._coming)
        if position is not None and self._state.is_ordered and await self._reaches(position):
            return
        # Of Secrets that are no VaultSecret's target, hardly anything is kept: the VaultSecrets come first.
        await self._resync.catch_up()
        await self._targets.catch_up()

    async def _reaches(self, position: Position) -> bool:
        """Return whether the watches bring what the previous holders have observed."""
        for _ in range(round(REACH_TIMEOUT / REACH_CHECK)):
            if self._state.has_reached(position):
                return True
            await asyncio.sleep(REACH_CHECK)
        return False

    async def _unpark(self, shards: AbstractSet[int]) -> None:
        """Begin to serve shards. If one is lost meanwhile, the next round decides about all."""
        vaultsecrets = self._state.vaultsecrets
        self._loaded |= shards
        vaultsecrets.is_moving = True
        # Some are there if the shard was lost a moment ago.
        keys = self._keys(vaultsecrets, shards)
        while shards <= self._coming and (parked := self._keys(self._state.parked, shards)):
            await _in_batches(parked, self._source.unpark, until=self._changed.is_set)
            keys += parked
        vaultsecrets.is_moving = False
        if not shards <= self._coming:
            return
        self._state.served.update(shards)
        self._pollers.sync()
        logger.info("caches are current", extra={"shards": _listed(shards), "vaultsecrets": len(keys)})
        # What has changed while no replica served comes first.
        self._waiting = sorted({*self._waiting, *keys}, key=self._newest_version)
        # Targets that deleted VaultSecrets have left meanwhile are released.
        vaultsecrets.request_resync()

    async def _wake(self) -> None:
        """Have those reconciled that wait for it, with pauses, until shards are gained or lost."""
        while self._waiting and not self._changed.is_set():
            for _ in range(min(BATCH, len(self._waiting))):
                self._source.wake(self._waiting.pop())
            if self._waiting:
                await self._changes_within(WAKE_PAUSE)

    async def _changes_within(self, seconds: float) -> None:
        """Wait until shards are gained or lost, for so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _newest_version(self, key: ObjectKey) -> int:
        """Return the higher resource version of a VaultSecret and its target; 0 if it is gone."""
        known = self._state.vaultsecrets.find(key)
        if known is None:
            return 0
        target = self._state.targets.get(known.target_key) if isinstance(known, VaultSecret) else None
        versions = (meta_of(known).metadata.resource_version, "0" if target is None else target.resource_version)
        return max(map(int, versions))

    async def _park(self, shards: AbstractSet[int]) -> None:
        """Move the VaultSecrets of shards out of the state, the newest first: no quota admits others meanwhile."""
        vaultsecrets = self._state.vaultsecrets
        vaultsecrets.is_moving = True
        await _in_batches(reversed(self._keys(vaultsecrets, shards)), self._source.park)
        vaultsecrets.is_moving = False
        self._loaded -= shards
        self._pollers.sync()

    def _keys(self, cache: VaultSecretCache, shards: AbstractSet[int]) -> list[ObjectKey]:
        """Return the VaultSecrets of shards, the oldest first: by a quota that counts only some, others would read."""
        metas = cache.metas()
        namespaces = {
            namespace for namespace in {meta.key.namespace for meta in metas} if self._is_in(shards, namespace)
        }
        return [meta.key for meta in sorted((one for one in metas if one.key.namespace in namespaces), key=by_age)]


async def _in_batches(
    keys: Iterable[ObjectKey], move: Callable[[ObjectKey], None], *, until: Callable[[], bool] = lambda: False
) -> None:
    for number, key in enumerate(keys, start=1):
        move(key)
        if number % BATCH == 0:
            await asyncio.sleep(0)
            if until():
                return


def _listed(shards: AbstractSet[int]) -> str:
    return ", ".join(map(str, sorted(shards)))
