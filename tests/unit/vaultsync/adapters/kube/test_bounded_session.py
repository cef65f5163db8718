"""A session for a library that parses JSON itself: what is too deep is null, and no line of a watch is lost."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.adapters.kube.scripted import connected, text
from vaultsync.adapters.kube.bounded_session import _BoundedLines
from vaultsync.adapters.kube.json_documents import MAX_DEPTH

DEEP = "[" * 5000 + "]" * 5000
WATCH = {"watch": "true"}


def event(name: str, fields: str = "{}") -> str:
    return f'{{"type":"ADDED","object":{{"metadata":{{"name":"{name}"}},"spec":{fields}}}}}'


def depth_of(document: Any) -> int:  # noqa: ANN401  any JSON
    if not isinstance(document, dict | list):
        return 0
    return 1 + max(map(depth_of, document.values() if isinstance(document, dict) else document), default=0)


async def test_a_list_is_parsed_with_a_bounded_depth() -> None:
    body = f'{{"items": [{event("a", DEEP)}, {event("b")}]}}'

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, content_type="application/json")

    async with connected(answer) as (connection, _), await connection.open_session() as session:
        document = await (await session.get(f"{connection.server}/apis")).json()

    assert [item["object"]["metadata"]["name"] for item in document["items"]] == ["a", "b"]
    assert depth_of(document) == MAX_DEPTH


async def test_each_line_of_a_watch_has_a_bounded_depth() -> None:
    answer = text(200, "\n".join([event("a"), event("b", DEEP), event("c")]) + "\n")

    async with (
        connected(answer) as (connection, _),
        await connection.open_session() as session,
        session.get(f"{connection.server}/apis", params=WATCH) as response,
    ):
        received = b"".join([chunk async for chunk in response.content.iter_chunked(1024)])

    documents = [json.loads(line) for line in received.splitlines()]
    assert [document["object"]["metadata"]["name"] for document in documents] == ["a", "b", "c"]
    assert max(map(depth_of, documents)) == MAX_DEPTH


async def test_a_watch_that_breaks_off_is_an_error_as_usual() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"half')
        assert request.transport is not None
        request.transport.close()
        return response

    async with (
        connected(answer) as (connection, _),
        await connection.open_session() as session,
        session.get(f"{connection.server}/apis", params=WATCH) as response,
    ):
        with pytest.raises(Exception, match="payload is not completed"):
            await anext(response.content.iter_chunked(1024))


async def test_requests_carry_our_token_and_user_agent() -> None:
    async with connected(text(200, "")) as (connection, script), await connection.open_session() as session:
        await session.get(f"{connection.server}/apis")

    (sent,) = script.sent
    assert (sent.headers["Authorization"], sent.headers["User-Agent"]) == ("Bearer our-token", "vaultsync/1")


class Chunks:
    """A stream that arrives in these chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    async def iter_chunked(self, _: int) -> Any:  # noqa: ANN401  a generator
        for chunk in self._chunks:
            yield chunk


@given(st.lists(st.binary(max_size=4).map(lambda some: some.replace(b"b", b"\n"))))
async def test_however_a_stream_is_cut_into_chunks_its_lines_arrive_whole(chunks: list[bytes]) -> None:
    received = [part async for part in _BoundedLines(Chunks(chunks), bytes).iter_chunked(1024)]  # type: ignore[arg-type]

    assert b"".join(received) == b"".join(chunks)
    assert all(part.endswith(b"\n") for part in received[:-1])
