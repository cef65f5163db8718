"""Time for tests: a clock that the test turns, and an event loop whose timers come when the test says so."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.builders import START


@dataclass
class Clock:
    """A clock that stands still until it is turned; it returns the time, and seconds from an arbitrary start."""

    now: datetime = START
    error: timedelta = timedelta(0)
    """By how much the returned time is ahead; the seconds are monotonic and do not jump with it."""

    def __call__(self) -> datetime:
        return self.now + self.error

    def seconds(self) -> float:
        return self.now.timestamp()

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class FrozenLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still until it is turned, so that no timer depends on how fast the machine is."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def turn(self, seconds: float) -> None:
        self._now += seconds


async def until_idle() -> None:
    """Return as soon as nothing goes on in the running loop any more that does not wait for time or for the test."""
    await asyncio.sleep(0)
    # Not public: the callbacks that run in the next round.
    while asyncio.get_running_loop()._ready:  # type: ignore[attr-defined]  # noqa: ASYNC110  nothing signals it
        await asyncio.sleep(0)


async def settle() -> None:
    """Run all tasks that wait neither for time nor for the test."""
    for _ in range(30):
        await asyncio.sleep(0)


async def freeze() -> None:
    """Stop the time of the running loop, so that its timers fire by `skip` alone, however slow the machine is."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    loop.time = lambda: now  # type: ignore[method-assign]  # this loop is the test's own


@contextmanager
def frozen() -> Iterator[None]:
    """Stop the time of the running loop while the block lasts; it continues where it stopped."""
    loop = asyncio.get_running_loop()
    running, now = loop.time, loop.time()
    loop.time = lambda: now  # type: ignore[method-assign]  # this loop is the test's own
    try:
        yield
    finally:
        stopped = running() - now
        loop.time = lambda: running() - stopped  # type: ignore[method-assign]  # the same


async def skip(seconds: float) -> None:
    """Move the running loop's time, and let everything go on that waited for it."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, FrozenLoop):
        loop.turn(seconds)
        await until_idle()
        return
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]  # this loop is the test's own
    await settle()
