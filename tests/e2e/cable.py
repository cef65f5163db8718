"""The line between an operator and the API server, which can be pulled out and put back; carries bytes, reads none."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

_HOST: Final = "127.0.0.1"


class Cable:
    """A port that leads to another. Pulled out, all connections are cut and new ones refused."""

    def __init__(self, to_port: int, loop: asyncio.AbstractEventLoop) -> None:
        self._to_port = to_port
        self._loop = loop
        self._socket = _bound(0)
        self.port: Final[int] = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

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
            cable.pull_out()
            cable._socket.close()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def pull_out(self) -> None:
        """Cut all connections and refuse new ones."""
        self._run(self._close())

    def plug_in(self) -> None:
        """Let connections through again."""
        self._run(self._open())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._carry, sock=self._socket)

    async def _close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        # The port stays ours: nobody else may listen there meanwhile.
        self._socket = _bound(self.port)
        for end in self._ends:
            end.transport.abort()
        # The pumps end with their connections; none must be left when the loop stops, nor begin after this.
        while pumps := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(_HOST, self._to_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        if self._server is None:  # pulled out while we were getting through
            for end in ends:
                end.transport.abort()
            return
        self._ends |= ends
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._ends -= ends


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _bound(port: int) -> socket.socket:
    """A port that is taken, where nobody listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((_HOST, port))
    return bound
