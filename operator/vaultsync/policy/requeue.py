"""When a key is requeued, and how retries, polls and rechecks are spread; does not sleep."""

import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self, assert_never

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretSpec, VaultSecretStatus
from vaultsync.errors import Reason, Retry
from vaultsync.policy.changes import MAX_CLOCK_SKEW, until_active
from vaultsync.policy.losses import WINDOW
from vaultsync.state.secrets import SecretState
from vaultsync.status.expiry import expiry_moments
from vaultsync.status.freshness import stale_at
from vaultsync.status.outcome import Failed, Pruned, Reported, Suspended, Synced, Waiting

Jitter = Callable[[float, float], float]
"""Returns a random number between two bounds: `random.uniform` outside of tests."""

MIN_RETRY = 1.0
MAX_RETRY = 300.0
"""Seconds between which retries are spread."""

MAX_OUTAGE_RETRY = 30.0
"""Maximum seconds between two retries of what an outage of the vault, the login or the API server may have caused."""

MAX_WATCH_DOUBLINGS = 5
"""The backoff of watches and lists grows to 32 seconds at most: without them no drift or deletion is detected."""

WAITING_RETRY = 30.0
"""Seconds after which a reconcile that waits runs again, unless something wakes it before."""

EARLIEST_RECHECK = 0.75
"""The share of the recheck interval after which the earliest rechecks come; see `recheck_interval`."""


@dataclass(frozen=True, slots=True)
class Result:
    """When a key is requeued, and the effect on its backoff."""

    requeue_after: float | None
    """In seconds; None if only an event wakes it."""
    failed: bool = False
    """Whether it counts as one more consecutive failure."""
    waiting: bool = False
    """Whether it keeps the number of consecutive failures."""

    @classmethod
    def done(cls) -> Self:
        """Return the result for a key that needs no requeue."""
        return cls(None)

    def at_most(self, seconds: float) -> "Result":
        """Return the same, but not later than that."""
        return replace(self, requeue_after=seconds if self.requeue_after is None else min(seconds, self.requeue_after))


Work = Callable[[ObjectKey, int], Awaitable[Result]]
"""Reconciles a key; gets the number of its consecutive failures."""


def result_for(
    vault_secret: VaultSecret,
    outcome: Reported,
    *,
    failures: int,
    now: datetime,
    recheck: timedelta,
    jitter: Jitter,
    polls_fail: bool = False,
    moments: Iterable[datetime] = (),
) -> Result:
    """Decide when to reconcile again.

    Args:
        vault_secret: The VaultSecret.
        outcome: How its reconcile ended.
        failures: Consecutive failures, this one included.
        now: The operator's clock.
        recheck: The recheck interval of this VaultSecret.
        jitter: Spreads the retries.
        polls_fail: Whether polls of its vault fail; the first that succeeds wakes it.
        moments: When the status must change without an event.
    """
    sooner = min((_until(moment, now) for moment in moments), default=math.inf)
    interval = vault_secret.spec.refresh_interval.total_seconds()
    match outcome:
        case Suspended():
            return Result.done()
        case Synced():
            seconds = min(sooner, until_recheck(outcome.secrets, now=now, recheck=recheck))
            seconds = min(seconds, _until_activation(outcome.secrets, now))
            return Result(None if seconds == math.inf else seconds)
        case Pruned():
            return Result(interval)
        case Waiting():
            seconds = WAITING_RETRY if outcome.retry_after is None else max(MIN_RETRY, outcome.retry_after)
            return Result(min(sooner, seconds), waiting=True)
        case Failed() if outcome.retry is Retry.LATER:
            return Result(min(interval, sooner, outcome.retry_after or math.inf))
        case Failed():
            at_most = _longest_retry(outcome.reason, polls_fail=polls_fail)
            wait = backoff(failures, jitter=jitter, at_least=outcome.retry_after or 0.0, at_most=at_most)
            return Result(min(wait, sooner), failed=True)
        case _:
            assert_never(outcome)


def moments_of(status: VaultSecretStatus, spec: VaultSecretSpec, *, now: datetime, notice: timedelta) -> set[datetime]:
    """Return the moments at which the status must change without an event.

    They are expiry dates, the end of grace periods, and when it becomes stale.
    """
    stale = stale_at(status, spec.refresh_interval)
    ends = {one.since + spec.delete_after for one in status.missing if one.removed is None}
    ends |= {one.removed + WINDOW for one in status.missing if one.removed is not None}
    moments = {moment for moment in ends if moment > now}
    return {*expiry_moments(status.entries, now=now, notice=notice), *moments, *([] if stale is None else [stale])}


def _longest_retry(reason: Reason, *, polls_fail: bool) -> float:
    """Return the longest backoff: short where nothing reports that an outage is over."""
    if reason is Reason.INTERNAL_ERROR or (polls_fail and reason is not Reason.CLUSTER_UNAVAILABLE):
        return MAX_RETRY
    return MAX_OUTAGE_RETRY


def _until(moment: datetime, now: datetime) -> float:
    return max(MIN_RETRY, (moment - now).total_seconds())


def backoff(failures: int, *, jitter: Jitter, at_least: float = 0.0, at_most: float = MAX_RETRY) -> float:
    """Return the seconds to wait after that many consecutive failures: exponential, with full jitter.

    `at_most` bounds the exponential part, which is added to `at_least`.
    """
    ceiling = min(at_most, MIN_RETRY * 2.0 ** min(failures, 16))
    return at_least + jitter(MIN_RETRY, max(MIN_RETRY, ceiling))


def watch_backoff(failures: int, *, jitter: Jitter) -> float:
    """Return the seconds to wait after that many consecutive failures of a watch or a list of the API server."""
    return backoff(min(failures, MAX_WATCH_DOUBLINGS), jitter=jitter)


def recheck_interval(uid: str, longest: timedelta) -> timedelta:
    """Spread the rechecks of objects that were created together: a share of the longest interval, stable by uid."""
    share = int.from_bytes(uid.encode()[-4:], "big") % 1000 / 1000
    return longest * (EARLIEST_RECHECK + (1 - EARLIEST_RECHECK) * share)


def until_recheck(secrets: tuple[SecretState, ...], *, now: datetime, recheck: timedelta) -> float:
    """Return the seconds until the recheck of the oldest reading; infinite if nothing was read."""
    if not secrets:
        return math.inf
    left = recheck - (now - min(state.read_at for state in secrets))
    return max(MIN_RETRY, min(left, recheck + MAX_CLOCK_SKEW).total_seconds())


def _until_activation(secrets: tuple[SecretState, ...], now: datetime) -> float:
    """Return the seconds until the first pending version becomes active; infinite if there is none."""
    waits = (until_active(state, now).total_seconds() for state in secrets if state.pending is not None)
    return max(MIN_RETRY, min(waits, default=math.inf))


def poll_period(refresh_interval: timedelta, *, jitter: Jitter) -> float:
    """Return the seconds from the start of one poll to the next: up to a tenth early, never late."""
    seconds = refresh_interval.total_seconds()
    return jitter(0.9 * seconds, seconds)
