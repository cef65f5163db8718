"""When a key is reconciled again: the bounds of every wait, at both ends of the jitter."""

import math
import random
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    NOTICE,
    READ_AT,
    a_pending,
    a_state,
    a_status,
    a_status_entry,
    a_synced,
    a_vault_secret,
)
from vaultsync.api.v1alpha1 import Condition, StatusMissing, VaultSecretStatus
from vaultsync.errors import Reason
from vaultsync.policy.requeue import (
    EARLIEST_RECHECK,
    MAX_OUTAGE_RETRY,
    MAX_RETRY,
    MIN_RETRY,
    WAITING_RETRY,
    Jitter,
    Result,
    backoff,
    moments_of,
    poll_period,
    recheck_interval,
    result_for,
    until_recheck,
)
from vaultsync.status.outcome import Change, Failed, Pruned, Reported, Suspended, Synced, Waiting

DAY = timedelta(days=1)


def lowest(low: float, _high: float) -> float:
    return low


def highest(_low: float, high: float) -> float:
    return high


def result(outcome: Reported, *, failures: int = 1, jitter: Jitter = highest) -> Result:
    return result_for(a_vault_secret(), outcome, failures=failures, now=READ_AT, recheck=DAY, jitter=jitter)


@pytest.mark.parametrize(
    ("outcome", "after"),
    [
        (a_synced(), Result(86400.0)),
        (a_synced(change=Change.ROTATED, detail="x"), Result(86400.0)),
        (a_synced(a_state(), a_state(read_at=READ_AT - timedelta(hours=1))), Result(82800.0)),
        (a_synced(a_state(), a_state(pending=a_pending())), Result(3600.0)),
        (a_synced(a_state(keys=(), pending=a_pending(not_before=READ_AT))), Result(10.0)),
        (Suspended(), Result(None)),
        (Synced((), frozenset()), Result(None)),
        (Failed(Reason.SECRET_NOT_FOUND, "x"), Result(120.0)),
        (Failed(Reason.SECRET_NOT_YET_ACTIVE, "x", retry_after=30.0), Result(30.0)),
        (Failed(Reason.SECRET_NOT_YET_ACTIVE, "x", retry_after=3000.0), Result(120.0)),
        (Pruned(Reason.SECRET_NOT_FOUND, "x", ()), Result(120.0)),
        (Waiting("x"), Result(WAITING_RETRY, waiting=True)),
        (Failed(Reason.VAULT_UNREACHABLE, "x"), Result(2.0, failed=True)),
        (Failed(Reason.VAULT_THROTTLED, "x", retry_after=30.0), Result(32.0, failed=True)),
    ],
    ids=[
        "in sync: at the recheck",
        "just rotated: the same",
        "the oldest of several readings decides",
        "a version is pending: when it becomes active",
        "it is active by our clock and not by the vault's: soon",
        "suspended: never by itself",
        "in sync without a secret: never by itself",
        "the user must act: at the refresh interval",
        "time must pass: at that moment",
        "much time must pass: at the refresh interval",
        "there is no Secret any more: at the refresh interval",
        "waiting: soon, without counting as a failure or a success",
        "it may resolve by itself: soon",
        "the vault requested a wait: not before",
    ],
)
def test_when_a_vaultsecret_is_reconciled_again(outcome: Reported, after: Result) -> None:
    assert result(outcome) == after


@pytest.mark.parametrize(
    ("failures", "ceiling"),
    [(1, 2.0), (2, 4.0), (5, 32.0), (8, 256.0), (9, MAX_RETRY), (10_000, MAX_RETRY)],
)
def test_retries_are_spread_wider_with_each_failure_up_to_a_limit(failures: int, ceiling: float) -> None:
    assert backoff(failures, jitter=lowest) == MIN_RETRY
    assert backoff(failures, jitter=highest) == ceiling


@pytest.mark.parametrize(
    ("reason", "polls_fail", "longest"),
    [
        (Reason.VAULT_UNREACHABLE, False, MAX_OUTAGE_RETRY),
        (Reason.VAULT_UNREACHABLE, True, MAX_RETRY),
        (Reason.LOGIN_FAILED, False, MAX_OUTAGE_RETRY),
        (Reason.CLUSTER_UNAVAILABLE, False, MAX_OUTAGE_RETRY),
        (Reason.CLUSTER_UNAVAILABLE, True, MAX_OUTAGE_RETRY),
        (Reason.INTERNAL_ERROR, False, MAX_RETRY),
    ],
)
def test_a_failure_of_an_outage_is_retried_soon_unless_the_next_good_poll_wakes_it(
    reason: Reason, polls_fail: bool, longest: float
) -> None:
    after = result_for(
        a_vault_secret(),
        Failed(reason, "x"),
        failures=100,
        now=READ_AT,
        recheck=DAY,
        jitter=highest,
        polls_fail=polls_fail,
    )

    assert after == Result(longest, failed=True)


@given(failures=st.integers(1, 10**9), requested=st.floats(0, 1e6), seed=st.integers())
def test_no_retry_comes_too_early_or_much_too_late(failures: int, requested: float, seed: int) -> None:
    wait = backoff(failures, jitter=random.Random(seed).uniform, at_least=requested)  # noqa: S311  a wait needs no secrecy

    assert requested + MIN_RETRY <= wait <= requested + MAX_RETRY


@given(uid=st.uuids(version=4), longest=st.timedeltas(timedelta(minutes=1), timedelta(days=30)))
def test_the_recheck_interval_of_an_object_is_stable_and_never_too_long(uid: UUID, longest: timedelta) -> None:
    interval = recheck_interval(str(uid), longest)

    assert longest * EARLIEST_RECHECK <= interval <= longest
    assert recheck_interval(str(uid), longest) == interval


