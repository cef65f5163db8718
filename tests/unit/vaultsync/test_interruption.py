"""Work that an event interrupts."""

import asyncio

import pytest

from tests.clocks import settle
from vaultsync.interruption import completes_before


async def test_work_that_ends_in_time_completes() -> None:
    assert await completes_before(asyncio.Event(), asyncio.sleep(0))


async def test_an_event_interrupts_work() -> None:
    event, before = asyncio.Event(), asyncio.all_tasks()
    waiting = asyncio.create_task(completes_before(event, asyncio.sleep(3600)))
    await settle()

    event.set()

    assert not await waiting
    assert asyncio.all_tasks() == before


async def test_work_does_not_outlive_who_waits_for_it() -> None:
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(completes_before(asyncio.Event(), asyncio.sleep(3600)))
    await settle()

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert asyncio.all_tasks() == before


async def test_what_work_raises_is_raised() -> None:
    async def fail() -> None:
        raise OSError("port in use")

    with pytest.raises(OSError, match="port in use"):
        await completes_before(asyncio.Event(), fail())
