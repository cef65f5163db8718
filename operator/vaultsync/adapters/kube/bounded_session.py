"""An aiohttp session whose responses contain no deep JSON, for a library that parses them itself; sends nothing.

kopf parses lists by `response.json()` and watches by `json.loads` of each line of `response.content`, without a limit
of the depth. It accepts a session of its caller: https://docs.kopf.dev/en/stable/authentication/#custom-http-sessions
"""

import json
import ssl
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp

from vaultsync.adapters.kube.json_documents import bounded


class AbortingResponse(aiohttp.ClientResponse):
    """A response that aborts its connection when it is closed before its end: a watch that ends, a timeout.

    aiohttp would start a TLS shutdown and keep the socket until the server takes part in it, which takes half a minute
    if the server is gone.
    """

    def close(self) -> None:
        """Close the response, and its connection at once unless the response has been read."""
        self._abort()
        super().close()

    def release(self) -> Any:  # noqa: ANN401  aiohttp's own
        """Release the connection, which can be used again only if the response has been read."""
        self._abort()
        return super().release()

    def _abort(self) -> None:
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()


def bounded_session(
    *, tls: ssl.SSLContext, proxy: str | None, headers: dict[str, str], middleware: aiohttp.ClientMiddlewareType
) -> aiohttp.ClientSession:
    """Open a session. The caller closes it.

    Args:
        tls: Verifies the API server.
        proxy: The URL of a proxy; the environment's proxies are not used.
        headers: Sent with each request.
        middleware: Called for each request.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls),
        headers=headers,
        proxy=proxy,
        trust_env=False,
        response_class=BoundedResponse,
        middlewares=(middleware,),
    )


class BoundedResponse(AbortingResponse):
    """A response with null in place of what is nested deeper than `json_documents.MAX_DEPTH`."""

    async def start(self, connection: Any) -> "BoundedResponse":  # noqa: ANN401  a type that aiohttp does not export
        """Read the headers, and bound the lines of a watch."""
        await super().start(connection)
        if self.url.query.get("watch") == "true":
            self.content = cast("aiohttp.StreamReader", _BoundedLines(self.content))
        return self

    async def json(self, **options: Any) -> Any:  # noqa: ANN401  any JSON
        """Parse the body."""
        return await super().json(**options, loads=_loads)


def _loads(text: str) -> Any:  # noqa: ANN401  any JSON
    return json.loads(bounded(text.encode()).decode())


class _BoundedLines:
    """A stream of JSON documents, one per line; everything but `iter_chunked` is that of the stream itself."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever it is
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Yield complete lines, and at the end of the stream an incomplete one."""
        received = bytearray()
        async for chunk in self._content.iter_chunked(size):
            received += chunk
            if end := received.rfind(b"\n", -len(chunk)) + 1:
                yield bounded(bytes(received[:end]))
                del received[:end]
        if received:
            yield bounded(bytes(received))
