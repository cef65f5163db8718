"""The governor of one vault, on a clock that the test turns."""

import asyncio

import pytest

from vaultsync.adapters.keyvault.rate_limit import FAILURES_BEFORE_BREAK, MAX_BREAK, Budget, RateLimiter
from vaultsync.errors import Reason, SyncError


class Bench:
    """A governor, its clock, and calls that end as the test says."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.time = 100.0
        self.waits: list[float] = []
        self.rate_limiter = RateLimiter(budget or Budget(), clock=lambda: self.time, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def call(self, failure: SyncError | None = None) -> None:
        async with self.rate_limiter.turn():
            if failure is not None:
                raise failure

    async def fail(self, reason: Reason, *, times: int = 1, retry_after: float | None = None) -> None:
        for _ in range(times):
            with pytest.raises(SyncError):
                await self.call(SyncError(reason, "no", retry_after=retry_after))


async def test_a_throttled_vault_is_left_alone_for_as_long_as_it_asked() -> None:
    bench = Bench()
    await bench.fail(Reason.VAULT_THROTTLED, retry_after=30.0)

    bench.time += 29.0
    with pytest.raises(SyncError) as refused:
        await bench.call()
    assert (refused.value.reason, refused.value.retry_after) == (Reason.VAULT_THROTTLED, 1.0)

    bench.time += 1.0
    await bench.call()


async def test_a_vault_that_keeps_failing_is_asked_by_one_probe_at_a_time() -> None:
    bench = Bench()
    await bench.fail(Reason.VAULT_UNREACHABLE, times=FAILURES_BEFORE_BREAK)
    with pytest.raises(SyncError):
        await bench.call()

    bench.time += MAX_BREAK
    async with bench.rate_limiter.turn():
        with pytest.raises(SyncError) as refused:
            await bench.call()
        assert refused.value.reason is Reason.VAULT_UNREACHABLE

    await bench.call()
    assert not bench.rate_limiter.is_broken


async def test_a_failed_probe_makes_the_break_longer() -> None:
    bench = Bench()
    await bench.fail(Reason.VAULT_UNREACHABLE, times=FAILURES_BEFORE_BREAK)

    bench.time += 1.0
    await bench.fail(Reason.VAULT_UNREACHABLE)
    bench.time += 1.5

    with pytest.raises(SyncError) as refused:
        await bench.call()
    assert refused.value.retry_after is not None


@pytest.mark.parametrize(
    "reason", [Reason.SECRET_NOT_FOUND, Reason.ACCESS_DENIED, Reason.SECRET_DISABLED, Reason.FIREWALL_DENIED]
)
async def test_a_refusal_shows_that_the_vault_is_there(reason: Reason) -> None:
    bench = Bench()
    await bench.fail(Reason.VAULT_UNREACHABLE, times=FAILURES_BEFORE_BREAK - 1)

    await bench.fail(reason)
    await bench.fail(Reason.VAULT_UNREACHABLE)

    await bench.call()


async def test_a_cancelled_probe_makes_room_for_the_next() -> None:
    bench = Bench()
    await bench.fail(Reason.VAULT_FAILED, times=FAILURES_BEFORE_BREAK)
    bench.time += MAX_BREAK

    with pytest.raises(asyncio.CancelledError):
        async with bench.rate_limiter.turn():
            raise asyncio.CancelledError

    await bench.call()


async def test_the_budget_may_be_spent_at_once_and_then_flows_back() -> None:
    bench = Bench(Budget(calls=10, seconds=10.0))

    for _ in range(12):
        await bench.call()
    assert bench.waits == [0.0] * 10 + [1.0, 2.0]

    bench.time += 60.0
    for _ in range(11):
        await bench.call()
    assert bench.waits[12:] == [0.0] * 10 + [1.0]


async def test_the_time_for_which_a_vault_had_us_wait_is_summed_and_what_it_said_twice_counts_once() -> None:
    bench = Bench()
    turns = [bench.rate_limiter.turn() for _ in range(2)]
    for turn in turns:
        await turn.__aenter__()
    for turn in turns:
        throttled = SyncError(Reason.VAULT_THROTTLED, "no", retry_after=30.0)
        await turn.__aexit__(SyncError, throttled, None)
    assert bench.rate_limiter.throttled_seconds == 30.0

    bench.time += 100.0
    await bench.fail(Reason.VAULT_THROTTLED, retry_after=5.0)

    assert bench.rate_limiter.throttled_seconds == 35.0


async def test_the_time_for_which_calls_waited_for_the_budget_is_summed() -> None:
    bench = Bench(Budget(calls=10, seconds=10.0))

    for _ in range(12):
        await bench.call()

    assert bench.rate_limiter.waited_seconds == 3.0
