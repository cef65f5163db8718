"""How late the event loop is: what a stall of it would cost everybody; blames nobody."""

import asyncio
from collections.abc import Callable

EVERY = 0.5
"""Seconds between two measurements."""


async def measure_lag(observe: Callable[[float], None], *, every: float = EVERY) -> None:
    """Sleep again and again, and tell by how many seconds each sleep was too long, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        await asyncio.sleep(every)
        observe(max(0.0, loop.time() - due))
