"""The event loop of the operator: looks up host names, of which any number may hang, without delaying others.

The standard library looks up names in a few threads that all of a process shares. Here, each name has one lookup at a
time, in a thread of its own, and names that do not resolve leave the others theirs.

The standard library also gives each TLS connection a buffer of 256 KiB. Here, it is as large as a few TLS records.
"""

import asyncio
import socket
import threading
from asyncio.sslproto import SSLProtocol
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final


class History(StrEnum):
    """How the last lookup of a name ended."""

    NONE = "none"
    FOUND = "found"
    FAILED = "failed"


MAX_LOOKUPS: Final = {History.FOUND: 16, History.NONE: 64, History.FAILED: 16}
"""Concurrent lookups."""

MAX_REMEMBERED: Final = 10_000
"""Names whose last result is known."""

TLS_BUFFER: Final = 64 * 1024
"""Bytes that a TLS connection has for what it receives, for as long as it is open; a record has 16 KiB at most."""

Query = tuple[Any, ...]


def bound_tls_buffers() -> None:
    """Let all TLS connections of this process have buffers of `TLS_BUFFER`: there may be a hundred for each vault."""
    SSLProtocol.max_size = TLS_BUFFER


class EventLoop(asyncio.SelectorEventLoop):
    """A loop whose lookups of host names are bounded."""

    def __init__(self, look_up: Callable[..., list[Any]] = socket.getaddrinfo) -> None:
        """`look_up` blocks; it is called in threads."""
        super().__init__()
        self._look_up = look_up
        self._lookups: dict[Query, asyncio.Task[list[Any]]] = {}
        self._history: OrderedDict[object, History] = OrderedDict()
        self._slots = {history: asyncio.Semaphore(number) for history, number in MAX_LOOKUPS.items()}

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002  the signature is asyncio's
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Return what `socket.getaddrinfo` does."""
        query = (host, port, family, type, proto, flags)
        lookup = self._lookups.get(query)
        if lookup is None:
            lookup = self._lookups[query] = self.create_task(self._run(query))
            lookup.add_done_callback(lambda done: self._on_done(query, done))
        return await asyncio.shield(lookup)

    def _on_done(self, query: Query, lookup: asyncio.Task[list[Any]]) -> None:
        del self._lookups[query]
        failed = lookup.cancelled() or lookup.exception() is not None
        self._history[query[0]] = History.FAILED if failed else History.FOUND
        self._history.move_to_end(query[0])
        if len(self._history) > MAX_REMEMBERED:
            self._history.popitem(last=False)

    async def _run(self, query: Query) -> list[Any]:
        async with self._slots[self._history.get(query[0], History.NONE)]:
            found: asyncio.Future[list[Any]] = self.create_future()
            # The interpreter does not wait for daemon threads when it ends, as it does for those of an executor.
            threading.Thread(target=self._in_thread, args=(query, found), name="lookup", daemon=True).start()
            return await found

    def _in_thread(self, query: Query, found: "asyncio.Future[list[Any]]") -> None:
        try:
            result = self._look_up(*query)
        except OSError as error:
            self._report(found, found.set_exception, error)
        except Exception as error:  # noqa: BLE001  a name that cannot be encoded, such as one with an empty label
            self._report(found, found.set_exception, socket.gaierror(socket.EAI_NONAME, type(error).__name__))
        else:
            self._report(found, found.set_result, result)

    def _report(self, found: "asyncio.Future[list[Any]]", report: Callable[[Any], None], result: object) -> None:
        def set_unless_cancelled() -> None:
            if not found.done():
                report(result)

        with suppress(RuntimeError):  # the loop was closed meanwhile
            self.call_soon_threadsafe(set_unless_cancelled)
