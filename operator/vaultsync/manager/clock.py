"""The operator's clocks and jitter, which tests replace by a clock that they move."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from vaultsync.policy.requeue import Jitter


@dataclass(frozen=True, slots=True)
class Clock:
    """The operator's clock, a monotonic clock in seconds, and the jitter of retries."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    jitter: Jitter


def utc_now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)
