"""The watch of VaultSecrets by kopf itself, against a server whose answers a test chooses: nothing ends it."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from tests.harness import MemoryHarness, longest
from tests.manifests import as_stored, manifest, spec
from vaultsync.adapters.kube.connection import Connection, RequestObserver
from vaultsync.api import API_VERSION, KIND, PLURAL
from vaultsync.sources import watch as watch_module
from vaultsync.sources.watch import (
    EVENTS_PER_TURN,
    LISTS_PERIOD,
    MAX_LIST_PAUSE,
    MIN_LIST_PAUSE,
    VaultSecretWatch,
    _ForeignTasks,
    _settings,
)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
CRDS = "apiextensions.k8s.io/v1"


@pytest.fixture(autouse=True)
async def _frozen_time() -> None:
    """Not frozen, unlike in the other tests of sources: kopf's timers are real, and the tests make them short.

    kopf leaves failed tasks behind when it ends, which the loop would log.
    """
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "MIN_INTERVAL", 1000)  # the tests' sleep does not last as long
    monkeypatch.setattr(watch_module._Backoffs, "__iter__", lambda _: iter([0.01] * 1000))


def body(name: str, *, version: int) -> dict[str, Any]:
    written = manifest(spec(), name=name, namespace="shop")
    stored = {"resourceVersion": str(version), "generation": 1, "uid": f"uid-{name}"}
    return as_stored({**written, "metadata": written["metadata"] | stored})


def status(code: int) -> Answer:
    """An error of the API server."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "code": code, "message": "MARKED"}, status=code)

    return answer


def text(content: str, code: int = 200, kind: str = "text/html") -> Answer:
    """What no API server sends."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=content, status=code, content_type=kind)

    return answer


async def reset(request: web.Request) -> web.StreamResponse:
    """No answer, and the end of the connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def _group(version: str) -> dict[str, Any]:
    described = {"groupVersion": version, "version": version.partition("/")[2]}
    return {"name": version.partition("/")[0], "versions": [described], "preferredVersion": described}


