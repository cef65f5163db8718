"""What every exchange promises, over whichever HTTP library: bounds, causes of failures, and the proxy of a host.

It imports no HTTP library.
"""

import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kvsecrets._protocol import Response, Send
from kvsecrets.errors import CertificateProblem, ConnectionFailed, ConnectionProblem, UnexpectedAnswer

MAX_IN_FLIGHT = 100
"""Concurrent requests of one client; further ones wait."""
MAX_CONNECT_SECONDS = 10.0
"""Upper bound of the time to connect, which is also at most half of the timeout."""
KEEPALIVE_SECONDS = 30.0
"""How long an idle connection is kept."""

_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_NONE_LEFT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
"""Errors of a connect that no server can cause: this side has no file, memory or port left."""

AsyncExchange: TypeAlias = Callable[[Send, dict[str, str], float], Awaitable[Response]]
"""Sends a request with these headers, and returns its response within so many seconds."""


class Body:
    """The body read so far, at most its limit and one chunk."""

    __slots__ = ("_chunks", "_effect", "_remaining")

    def __init__(self, effect: Send) -> None:
        self._chunks: list[bytes] = []
        self._remaining = effect.max_bytes
        self._effect = effect

    def add(self, chunk: bytes) -> None:
        """Add a chunk.

        Raises:
            UnexpectedAnswer: The body is too large.
        """
        self._remaining -= len(chunk)
        if self._remaining < 0:
            raise UnexpectedAnswer(
                f"{target(self._effect)}: the response is larger than {self._effect.max_bytes} bytes"
            )
        self._chunks.append(chunk)

    def content(self) -> bytes:
        """Return the body."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


class Cause(NamedTuple):
    """Why no complete response arrived."""

    problem: ConnectionProblem
    text: str
    proxy_status: int | None = None
    certificate: CertificateProblem | None = None


def refuse_compressed(effect: Send, headers: Mapping[str, str]) -> None:
    """Raise unless a body is as it was requested: by two codings, a few kilobytes become gigabytes in one step."""
    if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnexpectedAnswer(f"{target(effect)}: the response is compressed, although it must not be")


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name in lower case; repeated ones are joined."""
    headers: dict[str, str] = {}
    for raw_name, raw_text in raw:
        name, text = raw_name.decode("latin-1").lower(), raw_text.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def check_answer(effect: Send, response: Response) -> Response:
    """Return a response that is one to its request.

    Raises:
        UnexpectedAnswer: It is not; its connection must not be used again, since the next response on it may be
            another one's, too.
    """
    if effect.request.check is not None:
        effect.request.check(response)
    return response


def malformed(effect: Send) -> UnexpectedAnswer:
    """Return the error of a response that is not HTTP, or breaks its rules. It is no failure that passes by itself."""
    return UnexpectedAnswer(f"{target(effect)}: the response is not valid HTTP")


def no_slot(timeout: float) -> ConnectionFailed:
    """Return the error of a request whose turn has not come in time."""
    text = f"{MAX_IN_FLIGHT} requests are in flight, and none has completed within {timeout:g} s"
    return ConnectionFailed(text, ConnectionProblem.CROWDED)


def connect_seconds(timeout: float) -> float:
    """Return the seconds that a request with this timeout has to connect."""
    return min(timeout / 2, MAX_CONNECT_SECONDS)


def proxy_url(host: str) -> str | None:
    """Return the URL of the proxy to a host by the environment's variables; None if there is none.

    HTTP libraries read them, too, and fail at what others accept or pass over, such as `fd00::/8` in `NO_PROXY`.
    """
    proxies = getproxies()
    url = proxies.get("https") or proxies.get("all")
    if not url or proxy_bypass(host):
        return None
    return url if "://" in url else f"http://{url}"


def unusable_proxy(host: str) -> ConnectionFailed:
    """Return the error of a proxy whose URL cannot be used; it may contain a password."""
    text = f"{host}: the proxy's URL in HTTPS_PROXY or ALL_PROXY cannot be used"
    return ConnectionFailed(text, ConnectionProblem.PROXY)


def connection_failed(effect: Send, cause: Cause, proxy: str | None) -> ConnectionFailed:
    """Return the error of a request without a complete response; `proxy` is host and port of the proxy to it."""
    through = f" (through proxy {proxy})" if proxy else ""
    return ConnectionFailed(
        f"{target(effect)}: {cause.text}{through}",
        cause.problem,
        proxy=proxy,
        proxy_status=cause.proxy_status,
        certificate=cause.certificate,
    )


def known_cause(error: BaseException) -> Cause | None:
    """Return the cause if an error of the system or of TLS says it, which HTTP libraries wrap without its type."""
    return next(filter(None, map(_classify, causes(error))), None)


def refused_by_proxy(status: int | None) -> Cause:
    """Return the cause if a proxy has responded with an error."""
    text = f"the proxy refused the connection{f' (HTTP {status})' if status else ''}"
    return Cause(ConnectionProblem.PROXY, text, proxy_status=status)


def no_connection(error: BaseException, *, timed_out: bool = False, crowded: bool = False) -> Cause:
    """Return the cause if no connection was opened."""
    if crowded or any(getattr(cause, "errno", None) in _NONE_LEFT for cause in causes(error)):
        return Cause(ConnectionProblem.CROWDED, "this client, or its system, has no connection left")
    if timed_out or _has_cause(error, TimeoutError):
        return Cause(ConnectionProblem.CONNECT_TIMED_OUT, "no connection in time")
    if _has_cause(error, ConnectionRefusedError):
        return Cause(ConnectionProblem.REFUSED, "the connection was refused")
    return Cause(ConnectionProblem.UNREACHABLE, "no connection")


def lost_response(error: BaseException, timeout: float, *, timed_out: bool) -> Cause:
    """Return the cause if a connection was opened, and no complete response arrived over it."""
    if timed_out:
        return Cause(ConnectionProblem.TIMED_OUT, f"no complete response within {timeout:g} s")
    if _has_cause(error, ConnectionResetError):
        return Cause(ConnectionProblem.RESET, "the connection was reset before the response was complete")
    return Cause(ConnectionProblem.BROKEN, "the connection broke before the response was complete")


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that caused it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, BaseExceptionGroup):  # one for each address of the host
            yield from cause.exceptions
        cause = cause.__cause__ or cause.__context__


def target(effect: Send) -> str:
    """Return method, host and path of a request; a query may contain a continuation token."""
    parts = urlsplit(effect.request.url)
    return f"{effect.request.method} {parts.netloc}{parts.path}"


def _has_cause(error: BaseException, kind: type[OSError]) -> bool:
    return any(isinstance(cause, kind) for cause in causes(error))


def _classify(cause: BaseException) -> Cause | None:
    # aiohttp's own error of a certificate is of this class, too, and has neither code nor reason: its cause has both.
    if isinstance(cause, ssl.SSLCertVerificationError) and (hasattr(cause, "verify_code") or cause.__cause__ is None):
        reason = getattr(cause, "verify_message", "it cannot be verified")
        problem = CertificateProblem.of(getattr(cause, "verify_code", 0))
        text = f"the server's certificate was rejected: {reason}"
        return Cause(ConnectionProblem.UNTRUSTED, text, certificate=problem)
    if isinstance(cause, socket.gaierror):
        if cause.errno in _NO_SUCH_NAME:
            return Cause(ConnectionProblem.UNRESOLVED, "the host name does not exist")
        return Cause(ConnectionProblem.LOOKUP_FAILED, "the host name could not be looked up")
    return None
