"""Keeps writes for a namespace from being sent once this replica does not serve it any more; decides nothing itself.

Between the decision to write and the first byte on the wire lie the wait for a slot, for a connection and its TLS
handshake, and whatever stops the process. So `Shards` is asked where aiohttp hands the bytes to the transport.

- A write that has not begun is refused. Headers and body leave in one piece, so nothing of it was sent.
- A write that runs is cut off at the deadline: its connection is aborted, with what the process has not sent yet.
- What the kernel has accepted, and the API server has not confirmed, is dropped by the kernel after `KERNEL_TIMEOUT`,
  also while the process is stopped. That is before the Lease runs out.
"""

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from vaultsync.adapters.kube.requests import Request
from vaultsync.errors import NotServed, Reason, SyncError
from vaultsync.policy.leases import LEASE_DURATION, RENEW_DEADLINE
from vaultsync.state.shards import Shards

KERNEL_TIMEOUT: Final = LEASE_DURATION - RENEW_DEADLINE - 1.0
"""Seconds that sent data may wait for its confirmation, where the system can limit that (Linux).

https://man7.org/linux/man-pages/man7/tcp.7.html (TCP_USER_TIMEOUT)
"""

_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)


class _Permit:
    """The permission to send one write; it ends with the shard."""

    def __init__(self, request: Request, shards: Shards) -> None:
        self._about = request.about
        self._namespace = request.namespace
        self._shards = shards
        self._transport: asyncio.Transport | None = None
        self._limit: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.is_sent = False
        self.has_ended = False

    def check(self) -> None:
        """Raise `NotServed` if the namespace is not served now."""
        if not self._shards.may_write(self._namespace):
            raise self._error("does not serve its namespace: nothing is written")

    def cut_off(self) -> NotServed:
        """Return the error of a write that was cut off."""
        return self._error("does not serve its namespace any more: the write was cut off, and may have been stored")

    def _error(self, what: str) -> NotServed:
        return NotServed(Reason.CLUSTER_UNAVAILABLE, f"{self._about}: this replica {what}.")

    def sends_by(self, transport: asyncio.Transport | None) -> None:
        """Use a connection: it is aborted at the deadline, and the kernel does not keep its data for longer."""
        self._transport = transport
        self.is_sent = True
        sock = None if transport is None else transport.get_extra_info("socket")
        if sock is not None and _USER_TIMEOUT is not None:
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(KERNEL_TIMEOUT * 1000))

    def ends_with(self, limit: asyncio.Timeout) -> None:
        """Let `limit` expire once the namespace is not served any more; a renewal of the Lease postpones that."""
        self._limit = limit
        self._wait()

    def cancel(self) -> None:
        """Let nothing expire any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        left = self._shards.seconds_left(self._namespace)
        loop = asyncio.get_running_loop()
        if left > 0.0:
            self._timer = None if left == math.inf else loop.call_later(left, self._wait)
            return
        self.has_ended = True
        if self._transport is not None:
            self._transport.abort()
        if self._limit is not None:
            self._limit.reschedule(loop.time())


_PERMIT: Final[ContextVar[_Permit | None]] = ContextVar("permit", default=None)


@asynccontextmanager
async def fenced(request: Request, shards: Shards) -> AsyncIterator[None]:
    """Refuse what is sent inside if it is a write for a namespace that is not served, and end it at the deadline.

    Raises:
        NotServed: The namespace is not served, or not any more. If it had begun, the API server may carry it out.
    """
    if request.method == "GET" or not request.fenced:
        yield
        return
    permit = _Permit(request, shards)
    permit.check()
    token = _PERMIT.set(permit)
    try:
        with shards.writing(request.namespace):
            async with asyncio.timeout(None) as limit:
                permit.ends_with(limit)
                yield
    except SyncError:
        raise  # it was not sent, or the API server has answered
    except BaseException as error:
        if permit.is_sent:
            shards.unanswered(request.namespace, KERNEL_TIMEOUT)
        if permit.has_ended and isinstance(error, (TimeoutError, aiohttp.ClientError)):
            raise permit.cut_off() from None
        raise
    finally:
        permit.cancel()
        _PERMIT.reset(token)


class FencedRequest(aiohttp.ClientRequest):
    """A request that asks its permit where its bytes leave, also when aiohttp sends it again by itself."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:  # noqa: ANN401  a type that aiohttp does not export
        """Send the request, or begin to: a body is written by a task of its own."""
        if (permit := _PERMIT.get()) is not None:
            permit.check()
            permit.sends_by(conn.transport)
        return await super().send(conn)

    async def write_bytes(
        self,
        writer: AbstractStreamWriter,
        conn: Any,  # noqa: ANN401  the same
        content_length: int | None = None,
    ) -> None:
        """Write the body, and the headers with it."""
        if (permit := _PERMIT.get()) is not None:
            try:
                permit.check()
            except NotServed as error:
                conn.protocol.set_exception(error)
                conn.transport.abort()
                return
        await super().write_bytes(writer, conn, content_length)
