"""A TCP proxy between an operator and the API server that cuts, refuses and stalls; forwards bytes and reads none."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

from tests.sockets import LOOPBACK, bound, stop_listening

_CLOSE_SECONDS: Final = 300.0
"""A guard against a connection that never ends."""


class TcpProxy:
    """A port that forwards to another. While it is disconnected, connections are cut and new ones refused.

    While it is stalled, connections are accepted and stay open, and nothing flows.

    It accepts connections itself: a server of asyncio's forgets, still open, what comes in the moment of its closing.
    """

    def __init__(self, to_port: int, loop: asyncio.AbstractEventLoop) -> None:
        self._to_port = to_port
        self._loop = loop
        self._socket = bound()
        self.port: Final[int] = self._socket.getsockname()[1]
        self._is_connected = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._flow = _flowing()

    @classmethod
    @contextmanager
    def to(cls, to_port: int) -> Iterator[Self]:
        """Forward to a port of this machine until the block ends."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name=f"proxy to {to_port}")
        thread.start()
        proxy = cls(to_port, loop)
        try:
            proxy.connect()
            yield proxy
        finally:
            try:
                proxy.disconnect()
            finally:
                proxy._socket.close()
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
                loop.close()

    def disconnect(self) -> None:
        """Cut all connections and refuse new ones. Raises `TimeoutError` if one of them does not end."""
        self._run(self._close())

    def connect(self) -> None:
        """Accept connections again."""
        self._run(self._open())

    def stall(self) -> None:
        """Keep all connections open, present and new ones, and forward nothing."""
        self._run(self._stall())

    def resume(self) -> None:
        """Forward again what was sent meanwhile, and what comes."""
        self._run(self._resume())

    def strand(self) -> None:
        """Keep the present connections open and forward nothing on them ever again, as if the way was lost."""
        self._run(self._strand())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _stall(self) -> None:
        self._flow.clear()

    async def _resume(self) -> None:
        self._flow.set()

    async def _strand(self) -> None:
        self._flow.clear()
        self._flow = _flowing()

    async def _open(self) -> None:
        self._socket.listen()
        self._loop.add_reader(self._socket, self._accept)
        self._is_connected = True

    async def _close(self) -> None:
        if not self._is_connected:
            return
        self._is_connected = False
        self._loop.remove_reader(self._socket)
        stop_listening(self._socket)
        # They may wait for a connection, for a reader that is too slow, or for data.
        for task in self._tasks:
            task.cancel()
        async with asyncio.timeout(_CLOSE_SECONDS):
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            near, _ = self._socket.accept()
            task = self._loop.create_task(self._forward(near, self._flow))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            # A task that is cancelled before its first step runs no code of its own.
            task.add_done_callback(lambda _: near.close())

    async def _forward(self, near: socket.socket, flow: asyncio.Event) -> None:
        ends: list[asyncio.StreamWriter] = []
        try:
            reader, writer = await asyncio.open_connection(sock=near)
            ends.append(writer)
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self._to_port)
            ends.append(far_writer)
            await asyncio.gather(_pump(reader, far_writer, flow), _pump(far_reader, writer, flow))
        except (OSError, asyncio.CancelledError):
            for end in ends:
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: asyncio.Event) -> None:
    """Copy in one direction until the end, whenever bytes may flow."""
    while data := await reader.read(65536):
        await flow.wait()
        writer.write(data)
        await writer.drain()
    await flow.wait()
    writer.close()
    await writer.wait_closed()


def _flowing() -> asyncio.Event:
    flow = asyncio.Event()
    flow.set()
    return flow
