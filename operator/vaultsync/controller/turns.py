"""Which waiting key runs next, and within which limits; runs nothing itself.

Keys of one vault share a partition with limited concurrency. Partitions take turns, and so do the namespaces within a
partition: neither a slow vault nor a namespace with thousands of VaultSecrets delays those of others. A namespace
leaves some slots of a vault free, so that another one does not wait for VaultSecrets of hundreds of keys. What is not
known to respond has slots of its own, so that any number of failing vaults leaves the others theirs. A lower priority
has a share of the turns, too.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from vaultsync.api import ObjectKey

IN_A_ROW = 3
"""Keys after which one of a lower priority has its turn, if one waits: polls go on while others change or are new."""

SHARE = 3
"""How many slots of a vault a namespace may have for each that is free: alone, three of four; of two, three of seven.

The rule is that of dynamic thresholds for shared buffers: https://doi.org/10.1109/90.664262
"""


class Priority(IntEnum):
    """The priority of a key; lower numbers are first."""

    URGENT = 0
    """A Secret that is in use: it was changed, or what it should hold."""
    NEW = 1
    """A VaultSecret without a Secret: there may be thousands at once."""
    ROUTINE = 2


_PRIORITIES: Final = tuple(Priority)
"""Each iteration over an enumeration looks its members up again."""


@dataclass(frozen=True, slots=True)
class Partition:
    """The keys that share a limit of concurrent reconciles."""

    name: Hashable
    responds: bool = True
    """Whether what these keys wait for is known to respond."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of concurrent reconciles: in total, and per partition."""

    total: int
    partition: int


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The limits for the partitions that are known to respond, and for all others."""

    responding: Limits
    others: Limits


class _Line:
    """The waiting keys of one priority in a partition; their namespaces take turns."""

    def __init__(self) -> None:
        self.is_offered = False
        self._keys: dict[str, dict[ObjectKey, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def put(self, key: ObjectKey) -> None:
        self._keys.setdefault(key.namespace, {})[key] = None

    def discard(self, key: ObjectKey) -> None:
        keys = self._keys[key.namespace]
        del keys[key]
        if not keys:
            del self._keys[key.namespace]

    def pop(self, may_start: Callable[[str], bool]) -> ObjectKey | None:
        """Return the next key of the namespaces that may start one; None if none of them has a key."""
        namespace = next(filter(may_start, self._keys), None)
        if namespace is None:
            return None
        keys = self._keys.pop(namespace)
        key = next(iter(keys))
        del keys[key]
        if keys:
            self._keys[namespace] = keys  # the other namespaces are before it now
        return key


@dataclass(slots=True, eq=False)
class _Lane:
    """The waiting keys of a partition, and what runs."""

    partition: Partition
    lines: dict[Priority, _Line] = field(default_factory=lambda: {priority: _Line() for priority in Priority})
    running: Counter[str] = field(default_factory=Counter)
    """How many run, by namespace."""

    def free(self, limit: int) -> int:
        """Return how many slots are free."""
        return limit - self.running.total()

    def pop(self, priority: Priority, limit: int) -> ObjectKey | None:
        """Return the next key of a priority that may start."""
        free = self.free(limit)
        if free <= 0:
            return None
        # What does not respond is of one namespace alone.
        share = SHARE * free if self.partition.responds else limit
        return self.lines[priority].pop(lambda namespace: self.running[namespace] < share)


class _Pool:
    """The partitions of one kind, and their slots."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.running = 0
        self.passed = dict.fromkeys(_PRIORITIES, 0)
        """How many keys of a higher priority were started since one of each priority was."""
        self.lanes: dict[Hashable, _Lane] = {}
        self.offers: dict[Priority, deque[_Lane]] = {priority: deque() for priority in Priority}
        """The partitions that have a key to start, in the order of their turns; each at most once."""

    def offer(self, lane: _Lane) -> None:
        """Give a partition with waiting keys a turn, if it is below its limit; forget one without keys."""
        if lane.free(self.limits.partition) <= 0:
            return
        for priority, line in lane.lines.items():
            if line and not line.is_offered:
                line.is_offered = True
                self.offers[priority].append(lane)
        if not lane.running.total() and not any(lane.lines.values()):
            self.lanes.pop(lane.partition.name, None)

    def pop(self) -> tuple[_Lane, Priority, ObjectKey] | None:
        """Return the key whose turn it is, with its partition and priority; None if no slot is free for any."""
        offered = [one for one in _PRIORITIES if self.offers[one]]
        for priority in sorted(offered, key=lambda one: (self.passed[one] < IN_A_ROW, one)):
            lanes = self.offers[priority]
            while lanes and self.running < self.limits.total:
                lane = lanes.popleft()
                lane.lines[priority].is_offered = False
                key = lane.pop(priority, self.limits.partition)
                if key is not None:
                    self._count(priority)
                    return lane, priority, key
        return None

    def _count(self, started: Priority) -> None:
        self.passed[started] = 0
        for lower in _PRIORITIES[started + 1 :]:
            self.passed[lower] += 1


class Turns:
    """The keys that wait for their turn, and the slots of those that had it."""

    def __init__(self, partition_of: Callable[[ObjectKey], Partition], concurrency: Concurrency) -> None:
        """`partition_of` may change over time: a key starts in the partition that it is in by then."""
        self._partition_of = partition_of
        self._pools = {True: _Pool(concurrency.responding), False: _Pool(concurrency.others)}
        self._waiting: dict[ObjectKey, tuple[_Lane, Priority]] = {}
        self._running: dict[ObjectKey, _Lane] = {}

    def put(self, key: ObjectKey, priority: Priority) -> None:
        """Let a key wait; one that waits keeps its place, unless it has another partition now or a higher priority."""
        partition = self._partition_of(key)
        if key in self._waiting:
            lane, before = self._waiting[key]
            if before <= priority and lane.partition == partition:
                return
            priority = min(priority, before)
            self.discard(key)
        pool = self._pools[partition.responds]
        lane = pool.lanes.setdefault(partition.name, _Lane(partition))
        lane.lines[priority].put(key)
        self._waiting[key] = lane, priority
        pool.offer(lane)

    def discard(self, key: ObjectKey) -> None:
        """Let a key wait no longer."""
        if key in self._waiting:
            lane, priority = self._waiting.pop(key)
            lane.lines[priority].discard(key)
            self._pools[lane.partition.responds].offer(lane)

    def take(self) -> ObjectKey | None:
        """Return the key whose turn it is, which has a slot until it is released; None if no slot is free for any."""
        while (offer := next(filter(None, (pool.pop() for pool in self._pools.values())), None)) is not None:
            lane, priority, key = offer
            pool = self._pools[lane.partition.responds]
            del self._waiting[key]
            if self._partition_of(key) == lane.partition:
                self._running[key] = lane
                lane.running[key.namespace] += 1
                pool.running += 1
                pool.offer(lane)
                return key
            self.put(key, priority)
            pool.offer(lane)
        return None

    def release(self, key: ObjectKey) -> None:
        """Free the slot of a key."""
        lane = self._running.pop(key)
        pool = self._pools[lane.partition.responds]
        lane.running[key.namespace] -= 1
        if not lane.running[key.namespace]:
            del lane.running[key.namespace]
        pool.running -= 1
        pool.offer(lane)
