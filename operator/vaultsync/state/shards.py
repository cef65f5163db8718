"""Which shards of the namespaces this replica holds, and until when; acquires and renews nothing.

The election (`sources.election`) is the only writer. In this order it

- calls `hold` when a Lease is acquired and no other installation conflicts, then `ShardServer.gained`, and `renew`
  after each renewal;
- calls `drop` once the deadline of a shard has passed, and `ShardServer.lost`: whatever runs for it ends at once;
- calls `leave` when it gives a shard up, awaits `ShardServer.drain`, calls `drop`, and releases the Lease once no write
  is without a response.

What begins work asks `may_begin`, what writes asks `may_write`. Both compare the deadline with the clock at the moment
of the call, so they are right also if the election did not get to run.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Self

CLUSTER_SHARD: Final = 0
"""The shard of what has no namespace, such as the status of a grant."""


@dataclass(slots=True)
class _Held:
    until: float
    is_leaving: bool = False


class Shards:
    """The shards of this replica: `held` ones have a Lease, and only until its renew deadline."""

    def __init__(self, number: int = 1, *, clock: Callable[[], float]) -> None:
        """Hold nothing.

        Args:
            number: The number of shards, which is the same for all replicas of an installation.
            clock: Seconds on a clock that goes on while the process, or the machine, is stopped.
        """
        self.number = number
        self._clock = clock
        self._held: dict[int, _Held] = {}
        self._writes: Counter[int] = Counter()
        self._unanswered: dict[int, float] = {}
        """Until when writes without a response may still arrive."""

    @classmethod
    def all(cls, number: int = 1) -> Self:
        """Return all shards, held for ever: those of a process that has no other beside it."""
        shards = cls(number, clock=lambda: 0.0)
        for shard in range(number):
            shards.hold(shard, until=math.inf)
        return shards

    def shard_of(self, namespace: str | None) -> int:
        """Return the shard of a namespace, the same in every version and process; None is the cluster itself."""
        if namespace is None:
            return CLUSTER_SHARD
        return _hash_of(namespace) % self.number

    @property
    def held(self) -> frozenset[int]:
        """The shards whose deadline has not passed, including those that are being given up."""
        now = self._clock()
        return frozenset(shard for shard, held in self._held.items() if now < held.until)

    @property
    def expired(self) -> frozenset[int]:
        """The shards whose deadline has passed, and that were not dropped yet."""
        return frozenset(self._held) - self.held

    def may_write(self, namespace: str | None) -> bool:
        """Return whether this replica holds the shard of a namespace now, and so may write for it."""
        return self.seconds_left(namespace) > 0.0

    def may_begin(self, namespace: str | None) -> bool:
        """Return whether this replica may write for a namespace, and does not give its shard up."""
        held = self._held.get(self.shard_of(namespace))
        return held is not None and not held.is_leaving and self._clock() < held.until

    def seconds_left(self, namespace: str | None) -> float:
        """Return for how long this replica may write for a namespace if its Lease is not renewed; at least zero."""
        held = self._held.get(self.shard_of(namespace))
        return 0.0 if held is None else max(0.0, held.until - self._clock())

    def seconds_to_deadline(self) -> float:
        """Return for how long all shards are held if no Lease is renewed; infinite if none is held."""
        return max(0.0, min((held.until for held in self._held.values()), default=math.inf) - self._clock())

    @contextmanager
    def writing(self, namespace: str | None) -> Iterator[None]:
        """Count a write for a namespace, until its response is known."""
        shard = self.shard_of(namespace)
        self._writes[shard] += 1
        try:
            yield
        finally:
            self._writes[shard] -= 1

    def unanswered(self, namespace: str | None, seconds: float) -> None:
        """Count a write for a namespace that has ended without a response for some time more: it may still arrive."""
        shard = self.shard_of(namespace)
        self._unanswered[shard] = max(self._unanswered.get(shard, -math.inf), self._clock() + seconds)

    def is_written(self, shard: int) -> bool:
        """Return whether a write for a shard has no response yet: the API server may still carry it out."""
        return self._writes[shard] > 0 or self._clock() < self._unanswered.get(shard, -math.inf)

    def hold(self, shard: int, *, until: float) -> None:
        """Hold a shard until that time of the clock."""
        self._held[shard] = _Held(until)

    def renew(self, shard: int, *, until: float) -> bool:
        """Hold a shard until a later time of the clock; return whether it was still held: what has expired stays so."""
        held = self._held.get(shard)
        if held is None or self._clock() >= held.until:
            return False
        held.until = max(held.until, until)
        return True

    def leave(self, shard: int) -> None:
        """Begin no further work for a shard; what runs may still write."""
        if shard in self._held:
            self._held[shard].is_leaving = True

    def drop(self, shard: int) -> None:
        """Hold a shard no longer."""
        self._held.pop(shard, None)


@lru_cache(maxsize=4096)
def _hash_of(namespace: str) -> int:
    """Return the hash of a namespace, which is asked for several times in each write."""
    return int.from_bytes(blake2b(namespace.encode(), digest_size=8).digest(), "big")
