"""Work that an event interrupts; starts nothing that outlives it."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def completes_before(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Run `work` until it ends, or the event is set, which cancels it; return whether it ended before that.

    Raises:
        Exception: What `work` raises.
    """
    working, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.wait({working, waiting})
    if event.is_set():
        return False
    await working
    return True
