"""HTTP by httpx: connection pools, total timeouts, and one request with its response; knows no meaning of a request.

No error or type of httpx leaves this module. Redirects are not followed, and the response body is read up to a limit.
"""

import asyncio
import contextlib
import errno
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, Generic, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from kvsecrets import _validation
from kvsecrets._protocol import Response, Send
from kvsecrets.errors import CertificateProblem, ConnectionFailed, ConnectionProblem, UnexpectedAnswer

MAX_IN_FLIGHT = 100
"""Concurrent requests of one client; further ones wait."""
MAX_IDLE = 25
"""Idle connections that are kept open."""
MAX_CONNECT_SECONDS = 10.0
"""Upper bound of the time to connect, which is also at most half of the timeout. httpx closes a connection attempt that
it ends itself, but not one that is cancelled from outside during its handshake."""
_SINGLE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30)
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout)
_NONE_LEFT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
"""Errors of a connect that no server can cause: this side has no file, memory or port left."""
_PROXY_STATUS = re.compile("[45][0-9]{2}")
"""What the text of httpx's error begins with, if the proxy has responded."""

H = TypeVar("H", httpx.Client, httpx.AsyncClient)
ConnectionSource = Callable[[], AbstractContextManager[httpx.Client]]
AsyncConnectionSource = Callable[[], AbstractAsyncContextManager[httpx.AsyncClient]]


class Deadline(float):
    """A timeout in seconds that also knows how much of it remains.

    httpx sets the same timeout before each read of a socket, so a response that arrives byte by byte could take
    forever. It passes the number on unchanged, so a `DeadlineSocket` can compute the remaining time from it.
    """

    __slots__ = ("_end", "_monotonic")

    _end: float
    _monotonic: Callable[[], float]

    def __new__(cls, seconds: float, monotonic: Callable[[], float]) -> Self:
        """Start the deadline on the given clock."""
        deadline = super().__new__(cls, seconds)
        deadline._end = monotonic() + seconds
        deadline._monotonic = monotonic
        return deadline

    def remaining(self) -> float:
        """Return the remaining seconds.

        Raises:
            TimeoutError: None remain.
        """
        remaining = self._end - self._monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining


class DeadlineSocket(ssl.SSLSocket):
    """A TLS socket whose reads and writes end at the deadline that it was given as its timeout."""

    def settimeout(self, value: float | None, /) -> None:
        """Set the timeout of the next operation in seconds; for a `Deadline`, its remaining time.

        Raises:
            TimeoutError: The deadline has passed.
        """
        super().settimeout(value.remaining() if isinstance(value, Deadline) else value)