def _resource(plural: str, kind: str) -> dict[str, Any]:
    verbs = ["list", "watch", "get"]
    return {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": kind == KIND, "verbs": verbs}


class Server:
    """An API server that has only VaultSecrets; `faults` are the answers to the next requests, whatever they are."""

    def __init__(self) -> None:
        self.url = ""
        self.objects: dict[str, dict[str, Any]] = {}
        self.faults: list[Answer] = []
        self.watch_faults: list[Answer] = []
        self.installed = True
        self.denied: set[str] = set()
        """Namespaces in which nothing may be listed and watched."""
        self.version = 10
        self.requests: list[tuple[str, str]] = []
        """Each request of VaultSecrets: `list` or `watch`, and the resource version from which a watch starts."""
        self._watches: list[asyncio.Queue[str | None]] = []
        self._history: list[tuple[int, str]] = []

    def put(self, name: str) -> None:
        self.version += 1
        self.objects[name] = body(name, version=self.version)
        self._send({"type": "ADDED", "object": self.objects[name]})

    def delete(self, name: str) -> None:
        self.version += 1
        self._send({"type": "DELETED", "object": self.objects.pop(name)})

    def end_watches(self, *lines: str) -> None:
        for watch in self._watches:
            for line in lines:
                watch.put_nowait(line)
            watch.put_nowait(None)

    def _send(self, event: dict[str, Any]) -> None:
        self._history.append((self.version, json.dumps(event)))
        for watch in self._watches:
            watch.put_nowait(json.dumps(event))

    def count(self, kind: str) -> int:
        return sum(one == kind for one, _ in self.requests)

    def has_watched(self, count: int) -> bool:
        return self.count("watch") == count

    async def handle(self, request: web.Request) -> web.StreamResponse:
        is_watch = request.query.get("watch") == "true"
        if request.path.endswith(PLURAL):
            self.requests.append(("watch" if is_watch else "list", request.query.get("resourceVersion", "")))
        if any(f"/namespaces/{namespace}/" in request.path for namespace in self.denied):
            return await status(403)(request)
        if self.faults:
            return await self.faults.pop(0)(request)
        if is_watch:
            return await (self.watch_faults.pop(0) if self.watch_faults else self._watch)(request)
        return web.json_response(self._document(request.path))

    def _document(self, path: str) -> dict[str, Any]:
        match path:
            case "/api":
                return {"versions": ["v1"]}
            case "/api/v1":
                return {"resources": [_resource("namespaces", "Namespace")]}
            case "/apis":
                return {"groups": [_group(CRDS), *([_group(API_VERSION)] if self.installed else [])]}
            case _ if path == f"/apis/{CRDS}":
                return {"resources": [_resource("customresourcedefinitions", "CustomResourceDefinition")]}
            case _ if path == f"/apis/{API_VERSION}":
                return {"resources": [_resource(PLURAL, KIND)]}
            case _:
                return {"metadata": {"resourceVersion": str(self.version)}, "items": list(self.objects.values())}

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        for version, event in self._history:
            if version > int(request.query["resourceVersion"]):
                lines.put_nowait(event)
        self._watches.append(lines)
        try:
            while (line := await lines.get()) is not None:
                await response.write(line.encode() + b"\n")
        finally:
            self._watches.remove(lines)
        return response


class Watched:
    """A watch, its server, and what it reports."""

    def __init__(self, server: Server, connection: Connection, namespaces: Sequence[str]) -> None:
        self.server = server
        self.harness = MemoryHarness()
        self.waits: list[float] = []
        self.now = 0.0
        loop = asyncio.get_running_loop()
        started = loop.time()  # the clock is that of a machine that has just started
        self.watch = VaultSecretWatch(
            self.harness.controller.source,
            connection,
            namespaces=namespaces,
            jitter=longest,
            sleep=self._sleep,
            clock=lambda: self.now + loop.time() - started,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0.01)

    @property
    def known(self) -> list[str]:
        return sorted(one.key.name for one in self.harness.state.vaultsecrets.metas())

    async def until_known(self, *names: str) -> None:
        await until(lambda: self.known == sorted(names))


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  nothing reports what the watch has done
            await asyncio.sleep(0.005)


@asynccontextmanager
async def watching(server: Server | None = None, *namespaces: str) -> AsyncIterator[Watched]:
    """Run a watch of a server."""
    server = server or Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app, shutdown_timeout=0) as listening:
        host = str(listening.make_url("")).rstrip("/")
        configuration = Configuration(host=host, api_key={"BearerToken": "Bearer our-token"})
        connection = Connection(configuration, user_agent="vaultsync/1", connections=4)
        watched = Watched(server, connection, namespaces)
        task = asyncio.create_task(watched.watch.run())
        try:
            yield watched
            assert not task.done()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await connection.close()
            await watched.harness.aclose()


async def test_what_exists_what_is_created_and_what_is_deleted_is_reported() -> None:
    server = Server()
    server.put("first")

    async with watching(server) as watched:
        await until(lambda: server.count("watch") == 1)
        server.put("second")
        await watched.until_known("first", "second")
        server.delete("first")
        await watched.until_known("second")


async def test_kopf_has_one_task_and_one_record_for_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    workers: set[str] = set()
    names = [f"vs-{number:03}" for number in range(2 * EVENTS_PER_TURN)]
    server = Server()
    for name in names:
        server.put(name)

    def look(body: Any) -> None:  # noqa: ANN401  any JSON
        workers.update(task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("worker for"))
        original(body)

    async with watching(server) as watched:
        source = watched.harness.controller.source
        original = source.handle_changed
        monkeypatch.setattr(source, "handle_changed", look)
        await until(lambda: server.count("watch") == 1)
        await watched.until_known(*names)
        for name in names:
            server.put(name)
        await until(lambda: watched.harness.state.vaultsecrets.newest_version() == server.version)

    assert len(workers) == 1


