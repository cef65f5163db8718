"""Runs kopf, which lists and watches the VaultSecrets, and restarts it whenever it ends; keeps no VaultSecret.

kopf's configuration and its workarounds are here and in no other module. Only `on.event` is used, on a registry of our
own: kopf's other handlers write annotations or finalizers to the objects.
"""

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Final, Protocol, cast

import aiohttp
import kopf

from vaultsync.adapters.kube.bounded_session import events_of
from vaultsync.adapters.kube.connection import REQUEST_TIMEOUT, WATCH_TIMEOUT, RequestObserver
from vaultsync.adapters.kube.requests import WATCH_SECONDS
from vaultsync.api import GROUP, PLURAL, VERSION
from vaultsync.errors import error_fields
from vaultsync.policy.requeue import Jitter, watch_backoff
from vaultsync.sources.open_watches import MAX_GAP, OpenWatches
from vaultsync.sources.vaultsecrets import VaultSecretSource

logger = logging.getLogger(__name__)

MIN_INTERVAL = 1.0
"""Seconds from one watch to the next, and from one login to the next: kopf itself repeats both without a pause."""

LISTS_PERIOD = 300.0
"""Seconds in which lists are counted: the more there were, the longer kopf waits until the next one."""

FREE_LISTS = 2
"""Lists of a namespace in that time after which kopf does not wait: one at the start, and one for any reason."""

MIN_LIST_PAUSE = 0.1
MAX_LIST_PAUSE = 30.0
"""Seconds between the end of a watch that cannot continue, and a list; less than `MAX_GAP`."""

CONNECT_TIMEOUT = 10.0
"""Seconds to connect to the API server."""

EVENTS_PER_TURN: Final = 50
"""Events that are handled before control returns to the event loop."""

_KOPF = str(Path(kopf.__file__).parent)


class Cluster(Protocol):
    """The API server, as kopf calls it."""

    @property
    def server(self) -> str:
        """Its URL."""
        ...

    async def open_session(self, observer: RequestObserver) -> aiohttp.ClientSession:
        """Open a session with valid credentials."""
        ...


