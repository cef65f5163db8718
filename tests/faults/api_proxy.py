"""An HTTP proxy between one operator and the API server: a test decides what happens to which of its requests.

The way is: operator, `TcpProxy` (cuts, refuses, stalls), this proxy (ends TLS, reads HTTP), API server. Tokens pass.
"""

import asyncio
import json
import random
import re
import selectors
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import Final, Self

import aiohttp
import trustme
from aiohttp import web
from yarl import URL

from tests.e2e.tcp_proxy import TcpProxy
from tests.emulator.listener import Listener
from tests.sockets import LOOPBACK

WATCH: Final = "WATCH"
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_GUARD_SECONDS: Final = 600.0
"""A guard against hanging, not a promise."""

_LONGEST_LINE: Final = 2**24
"""Bytes of one event of a watch."""

_CLOSE_TIMEOUT: Final = 60.0
"""Seconds that the API server may take to close TLS: it may have been stopped meanwhile."""

_OF_ONE_CONNECTION: Final = frozenset(
    {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"}
)
"""Headers that are not passed on."""

_NO_LIMIT: Final = aiohttp.ClientTimeout(total=None, connect=None)


def method_of(request: web.BaseRequest) -> str:
    """The method of a request; `WATCH` for a watch."""
    return WATCH if request.query.get("watch") in {"1", "true"} else request.method


@dataclass
class ApiFault:
    """What happens to requests of some methods and paths, by default of all; the hooks do nothing here."""

    _: KW_ONLY
    methods: frozenset[str] = frozenset()
    """`WATCH` is one of its own; empty means all."""
    path: str = ""
    """A regular expression that is searched in the path."""
    times: int | None = None
    """To how many it happens, the first ones; None for all."""

    def concerns(self, request: web.BaseRequest) -> bool:
        """Whether it happens to a request."""
        return (not self.methods or method_of(request) in self.methods) and bool(re.search(self.path, request.path))

    def takes(self, request: web.BaseRequest) -> bool:
        """Whether it happens to a request, which is counted."""
        if self.times == 0 or not self.concerns(request):
            return False
        self.times = None if self.times is None else self.times - 1
        return True

    async def answer(self, request: web.BaseRequest) -> web.Response | None:
        """The answer in place of the API server's, which then does not see the request; None to ask it."""

    async def loses(self, request: web.BaseRequest, status: int) -> bool:
        """Whether the API server's answer, with which it said that the request succeeded, is lost."""
        return False

    def hides(self, event: bytes) -> bool:
        """Whether an event of a watch is left out."""
        return False

    def end(self) -> None:
        """Is called when it is taken off."""


@dataclass
class Answers(ApiFault):
    """The same answer to all of them, or to the first ones: an error of the API server unless a body is given."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    html: str = ""
    """A body as a proxy in front of the API server would send."""

    async def answer(self, request: web.BaseRequest) -> web.Response | None:
        if self.html:
            return web.Response(status=self.status, headers=self.headers, text=self.html, content_type="text/html")
        return web.json_response(_failure(self.status), status=self.status, headers=self.headers)


@dataclass
class LostAnswers(ApiFault):
    """Requests are carried out, and the connection is cut in place of the answer."""

    methods: frozenset[str] = WRITES
    status: int | None = None
    """Which answers are lost: `201` is that of a creation; None for all."""
    chance: float = 1.0
    seed: int = 0
    between: Callable[[str, str], None] | None = None
    """Is called with method and path after the request is carried out and before the connection is cut, in a thread."""
    lost: int = 0
    """How many were lost."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - it must be repeatable

    async def loses(self, request: web.BaseRequest, status: int) -> bool:
        if self.status not in {None, status} or self._random.random() >= self.chance:
            return False
        if self.between is not None:
            await asyncio.to_thread(self.between, request.method, request.path)
        self.lost += 1
        return True


@dataclass
class Slow(ApiFault):
    """Every request waits before it is carried out."""

    seconds: float

    async def answer(self, request: web.BaseRequest) -> web.Response | None:
        await asyncio.sleep(self.seconds)
        return None


@dataclass
class Held(ApiFault):
    """Requests wait until the fault ends, and are carried out then, even if the one who sent them is gone."""

    def __post_init__(self) -> None:
        self._arrived = threading.Event()
        self._released = threading.Event()

    def wait(self) -> None:
        """Return when there is one."""
        assert self._arrived.wait(_GUARD_SECONDS), "nothing came that is held"

    async def answer(self, request: web.BaseRequest) -> web.Response | None:
        self._arrived.set()
        await asyncio.to_thread(self._released.wait)
        return None

    def end(self) -> None:
        self._released.set()


@dataclass
class ExpiredWatches(ApiFault):
    """No watch goes on from where it was: 410, as the status of the answer or as an event of the watch."""

    methods: frozenset[str] = frozenset({WATCH})
    as_event: bool = False

    async def answer(self, request: web.BaseRequest) -> web.Response | None:
        gone = _failure(HTTPStatus.GONE)
        if self.as_event:
            return web.json_response({"type": "ERROR", "object": gone})
        return web.json_response(gone, status=HTTPStatus.GONE)


@dataclass
class HiddenDeletions(ApiFault):
    """Watches do not bring the events of deletions."""

    def hides(self, event: bytes) -> bool:
        return event.startswith(b'{"type":"DELETED"')


class _HttpProxy:
    """The HTTP part, in the proxy's event loop."""

    def __init__(self, server: str, trusted: ssl.SSLContext) -> None:
        self.faults: Mapping[object, tuple[ApiFault, ...]] = {}
        self.requests: Counter[str] = Counter()
        self.longest_watch = 0.0
        authority = trustme.CA()
        self.ca: Final = authority.cert_pem.bytes()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(LOOPBACK).configure_cert(tls)
        self._listener = Listener(tls=tls)
        self._server = server
        self._trusted = trusted
        self._session: aiohttp.ClientSession | None = None

    @property
    def port(self) -> int:
        return self._listener.port

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._trusted, limit=0),
            timeout=_NO_LIMIT,
            auto_decompress=False,
            read_bufsize=_LONGEST_LINE,
        )
        self._listener.serve_requests(self._handle)
        await self._listener.open()

    async def close(self, selector: selectors.BaseSelector) -> None:
        """Return when all connections are closed, so that only the event loop itself uses the selector."""
        await self._listener.release()
        # Requests that a fault holds, and watches that are not read any more.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        # https://docs.aiohttp.org/en/stable/client_advanced.html#graceful-shutdown
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                while len(selector.get_map()) > 1:  # noqa: ASYNC110  nothing reports the end of a closed connection
                    await asyncio.sleep(0.01)

    def _all(self) -> Iterator[ApiFault]:
        return chain.from_iterable(self.faults.values())

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests[method_of(request)] += 1
        if method_of(request) == WATCH:
            self.longest_watch = max(self.longest_watch, float(request.query.get("timeoutSeconds", "inf")))
        # Before a fault may hold it: whoever sent it may be gone when it is carried out.
        body = await request.read()
        faults = [fault for fault in self._all() if fault.takes(request)]
        for fault in faults:
            if (answer := await fault.answer(request)) is not None:
                return answer
        try:
            return await self._forward(request, body, faults)
        except aiohttp.ClientError:
            return _cut(request)

    async def _forward(self, request: web.BaseRequest, body: bytes, faults: list[ApiFault]) -> web.StreamResponse:
        assert self._session is not None
        headers = _passed_on(request.headers)
        url = URL(self._server + request.raw_path, encoded=True)
        async with self._session.request(request.method, url, headers=headers, data=body or None) as answer:
            if method_of(request) == WATCH and answer.ok:
                return await self._stream(request, answer)
            content = await answer.read()
        if answer.ok:
            for fault in faults:
                if await fault.loses(request, answer.status):
                    return _cut(request)
        return web.Response(status=answer.status, headers=_passed_on(answer.headers), body=content)

    async def _stream(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
        await response.prepare(request)
        async for line in answer.content:
            if not any(fault.hides(line) for fault in self._all() if fault.concerns(request)):
                await response.write(line)
        await response.write_eof()
        return response


class ApiProxy:
    """The proxy; faults are put on and taken off from any thread, and several may be on at the same time."""

    def __init__(self, tcp: TcpProxy, http: _HttpProxy) -> None:
        self.tcp = tcp
        """Cuts, refuses and stalls connections."""
        self._http = http

    @classmethod
    @contextmanager
    def to(cls, kubeconfig: Path) -> Iterator[Self]:
        """Stand before the API server of a kubeconfig (in the JSON form that the control plane writes)."""
        selector = selectors.DefaultSelector()
        loop = asyncio.SelectorEventLoop(selector)
        thread = threading.Thread(target=loop.run_forever, name="proxy to the API server")
        thread.start()
        cluster = json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]
        http = _HttpProxy(cluster["server"], ssl.create_default_context(cafile=cluster["certificate-authority"]))
        try:
            asyncio.run_coroutine_threadsafe(http.open(), loop).result()
            with TcpProxy.to(http.port) as tcp:
                yield cls(tcp, http)
        finally:
            asyncio.run_coroutine_threadsafe(http.close(selector), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def kubeconfig(self, of: Path) -> Path:
        """A kubeconfig with the same user and this proxy in place of the API server."""
        config = json.loads(of.read_text())
        path = of.with_suffix(f".{self.tcp.port}.kubeconfig")
        ca = path.with_suffix(".crt")
        ca.write_bytes(self._http.ca)
        config["clusters"][0]["cluster"] = {
            "server": f"https://{LOOPBACK}:{self.tcp.port}",
            "certificate-authority": str(ca),
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path

    @contextmanager
    def fault(self, *faults: ApiFault) -> Iterator[None]:
        """Put faults on until the block ends."""
        name = object()
        self.put_on(name, *faults)
        try:
            yield
        finally:
            self.take_off(name)

    def put_on(self, name: object, *faults: ApiFault) -> None:
        """Put faults on under a name; of all that are on, the first that answers a request itself decides."""
        self._http.faults = {**self._http.faults, name: faults}

    def take_off(self, name: object) -> None:
        """Take the faults of a name off; does nothing if there are none."""
        for fault in self._http.faults.get(name, ()):
            fault.end()
        self._http.faults = {other: faults for other, faults in self._http.faults.items() if other != name}

    def cut(self) -> None:
        """Cut all connections, watches too; new ones are accepted."""
        self.tcp.disconnect()
        self.tcp.connect()

    def requests(self) -> Counter[str]:
        """How many requests of each method came."""
        return Counter(self._http.requests)

    @property
    def longest_watch(self) -> float:
        """After how many seconds the API server was asked to end a watch, at most; infinite if it was not asked to."""
        return self._http.longest_watch


def _cut(request: web.BaseRequest) -> web.Response:
    """End the connection of a request; the response goes nowhere."""
    if request.transport is not None:
        # Not by a reset: clients repeat requests by themselves after an orderly end.
        request.transport.close()
    return web.Response()


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in headers.items() if name.lower() not in _OF_ONE_CONNECTION}


def _failure(status: int) -> dict[str, object]:
    """A failure as the API server writes it."""
    reason = HTTPStatus(status).phrase
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"{reason}: a test says so",
        "reason": reason.replace(" ", ""),
        "code": int(status),
    }
