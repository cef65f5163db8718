"""HTTP by httpx: connections for threads, and one request with its response over them or over what users pass in.

No error or type of httpx leaves this module. Redirects are not followed, and the response body is read up to a limit.
"""

import asyncio
import contextlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Self
from weakref import WeakValueDictionary

import httpx

from kvsecrets import _validation
from kvsecrets._exchange import (
    KEEPALIVE_SECONDS,
    MAX_IN_FLIGHT,
    AsyncExchange,
    Body,
    Cause,
    check_answer,
    connect_seconds,
    connection_failed,
    headers_of,
    known_cause,
    lost_response,
    malformed,
    no_connection,
    no_slot,
    proxy_url,
    refuse_compressed,
    refused_by_proxy,
    unusable_proxy,
)
from kvsecrets._protocol import Response, Send
from kvsecrets.errors import UnexpectedAnswer

MAX_IDLE = 25
"""Idle connections that are kept open."""
_SINGLE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS)
_PROXY_STATUS = re.compile("[45][0-9]{2}")
"""What the text of httpx's error begins with, if the proxy has responded."""

_WAY_TO_H11 = ("_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state")
"""The attributes from the stream of a response to the state of its connection."""
_WAYS_TO_TLS = (("_stream", "_read_bio"), ("_incoming",))
"""The attributes from a connection to what it has read and not yet decrypted: for tasks, and through a proxy by TLS."""
_CUT_OFF = re.compile("peer closed connection|Server disconnected")
"""What the text of httpx's error begins with, if a response ended too early, and not in a wrong way."""

ConnectionSource = Callable[[], AbstractContextManager[httpx.Client]]

_shared_contexts: WeakValueDictionary[tuple[str | None, str | None], ssl.SSLContext] = WeakValueDictionary()
"""By the authorities that the environment names, as httpx reads it."""
_shared_lock = threading.Lock()


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


class ConnectionPool:
    """Connections for threads, each a separate httpx client; one whose request fails or is interrupted is closed.

    httpx's own pool examines each of its connections several times per request: with 50 concurrent calls that takes
    more time than the rest of a call. A stack, with the last used on top, costs the same for any number.
    """

    def __init__(self, connect: Callable[[], httpx.Client], timeout: float) -> None:
        self._connect: Callable[[], httpx.Client] = connect
        self._idle: list[httpx.Client] = []
        self._is_closed = False
        self._timeout = timeout
        self._slots = threading.Semaphore(MAX_IN_FLIGHT)

    @contextmanager
    def __call__(self) -> Iterator[httpx.Client]:
        """Lend a connection for one request."""
        if not self._slots.acquire(timeout=self._timeout):
            raise no_slot(self._timeout)
        try:
            http = self._pop()
            kept = False
            try:
                yield http
                kept = self._keep(http)
            finally:
                if not kept:
                    http.close()
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close idle connections now, and those in use when they are returned."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        for http in idle:
            http.close()

    def _pop(self) -> httpx.Client:
        if self._is_closed:
            raise RuntimeError("this client is closed")
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _keep(self, http: httpx.Client) -> bool:
        """Keep a connection; False if there are enough, and the caller has to close it."""
        if self._is_closed or len(self._idle) >= MAX_IDLE:
            return False
        self._idle.append(http)
        return True


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
    # httpx imports it in its first request, which would take twice as long as others of that kind, within its timeout.
    import httpcore  # noqa: F401, PLC0415

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
) -> tuple[AsyncExchange, Callable[[], Awaitable[None]]]:
    """Return what sends requests to a host by a client's arguments, and what closes the connections of the library.

    Raises:
        ImportError: The library's own connections are wanted, and aiohttp is not installed.
    """
    _check_exclusive(http_client=http_client, transport=transport, ssl_context=ssl_context)
    if http_client is not None:
        _validation.check_type("http_client", http_client, httpx.AsyncClient)
        return partial(exchange_async, http_client), _close_nothing
    if transport is not None:
        _validation.check_type("transport", transport, httpx.AsyncBaseTransport)
        single = httpx.AsyncClient(transport=transport)
        return partial(exchange_async, single), single.aclose
    context = _tls_context(ssl_context)
    try:
        # Clients for threads do not pay for its import.
        from kvsecrets._aiohttp import AiohttpExchange  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise ImportError(
            f"AsyncSecretClient needs aiohttp for its connections, and {missing.name} is not installed: "
            "pip install 'kvsecrets[asyncio]', or pass an httpx.AsyncClient as http_client",
            name=missing.name,
        ) from missing

    own = AiohttpExchange(host, context, timeout)
    return own, own.close


def proxy_to(host: str) -> httpx.Proxy | None:
    """Return the proxy to a host by the environment's variables; None if there is none.

    Raises:
        ConnectionFailed: The URL of the proxy cannot be used.
    """
    url = proxy_url(host)
    try:
        return None if url is None else httpx.Proxy(url)
    except (httpx.InvalidURL, ValueError):
        failed = unusable_proxy(host)
    raise failed


