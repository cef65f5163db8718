"""How the parts that react to the cluster stop."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.clocks import freeze, settle, skip
from tests.harness import MemoryHarness
from vaultsync.manager.controller import STOP_TIMEOUT


@pytest.fixture
async def reconciling() -> AsyncIterator[tuple[MemoryHarness, asyncio.Event]]:
    """An operator with a reconcile that waits for its vault, and what lets the vault answer."""
    await freeze()
    harness, answer = MemoryHarness(), asyncio.Event()
    get = harness.vaults.get

    async def slow(*arguments: object, **options: object) -> object:
        await answer.wait()
        return await get(*arguments, **options)  # type: ignore[arg-type]  # they are passed on as they are

    harness.vaults.get = slow  # type: ignore[assignment, method-assign]  # the fake vault answers at once
    await harness.start([])
    harness.apply()
    harness.apply(name="later")
    await settle()
    yield harness, answer
    await harness.aclose()


async def test_running_reconciles_finish_when_the_operator_stops(
    reconciling: tuple[MemoryHarness, asyncio.Event],
) -> None:
    harness, answer = reconciling
    draining = asyncio.create_task(harness.controller.drain())
    await settle()
    assert not draining.done()

    answer.set()
    await draining

    assert harness.values() == {"password": "first"}
    assert harness.ready().status == "True"


async def test_a_reconcile_that_does_not_finish_in_time_does_not_keep_the_operator_from_stopping(
    reconciling: tuple[MemoryHarness, asyncio.Event],
) -> None:
    harness, _ = reconciling
    draining = asyncio.create_task(harness.controller.drain())
    await settle()

    await skip(STOP_TIMEOUT)

    assert draining.done()
    assert harness.values() is None
