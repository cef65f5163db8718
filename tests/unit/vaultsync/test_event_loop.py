"""Lookups of host names, which end when the test says so, and the buffers of TLS connections."""

import asyncio
import queue
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from vaultsync.event_loop import MAX_LOOKUPS, TLS_BUFFER, EventLoop, History, bound_tls_buffers

FOUND: list[Any] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))]


class Names:
    """A resolver: names that start with `hanging` hang until `release`, those that start with `absent` do not exist."""

    def __init__(self) -> None:
        self.looked_up: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._released: queue.SimpleQueue[None] = queue.SimpleQueue()

    def look_up(self, host: str, *_: object) -> list[Any]:
        self.looked_up.put(host)
        if host.startswith("hanging"):
            self._released.get()
        if host.startswith("broken"):
            raise UnicodeError("label too long")
        if not host.startswith("good"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return FOUND

    def release(self, number: int) -> None:
        for _ in range(number):
            self._released.put(None)


def run(test: Callable[[Names], Coroutine[Any, Any, None]]) -> None:
    names = Names()
    with asyncio.Runner(loop_factory=lambda: EventLoop(names.look_up)) as runner:
        runner.run(test(names))


async def resolve(host: str) -> list[Any]:
    return await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)


async def begin(names: Names, *hosts: str) -> list[asyncio.Task[list[Any]]]:
    """Begin lookups, and return once their threads run."""
    tasks = [asyncio.create_task(resolve(host)) for host in hosts]
    for _ in hosts:
        while names.looked_up.empty():  # noqa: ASYNC110  a thread signals it
            await asyncio.sleep(0)
        names.looked_up.get()
    return tasks


def test_a_name_is_found() -> None:
    async def test(_: Names) -> None:
        assert await resolve("good") == FOUND

    run(test)


@pytest.mark.parametrize("host", ["absent", "broken"])
def test_a_name_that_does_not_exist_is_an_error_of_the_resolver(host: str) -> None:
    async def test(_: Names) -> None:
        with pytest.raises(socket.gaierror) as error:
            await resolve(host)
        assert error.value.errno == socket.EAI_NONAME

    run(test)


def test_concurrent_lookups_of_a_name_are_one() -> None:
    async def test(names: Names) -> None:
        (first,) = await begin(names, "hanging")
        second = asyncio.create_task(resolve("hanging"))
        await asyncio.sleep(0)
        names.release(1)

        results = await asyncio.gather(first, second, return_exceptions=True)

        assert [type(one) for one in results] == [socket.gaierror] * 2
        assert names.looked_up.empty()

    run(test)


def test_names_that_hang_leave_the_others_their_threads() -> None:
    async def test(names: Names) -> None:
        assert await resolve("good") == FOUND
        names.looked_up.get()
        limit = MAX_LOOKUPS[History.NONE]
        hanging = await begin(names, *(f"hanging-{number}" for number in range(limit)))
        waiting = asyncio.create_task(resolve("good-and-new"))

        assert await resolve("good") == FOUND
        assert not waiting.done()
        names.release(limit)
        await asyncio.gather(*hanging, return_exceptions=True)
        assert await waiting == FOUND

    run(test)


def test_names_that_failed_before_leave_new_ones_their_threads() -> None:
    async def test(names: Names) -> None:
        limit = MAX_LOOKUPS[History.NONE]
        hosts = [f"hanging-{number}" for number in range(limit)]
        failing = await begin(names, *hosts)
        names.release(limit)
        await asyncio.gather(*failing, return_exceptions=True)

        again = [asyncio.create_task(resolve(host)) for host in hosts]

        assert await resolve("good-and-new") == FOUND
        names.release(limit)
        await asyncio.gather(*again, return_exceptions=True)

    run(test)


def test_a_lookup_that_is_cancelled_goes_on_for_others_and_is_not_reported() -> None:
    async def test(names: Names) -> None:
        reported: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        (first,) = await begin(names, "hanging")
        first.cancel()
        second = asyncio.create_task(resolve("hanging"))
        await asyncio.wait({first})
        names.release(1)
        await asyncio.wait({second})

        assert first.cancelled()
        assert isinstance(second.exception(), socket.gaierror)
        assert not reported

    run(test)


def test_the_loop_ends_while_a_lookup_hangs() -> None:
    async def test(names: Names) -> None:
        (hanging,) = await begin(names, "hanging")
        hanging.cancel()

    run(test)


def test_a_tls_connection_has_a_buffer_of_a_few_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SSLProtocol, "max_size", SSLProtocol.max_size)  # so that it is restored
    bound_tls_buffers()

    async def test(_: Names) -> None:
        loop = asyncio.get_running_loop()
        protocol = SSLProtocol(loop, asyncio.Protocol(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), loop.create_future())

        assert len(protocol.get_buffer(-1)) == TLS_BUFFER
        protocol.connection_lost(None)

    run(test)
