"""How a listener answers while it is broken. Each way is a function: it gets a request, and the answer as it should be.

What is below HTTP, such as a refused connection, is in `listener.py`.
"""

import asyncio
import json
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final

from aiohttp import web

from kvsecrets._protocol import Response

Truth = Callable[[], Response]
Answer = Callable[[web.BaseRequest, Truth], Awaitable[web.StreamResponse]]

_DRIP_SECONDS: Final = 0.05
LISTS: Final = "/secrets"
"""The path of listings."""
_VERSION: Final = re.compile(f"{LISTS}/[^/]+/[0-9a-f]+")


@dataclass(slots=True)
class Selection:
    """Which requests are answered in another way.

    Args:
        kind: `list`; `get` for all others; `version` for reads of a version by its id; None for all.
        every: 1 for each of those requests, 2 for every second one, and so on.
        calls: How many are answered so; None for all.
    """

    kind: str | None = None
    every: int = 1
    calls: int | None = None
    _seen: int = field(default=0, init=False)

    def takes(self, path: str) -> bool:
        """Whether this request is one of them; counts it."""
        if self.kind not in _kinds(path) or self.calls == 0:
            return False
        self._seen += 1
        if self._seen % self.every:
            return False
        if self.calls is not None:
            self.calls -= 1
        return True


def _kinds(path: str) -> set[str | None]:
    if path == LISTS:
        return {None, "list"}
    return {None, "get", "version"} if _VERSION.fullmatch(path) else {None, "get"}


def whole(response: Response) -> web.Response:
    """The response in the terms of the HTTP server."""
    return web.Response(status=response.status, headers=response.headers, body=response.body or None)


def reply(status: int, headers: Mapping[str, str] | None = None, body: str = "") -> Answer:
    """The same response to each request."""

    async def answer(_request: web.BaseRequest, _truth: Truth) -> web.StreamResponse:
        return web.Response(status=status, headers={"Content-Type": "application/json", **(headers or {})}, text=body)

    return answer


def hole() -> Answer:
    """No answer, for as long as the client waits: like lost packets, it is not undone when the listener is mended."""

    async def answer(_request: web.BaseRequest, _truth: Truth) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return answer


def drip() -> Answer:
    """The true body, byte by byte."""

    async def answer(request: web.BaseRequest, truth: Truth) -> web.StreamResponse:
        response, body = await _begin(request, truth())
        for number in range(len(body)):
            await response.write(body[number : number + 1])
            await asyncio.sleep(_DRIP_SECONDS)
        return response

    return answer


def truncated() -> Answer:
    """Half of the true body; then the connection ends."""

    async def answer(request: web.BaseRequest, truth: Truth) -> web.StreamResponse:
        response, body = await _begin(request, truth())
        await response.write(body[: len(body) // 2])
        _close(request)
        return response

    return answer


def reset() -> Answer:
    """A reset connection."""

    async def answer(request: web.BaseRequest, _truth: Truth) -> web.StreamResponse:
        assert request.transport is not None
        end = request.transport.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
        return web.Response()

    return answer


def garbage() -> Answer:
    """Bytes that are not HTTP."""

    async def answer(request: web.BaseRequest, _truth: Truth) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(bytes(range(256)))
        _close(request)
        return web.Response()

    return answer


def skewed(seconds: float) -> Answer:
    """The true response, with a `Date` that is off by so many seconds."""

    async def answer(_request: web.BaseRequest, truth: Truth) -> web.StreamResponse:
        response = truth()
        headers = {name.lower(): text for name, text in response.headers.items()}
        moment = parsedate_to_datetime(headers["date"]) + timedelta(seconds=seconds)
        headers["date"] = format_datetime(moment, usegmt=True)
        return whole(Response(response.status, headers, response.body))

    return answer


def relisted(change: str) -> Answer:
    """The true listing, but at the end of each page an item is missing (`skip`) or there twice (`repeat`)."""

    async def answer(_request: web.BaseRequest, truth: Truth) -> web.StreamResponse:
        response = truth()
        document: dict[str, Any] = json.loads(response.body)
        items = document.get("value", [])
        document["value"] = items[:-1] if change == "skip" else items + items[-1:]
        headers = {name: text for name, text in response.headers.items() if name.lower() != "content-length"}
        return whole(Response(response.status, headers, json.dumps(document).encode()))

    return answer


WAYS: Final[Mapping[str, Callable[..., Answer]]] = {
    way.__name__: way for way in (reply, hole, drip, truncated, reset, garbage, skewed, relisted)
}


async def _begin(request: web.BaseRequest, truth: Response) -> tuple[web.StreamResponse, bytes]:
    response = web.StreamResponse(status=truth.status, headers=truth.headers)
    response.content_length = len(truth.body)
    await response.prepare(request)
    return response, truth.body


def _close(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()
