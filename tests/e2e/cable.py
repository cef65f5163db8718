"""The line between an operator and the API server, which can be pulled out and put back; carries bytes, reads none."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

_HOST: Final = "127.0.0.1"

_CUT_WITHIN: Final = 10.0
"""Seconds within which all connections have ended that were cut."""


class Cable:
    """A port that leads to another. Pulled out, all connections are cut and new ones refused.

    It lets connections in itself: a server of asyncio's forgets, still open, what comes in the moment of its closing.
    """

    def __init__(self, to_port: int, loop: asyncio.AbstractEventLoop) -> None:
        self._to_port = to_port
        self._loop = loop
        self._socket = _bound(0)
        self.port: Final[int] = self._socket.getsockname()[1]
        self._is_in = False
        self._carriers: set[asyncio.Task[None]] = set()

    @classmethod
    @contextmanager
    def lay(cls, to_port: int) -> Iterator[Self]:
        """Lay a cable to a port of this machine; it is plugged in."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name=f"cable to {to_port}")
        thread.start()
        cable = cls(to_port, loop)
        try:
            cable.plug_in()
            yield cable
        finally:
            try:
                cable.pull_out()
            finally:
                cable._socket.close()
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
                loop.close()

    def pull_out(self) -> None:
        """Cut all connections and refuse new ones. Raises `TimeoutError` if one of them does not end."""
        self._run(self._close())

    def plug_in(self) -> None:
        """Let connections through again."""
        self._run(self._open())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        self._socket.listen()
        self._loop.add_reader(self._socket, self._let_in)
        self._is_in = True

    async def _close(self) -> None:
        if not self._is_in:
            return
        self._is_in = False
        self._loop.remove_reader(self._socket)
        self._socket.close()
        # The port stays ours: nobody else may listen there meanwhile.
        self._socket = _bound(self.port)
        # Whatever they wait for: to get through, for somebody who reads too slowly, for anything to come at all.
        for carrier in self._carriers:
            carrier.cancel()
        async with asyncio.timeout(_CUT_WITHIN):
            await asyncio.gather(*self._carriers, return_exceptions=True)

    def _let_in(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            near, _ = self._socket.accept()
            carrier = self._loop.create_task(self._carry(near))
            self._carriers.add(carrier)
            carrier.add_done_callback(self._carriers.discard)
            # One that is cancelled before it has begun does nothing at all.
            carrier.add_done_callback(lambda _: near.close())

    async def _carry(self, near: socket.socket) -> None:
        ends: list[asyncio.StreamWriter] = []
        try:
            reader, writer = await asyncio.open_connection(sock=near)
            ends.append(writer)
            far_reader, far_writer = await asyncio.open_connection(_HOST, self._to_port)
            ends.append(far_writer)
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            for end in ends:
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry in one direction, to the end."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


def _bound(port: int) -> socket.socket:
    """A port that is taken, where nobody listens."""
    bound = socket.socket()
    bound.setblocking(False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((_HOST, port))
    return bound
