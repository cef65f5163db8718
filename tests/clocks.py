"""Time for tests: a clock that the test turns, and an event loop whose timers come when the test says so."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.builders import START


@dataclass
class Clock:
    """A clock that stands still until it is turned; it tells the time, and seconds from anywhere."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


async def settle() -> None:
    """Let everything go on that does not wait for time or for the test."""
    for _ in range(30):
        await asyncio.sleep(0)


async def skip(seconds: float) -> None:
    """Let the running loop believe that so much time has gone by, and let everything go on that waited for it."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]  # this loop is the test's own
    await settle()