def with_deadlines(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make the sockets of a context respect deadlines, and return the context. A second call changes nothing.

    Any other timeout of such a socket works as usual, and connections of asyncio are not sockets of the context, so
    clients of both kinds and other users may share it.
    https://docs.python.org/3/library/ssl.html#ssl.SSLContext.sslsocket_class
    """
    context.sslsocket_class = DeadlineSocket
    return context


class _IdleStack(Generic[H]):
    """Idle connections, the last used on top."""

    def __init__(self, connect: Callable[[], H]) -> None:
        self._connect: Callable[[], H] = connect
        self._idle: list[H] = []
        self.closed = False

    def pop(self) -> H:
        if self.closed:
            raise RuntimeError("this client is closed")
        try:
            http: H = self._idle.pop()
        except IndexError:
            http = self._connect()
        return http

    def push(self, http: H) -> bool:
        """Keep a connection; False if there are enough, and the caller has to close it."""
        if self.closed or len(self._idle) >= MAX_IDLE:
            return False
        self._idle.append(http)
        return True

    def close(self) -> list[H]:
        """Accept no more connections; return the idle ones, which the caller has to close."""
        self.closed = True
        idle, self._idle = self._idle, []
        return idle


class ConnectionPool:
    """Connections for threads, each a separate httpx client; one whose request fails or is interrupted is closed.

    httpx's own pool examines each of its connections several times per request: with 50 concurrent calls that takes
    more time than the rest of a call. A stack costs the same for any number.
    """

    def __init__(self, connect: Callable[[], httpx.Client], timeout: float) -> None:
        self._stack = _IdleStack(connect)
        self._timeout = timeout
        self._slots = threading.Semaphore(MAX_IN_FLIGHT)

    @contextmanager
    def __call__(self) -> Iterator[httpx.Client]:
        """Lend a connection for one request."""
        if not self._slots.acquire(timeout=self._timeout):
            raise _no_slot(self._timeout)
        try:
            http = self._stack.pop()
            kept = False
            try:
                yield http
                kept = self._stack.push(http)
            finally:
                if not kept:
                    http.close()
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close idle connections now, and those in use when they are returned."""
        for http in self._stack.close():
            http.close()


class AsyncConnectionPool:
    """Connections for tasks, each a separate httpx client; one whose request fails or is cancelled is closed.

    httpx loses its connection when it is cancelled at certain moments, and waits for it forever afterwards.
    """

    def __init__(self, connect: Callable[[], httpx.AsyncClient], timeout: float) -> None:
        self._stack = _IdleStack(connect)
        self._timeout = timeout
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a connection for one request."""
        await self._acquire_slot()
        try:
            http = self._stack.pop()
            kept = False
            try:
                yield http
                kept = self._stack.push(http)
            finally:
                if not kept:
                    await http.aclose()
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Close idle connections now, and those in use when they are returned."""
        for http in self._stack.close():
            await http.aclose()

    async def _acquire_slot(self) -> None:
        if not self._slots.locked():  # without this, each request would pay for a timeout
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise _no_slot(self._timeout) from None


def open_connections(
    host: str,
    http_client: httpx.Client | None,
    transport: httpx.BaseTransport | None,
    ssl_context: ssl.SSLContext | None,
    timeout: float,
) -> tuple[ConnectionSource, Callable[[], None]]:
    """Return the source of connections to a host by a client's arguments, and what closes those of the library."""
    _check_exclusive(http_client=http_client, transport=transport, ssl_context=ssl_context)
    if http_client is not None:
        _validation.check_type("http_client", http_client, httpx.Client)
        return lambda: contextlib.nullcontext(http_client), lambda: None
    if transport is not None:
        _validation.check_type("transport", transport, httpx.BaseTransport)
        single = httpx.Client(transport=transport)
        return lambda: contextlib.nullcontext(single), single.close
    context = with_deadlines(_tls_context(ssl_context))

    def connect() -> httpx.Client:
        return httpx.Client(verify=context, limits=_SINGLE_CONNECTION, proxy=proxy_to(host), trust_env=False)

    pool = ConnectionPool(connect, timeout)
    return pool, pool.close


def open_async_connections(
    host: str,
    http_client: httpx.AsyncClient | None,
    transport: httpx.AsyncBaseTransport | None,
    ssl_context: ssl.SSLContext | None,
    timeout: float,
) -> tuple[AsyncConnectionSource, Callable[[], Awaitable[None]]]:
    """Return the source of connections to a host by a client's arguments, and what closes those of the library."""
    _check_exclusive(http_client=http_client, transport=transport, ssl_context=ssl_context)
    if http_client is not None:
        _validation.check_type("http_client", http_client, httpx.AsyncClient)
        return lambda: contextlib.nullcontext(http_client), _close_nothing
    if transport is not None:
        _validation.check_type("transport", transport, httpx.AsyncBaseTransport)
        single = httpx.AsyncClient(transport=transport)
        return lambda: contextlib.nullcontext(single), single.aclose
    context = _tls_context(ssl_context)

    def connect() -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=context, limits=_SINGLE_CONNECTION, proxy=proxy_to(host), trust_env=False)

    pool = AsyncConnectionPool(connect, timeout)
    return pool, pool.close


def proxy_to(host: str) -> httpx.Proxy | None:
    """Return the proxy to a host by the environment's variables; None if there is none.

    httpx reads them, too, and fails at what others accept or pass over, such as the network `fd00::/8` in `NO_PROXY`.

    Raises:
        ConnectionFailed: The URL of the proxy cannot be used.
    """
    proxies = getproxies()
    url = proxies.get("https") or proxies.get("all")
    if not url or proxy_bypass(host):
        return None
    try:
        return httpx.Proxy(url if "://" in url else f"http://{url}")
    except (httpx.InvalidURL, ValueError):
        text = f"{host}: the proxy's URL in HTTPS_PROXY or ALL_PROXY cannot be used"
    raise ConnectionFailed(text, ConnectionProblem.PROXY)


