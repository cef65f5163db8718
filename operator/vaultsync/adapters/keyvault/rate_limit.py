"""Per-vault rate limiter, Retry-After gate and circuit breaker; makes no call itself.

A server error for one secret counts as a failure of the vault only after a listing has failed, was denied, or got no
answer. Otherwise, a few broken secrets of one user would keep all others from the vault.

Azure allows 4,000 secret transactions in 10 seconds per vault and region, all clients together; by default a grant uses
half, and in the first ten seconds after a pause the whole.
https://learn.microsoft.com/azure/key-vault/general/service-limits
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from vaultsync.errors import Reason, SyncError

FAILURE_THRESHOLD = 5
"""Consecutive failures that open the circuit breaker."""

MIN_OPEN_SECONDS = 1.0
MAX_OPEN_SECONDS = 15.0
"""Between these, doubled with each failure, are the seconds until an open circuit breaker allows the next probe."""

DEFAULT_RETRY_AFTER = 2.0
"""Seconds to wait after an HTTP 429 without a Retry-After header."""

_BREAKER_REASONS = frozenset(
    {Reason.VAULT_UNREACHABLE, Reason.VAULT_NOT_FOUND, Reason.VAULT_FAILED, Reason.LOGIN_FAILED}
)
"""Failures that count towards opening the circuit breaker."""

_OUR_REASONS = frozenset({Reason.WAITING, Reason.CLUSTER_UNAVAILABLE})
"""Failures on our side of the connection, which say nothing about the vault."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The number of calls that a vault gets in so many seconds, as a token bucket of that size."""

    calls: int = 2000
    seconds: float = 10.0


class RateLimiter:
    """Per-vault rate limiter, Retry-After gate and circuit breaker.

    While the vault throttles, or the circuit breaker is open, calls fail at once with the last failure.
    """

    def __init__(
        self, budget: Budget, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`clock` is monotonic, in seconds."""
        self._budget = budget
        self._clock = clock
        self._sleep = sleep
        self._empty_until = clock() - budget.seconds
        """The token bucket as a time: the further before now it lies, the more calls are left."""
        self._retry_at = 0.0
        self._failure: SyncError | None = None
        """What calls fail with until `_retry_at`."""
        self._failures = 0
        self._works = True
        """Whether the vault is taken to work, so that a server error for one secret is a failure of that secret only.

        True after each success, and before the first call. False after all else that is not about one secret: a vault
        that denies listings may still fail for all secrets.
        """
        self._is_probing = False
        self.responds = False
        """Whether the vault has responded to the last call that tells something about it."""
        self.has_responded = False
        """Whether it has ever responded."""
        self.share = 1.0
        """The part of the budget that is left for this process: other replicas use the vault as well."""
        self.throttled_seconds = 0.0
        """The sum of the waits that the vault requested, in seconds; overlapping waits count once."""
        self.waited_seconds = 0.0
        """The sum of the waits for our own budget."""

    @property
    def is_open(self) -> bool:
        """Whether the circuit breaker is open: only one probe at a time is sent."""
        return self._failures >= FAILURE_THRESHOLD

    @asynccontextmanager
    async def acquire(self, *, one_secret: bool) -> AsyncIterator[None]:
        """Wait for the budget, allow one call, and learn from its `SyncError` or its success.

        Args:
            one_secret: Whether the call is about one secret, and not about the vault.

        Raises:
            SyncError: The vault throttles or the circuit breaker is open, with the last failure's reason and message,
                and `retry_after`.
        """
        self._check_gate()
        probe, self._is_probing = self.is_open, self.is_open
        try:
            wait = self._reserve()
            self.waited_seconds += wait
            await self._sleep(wait)
            yield
        except SyncError as error:
            self._on_failure(error, one_secret=one_secret)
            raise
        else:
            self._works = True
            self._on_response()
            self._reset()
        finally:
            if probe:
                self._is_probing = False

    def _check_gate(self) -> None:
        if self._failure is None:
            return
        wait = self._retry_at - self._clock()
        if wait > 0 or self._is_probing:
            failure = self._failure
            raise SyncError(failure.reason, failure.message, retry_after=max(wait, MIN_OPEN_SECONDS))

    def _reserve(self) -> float:
        """Take a call from the budget; returns the seconds to wait for it."""
        now = self._clock()
        self._empty_until = max(self._empty_until, now - self._budget.seconds)
        self._empty_until += self._budget.seconds / (self._budget.calls * self.share)
        return max(0.0, self._empty_until - now)

    def _on_failure(self, error: SyncError, *, one_secret: bool) -> None:
        if error.reason in _OUR_REASONS:
            return
        if error.reason is Reason.VAULT_THROTTLED:
            self._on_response()
            wait = error.retry_after or DEFAULT_RETRY_AFTER
            self.throttled_seconds += max(0.0, wait - max(0.0, self._retry_at - self._clock()))
            self._close_gate(error, wait)
        elif error.reason not in _BREAKER_REASONS:
            self._works = self._works and one_secret
            self._on_response()
            self._reset()
        elif not (self._works and one_secret and error.reason is Reason.VAULT_FAILED):
            self._works = self.responds = False
            self._failures += 1
            if self.is_open:
                exponent = self._failures - FAILURE_THRESHOLD
                self._close_gate(error, min(MAX_OPEN_SECONDS, MIN_OPEN_SECONDS * 2.0 ** min(exponent, 10)))

    def _on_response(self) -> None:
        self.responds = self.has_responded = True

    def _reset(self) -> None:
        """Close the circuit breaker: any response, also an error for one secret, shows that the vault is reachable."""
        self._failures, self._failure = 0, None

    def _close_gate(self, error: SyncError, seconds: float) -> None:
        self._retry_at, self._failure = self._clock() + seconds, error
