"""When to look again: after success, after failure, and how polls are spread; sleeps nowhere itself."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretStatus
from vaultsync.errors import Retry
from vaultsync.policy.changes import CLOCKS_APART
from vaultsync.state.secrets import SecretState
from vaultsync.status.expiry import expiry_moments
from vaultsync.status.freshness import stale_at
from vaultsync.status.outcome import Failed, Outcome, Pruned, Suspended, Synced

Jitter = Callable[[float, float], float]
"""A random number between two bounds; `random.uniform` outside tests."""

FIRST_RETRY = 1.0
MAX_RETRY = 300.0
"""Seconds between which retries of passing failures are spread."""

EARLIEST_RECHECK = 0.75
"""The share of the recheck interval after which the earliest rechecks come; see `recheck_interval`."""


@dataclass(frozen=True, slots=True)
class Result:
    """When a key is looked at again by itself: after `seconds`, or never if None. `failed` counts for the backoff."""

    seconds: float | None
    failed: bool = False

    def at_most(self, seconds: float) -> "Result":
        """The same, but not later than that."""
        return replace(self, seconds=seconds if self.seconds is None else min(seconds, self.seconds))


def result_for(
    vault_secret: VaultSecret,
    outcome: Outcome,
    *,
    failures: int,
    now: datetime,
    recheck: timedelta,
    jitter: Jitter,
    moments: Iterable[datetime] = (),
) -> Result:
    """Decide when to look again.

    `failures` counts those in a row, this one included. At each of `moments` there will be something else to say.
    """
    sooner = min((_until(moment, now) for moment in moments), default=math.inf)
    interval = vault_secret.spec.refresh_interval.total_seconds()
    match outcome:
        case Suspended():
            return Result(None)
        case Synced():
            seconds = min(sooner, until_recheck(outcome.secrets, now=now, recheck=recheck))
            return Result(None if seconds == math.inf else seconds)
        case Pruned():
            return Result(interval)
        case Failed() if outcome.retry is Retry.LATER:
            return Result(min(interval, sooner, outcome.retry_after or math.inf))
        case Failed():
            wait = backoff(failures, jitter=jitter, at_least=outcome.retry_after or 0.0)
            return Result(min(wait, sooner), failed=True)
        case _:
            assert_never(outcome)


def moments_of(status: VaultSecretStatus, interval: timedelta, *, now: datetime, notice: timedelta) -> set[datetime]:
    """The moments at which the status has to say something else, though nothing happens."""
    stale = stale_at(status, interval)
    return {*expiry_moments(status.entries, now=now, notice=notice), *([] if stale is None else [stale])}


def _until(moment: datetime, now: datetime) -> float:
    return max(FIRST_RETRY, (moment - now).total_seconds())


def backoff(failures: int, *, jitter: Jitter, at_least: float = 0.0) -> float:
    """Wait longer after each failure in a row, with full jitter, so that many don't come back together."""
    ceiling = min(MAX_RETRY, FIRST_RETRY * 2.0 ** min(failures, 16))
    return at_least + jitter(FIRST_RETRY, max(FIRST_RETRY, ceiling))


def recheck_interval(uid: str, longest: timedelta) -> timedelta:
    """Spread the rechecks of objects that were made together: the same share of the interval, by uid, every time."""
    share = int.from_bytes(uid.encode()[-4:], "big") % 1000 / 1000
    return longest * (EARLIEST_RECHECK + (1 - EARLIEST_RECHECK) * share)


def until_recheck(secrets: tuple[SecretState, ...], *, now: datetime, recheck: timedelta) -> float:
    """Seconds until the oldest reading has to be renewed whatever the listing says; without end if nothing was read."""
    if not secrets:
        return math.inf
    left = recheck - (now - min(state.read_at for state in secrets))
    return max(FIRST_RETRY, min(left, recheck + CLOCKS_APART).total_seconds())


def poll_period(refresh_interval: timedelta, *, jitter: Jitter) -> float:
    """Seconds from the start of one poll to the next: up to a tenth early, never late."""
    seconds = refresh_interval.total_seconds()
    return jitter(0.9 * seconds, seconds)