def exchange(
    http: httpx.Client, effect: Send, headers: dict[str, str], timeout: float, monotonic: Callable[[], float]
) -> Response:
    """Send a request and return its response, in this thread.

    On the library's own connections `timeout` bounds the whole exchange. On other connections it bounds each read of
    the headers, and the body as a whole.

    Raises:
        ConnectionFailed: No complete response arrived.
        UnexpectedAnswer: The body is too large, or compressed.
    """
    deadline, route = Deadline(timeout, monotonic), _Route()
    with _translated_errors(effect, timeout, route):
        request = _build_request(http, effect, headers, deadline, route.note)
        response = http.send(request, stream=True, auth=None, follow_redirects=False)
        with contextlib.closing(response):
            _refuse_compressed(effect, response)
            body = _Body(effect)
            for chunk in response.iter_bytes():
                body.add(chunk)
                deadline.remaining()
            return _to_response(response, body)


async def exchange_async(
    http: httpx.AsyncClient,
    effect: Send,
    headers: dict[str, str],
    timeout: float,  # noqa: ASYNC109 - it is enforced with asyncio.timeout below
) -> Response:
    """Send a request and return its response, in this task; `timeout` bounds the whole exchange.

    Raises:
        ConnectionFailed: No complete response arrived.
        UnexpectedAnswer: The body is too large, or compressed.
    """
    route = _Route()
    with _translated_errors(effect, timeout, route):
        async with asyncio.timeout(timeout):
            request = _build_request(http, effect, headers, timeout, route.note_async)
            response = await http.send(request, stream=True, auth=None, follow_redirects=False)
            async with contextlib.aclosing(response):
                _refuse_compressed(effect, response)
                body = _Body(effect)
                async for chunk in response.aiter_bytes():
                    body.add(chunk)
                return _to_response(response, body)


def _refuse_compressed(effect: Send, response: httpx.Response) -> None:
    """Raise unless a body is as it was requested: by two codings, a few kilobytes become gigabytes in one step."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnexpectedAnswer(f"{_target(effect)}: the response is compressed, although it must not be")


class _Body:
    """The body read so far, at most its limit and one chunk."""

    __slots__ = ("_chunks", "_effect", "_remaining")

    def __init__(self, effect: Send) -> None:
        self._chunks: list[bytes] = []
        self._remaining = effect.max_bytes
        self._effect = effect

    def add(self, chunk: bytes) -> None:
        self._remaining -= len(chunk)
        if self._remaining < 0:
            raise UnexpectedAnswer(
                f"{_target(self._effect)}: the response is larger than {self._effect.max_bytes} bytes"
            )
        self._chunks.append(chunk)

    def content(self) -> bytes:
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


def _check_exclusive(**options: object) -> None:
    given = [name for name, option in options.items() if option is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)}: pass only one of them; each decides how connections are made")


def _tls_context(given: ssl.SSLContext | None) -> ssl.SSLContext:
    if given is None:
        return httpx.create_ssl_context()
    _validation.check_type("ssl_context", given, ssl.SSLContext)
    return given


async def _close_nothing() -> None:
    """Close nothing: the caller's own client stays open."""


def _no_slot(timeout: float) -> ConnectionFailed:
    text = f"{MAX_IN_FLIGHT} requests are in flight, and none has completed within {timeout:g} s"
    return ConnectionFailed(text, ConnectionProblem.CROWDED)


def _build_request(
    http: httpx.Client | httpx.AsyncClient,
    effect: Send,
    headers: dict[str, str],
    timeout: float,
    trace: Callable[[str, dict[str, Any]], Awaitable[None] | None],
) -> httpx.Request:
    request = effect.request
    return http.build_request(
        request.method,
        request.url,
        headers={**headers, **request.headers},
        content=request.body,
        timeout=httpx.Timeout(timeout, connect=min(timeout / 2, MAX_CONNECT_SECONDS)),
        extensions={"trace": trace},
    )


def _to_response(response: httpx.Response, body: _Body) -> Response:
    # From the raw list: httpx's own mapping scans all headers for each lookup.
    headers: dict[str, str] = {}
    for raw_name, raw_text in response.headers.raw:
        name, text = raw_name.decode("latin-1").lower(), raw_text.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return Response(response.status_code, headers, body.content())