def test_rechecks_of_objects_that_were_created_together_are_spread() -> None:
    chance = random.Random(4)  # noqa: S311  the uids need no secrecy
    uids = [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(10_000)]

    shares = [(recheck_interval(uid, DAY) / DAY - EARLIEST_RECHECK) / (1 - EARLIEST_RECHECK) for uid in uids]

    tenths = Counter(int(10 * share) for share in shares)
    assert set(tenths) == set(range(10))
    assert max(tenths.values()) < 1.3 * min(tenths.values())


@pytest.mark.parametrize(
    ("age", "seconds"),
    [(0, 3600.0), (1800, 1800.0), (3600, MIN_RETRY), (10**6, MIN_RETRY), (-60, 3660.0)],
    ids=["just read", "half the interval ago", "due", "overdue", "by a clock that is ahead of ours"],
)
def test_the_recheck_is_counted_from_the_reading_and_never_in_the_past(age: int, seconds: float) -> None:
    state = a_state(read_at=READ_AT - timedelta(seconds=age))

    assert until_recheck((state,), now=READ_AT, recheck=timedelta(hours=1)) == seconds


def test_without_secrets_there_is_nothing_to_recheck() -> None:
    assert until_recheck((), now=READ_AT, recheck=DAY) == math.inf


@pytest.mark.parametrize(("jitter", "share"), [(lowest, 0.9), (highest, 1.0)], ids=["at the earliest", "at the latest"])
def test_polls_are_up_to_a_tenth_early_and_never_late(jitter: Jitter, share: float) -> None:
    assert poll_period(timedelta(seconds=10), jitter=jitter) == 10 * share


SOON = READ_AT + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("outcome", "after"),
    [
        (a_synced(), Result(5.0)),
        (Suspended(), Result(None)),
        (Failed(Reason.SECRET_NOT_FOUND, "x"), Result(5.0)),
        (Waiting("x"), Result(5.0, waiting=True)),
        (Failed(Reason.VAULT_THROTTLED, "x", retry_after=30.0), Result(5.0, failed=True)),
    ],
    ids=["in sync", "suspended: never by itself", "the user must act", "waiting", "it may resolve by itself"],
)
def test_a_status_that_changes_by_itself_is_updated_in_time(outcome: Reported, after: Result) -> None:
    found = result_for(
        a_vault_secret(),
        outcome,
        failures=1,
        now=READ_AT,
        recheck=DAY,
        jitter=highest,
        moments=[SOON, SOON + DAY],
    )

    assert found == after


def test_a_moment_in_the_past_is_a_second_away() -> None:
    found = result_for(
        a_vault_secret(), a_synced(), failures=1, now=SOON, recheck=DAY, jitter=highest, moments=[READ_AT]
    )

    assert found == Result(MIN_RETRY)


def test_the_moments_are_those_of_expiry_and_of_becoming_stale() -> None:
    expires = READ_AT + 20 * DAY
    failing = a_status(a_status_entry(expires=expires), reason="VaultUnreachable", since=READ_AT)
    fresh = Condition(type="Stale", status="False", reason="Fresh", message="x", last_transition_time=READ_AT)
    status = failing.model_copy(update={"conditions": (*failing.conditions, fresh)})

    found = moments_of(status, a_vault_secret().spec, now=READ_AT, notice=NOTICE)

    assert found == {expires - NOTICE, expires, READ_AT + timedelta(minutes=6)}


def test_the_moments_are_those_at_which_keys_go_and_are_forgotten() -> None:
    missing = [
        StatusMissing(secret_name="kept", since=READ_AT - timedelta(minutes=10)),
        StatusMissing(secret_name="over", since=READ_AT - timedelta(hours=2)),
        StatusMissing(secret_name="gone", since=READ_AT - 2 * DAY, removed=READ_AT - timedelta(hours=1)),
    ]
    status = VaultSecretStatus(missing=tuple(missing))

    found = moments_of(status, a_vault_secret().spec, now=READ_AT, notice=NOTICE)

    assert found == {READ_AT + timedelta(minutes=50), READ_AT + timedelta(hours=23)}


@pytest.mark.parametrize(
    ("seconds", "limit", "expected"), [(None, 5.0, 5.0), (9.0, 5.0, 5.0), (3.0, 5.0, 3.0)], ids=str
)
def test_a_result_can_be_limited_and_keeps_what_it_means(seconds: float | None, limit: float, expected: float) -> None:
    assert Result(seconds, failed=True).at_most(limit) == Result(expected, failed=True)
    assert Result(seconds, waiting=True).at_most(limit) == Result(expected, waiting=True)


@given(failures=st.integers(0, 10**6), polled=st.none() | st.integers(0, 10), moment=st.none() | st.integers(-10, 100))
def test_waiting_is_neither_a_failure_nor_a_success_and_is_retried_soon(
    failures: int, polled: int | None, moment: int | None
) -> None:
    moments = [] if moment is None else [READ_AT + timedelta(seconds=moment)]

    found = result_for(
        a_vault_secret(),
        Waiting("x", after_poll=polled),
        failures=failures,
        now=READ_AT,
        recheck=DAY,
        jitter=highest,
        moments=moments,
    )

    assert (found.failed, found.waiting) == (False, True)
    assert found.requeue_after is not None
    assert MIN_RETRY <= found.requeue_after <= WAITING_RETRY
