"""A limited number of slots for which namespaces take turns, however much each of them wants to do."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager


class Slots:
    """Slots of work of namespaces. Use it within one event loop."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By namespace, in the order of their turns; those that were cancelled are done."""

    @asynccontextmanager
    async def take(self, namespace: str) -> AsyncIterator[None]:
        """Have a slot while the block lasts, for work of a namespace."""
        await self.acquire((namespace,))
        try:
            yield
        finally:
            self.release()

    async def acquire(self, namespaces: Collection[str]) -> None:
        """Wait for a slot, for work that these namespaces share."""
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
                self.release()
            raise

    def release(self) -> None:
        """Give the slot to the namespace whose turn it is, or free it."""
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
