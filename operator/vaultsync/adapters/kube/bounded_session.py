"""Responses of aiohttp with a bounded size, and a session that kopf can use for many objects; sends nothing.

kopf parses lists by `response.json()` and watches by `json.loads` of each line of `response.content`, without any
limit. For each object it starts a task, and keeps a record for as long as the object exists. So it is given batches,
which it takes for events of one object: the objects of a page, or the changes that have arrived together. It accepts a
session of its caller: https://docs.kopf.dev/en/stable/authentication/#custom-http-sessions
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

import aiohttp

from vaultsync.adapters.kube.json_documents import bounded, parsed, parsed_list
from vaultsync.api import PLURAL
from vaultsync.api.v1alpha1 import with_copied_labels

MAX_PAGE: Final = 4 * 1024 * 1024
"""Bytes of a page of a list. 500 objects of usual size have one megabyte."""

MAX_OBJECT: Final = 32 * 1024 * 1024
"""Bytes of one object, alone, on a page of its own or in a watch: the API server stores less than two megabytes of it,
and writes some characters in six bytes."""

MAX_ITEMS: Final = 500
"""Objects on a page."""

PAUSE: Final = 0.05
"""Seconds from one batch of a watch to the next during a burst: each costs more than the events that are in it."""

UNDELAYED: Final = 20
"""Batches that come without a pause; one more for each `PAUSE` that passes, and all once a pause brings one line."""

FULL: Final = 64 * 1024
"""Bytes of a batch after which there is no pause: its events cost more than the batch, and one has `_CHUNK` at most."""

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
        if self.method != "GET":
            return _BoundedBody(content, MAX_OBJECT)
        query = self.url.query
        if self.status == HTTPStatus.OK and query.get("watch") == "true":
            return self._lines(content)
        return _BoundedBody(content, MAX_OBJECT if query.get("limit", "1") == "1" else MAX_PAGE)

    def _lines(self, content: aiohttp.StreamReader) -> "_BoundedLines":
        """Return the stream of a watch."""
        return _BoundedLines(content)

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


class BatchedResponse(BoundedResponse):
    """A response with objects of at most 64 levels, and VaultSecrets in batches, with only what is used of them."""

    def _lines(self, content: aiohttp.StreamReader) -> "_BoundedLines":
        return _BatchedLines(content, self.url.path)

    async def json(self, **_: Any) -> Any:  # noqa: ANN401  any JSON
        """Parse the body, whatever its content type says; the VaultSecrets of a list become one batch."""
        document = parsed_list(await self.read(), _trimmed)
        if document is None:
            raise json.JSONDecodeError("not a JSON object", "", 0)
        items = document.get("items")
        if isinstance(items, list) and items and _is_of_vaultsecrets(self.url.path):
            document["items"] = [_batch(self.url.path, [(None, item) for item in items])]
        return document


Event = tuple[str | None, Mapping[str, Any]]
"""What has happened to an object, and the object; None if it was listed."""


def events_of(batch: Mapping[str, Any]) -> Iterable[Event]:
    """Return the events of a batch, in their order."""
    events: Iterable[Event] = batch.get(_EVENTS, ())
    return events


def batched_session(
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
        response_class=BatchedResponse,
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


_UNUSED: Final = ("managedFields", "ownerReferences", "finalizers")


def _trimmed(item: Any) -> Any:  # noqa: ANN401  any JSON
    """Return an object without the metadata that is not used, and that other clients may write."""
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict):
        return item
    kept = {name: field for name, field in metadata.items() if name not in _UNUSED}
    return with_copied_labels({**item, "metadata": kept})


_EVENTS: Final = "events"
_OBJECT_EVENTS: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})


def _batch(path: str, events: Sequence[Event], **metadata: str) -> dict[str, Any]:
    """Return events as one object."""
    return {"metadata": {"name": "batch", "uid": path, **metadata}, _EVENTS: events}


def _batched(lines: Iterable[bytes], path: str) -> Iterator[bytes]:
    """Return lines of a watch, with one line in place of successive events of objects."""
    events: list[Event] = []
    for line in lines:
        document = parsed(line)
        if document is not None and _is_of_vaultsecrets(path) and _is_event(document):
            events.append((document["type"], _trimmed(document["object"])))
            continue
        # A bookmark, an error, or what no API server sends: kopf knows what to do.
        yield from _lines_of(events, path)
        events.clear()
        yield bounded(line)
    yield from _lines_of(events, path)


def _lines_of(events: Sequence[Event], path: str) -> Iterator[bytes]:
    if events:
        # The watch continues from there.
        _, newest = events[-1]
        batch = _batch(path, events, resourceVersion=newest["metadata"]["resourceVersion"])
        yield json.dumps({"type": "MODIFIED", "object": batch}).encode() + b"\n"


def _is_of_vaultsecrets(path: str) -> bool:
    return path.endswith(f"/{PLURAL}")


def _is_event(document: Mapping[str, Any]) -> bool:
    """Return whether a document of a watch is about an object, and not a bookmark, an error, or anything else."""
    item = document.get("object")
    metadata = item.get("metadata") if isinstance(item, dict) else None
    return document.get("type") in _OBJECT_EVENTS and isinstance(metadata, dict) and "resourceVersion" in metadata


class _BoundedLines:
    """A stream of JSON documents, one per line; everything but reading it is that of the stream itself."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

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
        async for lines in self._arrived():
            for line in lines:
                yield line

    async def _arrived(self) -> AsyncIterator[Sequence[bytes]]:
        """Yield the lines that have arrived together.

        During a burst, that is all of a pause, not a line at a time; single lines are not delayed, nor are those after
        many bytes: large objects of one tenant would delay all others.
        """
        loop = asyncio.get_running_loop()
        received, paid_until, pause = bytearray(), 0.0, 0.0
        async for chunk in self._content.iter_chunked(_CHUNK):
            lines: list[bytes] = []
            begin = 0
            while end := chunk.find(b"\n", begin) + 1:
                received += chunk[begin:end]
                lines.append(bytes(received))
                received.clear()
                begin = end
            received += chunk[begin:]
            if len(received) > MAX_OBJECT:
                raise ResponseTooLarge(f"a line has more than {MAX_OBJECT} bytes")
            if lines:
                yield lines
                if sum(map(len, lines)) >= FULL:
                    await asyncio.sleep(0)  # the rest of a backlog may be there already
                    continue
                now = loop.time()
                most = now - UNDELAYED * PAUSE
                paid_until = most if pause > PAUSE / 2 and len(lines) == 1 else max(paid_until, most) + PAUSE
                pause = paid_until - now
                if pause > 0:
                    await asyncio.sleep(pause)
        if received:
            yield [bytes(received)]


class _BatchedLines(_BoundedLines):
    """A stream whose lines are batches of events; `path` is that of its request."""

    def __init__(self, content: aiohttp.StreamReader, path: str) -> None:
        super().__init__(content)
        self._path = path

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield lines; those that have arrived together become one, as far as they are events of objects."""
        async for lines in self._arrived():
            for line in _batched(lines, self._path):
                yield line


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
