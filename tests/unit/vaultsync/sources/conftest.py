"""What the tests of sources start with: an operator whose queue is closed, so that woken keys stay in it."""

from collections.abc import AsyncIterator

import pytest

from tests.clocks import freeze
from tests.harness import MemoryHarness, longest, record_woken
from vaultsync.controller.turns import Priority


@pytest.fixture(autouse=True)
async def _frozen_time() -> None:
    """Timers fire only by `skip` and `pass_time`."""
    await freeze()


@pytest.fixture
async def harness() -> AsyncIterator[MemoryHarness]:
    """An operator of which nothing runs; retries come as late as they may."""
    harness = MemoryHarness(jitter=longest)
    yield harness
    await harness.aclose()


@pytest.fixture
def woken(harness: MemoryHarness) -> list[tuple[str, Priority]]:
    """The keys that are added to the queue."""
    return record_woken(harness.controller.queue)
