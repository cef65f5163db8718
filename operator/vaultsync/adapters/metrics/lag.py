"""Measures the lag of the event loop; does not find its cause."""

import asyncio
from collections.abc import Callable

INTERVAL = 0.5
"""Seconds between two measurements."""


async def measure_lag(observe: Callable[[float], None], *, every: float = INTERVAL) -> None:
    """Sleep periodically until cancelled, and pass to `observe` by how many seconds each sleep was too long."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        await asyncio.sleep(every)
        observe(max(0.0, loop.time() - due))
