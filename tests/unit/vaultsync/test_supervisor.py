"""Parts that run side by side: one that fails or ends is logged once, and ends all."""

import asyncio
import logging

import pytest

from tests.clocks import settle
from vaultsync.supervisor import PartFailed, Supervisor


class Part:
    """A part that runs until the test ends it, or it is cancelled."""

    def __init__(self) -> None:
        self.running = False
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        self.running = True
        try:
            await self._end
        finally:
            self.running = False

    def end(self, error: BaseException | None = None) -> None:
        if isinstance(error, asyncio.CancelledError):
            self._end.cancel()
        elif error is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(error)


async def supervise(parts: Supervisor, **named: Part) -> None:
    """Run parts until one of them fails."""
    async with parts:
        for name, part in named.items():
            parts.start(name, part.run())
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("error", "logged"),
    [(KeyError("MARKED"), "KeyError"), (None, "it ended"), (asyncio.CancelledError(), "it ended")],
    ids=["it raises", "it ends", "what it awaits is cancelled"],
)
async def test_a_part_that_raises_or_ends_is_logged_once_and_ends_all(
    error: BaseException | None, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing, other, parts = Part(), Part(), Supervisor()
    task = asyncio.create_task(supervise(parts, failing=failing, other=other))
    await settle()
    assert parts.is_alive()

    failing.end(error)
    await settle()
    assert task.done()
    with pytest.raises(PartFailed, match="failing"):
        await task

    assert (parts.is_alive(), other.running) == (False, False)
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "part of the operator failed")
    assert (vars(record)["part"], vars(record)["error"]) == ("failing", logged)
    assert "MARKED" not in str(vars(record))


async def test_of_a_part_that_raises_a_group_the_first_cause_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Group(Part):
        async def run(self) -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(super().run())

    failing = Group()
    failing.end(KeyError("MARKED"))

    with pytest.raises(PartFailed):
        await supervise(Supervisor(), failing=failing)

    (record,) = caplog.records
    assert vars(record)["error"] == "KeyError"
    assert "await self._end" in vars(record)["where"]
    assert "MARKED" not in str(vars(record))


async def test_of_several_parts_that_fail_together_one_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    first, second, parts = Part(), Part(), Supervisor()
    task = asyncio.create_task(supervise(parts, first=first, second=second))
    await settle()

    first.end(KeyError())
    second.end(KeyError())
    with pytest.raises(PartFailed, match="first"):
        await task

    assert [vars(record)["part"] for record in caplog.records] == ["first"]


async def test_a_part_that_fails_at_once_ends_all() -> None:
    part, parts = Part(), Supervisor()
    part.end(KeyError())

    with pytest.raises(PartFailed, match="failing"):
        await supervise(parts, failing=part)

    assert not parts.is_alive()


async def test_a_block_that_fails_raises_its_own_error_and_cancels_the_parts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    part, parts = Part(), Supervisor()

    async def fail() -> None:
        async with parts:
            parts.start("part", part.run())
            await settle()
            raise OSError("taken")

    with pytest.raises(OSError, match="taken"):
        await fail()

    assert (part.running, parts.is_alive(), caplog.records) == (False, True, [])


async def test_leaving_the_block_cancels_what_still_runs(caplog: pytest.LogCaptureFixture) -> None:
    part, parts = Part(), Supervisor()

    async with parts:
        parts.start("part", part.run())
        await settle()
        assert part.running

    assert (part.running, parts.is_alive(), caplog.records) == (False, True, [])


async def test_stopping_cancels_all_parts_and_waits_for_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first, second, parts = Part(), Part(), Supervisor()

    async with parts:
        for name, part in (("first", first), ("second", second)):
            parts.start(name, part.run())
        await settle()

        await parts.stop()
        running = [part.running for part in (first, second)]

    assert running == [False, False]
    assert (parts.is_alive(), caplog.records) == (True, [])


async def test_a_cancelled_block_cancels_its_parts() -> None:
    part = Part()
    task = asyncio.create_task(supervise(Supervisor(), part=part))
    await settle()

    task.cancel()
    await asyncio.wait({task})

    assert (task.cancelled(), part.running) == (True, False)
