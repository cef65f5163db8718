"""Slots for polls of vaults that are not known to respond: namespaces take turns, however many such vaults each has."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager


class PollSlots:
    """A limited number of slots, each of which is taken for a minimum time, which bounds the polls a minute."""

    def __init__(self, slots: int, *, seconds: float) -> None:
        """`seconds` is how long a slot is taken at least, however soon a poll fails."""
        self._free = slots
        self._seconds = seconds
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By namespace, in the order of their turns; those that were cancelled are done."""

    @asynccontextmanager
    async def take(self, namespaces: Collection[str]) -> AsyncIterator[None]:
        """Wait for a slot, for a vault that these namespaces use."""
        loop = asyncio.get_running_loop()
        await self._wait(namespaces)
        until = loop.time() + self._seconds
        try:
            yield
        finally:
            left = until - loop.time()
            if left > 0:
                loop.call_later(left, self._release)
            else:
                self._release()

    async def _wait(self, namespaces: Collection[str]) -> None:
        if self._free:
            self._free -= 1
            return
        # Where the fewest wait: a tenant that uses the vaults of others does not delay them.
        namespace = min(namespaces, key=lambda name: len(self._waiting.get(name, ())), default="")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(namespace, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._release()
            raise

    def _release(self) -> None:
        while self._waiting:
            namespace = next(iter(self._waiting))
            turns = self._waiting.pop(namespace)
            turn = turns.popleft()
            if turns:
                self._waiting[namespace] = turns  # the other namespaces are before it now
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
