"""The event loop's lag, in a loop whose time jumps."""

import asyncio

import pytest

from tests.clocks import freeze, settle, skip
from vaultsync.adapters.metrics.lag import measure_lag


async def test_a_blocked_loop_is_measured() -> None:
    await freeze()
    lags: list[float] = []
    task = asyncio.create_task(measure_lag(lags.append, every=0.5))
    await settle()

    await skip(2.0)
    task.cancel()

    assert lags == [pytest.approx(1.5)]
