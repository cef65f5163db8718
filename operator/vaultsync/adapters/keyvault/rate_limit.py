"""Lets calls to one vault through, or says why not: a budget, the vault's wish to wait, a breaker; calls nothing.

Azure counts 4,000 secret transactions in 10 seconds per vault and region for everybody together; we take half at most.
https://learn.microsoft.com/azure/key-vault/general/service-limits
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from vaultsync.errors import Reason, SyncError

FAILURES_BEFORE_BREAK = 5
SHORTEST_BREAK = 1.0
MAX_BREAK = 30.0
DEFAULT_THROTTLE = 2.0
"""Seconds to wait when the vault says 429 and not for how long."""

_BREAKING = frozenset({Reason.VAULT_UNREACHABLE, Reason.VAULT_NOT_FOUND, Reason.VAULT_FAILED, Reason.LOGIN_FAILED})


@dataclass(frozen=True, slots=True)
class Budget:
    """How many calls a vault may get in how many seconds; that many may come at once."""

    calls: int = 2000
    seconds: float = 10.0


class RateLimiter:
    """Stands before one vault. While that is down or throttled, calls fail at once instead of queueing up."""

    def __init__(
        self, budget: Budget, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`clock` counts seconds from anywhere."""
        self._budget = budget
        self._clock = clock
        self._sleep = sleep
        self._empty_until = clock() - budget.seconds
        """The budget as a moment: how long before now it lies is how much of it is left."""
        self._closed_until = 0.0
        self._closed_by: SyncError | None = None
        self._failures = 0
        self._probing = False
        self.throttled_seconds = 0.0
        """For how long the vault has told us to wait, in all; time that it said twice counts once."""
        self.waited_seconds = 0.0
        """For how long calls have waited for room in our own budget, in all."""

    @property
    def is_broken(self) -> bool:
        """Whether the vault has failed so often that only a probe is let through."""
        return self._failures >= FAILURES_BEFORE_BREAK

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for room in the budget, let one call through, and learn from how it ends. Raises `SyncError`."""
        self._refuse_while_closed()
        probe, self._probing = self.is_broken, self.is_broken
        try:
            wait = self._wait_for_room()
            self.waited_seconds += wait
            await self._sleep(wait)
            yield
        except SyncError as error:
            self._learn(error)
            raise
        else:
            self._recover()
        finally:
            if probe:
                self._probing = False

    def _refuse_while_closed(self) -> None:
        if self._closed_by is None:
            return
        wait = self._closed_until - self._clock()
        if wait > 0 or self._probing:
            raise SyncError(self._closed_by.reason, self._closed_by.message, retry_after=max(wait, SHORTEST_BREAK))

    def _wait_for_room(self) -> float:
        now = self._clock()
        self._empty_until = max(self._empty_until, now - self._budget.seconds)
        self._empty_until += self._budget.seconds / self._budget.calls
        return max(0.0, self._empty_until - now)

    def _learn(self, error: SyncError) -> None:
        if error.reason is Reason.VAULT_THROTTLED:
            wait = error.retry_after or DEFAULT_THROTTLE
            self.throttled_seconds += max(0.0, wait - max(0.0, self._closed_until - self._clock()))
            self._close(error, wait)
        elif error.reason in _BREAKING:
            self._failures += 1
            if self.is_broken:
                exponent = self._failures - FAILURES_BEFORE_BREAK
                self._close(error, min(MAX_BREAK, SHORTEST_BREAK * 2.0 ** min(exponent, 10)))
        else:
            self._recover()

    def _recover(self) -> None:
        """An answer, even a refusal, shows that the vault is there."""
        self._failures, self._closed_by = 0, None

    def _close(self, error: SyncError, seconds: float) -> None:
        self._closed_until, self._closed_by = self._clock() + seconds, error
