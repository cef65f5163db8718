"""One HTTP exchange by way of httpx, for threads and for asyncio; the only place that knows httpx's errors.

Redirects are not followed, the answer is read up to a limit, and no error or type of httpx gets out.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx

from kvsecrets._countdown import Countdown
from kvsecrets._flow import Send
from kvsecrets._wire import Response
from kvsecrets.errors import ConnectionFailed, ConnectionProblem, UnexpectedAnswer

_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
CONNECT_SECONDS = 10.0
"""The most that is waited for a connection, or half of an attempt's time if that is less: a connection that is given up
by httpx itself is closed properly, one that is cancelled in its handshake from outside is not."""
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def exchange(
    http: httpx.Client, effect: Send, headers: dict[str, str], timeout: float, monotonic: Callable[[], float]
) -> Response:
    """Send a request and read the answer, in this thread; over the library's own connections within `timeout` seconds.

    Over a connection that knows nothing of countdowns each wait is bounded by `timeout`, and so is their sum while the
    body comes in.
    """
    countdown = Countdown(timeout, monotonic)
    with _translated(effect, timeout):
        response = http.send(_built(http, effect, headers, countdown), stream=True, auth=None, follow_redirects=False)
        with contextlib.closing(response):
            body = _Body(effect)
            for chunk in response.iter_bytes():
                body.add(chunk)
                countdown.left()
            return _read(response, body)


async def exchange_async(
    http: httpx.AsyncClient,
    effect: Send,
    headers: dict[str, str],
    timeout: float,  # noqa: ASYNC109 - it is enforced with asyncio.timeout below
) -> Response:
    """Send a request and read the answer, in this task; all of it takes `timeout` seconds at most."""
    with _translated(effect, timeout):
        async with asyncio.timeout(timeout):
            request = _built(http, effect, headers, timeout)
            response = await http.send(request, stream=True, auth=None, follow_redirects=False)
            async with contextlib.aclosing(response):
                body = _Body(effect)
                async for chunk in response.aiter_bytes():
                    body.add(chunk)
                return _read(response, body)


class _Body:
    """What has been read of an answer, never more than its limit and one chunk."""

    __slots__ = ("_chunks", "_effect", "_left")

    def __init__(self, effect: Send) -> None:
        self._chunks: list[bytes] = []
        self._left = effect.limit
        self._effect = effect

    def add(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise UnexpectedAnswer(f"{_what(self._effect)}: the answer is larger than {self._effect.limit} bytes")
        self._chunks.append(chunk)

    def whole(self) -> bytes:
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


def _built(
    http: httpx.Client | httpx.AsyncClient, effect: Send, headers: dict[str, str], timeout: float
) -> httpx.Request:
    request = effect.request
    return http.build_request(
        request.method,
        request.url,
        headers={**headers, **request.headers},
        content=request.body,
        timeout=httpx.Timeout(timeout, connect=min(timeout / 2, CONNECT_SECONDS)),
    )


def _read(response: httpx.Response, body: _Body) -> Response:
    # Read from the raw list: httpx's own mapping walks through all headers anew for each that is looked up.
    headers: dict[str, str] = {}
    for raw_name, raw_text in response.headers.raw:
        name, text = raw_name.decode("latin-1").lower(), raw_text.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return Response(response.status_code, headers, body.whole())


@contextlib.contextmanager
def _translated(effect: Send, timeout: float) -> Iterator[None]:
    """Turn httpx's errors into ours; none of their texts gets out, except for a certificate that is refused."""
    try:
        yield
    except httpx.DecodingError as error:
        raise UnexpectedAnswer(f"{_what(effect)}: the answer is not compressed in the way that it says") from error
    except (httpx.TransportError, OSError) as error:
        problem, text = _problem(error, timeout)
        raise ConnectionFailed(f"{_what(effect)}: {text}", problem) from error


def _problem(error: Exception, timeout: float) -> tuple[ConnectionProblem, str]:
    if known := next(filter(None, map(_known_cause, _causes(error))), None):
        return known
    late, unsent = isinstance(error, httpx.TimeoutException | TimeoutError), isinstance(error, _UNSENT)
    if unsent:
        return ConnectionProblem.UNREACHABLE, "no connection in time" if late else "no connection"
    if late:
        return ConnectionProblem.TIMED_OUT, f"no whole answer within {timeout:g} s"
    return ConnectionProblem.BROKEN, "the connection broke before the answer was complete"


def _known_cause(cause: BaseException) -> tuple[ConnectionProblem, str] | None:
    """Tell what an error of the system or of TLS means, which httpx wraps without saying."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = getattr(cause, "verify_message", "it cannot be verified")
        return ConnectionProblem.UNTRUSTED, f"the server's certificate is refused: {why}"
    if isinstance(cause, socket.gaierror):
        if cause.errno in _NO_SUCH_NAME:
            return ConnectionProblem.UNRESOLVED, "the host name does not exist"
        return ConnectionProblem.UNREACHABLE, "the host name could not be looked up"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _what(effect: Send) -> str:
    parts = urlsplit(effect.request.url)
    return f"{effect.request.method} {parts.netloc}{parts.path}"
