"""Responses of aiohttp with a bounded size, and a session whose responses contain no deep JSON; sends nothing.

The session is for kopf, which parses lists by `response.json()` and watches by `json.loads` of each line of
`response.content`, without any limit, and keeps each object for a second. It accepts a session of its caller:
https://docs.kopf.dev/en/stable/authentication/#custom-http-sessions
"""

import json
import ssl
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, Final, cast

import aiohttp

from vaultsync.adapters.kube.json_documents import bounded, parsed, parsed_list

MAX_PAGE: Final = 4 * 1024 * 1024
"""Bytes of a page of a list. 500 objects of usual size have one megabyte."""

MAX_OBJECT: Final = 32 * 1024 * 1024
"""Bytes of one object, alone, on a page of its own or in a watch: the API server stores less than two megabytes of it,
and writes some characters in six bytes."""

MAX_ITEMS: Final = 500
"""Objects on a page."""

_CHUNK: Final = 256 * 1024


class ResponseTooLarge(aiohttp.ClientPayloadError):
    """A response has more bytes than allowed; the rest of it is not read."""


class PageSize:
    """How many objects a page of a list has: fewer while they are large, so that a page is not."""

    def __init__(self) -> None:
        self.items = MAX_ITEMS

    def shrink(self) -> bool:
        """Make pages smaller; return whether that is possible."""
        is_possible = self.items > 1
        self.items = max(self.items // 8, 1)
        return is_possible

    def grow(self) -> None:
        """Make pages larger again, after one that was small enough."""
        self.items = min(2 * self.items, MAX_ITEMS)


class BoundedResponse(aiohttp.ClientResponse):
    """A response that is not read further than its bound, and aborts its connection when it is closed before its end.

    aiohttp would start a TLS shutdown and keep the socket until the server takes part in it, which takes half a minute
    if the server is gone.
    """

    async def start(self, connection: Any) -> "BoundedResponse":  # noqa: ANN401  a type that aiohttp does not export
        """Read the headers, and bound what follows."""
        await super().start(connection)
        self.content = cast("aiohttp.StreamReader", self._bounded(self.content))
        return self

    def _bounded(self, content: aiohttp.StreamReader) -> object:
        query = self.url.query
        if self.status == HTTPStatus.OK and query.get("watch") == "true":
            return _BoundedLines(content, self._edited)
        return _BoundedBody(content, MAX_OBJECT if query.get("limit", "1") == "1" else MAX_PAGE)

    def _edited(self, line: bytes) -> bytes:
        """Return what takes the place of a line of a watch."""
        return line

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


class TrimmedResponse(BoundedResponse):
    """A response whose objects have only what is used of a VaultSecret, at a depth of at most 64 levels."""

    def _edited(self, line: bytes) -> bytes:
        document = parsed(line)
        if document is None:
            return bounded(line)
        return json.dumps({**document, "object": _trimmed(document.get("object"))}).encode() + b"\n"

    async def json(self, **_: Any) -> Any:  # noqa: ANN401  any JSON
        """Parse the body, whatever its content type says."""
        document = parsed_list(await self.read(), _trimmed)
        if document is None:
            raise json.JSONDecodeError("not a JSON object", "", 0)
        return document


def trimmed_session(
    *, tls: ssl.SSLContext, proxy: str | None, headers: dict[str, str], middleware: aiohttp.ClientMiddlewareType
) -> aiohttp.ClientSession:
    """Open a session for reading VaultSecrets. The caller closes it.

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
        response_class=TrimmedResponse,
        middlewares=(middleware, _Paging()),
    )


class _Paging:
    """Requests smaller pages of a list in place of one that is too large; the caller only sees the smaller ones."""

    def __init__(self) -> None:
        self._size = PageSize()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if "limit" not in request.url.query:
            return await handler(request)
        while True:
            request.url = request.url.update_query(limit=self._size.items)
            response = await handler(request)
            try:
                await response.read()
            except ResponseTooLarge:
                if not self._size.shrink():
                    raise
            else:
                if response.status == HTTPStatus.OK:
                    self._size.grow()
                return response


_UNUSED: Final = ("managedFields", "labels", "ownerReferences", "finalizers")


def _trimmed(item: Any) -> Any:  # noqa: ANN401  any JSON
    """Return an object without the metadata that anybody may write, and that is not used."""
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict):
        return item
    kept = {name: field for name, field in metadata.items() if name not in _UNUSED}
    return {**item, "metadata": kept}


class _BoundedLines:
    """A stream of JSON documents, one per line; everything but reading it is that of the stream itself."""

    def __init__(self, content: aiohttp.StreamReader, edit: Callable[[bytes], bytes]) -> None:
        """`edit` is applied to each line."""
        self._content = content
        self._edit = edit

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever it is
        return getattr(self._content, name)

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        """Yield lines, whatever the size that is asked for."""
        async for line in self:
            yield line

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield complete lines, and at the end of the stream an incomplete one.

        Raises:
            ResponseTooLarge: A line has more bytes than an object can have.
        """
        received = bytearray()
        async for chunk in self._content.iter_chunked(_CHUNK):
            begin = 0
            while end := chunk.find(b"\n", begin) + 1:
                received += chunk[begin:end]
                yield self._edit(bytes(received))
                received.clear()
                begin = end
            received += chunk[begin:]
            if len(received) > MAX_OBJECT:
                raise ResponseTooLarge(f"a line has more than {MAX_OBJECT} bytes")
        if received:
            yield self._edit(bytes(received))


class _BoundedBody:
    """A stream that is read as a whole, up to a number of bytes; everything else is that of the stream itself."""

    def __init__(self, content: aiohttp.StreamReader, max_bytes: int) -> None:
        self._content = content
        self._max_bytes = max_bytes

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever it is
        return getattr(self._content, name)

    async def read(self) -> bytes:
        """Read everything.

        Raises:
            ResponseTooLarge: That is more than the bound.
        """
        chunks: list[bytes] = []
        left = self._max_bytes
        async for chunk in self._content.iter_chunked(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise ResponseTooLarge(f"it has more than {self._max_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)
