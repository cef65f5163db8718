"""A gate for calls: while it is closed they are held, and the test releases them one at a time, in any order."""

import asyncio
from contextlib import suppress

import httpx


class Gate:
    """Calls pass through it on their way to a server, and their responses on the way back."""

    def __init__(self) -> None:
        self._is_open = True
        self._held: list[tuple[str, asyncio.Future[None]]] = []

    @property
    def is_open(self) -> bool:
        return self._is_open

    @property
    def held(self) -> list[str]:
        """The held calls and responses, the oldest first."""
        return [what for what, _ in self._held]

    async def __call__(self, what: str) -> None:
        """Wait until the call, or the response, may pass."""
        if self._is_open:
            return
        entry = (what, asyncio.get_running_loop().create_future())
        self._held.append(entry)
        try:
            await entry[1]
        finally:
            with suppress(ValueError):
                self._held.remove(entry)

    def close(self) -> None:
        """Hold every call and response from now on."""
        self._is_open = False

    def open(self) -> None:
        """Release everything, and hold nothing from now on."""
        self._is_open = True
        while self._held:
            self.release(0)

    def release(self, number: int) -> None:
        """Let one held call pass, by its place in `held`."""
        _, passed = self._held.pop(number)
        passed.set_result(None)


class GatedTransport(httpx.AsyncBaseTransport):
    """Sends requests through a gate, and their responses too."""

    def __init__(self, transport: httpx.AsyncBaseTransport, gate: Gate) -> None:
        self._transport = transport
        self._gate = gate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        what = f"{request.method} {request.url.path}"
        await self._gate(what)
        try:
            return await self._transport.handle_async_request(request)
        finally:
            await self._gate(f"answer to {what}")
