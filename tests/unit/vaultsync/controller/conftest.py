"""What the tests of one VaultSecret's reconcile start with."""

from collections.abc import AsyncIterator

import pytest

from tests.clocks import freeze
from tests.harness import MemoryHarness, running_harness


@pytest.fixture(autouse=True)
async def _frozen_time() -> None:
    """Timers fire only by `skip` and `pass_time`."""
    await freeze()


@pytest.fixture
async def harness() -> AsyncIterator[MemoryHarness]:
    async with running_harness() as harness:
        yield harness


@pytest.fixture
async def synced(harness: MemoryHarness) -> MemoryHarness:
    """A harness with one VaultSecret in sync, and all counts at zero."""
    harness.apply()
    await harness.drain()
    await harness.poll()
    harness.reset_counts()
    return harness
