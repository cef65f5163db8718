"""How often one key may run: a token bucket per key; runs nothing itself.

A VaultSecret that changes in a loop, whose target is tampered with in a loop, or for which refreshes are requested in a
loop, costs no more than one that changes every few seconds. Single changes do not wait.
"""

from collections.abc import Callable, Hashable

BURST = 20
"""How often a key may run without a pause."""

SECONDS = 5.0
"""Seconds from one run to the next of a key that has used up its burst."""


class Pace:
    """The token buckets of all keys; also of those that were deleted, as they may come back under the same name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._full_at: dict[Hashable, float] = {}
        """When the bucket of a key is full again, in the order of the last runs: the later, the fewer runs are left."""

    def wait(self, key: Hashable) -> float:
        """Return the seconds until a key may run."""
        full_at = self._full_at.get(key)
        return 0.0 if full_at is None else max(0.0, full_at - (BURST - 1) * SECONDS - self._clock())

    def spend(self, key: Hashable) -> None:
        """Count a run of a key, and forget those whose buckets are full."""
        now = self._clock()
        self._full_at[key] = max(self._full_at.pop(key, now), now) + SECONDS
        while self._full_at[first := next(iter(self._full_at))] <= now:
            del self._full_at[first]