async def test_an_object_that_cannot_be_handled_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    for name in ("a", "b", "c"):
        server.put(name)
    del server.objects["b"]["metadata"]["namespace"]

    async with watching(server) as watched:
        await watched.until_known("a", "c")
        server.put("d")
        await watched.until_known("a", "c", "d")

    (record,) = (one for one in caplog.records if one.getMessage() == "vaultsecret event error")
    assert vars(record)["error"] == "KeyError"


FAULTS = [
    pytest.param(status(401), id="401"),
    pytest.param(status(403), id="403"),
    pytest.param(status(404), id="404"),
    pytest.param(status(410), id="410"),
    pytest.param(status(429), id="429"),
    pytest.param(status(500), id="500"),
    pytest.param(status(503), id="503"),
    pytest.param(text("<html>MARKED"), id="HTML"),
    pytest.param(text("<html>MARKED", code=404), id="HTML 404"),
    pytest.param(text("[1]", kind="application/json"), id="another document"),
    pytest.param(text('{"items": null}', kind="application/json"), id="no items"),
    pytest.param(text("\x00\xff", kind="application/json"), id="garbage"),
    pytest.param(reset, id="reset"),
]


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_answer_at_the_start_ends_the_watch(fault: Answer, count: int) -> None:
    server = Server()
    server.put("db")
    server.faults = [fault] * count

    async with watching(server) as watched:
        await watched.until_known("db")
        await until(lambda: watched.watch.is_up)


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_answer_to_a_later_watch_ends_it(fault: Answer, count: int, caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.put("first")

    async with watching(server) as watched:
        await until(lambda: server.count("watch") == 1)
        server.faults = [fault] * count
        server.end_watches()
        await until(lambda: not server.faults)
        server.put("second")
        await watched.until_known("first", "second")

    ours = [record for record in caplog.records if record.name.startswith("vaultsync")]
    assert "MARKED" not in str([vars(record) for record in ours])


@pytest.mark.parametrize(
    "line",
    [
        '{"type": "ERROR", "object": {"kind": "Status", "code": 410}}',
        '{"type": "ERROR", "object": {"kind": "Status", "code": 504, "message": "Too large resource version"}}',
        '{"type": "ERROR", "object": {}}',
        '{"type": "ADDED"}',
        "[1]",
        "half",
    ],
)
async def test_no_line_of_a_watch_ends_it(line: str) -> None:
    server = Server()
    server.put("first")

    async with watching(server) as watched:
        await until(lambda: server.count("watch") == 1)
        server.end_watches(line)
        await until(lambda: server.count("watch") == 2)
        server.put("second")
        await watched.until_known("first", "second")


async def test_a_watch_that_ends_continues_from_where_it_stopped_without_a_list_and_wakes_nothing() -> None:
    server = Server()
    server.put("db")

    async with watching(server) as watched:
        await until(lambda: watched.watch.is_up)
        watched.harness.state.vaultsecrets.resync_requested.clear()
        for number in range(3):
            bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": f"{number + 100}"}}}
            server.end_watches(json.dumps(bookmark))
            await until(partial(server.has_watched, number + 2))
        depth = watched.harness.controller.queue.depth

    assert server.requests == [("list", ""), ("watch", "11"), ("watch", "100"), ("watch", "101"), ("watch", "102")]
    assert depth == 1
    assert not watched.harness.resync_requested


async def test_a_frozen_watch_is_opened_again_without_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "WATCH_TIMEOUT", 0.2)
    server = Server()

    async with watching(server) as watched:
        await until(lambda: server.count("watch") == 1)
        await until(lambda: server.count("watch") == 3)
        server.put("db")
        await watched.until_known("db")

    assert server.count("list") == 1


async def test_after_kopf_has_ended_a_resync_looks_for_deletions_and_one_line_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server()

    async with watching(server) as watched:
        await until(lambda: server.count("watch") == 1)
        server.end_watches('{"type": "ERROR", "object": {"code": 500, "message": "MARKED"}}')
        await until(lambda: server.count("watch") == 2)
        assert watched.harness.resync_requested

    (record,) = (one for one in caplog.records if one.name == "vaultsync.sources.watch")
    assert record.getMessage() == "vaultsecret watch restarted"
    assert vars(record)["error"] == "WatchingError"