class _Route:
    """Where the connection of a request was opened to: the vault, or a proxy. httpx does not tell with its errors.

    https://www.python-httpx.org/advanced/extensions/#trace
    """

    __slots__ = ("_host", "_port")

    def __init__(self) -> None:
        self._host: str | None = None
        self._port: int | None = None

    def note(self, event: str, info: dict[str, Any]) -> None:
        """Note an event of httpx."""
        if event == "connection.connect_tcp.started":
            self._host, self._port = info["host"], info["port"]

    async def note_async(self, event: str, info: dict[str, Any]) -> None:
        """Note an event of httpx for tasks."""
        self.note(event, info)

    def proxy(self, url: str) -> str | None:
        """Return host and port of the proxy to a URL; None if there is none, or no connection was opened."""
        vault = httpx.URL(url)
        if self._host is None or (self._host, self._port) == (vault.raw_host.decode("ascii"), vault.port or 443):
            return None
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"


class _Cause(NamedTuple):
    """Why no complete response arrived."""

    problem: ConnectionProblem
    text: str
    proxy_status: int | None = None
    certificate: CertificateProblem | None = None


@contextlib.contextmanager
def _translated_errors(effect: Send, timeout: float, route: _Route) -> Iterator[None]:
    """Translate httpx's errors. Of their texts, only a certificate's reason and a proxy's status are kept."""
    try:
        yield
    except (httpx.TransportError, OSError) as error:
        cause, proxy = _classify(error, timeout), route.proxy(effect.request.url)
        through = f" (through proxy {proxy})" if proxy else ""
        raise ConnectionFailed(
            f"{_target(effect)}: {cause.text}{through}",
            cause.problem,
            proxy=proxy,
            proxy_status=cause.proxy_status,
            certificate=cause.certificate,
        ) from error


def _classify(error: Exception, timeout: float) -> _Cause:
    if known := next(filter(None, map(_classify_cause, _causes(error))), None):
        return known
    if isinstance(error, httpx.ProxyError):
        status = _PROXY_STATUS.match(str(error))
        text = f"the proxy refused the connection{f' (HTTP {status[0]})' if status else ''}"
        return _Cause(ConnectionProblem.PROXY, text, proxy_status=int(status[0]) if status else None)
    if isinstance(error, _NOT_SENT) or _is_crowded(error):
        return _classify_unsent(error)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return _Cause(ConnectionProblem.TIMED_OUT, f"no complete response within {timeout:g} s")
    if _has_cause(error, ConnectionResetError):
        return _Cause(ConnectionProblem.RESET, "the connection was reset before the response was complete")
    return _Cause(ConnectionProblem.BROKEN, "the connection broke before the response was complete")


def _classify_unsent(error: Exception) -> _Cause:
    if _is_crowded(error):
        return _Cause(ConnectionProblem.CROWDED, "this client, or its system, has no connection left")
    if isinstance(error, httpx.TimeoutException) or _has_cause(error, TimeoutError):
        return _Cause(ConnectionProblem.CONNECT_TIMED_OUT, "no connection in time")
    if _has_cause(error, ConnectionRefusedError):
        return _Cause(ConnectionProblem.REFUSED, "the connection was refused")
    return _Cause(ConnectionProblem.UNREACHABLE, "no connection")


def _has_cause(error: Exception, kind: type[OSError]) -> bool:
    return any(isinstance(cause, kind) for cause in _causes(error))


def _is_crowded(error: Exception) -> bool:
    if isinstance(error, _NOT_SENT):
        return any(getattr(cause, "errno", None) in _NONE_LEFT for cause in _causes(error))
    return isinstance(error, httpx.PoolTimeout)


def _classify_cause(cause: BaseException) -> _Cause | None:
    """Classify an error of the system or of TLS, which httpx wraps without its type."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = getattr(cause, "verify_message", "it cannot be verified")
        problem = CertificateProblem.of(getattr(cause, "verify_code", 0))
        text = f"the server's certificate was rejected: {reason}"
        return _Cause(ConnectionProblem.UNTRUSTED, text, certificate=problem)
    if isinstance(cause, socket.gaierror):
        if cause.errno in _NO_SUCH_NAME:
            return _Cause(ConnectionProblem.UNRESOLVED, "the host name does not exist")
        return _Cause(ConnectionProblem.LOOKUP_FAILED, "the host name could not be looked up")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, BaseExceptionGroup):  # one for each address of the host
            yield from cause.exceptions
        cause = cause.__cause__ or cause.__context__


def _target(effect: Send) -> str:
    """Return method, host and path of a request; a query may contain a continuation token."""
    parts = urlsplit(effect.request.url)
    return f"{effect.request.method} {parts.netloc}{parts.path}"
