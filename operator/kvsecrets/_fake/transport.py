"""Hands httpx's requests to an answering function, sync and async; opens no connection."""

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from kvsecrets._wire import Request, Response


class FakeTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport in whose world one vault exists; any other host name does not resolve."""

    def __init__(self, vault_url: str, respond: Callable[[Request], Response], is_open: Callable[[], bool]) -> None:
        """Serve `vault_url` by `respond`, while `is_open` says so; else the connection is refused."""
        self._authority = _authority(vault_url)
        self._respond = respond
        self._is_open = is_open

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of `httpx.Client`."""
        request.read()
        return self._answer(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of `httpx.AsyncClient`."""
        await request.aread()
        return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        if _authority(url) != self._authority:
            unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            raise httpx.ConnectError(str(unknown), request=request) from unknown
        if not self._is_open():
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        answer = self._respond(Request(request.method, url, dict(request.headers), request.content))
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body, request=request)


def _authority(url: str) -> tuple[str | None, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or 443