@pytest.mark.parametrize("code", [410, 500])
async def test_deletions_before_an_empty_list_are_looked_for_after_it(code: int) -> None:
    server = Server()
    server.put("db")

    async with watching(server) as watched:
        await watched.until_known("db")
        await until(lambda: watched.watch.is_up)
        server.faults = [status(503)] * 1000
        server.end_watches(f'{{"type": "ERROR", "object": {{"code": {code}}}}}')
        await until(lambda: len(server.faults) < 990)
        watched.harness.state.vaultsecrets.resync_requested.clear()
        server.delete("db")
        server.faults = []
        await until(lambda: server.count("watch") == 2)
        await until(lambda: watched.harness.resync_requested)


async def test_what_kopf_started_ends_with_it_and_nothing_else_does() -> None:
    server = Server()
    other = asyncio.create_task(asyncio.Event().wait())

    async with watching(server, "shop", "blog"):
        await until(lambda: server.count("watch") == 2)
        later = asyncio.create_task(asyncio.Event().wait())
        server.end_watches('{"type": "ERROR", "object": {"code": 500}}')
        await until(lambda: server.count("watch") == 4)
        running = [task for task in asyncio.all_tasks() if task not in _ForeignTasks()]
        watchers = [task.get_name() for task in running if task.get_name().startswith("watcher for")]

        assert len(watchers) == 2
        assert not other.done()
        assert not later.done()
    left = [task for task in asyncio.all_tasks() if task not in _ForeignTasks()]
    other.cancel()
    later.cancel()

    assert left == []


async def test_a_resource_that_the_server_does_not_list_at_the_start_is_looked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_module, "WATCH_SECONDS", 0.05)
    server = Server()
    server.installed = False
    server.put("db")

    async with watching(server) as watched:
        await asyncio.sleep(0.2)
        server.installed = True
        watched.now += 1000
        await watched.until_known("db")


async def test_a_restart_lists_again_at_once() -> None:
    server = Server()

    async with watching(server) as watched:
        await until(lambda: server.count("watch") == 1)
        watched.watch.restart()
        await until(lambda: server.count("watch") == 2)

    assert [kind for kind, _ in server.requests] == ["list", "watch", "list", "watch"]
    assert len(watched.waits) == 2, "one pause between logins, and one between watches"
    assert all(wait > 900 for wait in watched.waits), "only the pauses between logins and between watches"


async def test_no_session_is_left_open_by_a_restart_during_a_login() -> None:
    opened: list[aiohttp.ClientSession] = []
    open_session = Connection.open_session

    async def open_and_restart(
        connection: Connection, observer: RequestObserver | None = None
    ) -> aiohttp.ClientSession:
        opened.append(await open_session(connection, observer))
        if len(opened) == 1:
            watched.watch.restart()
        return opened[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Connection, "open_session", open_and_restart)
        async with watching() as watched:
            await until(lambda: watched.watch.is_up)

    assert len(opened) == 2
    assert all(session.closed for session in opened)