class VaultSecretWatch:
    """Reports every VaultSecret to `source` while it runs. No response of the API server ends it.

    kopf ends on whatever it does not expect: an error in a watch, a response that is not JSON, a list that expires. It
    also stays without a watch if the API server does not list our resource at the moment of its start.
    """

    def __init__(
        self,
        source: VaultSecretSource,
        cluster: Cluster,
        *,
        namespaces: Sequence[str],
        jitter: Jitter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """If `namespaces` is empty, all are watched."""
        self._source = source
        self._cluster = cluster
        # kopf watches one that is named twice once.
        self._namespaces = tuple(dict.fromkeys(namespaces))
        self._jitter = jitter
        self._sleep = sleep
        self._clock = clock
        self._requested: dict[str, float] = {}
        """When each path of VaultSecrets was requested last."""
        self._watched: dict[str, float] = {}
        """When the last watch of each path was opened."""
        self._listed: set[str] = set()
        """Each path that was listed, and has not been watched since."""
        self._lists: deque[tuple[float, str]] = deque()
        """When which path was listed in the last `LISTS_PERIOD`."""
        self._settings = _settings()
        self._open = OpenWatches(self._namespaces or [None], source.denials, clock=clock)
        self._next_login = 0.0
        self._sessions: list[aiohttp.ClientSession] = []
        self._restart = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether every namespace is watched that is not denied, and at least one."""
        return self._open.are_up

    def restart(self) -> None:
        """List all VaultSecrets again, and watch them from there."""
        self._restart.set()

    async def run(self, *, started: Callable[[], None] = lambda: None) -> None:
        """Run kopf until cancelled.

        Args:
            started: Called whenever kopf has started: in the main thread, it has replaced the handlers of signals.
        """
        # The session logs each failed request; kopf does it again, at each attempt.
        logging.getLogger("kopf._cogs.clients").setLevel(logging.CRITICAL)
        failures = 0
        while True:
            before = self._clock()
            self._restart.clear()
            fields = await self._run_kopf(started)
            # Deletions of this time are not reported by the list that follows.
            self._source.request_resync()
            if fields is None:
                continue
            failures = failures + 1 if self._clock() - before < MAX_GAP else 1
            logger.warning("vaultsecret watch restarted", extra=fields)
            await self._sleep(watch_backoff(failures, jitter=self._jitter))

    async def _run_kopf(self, started: Callable[[], None]) -> dict[str, str] | None:
        """Run kopf until it ends; return why, or None after a request to restart it."""
        self._requested.clear()
        running = asyncio.create_task(self._kopf(started), name="kopf")
        restart = asyncio.create_task(self._restart.wait())
        begun = self._clock()
        try:
            while not running.done() and not restart.done():
                await asyncio.wait({running, restart}, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if self._clock() - begun > MAX_GAP and len(self._recently_requested()) < self._count:
                    return {"error": "no requests"}
            if not running.done():
                return None
            error = running.exception() if not running.cancelled() else None
            return {"error": "it ended"} if error is None else error_fields(error)
        finally:
            for task in (running, restart):
                task.cancel()
            await asyncio.wait({running, restart})
            # kopf closes only those that it has used.
            for session in self._sessions:
                await session.close()
            self._sessions.clear()

    async def _kopf(self, started: Callable[[], None]) -> None:
        # As `kopf.operator` does, which waits for the tasks of other parts, and cancels them.
        tasks = await kopf.spawn_tasks(
            registry=self.registry(),
            settings=self._settings,
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
        )
        started()
        await kopf.run_tasks(tasks, ignored=cast("Collection[Any]", _ForeignTasks()))

    def registry(self) -> kopf.OperatorRegistry:
        """Return kopf's registry with our handlers."""
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry, backoff=MIN_INTERVAL)
        async def login(**_: object) -> kopf.AiohttpSession:
            # kopf's own search could find another cluster than ours, and its own sessions parse JSON of any depth.
            delay = self._next_login - self._clock()
            self._next_login = self._clock() + max(delay, 0.0) + MIN_INTERVAL
            if delay > 0:
                await self._sleep(delay)
            session = await self._cluster.open_session(self)
            self._sessions = [session, *(opened for opened in self._sessions if not opened.closed)]
            return kopf.AiohttpSession(server=self._cluster.server, aiohttp_session=session)

        @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
        async def handle(body: kopf.Body, **_: object) -> None:
            for number, (kind, observed) in enumerate(events_of(body), start=1):
                self._handle(kind, observed)
                if number % EVENTS_PER_TURN == 0:
                    await asyncio.sleep(0)

        return registry

    def _handle(self, kind: str | None, observed: Mapping[str, Any]) -> None:
        """Report an event. One that cannot be handled keeps none of its batch from being handled."""
        try:
            match kind:
                case "DELETED":
                    self._source.handle_deleted(observed)
                case None:
                    self._source.handle_listed(observed)
                case _:
                    self._source.handle_changed(observed)
        except Exception as error:  # noqa: BLE001  it is logged, without its text
            logger.error("vaultsecret event error", extra=error_fields(error))  # noqa: TRY400  the same

    async def sending(self, request: aiohttp.ClientRequest) -> None:
        """Record that kopf requests VaultSecrets, and pause before a watch that follows another one too soon."""
        path = request.url.path
        if not _is_of_vaultsecrets(request):
            return
        if _is_watch(request):
            delay = self._watched.get(path, -math.inf) + MIN_INTERVAL - self._clock()
            if delay > 0:
                await self._sleep(delay)
            self._watched[path] = self._clock()
        else:
            self._listed.add(path)
        self._requested[path] = self._clock()

    def answered(self, request: aiohttp.ClientRequest) -> None:
        """Record that a watch is open, and look for what was deleted before the list from which it continues."""
        if not _is_of_vaultsecrets(request):
            return
        path = request.url.path
        self._source.denials.remove(_namespace(path))
        if _is_list(request):
            self._lists.append((self._clock(), path))
        # Not a pause in `sending`, which would be a part of the request and of its timeout.
        self._settings.watching.reconnect_backoff = self._list_pause()
        if not _is_watch(request):
            return
        self._open.add(_namespace(path))
        if path in self._listed:
            self._listed.remove(path)
            self._source.request_resync()

    def _list_pause(self) -> float:
        """Return the seconds before another list: each may be large, and one follows each watch that expires."""
        while self._lists and self._lists[0][0] <= self._clock() - LISTS_PERIOD:
            self._lists.popleft()
        most = max(Counter(path for _, path in self._lists).values(), default=0)
        return MIN_LIST_PAUSE if most <= FREE_LISTS else min(2.0 ** (most - FREE_LISTS - 1), MAX_LIST_PAUSE)

    def denied(self, request: aiohttp.ClientRequest) -> bool:
        """Record that a namespace is denied: kopf requests it again, and the others do not wait for it."""
        if not _is_of_vaultsecrets(request):
            return False
        self._source.denials.add(_namespace(request.url.path))
        return True

    @property
    def _count(self) -> int:
        """The number of paths to watch."""
        return max(len(self._namespaces), 1)

    def _recently_requested(self) -> set[str]:
        """Return the paths that were requested less than `MAX_GAP` ago."""
        oldest = self._clock() - MAX_GAP
        return {path for path, moment in self._requested.items() if moment > oldest}


