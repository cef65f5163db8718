"""A session for a library that parses JSON itself: what is too deep is null, and no event of a watch is lost."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.clocks import frozen, settle, skip
from tests.unit.vaultsync.adapters.kube.scripted import connected, text
from vaultsync.adapters.kube.bounded_session import FULL, PAUSE, UNDELAYED, _BatchedLines, _BoundedLines, events_of
from vaultsync.adapters.kube.json_documents import MAX_DEPTH
from vaultsync.api import PLURAL

DEEP = "[" * 5000 + "]" * 5000
WATCH = {"watch": "true"}


@pytest.fixture(scope="module", autouse=True)
def _without_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vaultsync.adapters.kube.bounded_session.PAUSE", 0.0)
        yield


def item(name: str, version: int = 1, fields: str = "{}") -> str:
    metadata = f'{{"name":"{name}","resourceVersion":"{version}","labels":{{"of":"users"}}}}'
    return f'{{"metadata":{metadata},"spec":{fields}}}'


def event(name: str, version: int = 1, fields: str = "{}", kind: str = "ADDED") -> str:
    return f'{{"type":"{kind}","object":{item(name, version, fields)}}}'


def names_of(batch: Any) -> list[str]:  # noqa: ANN401  any JSON
    return [one["metadata"]["name"] for _, one in events_of(batch)]


def depth_of(document: Any) -> int:  # noqa: ANN401  any JSON
    if not isinstance(document, dict | list):
        return 0
    return 1 + max(map(depth_of, document.values() if isinstance(document, dict) else document), default=0)


async def test_a_list_is_one_batch_with_a_bounded_depth() -> None:
    body = f'{{"metadata": {{"continue": "next"}}, "items": [{item("a", fields=DEEP)}, {item("b")}]}}'

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, content_type="application/json")

    async with connected(answer) as (connection, _), await connection.open_session() as session:
        document = await (await session.get(f"{connection.server}/{PLURAL}")).json()

    (batch,) = document["items"]
    assert names_of(batch) == ["a", "b"]
    assert {kind for kind, _ in events_of(batch)} == {None}
    assert document["metadata"] == {"continue": "next"}
    assert depth_of(next(iter(events_of(batch)))[1]) == MAX_DEPTH - 2  # the levels of the list count


@pytest.mark.parametrize("items", ["[]", "null"])
async def test_an_empty_list_has_no_batch(items: str) -> None:
    answer = text(200, f'{{"items": {items}}}')
    async with connected(answer) as (connection, _), await connection.open_session() as session:
        document = await (await session.get(f"{connection.server}/{PLURAL}")).json()

    assert document == {"items": json.loads(items)}


async def test_a_list_of_other_objects_is_not_batched() -> None:
    answer = text(200, f'{{"items": [{item("a")}]}}')
    async with connected(answer) as (connection, _), await connection.open_session() as session:
        document = await (await session.get(f"{connection.server}/api/v1/namespaces")).json()

    assert [one["metadata"]["name"] for one in document["items"]] == ["a"]


async def test_each_event_of_a_watch_has_a_bounded_depth() -> None:
    answer = text(200, "\n".join([event("a"), event("b", fields=DEEP), event("c")]) + "\n")

    async with (
        connected(answer) as (connection, _),
        await connection.open_session() as session,
        session.get(f"{connection.server}/{PLURAL}", params=WATCH) as response,
    ):
        received = b"".join([chunk async for chunk in response.content.iter_chunked(1024)])

    batches = [json.loads(line)["object"] for line in received.splitlines()]
    observed = [one for batch in batches for _, one in events_of(batch)]
    assert [one["metadata"]["name"] for one in observed] == ["a", "b", "c"]
    assert max(map(depth_of, observed)) == MAX_DEPTH - 1


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
    received = [part async for part in _BoundedLines(Chunks(chunks)).iter_chunked(1024)]  # type: ignore[arg-type]

    assert b"".join(received) == b"".join(chunks)
    assert all(part.endswith(b"\n") for part in received[:-1])


BOOKMARK = '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}'
ERROR = '{"type":"ERROR","object":{"code":410}}'
OTHERS = [BOOKMARK, ERROR, "half", "[1]", '{"type":"ADDED"}', '{"type":"ADDED","object":{"metadata":{"name":"a"}}}']


async def batched(chunks: Iterable[bytes]) -> Sequence[Any]:
    """Return the documents that take the place of lines."""
    lines: AsyncIterator[bytes] = _BatchedLines(Chunks(chunks), f"/{PLURAL}").iter_chunked(1024)  # type: ignore[arg-type]
    return [line.decode() for part in [line async for line in lines] for line in part.splitlines()]


async def test_events_that_arrive_together_are_one_event_of_the_newest_version() -> None:
    deleted = event("b", 3, kind="DELETED")
    (line,) = await batched([f"{event('a', 2)}\n{deleted}\n{event('a', 5, kind='MODIFIED')}\n".encode()])

    batch = json.loads(line)["object"]
    assert [(kind, one["metadata"]["name"]) for kind, one in events_of(batch)] == [
        ("ADDED", "a"),
        ("DELETED", "b"),
        ("MODIFIED", "a"),
    ]
    assert batch["metadata"]["resourceVersion"] == "5"
    assert not any("labels" in one["metadata"] for _, one in events_of(batch))


async def test_of_the_labels_those_arrive_that_the_spec_copies() -> None:
    (line,) = await batched([event("a", fields='{"target":{"copyLabels":["of",1,"none"]}}').encode() + b"\n"])

    ((_, found),) = events_of(json.loads(line)["object"])
    assert found["metadata"]["labels"] == {"of": "users"}


class Arriving:
    """A stream of what has been sent; what arrives before it is read is one chunk."""

    def __init__(self) -> None:
        self._chunks = asyncio.Queue[bytes]()

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        while True:
            chunks = [await self._chunks.get()]
            while not self._chunks.empty():
                chunks.append(self._chunks.get_nowait())
            yield b"".join(chunks)

    async def send(self, names: list[str], fields: str = "{}") -> None:
        for name in names:
            self._chunks.put_nowait(f"{event(name, fields=fields)}\n".encode())
            await settle()


@contextmanager
def receiving(stream: Arriving) -> Iterator[list[list[str]]]:
    """Collect the names in each batch of a stream."""
    received = list[list[str]]()

    async def receive() -> None:
        async for line in _BatchedLines(stream, f"/{PLURAL}").iter_chunked(1024):  # type: ignore[arg-type]
            received.append(names_of(json.loads(line)["object"]))

    task = asyncio.create_task(receive())
    try:
        yield received
    finally:
        task.cancel()


async def test_events_of_a_burst_come_together_and_others_are_not_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaultsync.adapters.kube.bounded_session.PAUSE", PAUSE)
    burst = [f"object-{number}" for number in range(UNDELAYED + 5)]
    singles = [f"object-{number}" for number in range(len(burst), len(burst) + UNDELAYED)]
    stream = Arriving()

    with receiving(stream) as received, frozen():
        await stream.send(burst)
        assert received[:UNDELAYED] == [[name] for name in burst[:UNDELAYED]]
        assert len(received) <= UNDELAYED + 1
        await skip(PAUSE)
        assert [name for names in received for name in names] == burst
        assert len(received) <= UNDELAYED + 2
        await skip(PAUSE)
        await stream.send(singles)  # the burst has ended, though no time has passed in which as many may come
        assert received[-UNDELAYED:] == [[name] for name in singles]


async def test_large_objects_of_one_tenant_do_not_delay_the_events_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaultsync.adapters.kube.bounded_session.PAUSE", PAUSE)
    large = [f"object-{number}" for number in range(5 * UNDELAYED)]
    stream = Arriving()

    with receiving(stream) as received, frozen():
        await stream.send(large, f'{{"padding":"{"x" * FULL}"}}')
        await stream.send(["of another"])
        assert received == [[name] for name in [*large, "of another"]]


async def test_others_have_a_turn_after_each_part_of_a_backlog() -> None:
    parts, turns = [b"x" * FULL + b"\n"] * 10, 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(take_turns())
    received = [line async for line in _BoundedLines(Chunks(parts)).iter_chunked(1024)]  # type: ignore[arg-type]
    others.cancel()

    assert received == parts
    assert turns >= len(parts)


@pytest.mark.parametrize("other", OTHERS)
async def test_what_is_no_event_of_an_object_stays_as_it_is_and_where_it_is(other: str) -> None:
    before, same, after = await batched([f"{event('a', 2)}\n{other}\n{event('b', 9)}\n".encode()])

    assert same == other
    assert names_of(json.loads(before)["object"]) == ["a"]
    assert names_of(json.loads(after)["object"]) == ["b"]


@given(st.lists(st.integers(0, 4), max_size=12), st.lists(st.integers(0, 400), max_size=6))
async def test_however_a_watch_is_cut_its_events_arrive_once_and_in_order(kinds: list[int], cuts: list[int]) -> None:
    sent = [BOOKMARK if kind == 0 else event(f"{number}", number) for number, kind in enumerate(kinds)]
    stream = "".join(f"{line}\n" for line in sent).encode()
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    received = await batched(stream[begin:end] for begin, end in itertools.pairwise(bounds))

    arrived: list[str | None] = []
    for line in received:
        arrived += [None] if line == BOOKMARK else names_of(json.loads(line)["object"])
    assert arrived == [None if kind == 0 else f"{number}" for number, kind in enumerate(kinds)]


async def test_events_of_other_objects_are_not_batched() -> None:
    lines = _BatchedLines(Chunks([f"{event('a')}\n{event('b', fields=DEEP)}\n".encode()]), "/api/v1/namespaces")  # type: ignore[arg-type]
    first, second = [json.loads(line) async for line in lines.iter_chunked(1024)]

    assert [one["object"]["metadata"]["name"] for one in (first, second)] == ["a", "b"]
    assert depth_of(second) == MAX_DEPTH