async def test_it_is_up_only_while_every_namespace_is_watched() -> None:
    server = Server()

    async with watching(server, "shop", "blog") as watched:
        assert not watched.watch.is_up
        await until(lambda: server.count("watch") == 2)
        await until(lambda: watched.watch.is_up)
        server.faults = [status(503)] * 10_000
        watched.now += 1000
        assert not watched.watch.is_up


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages that are not kopf's, and those of kopf's requests."""
    names = ("vaultsync", "kopf._cogs.clients")
    return [record.getMessage() for record in caplog.records if record.name.startswith(names)]


async def test_a_namespace_that_is_denied_keeps_no_other_from_being_watched_and_is_requested_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    server = Server()
    server.denied = {"blog"}
    server.put("db")

    async with watching(server, "shop", "blog") as watched:
        await watched.until_known("db")
        await until(lambda: watched.watch.is_up)
        before = len(server.requests)
        await until(lambda: len(server.requests) > before + 3)
        assert ours(caplog) == ["namespace denied"]
        (denied,) = (record for record in caplog.records if record.getMessage() == "namespace denied")
        assert (vars(denied)["namespace"], denied.levelname) == ("blog", "WARNING")

        server.denied = set()
        await until(lambda: server.count("watch") == 2)
        assert ours(caplog) == ["namespace denied", "namespace no longer denied"]


async def test_it_is_up_while_a_namespace_is_watched_and_the_others_are_denied() -> None:
    server = Server()

    async with watching(server, "shop", "blog") as watched:
        await until(lambda: server.count("watch") == 2)
        server.denied = {"blog"}
        watched.now += 1000
        assert not watched.watch.is_up
        server.end_watches()
        await until(lambda: watched.watch.is_up)

        server.denied = {"shop", "blog"}
        server.end_watches()
        await until(lambda: len(watched.harness.controller.source.denials.namespaces) == 2)
        watched.now += 1000
        assert not watched.watch.is_up


async def test_lists_after_watches_that_expire_at_once_come_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def shortened(seconds: float, *_: object) -> None:
        if seconds >= MIN_LIST_PAUSE:
            waits.append(seconds)
        await sleep(min(seconds, 0.01))

    monkeypatch.setattr(asyncio, "sleep", shortened)
    server = Server()
    server.watch_faults = [text('{"type": "ERROR", "object": {"code": 410}}\n', kind="application/json")] * 9

    async with watching(server) as watched:
        await until(lambda: not server.watch_faults)
        await until(lambda: watched.watch.is_up and server.count("watch") == 10)
        server.end_watches()
        await until(lambda: server.count("watch") == 11)
        assert waits == [0.1, 0.1, 1, 2, 4, 8, 16, MAX_LIST_PAUSE, MAX_LIST_PAUSE]

        watched.now += LISTS_PERIOD
        server.end_watches()
        await until(lambda: server.count("watch") == 12)
        server.end_watches('{"type": "ERROR", "object": {"code": 410}}')
        await until(lambda: server.count("watch") == 13)

    assert waits[9:] == [0.1]
    assert server.count("list") == 11


async def test_a_namespace_that_is_named_twice_is_watched_once() -> None:
    async with watching(Server(), "shop", "shop") as watched:
        await until(lambda: watched.watch.is_up)


async def test_rejected_credentials_are_replaced_with_pauses() -> None:
    server = Server()

    async with watching(server) as watched:
        await until(lambda: server.count("watch") == 1)
        server.faults = [status(401)] * 20
        server.end_watches()
        await until(lambda: not server.faults)
        await until(lambda: server.count("watch") > 20)

    assert len(watched.waits) >= 18


async def test_watches_that_end_at_once_are_not_opened_in_a_hot_loop() -> None:
    server = Server()
    server.watch_faults = [text("", kind="application/json")] * 20

    async with watching(server) as watched:
        await until(lambda: not server.watch_faults)

    assert len(watched.waits) >= 18
    assert server.count("list") == 1


async def test_kopf_does_not_kill_the_process_and_posts_no_events() -> None:
    settings = _settings()

    assert settings.process.ultimate_exiting_timeout is None
    assert settings.scanning.disabled
    assert not settings.posting.enabled


async def test_no_handler_is_registered_by_which_kopf_writes_to_objects() -> None:
    harness = MemoryHarness()
    registry = Watched(Server(), None, ()).watch.registry()  # type: ignore[arg-type]  # it is not called
    await harness.aclose()

    assert len(registry._watching.get_all_handlers()) == 1
    writers: list[Any] = [registry._changing, registry._spawning, registry._indexing, registry._webhooks]
    assert [len(handlers.get_all_handlers()) for handlers in writers] == [0, 0, 0, 0]