class _Backoffs:
    """The seconds between kopf's attempts of a request, without end: kopf never gives up, and loses no watch position.

    kopf iterates over it once for each request.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((1.0, 2.0, 4.0), repeat(8.0))


class _ForeignTasks:
    """All tasks but kopf's own."""

    def __contains__(self, task: asyncio.Task[Any]) -> bool:
        code = getattr(task.get_coro(), "cr_code", None)
        return code is None or not code.co_filename.startswith(_KOPF)


class _NoLastState(kopf.DiffBaseStorage):
    """Builds and keeps no copy of an object: nothing is compared with it."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return cast("kopf.BodyEssence", {})

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        pass


class _NoProgress(kopf.ProgressStorage):
    """Keeps no progress: `on.event` has none."""

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        pass

    def purge(self, **_: object) -> None:
        pass

    def touch(self, **_: object) -> None:
        pass

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    # Otherwise kopf kills the process ten minutes after it has ended because of an error.
    settings.process.ultimate_exiting_timeout = None
    settings.networking.request_timeout = REQUEST_TIMEOUT
    settings.networking.connect_timeout = CONNECT_TIMEOUT
    settings.networking.error_backoffs = _Backoffs()
    # Each watch is short, and continues from the version that the last one has reached, without another list.
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_TIMEOUT
    settings.watching.connect_timeout = CONNECT_TIMEOUT
    settings.watching.inactivity_timeout = WATCH_TIMEOUT
    settings.watching.reconnect_backoff = MIN_LIST_PAUSE
    # A page is parsed without a break: this bounds how long, and the memory that it takes.
    settings.watching.chunk_size = 500
    # Seconds for which kopf keeps a batch after it was handled.
    settings.queueing.idle_timeout = 1.0
    # For each event, kopf copies the object to compare it with the last one, for handlers that we do not use.
    settings.persistence.diffbase_storage = _NoLastState()
    settings.persistence.progress_storage = _NoProgress()
    return settings


def _is_of_vaultsecrets(request: aiohttp.ClientRequest) -> bool:
    return request.url.path.endswith(f"/{PLURAL}")


def _is_watch(request: aiohttp.ClientRequest) -> bool:
    return request.url.query.get("watch") == "true"


def _is_list(request: aiohttp.ClientRequest) -> bool:
    """Return whether a list begins; its further pages name a token."""
    return not _is_watch(request) and "continue" not in request.url.query


def _namespace(path: str) -> str | None:
    """Return the namespace of a path of VaultSecrets; None if it is that of all."""
    *_, resource, name, _ = path.split("/")
    return name if resource == "namespaces" else None