def exchange(
    http: httpx.Client, effect: Send, headers: dict[str, str], timeout: float, monotonic: Callable[[], float]
) -> Response:
    """Send a request and return its response, in this thread.

    On the library's own connections `timeout` bounds the whole exchange. On other connections it bounds each read of
    the headers, and the body as a whole.

    Raises:
        ConnectionFailed: No complete response arrived.
        UnexpectedAnswer: It is not valid HTTP, too large, compressed, or not a response to this request.
    """
    deadline, route = Deadline(timeout, monotonic), _Route()

    def trace(event: str, info: dict[str, Any]) -> None:
        route.note(event, info)
        if event.endswith(".send_request_headers.started"):
            deadline.remaining()  # connecting may have taken longer: then nothing is sent

    with _translated_errors(effect, timeout, route):
        request = _build_request(http, effect, headers, deadline, trace)
        response = http.send(request, stream=True, auth=None, follow_redirects=False)
        with contextlib.closing(response):
            refuse_compressed(effect, response.headers)
            body = Body(effect)
            for chunk in response.iter_bytes():
                body.add(chunk)
                deadline.remaining()
            return _examined(effect, response, body)


async def exchange_async(
    http: httpx.AsyncClient,
    effect: Send,
    headers: dict[str, str],
    timeout: float,  # noqa: ASYNC109 - it is enforced with asyncio.timeout below
) -> Response:
    """Send a request and return its response, in this task; `timeout` bounds the whole exchange.

    Raises:
        ConnectionFailed: No complete response arrived.
        UnexpectedAnswer: It is not valid HTTP, too large, compressed, or not a response to this request.
    """
    route = _Route()
    with _translated_errors(effect, timeout, route):
        async with asyncio.timeout(timeout):
            request = _build_request(http, effect, headers, timeout, route.note_async)
            response = await http.send(request, stream=True, auth=None, follow_redirects=False)
            async with contextlib.aclosing(response):
                refuse_compressed(effect, response.headers)
                body = Body(effect)
                async for chunk in response.aiter_bytes():
                    body.add(chunk)
                return _examined(effect, response, body)


def _check_exclusive(**options: object) -> None:
    given = [name for name, option in options.items() if option is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)}: pass only one of them; each decides how connections are made")


def _tls_context(given: ssl.SSLContext | None) -> ssl.SSLContext:
    """Return the context of a client: its own argument, or one that is shared by all clients without.

    Each costs some 0.8 MiB and 45 ms of CPU. The shared one ends with the last client that uses it.
    """
    if given is not None:
        _validation.check_type("ssl_context", given, ssl.SSLContext)
        return given
    with _shared_lock:
        authorities = os.getenv("SSL_CERT_FILE"), os.getenv("SSL_CERT_DIR")
        context = _shared_contexts.get(authorities)
        if context is None:
            context = _shared_contexts[authorities] = httpx.create_ssl_context()
        return context


async def _close_nothing() -> None:
    """Close nothing: the caller's own client stays open."""


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
        timeout=httpx.Timeout(timeout, connect=connect_seconds(timeout)),
        extensions={"trace": trace},
    )


def _examined(effect: Send, response: httpx.Response, body: Body) -> Response:
    """Return a complete response; its connection is not used again if it has more, or if this is another one's."""
    # From the raw list: httpx's own mapping scans all headers for each lookup.
    received = Response(response.status_code, headers_of(response.headers.raw), body.content())
    try:
        check_answer(effect, received)
    except UnexpectedAnswer:
        _shut_down(response)
        raise
    if _has_more(response):
        _shut_down(response)
    return received


def _has_more(response: httpx.Response) -> bool:
    """Whether bytes were read behind a response, or may have been.

    h11 keeps them, and parses them as the response to the next request of the connection. httpx and httpcore have no
    public way to them: a connection whose state is not found is not used again. What the system has not delivered yet,
    httpcore sees itself before it uses a connection again.
    """
    if "network_stream" not in response.extensions or response.http_version == "HTTP/2":
        return False
    state, stream = _follow(response.stream, _WAY_TO_H11), response.extensions["network_stream"]
    undecrypted = (_follow(stream, way) for way in _WAYS_TO_TLS)
    return getattr(state, "trailing_data", None) != (b"", False) or any(
        getattr(one, "pending", 0) for one in undecrypted
    )


def _follow(start: object, names: tuple[str, ...]) -> object:
    for name in names:
        start = getattr(start, name, None)
    return start


def _shut_down(response: httpx.Response) -> None:
    """Shut down the socket of a response: whoever uses the connection next finds that it has ended.

    Another thread may use it by now. Its socket stays open, since its number would otherwise be that of another one.
    """
    stream = response.extensions.get("network_stream")
    peer = None if stream is None else stream.get_extra_info("socket")
    if peer is not None:
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)


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


@contextlib.contextmanager
def _translated_errors(effect: Send, timeout: float, route: _Route) -> Iterator[None]:
    """Translate httpx's errors. Of their texts, only a certificate's reason and a proxy's status are kept."""
    try:
        yield
    except httpx.RemoteProtocolError as error:
        if not _CUT_OFF.match(str(error)):
            raise malformed(effect) from None  # its text quotes what has arrived
        raise connection_failed(effect, _classify(error, timeout), route.proxy(effect.request.url)) from error
    except (httpx.TransportError, OSError) as error:
        cause = _classify(error, timeout)
        raise connection_failed(effect, cause, route.proxy(effect.request.url)) from error


def _classify(error: Exception, timeout: float) -> Cause:
    if known := known_cause(error):
        return known
    if isinstance(error, httpx.ProxyError):
        status = _PROXY_STATUS.match(str(error))
        return refused_by_proxy(int(status[0]) if status else None)
    is_timeout = isinstance(error, httpx.TimeoutException)
    if isinstance(error, httpx.PoolTimeout):
        return no_connection(error, crowded=True)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return no_connection(error, timed_out=is_timeout)
    return lost_response(error, timeout, timed_out=is_timeout or isinstance(error, TimeoutError))
