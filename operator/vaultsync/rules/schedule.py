"""When to look again: after success, after failure, and how polls are spread; sleeps nowhere itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.rules.changes import CLOCKS_APART
from vaultsync.rules.outcome import Failed, Outcome, Retry, SecretState, Suspended, Synced

Jitter = Callable[[float, float], float]
"""A random number between two bounds; `random.uniform` outside tests."""

FIRST_RETRY = 1.0
LONGEST_RETRY = 300.0
"""Seconds between which retries of passing failures are spread."""

EARLIEST_RECHECK = 0.75
"""The share of the recheck interval after which the earliest rechecks come; see `recheck_interval`."""


@dataclass(frozen=True, slots=True)
class Next:
    """When a key is looked at again by itself: after `seconds`, or never if None. `failed` counts for the backoff."""

    seconds: float | None
    failed: bool = False


def next_look(
    vault_secret: VaultSecret,
    outcome: Outcome,
    *,
    failures: int,
    now: datetime,
    recheck: timedelta,
    jitter: Jitter,
) -> Next:
    """Decide when to look again; `failures` counts those in a row, this one included."""
    match outcome:
        case Synced():
            return Next(until_recheck(outcome.secrets, now=now, recheck=recheck))
        case Suspended():
            return Next(None)
        case Failed():
            if outcome.retry is Retry.LATER:
                return Next(vault_secret.spec.refresh_interval.total_seconds())
            return Next(backoff(failures, jitter=jitter, at_least=outcome.retry_after or 0.0), failed=True)


def backoff(failures: int, *, jitter: Jitter, at_least: float = 0.0) -> float:
    """Wait longer after each failure in a row, with full jitter, so that many don't come back together."""
    ceiling = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(failures, 16))
    return at_least + jitter(FIRST_RETRY, max(FIRST_RETRY, ceiling))


def recheck_interval(uid: str, longest: timedelta) -> timedelta:
    """Spread the rechecks of objects that were made together: the same share of the interval, by uid, every time."""
    share = int.from_bytes(uid.encode()[-4:], "big") % 1000 / 1000
    return longest * (EARLIEST_RECHECK + (1 - EARLIEST_RECHECK) * share)


def until_recheck(secrets: tuple[SecretState, ...], *, now: datetime, recheck: timedelta) -> float | None:
    """Seconds until the oldest reading has to be renewed whatever the listing says."""
    if not secrets:
        return None
    left = recheck - (now - min(state.read_at for state in secrets))
    return max(FIRST_RETRY, min(left, recheck + CLOCKS_APART).total_seconds())


def poll_period(refresh_interval: timedelta, *, jitter: Jitter) -> float:
    """Seconds from the start of one poll to the next: up to a tenth early, never late."""
    seconds = refresh_interval.total_seconds()
    return jitter(0.9 * seconds, seconds)
