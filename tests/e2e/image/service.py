"""The Service `kubernetes` of a pod: the API server behind port 443 of a separate address."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from threading import Event, Thread
from typing import Final

NAME: Final = "kubernetes.default.svc"
ADDRESS: Final = "127.8.0.1"
"""All of 127.0.0.0/8 is this machine, and no other program listens there."""

_CHUNK: Final = 65_536


@contextmanager
def in_front_of(port: int) -> Iterator[None]:
    """Forward port 443 of the address to a port of 127.0.0.1 until the block ends."""
    ready, stop = Event(), Event()

    async def serve() -> None:
        async with _forwarding(port):
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = Thread(target=asyncio.run, args=[serve()])
    thread.start()
    try:
        assert ready.wait(10), f"port 443 of {ADDRESS} cannot be had"
        yield
    finally:
        stop.set()
        thread.join()


@asynccontextmanager
async def _forwarding(port: int) -> AsyncIterator[None]:
    async def pass_on(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", port)
        with closing(to_client), closing(to_server):
            ends = {
                asyncio.create_task(_copy(client, to_server)),
                asyncio.create_task(_copy(server, to_client)),
            }
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()

    listener = await asyncio.start_server(pass_on, ADDRESS, 443)
    try:
        yield
    finally:
        listener.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()
