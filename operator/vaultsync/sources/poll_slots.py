"""Slots for polls of vaults that are not known to respond: namespaces take turns, however many such vaults each has."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from vaultsync.slots import Slots


class PollSlots:
    """A limited number of slots, each of which is taken for a minimum time, which bounds the polls a minute."""

    def __init__(self, slots: int, *, seconds: float) -> None:
        """`seconds` is how long a slot is taken at least, however soon a poll fails."""
        self._slots = Slots(slots)
        self._seconds = seconds

    @asynccontextmanager
    async def take(self, namespaces: Collection[str]) -> AsyncIterator[None]:
        """Wait for a slot, for a vault that these namespaces use."""
        loop = asyncio.get_running_loop()
        await self._slots.acquire(namespaces)
        until = loop.time() + self._seconds
        try:
            yield
        finally:
            left = until - loop.time()
            if left > 0:
                loop.call_later(left, self._slots.release)
            else:
                self._slots.release()
