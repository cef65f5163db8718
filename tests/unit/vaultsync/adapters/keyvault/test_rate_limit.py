"""The governor of one vault, on a clock that the test turns."""

import asyncio

import pytest

from kvsecrets import _exchange
from vaultsync.adapters.keyvault.clients import MAX_CALLS
from vaultsync.adapters.keyvault.rate_limit import (
    FAILURE_THRESHOLD,
    MAX_OPEN_SECONDS,
    Budget,
    RateLimiter,
)
from vaultsync.errors import Reason, SyncError


class Bench:
    """A governor, its clock, and calls that end as the test says."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.time = 100.0
        self.waits: list[float] = []
        self.rate_limiter = RateLimiter(budget or Budget(), clock=lambda: self.time, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def call(self, failure: SyncError | None = None, *, one_secret: bool = False) -> None:
        async with self.rate_limiter.acquire(one_secret=one_secret):
            if failure is not None:
                raise failure

    async def fail(
        self, reason: Reason, *, times: int = 1, retry_after: float | None = None, one_secret: bool = False
    ) -> None:
        for _ in range(times):
            with pytest.raises(SyncError):
                await self.call(SyncError(reason, "no", retry_after=retry_after), one_secret=one_secret)


async def test_a_throttled_vault_is_not_called_before_retry_after() -> None:
    bench = Bench()
    await bench.fail(Reason.VAULT_THROTTLED, retry_after=30.0)

    bench.time += 29.0
    with pytest.raises(SyncError) as refused:
        await bench.call()
    assert (refused.value.reason, refused.value.retry_after) == (Reason.VAULT_THROTTLED, 1.0)

    bench.time += 1.0
    await bench.call()


async def test_an_open_breaker_allows_one_probe_at_a_time() -> None:
    bench = Bench()
    await bench.fail(Reason.VAULT_UNREACHABLE, times=FAILURE_THRESHOLD)
    with pytest.raises(SyncError):
        await bench.call()

    bench.time += MAX_OPEN_SECONDS
    async with bench.rate_limiter.acquire(one_secret=True):
        with pytest.raises(SyncError) as refused:
            await bench.call()
        assert refused.value.reason is Reason.VAULT_UNREACHABLE

    await bench.call()
    assert not bench.rate_limiter.is_open


async def test_a_failed_probe_keeps_the_breaker_open_for_longer() -> None:
    bench = Bench()
    await bench.fail(Reason.VAULT_UNREACHABLE, times=FAILURE_THRESHOLD)

    bench.time += 1.0
    await bench.fail(Reason.VAULT_UNREACHABLE)
    bench.time += 1.5

    with pytest.raises(SyncError) as refused:
        await bench.call()
    assert refused.value.retry_after is not None


@pytest.mark.parametrize(
    "reason", [Reason.SECRET_NOT_FOUND, Reason.ACCESS_DENIED, Reason.SECRET_DISABLED, Reason.FIREWALL_DENIED]
)
async def test_an_error_response_closes_the_breaker(reason: Reason) -> None:
    bench = Bench()
    await bench.fail(Reason.VAULT_UNREACHABLE, times=FAILURE_THRESHOLD - 1)

    await bench.fail(reason)
    await bench.fail(Reason.VAULT_UNREACHABLE)

    await bench.call()


@pytest.mark.parametrize("listings", [0, 1], ids=["before the first call", "after a success"])
async def test_secrets_that_fail_in_a_vault_that_works_do_not_open_the_breaker(listings: int) -> None:
    bench = Bench()
    for _ in range(listings):
        await bench.fail(Reason.VAULT_FAILED)
        await bench.call()

    await bench.fail(Reason.VAULT_FAILED, times=10 * FAILURE_THRESHOLD, one_secret=True)
    await bench.fail(Reason.SECRET_NOT_FOUND, one_secret=True)
    await bench.fail(Reason.VAULT_FAILED, times=10 * FAILURE_THRESHOLD, one_secret=True)

    await bench.call()


@pytest.mark.parametrize("listing", [Reason.VAULT_FAILED, Reason.ACCESS_DENIED, Reason.VAULT_UNREACHABLE])
async def test_secrets_that_fail_open_the_breaker_if_the_listing_fails_or_is_denied(listing: Reason) -> None:
    bench = Bench()
    await bench.call()
    await bench.fail(listing)

    await bench.fail(Reason.VAULT_FAILED, times=FAILURE_THRESHOLD, one_secret=True)

    assert bench.rate_limiter.is_open


@pytest.mark.parametrize("reason", [Reason.VAULT_UNREACHABLE, Reason.VAULT_NOT_FOUND, Reason.LOGIN_FAILED])
async def test_reads_without_an_answer_open_the_breaker(reason: Reason) -> None:
    bench = Bench()
    await bench.call()

    await bench.fail(reason, times=FAILURE_THRESHOLD, one_secret=True)

    assert bench.rate_limiter.is_open


async def test_after_a_cancelled_probe_the_next_one_is_allowed() -> None:
    bench = Bench()
    await bench.fail(Reason.VAULT_FAILED, times=FAILURE_THRESHOLD)
    bench.time += MAX_OPEN_SECONDS

    with pytest.raises(asyncio.CancelledError):
        async with bench.rate_limiter.acquire(one_secret=True):
            raise asyncio.CancelledError

    await bench.call()


async def test_the_budget_allows_a_burst_and_refills() -> None:
    bench = Bench(Budget(calls=10, seconds=10.0))

    for _ in range(12):
        await bench.call()
    assert bench.waits == [0.0] * 10 + [1.0, 2.0]

    bench.time += 60.0
    for _ in range(11):
        await bench.call()
    assert bench.waits[12:] == [0.0] * 10 + [1.0]


async def test_waits_that_the_vault_asked_for_are_summed_and_overlaps_count_once() -> None:
    bench = Bench()
    turns = [bench.rate_limiter.acquire(one_secret=True) for _ in range(2)]
    for turn in turns:
        await turn.__aenter__()
    for turn in turns:
        throttled = SyncError(Reason.VAULT_THROTTLED, "no", retry_after=30.0)
        await turn.__aexit__(SyncError, throttled, None)
    assert bench.rate_limiter.throttled_seconds == 30.0

    bench.time += 100.0
    await bench.fail(Reason.VAULT_THROTTLED, retry_after=5.0)

    assert bench.rate_limiter.throttled_seconds == 35.0


async def test_waits_for_the_budget_are_summed() -> None:
    bench = Bench(Budget(calls=10, seconds=10.0))

    for _ in range(12):
        await bench.call()

    assert bench.rate_limiter.waited_seconds == 3.0


async def test_a_vault_responds_from_its_first_response_until_a_call_gets_none() -> None:
    bench = Bench()
    responds = [bench.rate_limiter.responds]
    for reason in (Reason.VAULT_UNREACHABLE, Reason.ACCESS_DENIED, Reason.LOGIN_FAILED, Reason.VAULT_THROTTLED):
        await bench.fail(reason)
        responds.append(bench.rate_limiter.responds)
    bench.time += 60.0
    await bench.call()
    await bench.fail(Reason.VAULT_FAILED, one_secret=True)

    assert responds == [False, False, True, False, True]
    assert bench.rate_limiter.responds


@pytest.mark.parametrize("reason", [Reason.WAITING, Reason.CLUSTER_UNAVAILABLE])
async def test_failures_on_our_side_neither_open_the_breaker_nor_close_it(reason: Reason) -> None:
    bench = Bench()
    await bench.fail(reason, times=FAILURE_THRESHOLD)
    assert not bench.rate_limiter.is_open

    await bench.fail(Reason.VAULT_UNREACHABLE, times=FAILURE_THRESHOLD)
    bench.time += MAX_OPEN_SECONDS
    await bench.fail(reason)
    assert bench.rate_limiter.is_open


def test_a_call_that_has_a_slot_has_a_connection_of_its_client() -> None:
    assert MAX_CALLS <= _exchange.MAX_IN_FLIGHT


async def test_of_a_budget_that_is_divided_a_part_is_left() -> None:
    bench = Bench(Budget(calls=10, seconds=10))
    bench.rate_limiter.share = 0.5

    for _ in range(7):
        await bench.call()

    assert bench.waits == [0, 0, 0, 0, 0, 2, 4]
