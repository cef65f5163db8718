"""The work queue: which key is reconciled next; knows nothing of what a reconcile does.

A key is never worked on twice at once; one that is added while it is being worked on runs again afterwards. Urgent keys
(new, changed, tampered with) go before routine ones. Keys of one vault share a lane of limited width, so that a slow
vault holds up nobody but itself.
"""

import asyncio
import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum

from vaultsync.api import ObjectKey
from vaultsync.policy.requeue import Result


class Priority(IntEnum):
    """Who goes first."""

    URGENT = 0
    ROUTINE = 1


Work = Callable[[ObjectKey, int], Awaitable[Result]]
"""Reconciles a key that has failed so many times in a row, and says when to come back."""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many keys are worked on at once: in all, and of one lane."""

    total: int
    partition: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    priority: Priority
    since: float
    partition: str


class WorkQueue:
    """Keys that wait, run, or are to come back later. To be used within one event loop."""

    def __init__(
        self,
        work: Work,
        *,
        partition_of: Callable[[ObjectKey], str],
        width: Concurrency,
        clock: Callable[[], float],
        waited: Callable[[float], None],
    ) -> None:
        """`clock` counts seconds from anywhere; `waited` is told how long each key had waited when its turn came."""
        self._work = work
        self._partition_of = partition_of
        self._width = width
        self._clock = clock
        self._waited = waited
        self._order = itertools.count()
        self._partitions: defaultdict[str, list[tuple[Priority, int, ObjectKey]]] = defaultdict(list)
        self._waiting: dict[ObjectKey, _Waiting] = {}
        self._running: dict[ObjectKey, asyncio.Task[None]] = {}
        self._busy: Counter[str] = Counter()
        self._again: dict[ObjectKey, Priority] = {}
        self._timers: dict[ObjectKey, asyncio.TimerHandle] = {}
        self._failures: dict[ObjectKey, int] = {}
        self._open = False

    @property
    def depth(self) -> int:
        """How many keys wait for their turn."""
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """How many seconds the key that waits longest has waited; 0 if none waits."""
        now = self._clock()
        return max((now - waiting.since for waiting in self._waiting.values()), default=0.0)

    def add(self, key: ObjectKey, priority: Priority) -> None:
        """Let the key be reconciled as soon as its turn comes; adding it twice is adding it once."""
        self._cancel_timer(key)
        if key in self._running:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.priority <= priority:
            return
        partition = waiting.partition if waiting else self._partition_of(key)
        self._waiting[key] = _Waiting(priority, waiting.since if waiting else self._clock(), partition)
        heapq.heappush(self._partitions[partition], (priority, next(self._order), key))
        self._start_what_fits()

    def add_later(self, key: ObjectKey, seconds: float) -> None:
        """Let the key be reconciled after that time, unless something adds it before."""
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self.add, key, Priority.ROUTINE)

    def forget(self, key: ObjectKey) -> None:
        """Drop what is to come of a key that is no more; work that has begun on it finishes."""
        self._cancel_timer(key)
        self._waiting.pop(key, None)
        self._again.pop(key, None)
        self._failures.pop(key, None)

    def open(self) -> None:
        """Begin to work; what was added before waits until then."""
        self._open = True
        self._start_what_fits()

    async def close(self) -> None:
        """Begin nothing more, and wait for what has begun."""
        self._open = False
        for key in tuple(self._timers):
            self._cancel_timer(key)
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _start_what_fits(self) -> None:
        while self._open and len(self._running) < self._width.total:
            partition = self._next_partition()
            if partition is None:
                return
            _, _, key = heapq.heappop(self._partitions[partition])
            self._waited(self._clock() - self._waiting.pop(key).since)
            self._busy[partition] += 1
            self._running[key] = asyncio.get_running_loop().create_task(self._run(key, partition))

    def _next_partition(self) -> str | None:
        """The lane with room whose first key comes before those of all others; stale entries are dropped on the way."""
        best: tuple[Priority, int, ObjectKey] | None = None
        choice = None
        for partition, heap in tuple(self._partitions.items()):
            while heap and not self._is_present(heap[0]):
                heapq.heappop(heap)
            if not heap:
                del self._partitions[partition]
            elif self._busy[partition] < self._width.partition and (best is None or heap[0] < best):
                best, choice = heap[0], partition
        return choice

    def _is_present(self, entry: tuple[Priority, int, ObjectKey]) -> bool:
        waiting = self._waiting.get(entry[2])
        return waiting is not None and waiting.priority == entry[0]

    async def _run(self, key: ObjectKey, partition: str) -> None:
        try:
            after = await self._work(key, self._failures.get(key, 0))
            self._settle(key, after)
        finally:
            del self._running[key]
            self._busy[partition] -= 1
            again = self._again.pop(key, None)
            if again is not None:
                self.add(key, again)
            else:
                self._start_what_fits()

    def _settle(self, key: ObjectKey, after: Result) -> None:
        if after.failed:
            self._failures[key] = self._failures.get(key, 0) + 1
        else:
            self._failures.pop(key, None)
        if after.seconds is not None and self._open:
            self.add_later(key, after.seconds)

    def _cancel_timer(self, key: ObjectKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
