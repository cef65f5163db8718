"""Why a connection failed, and what to do about it, in words of ours alone; opens none.

Of a proxy host and port are named, and never the user or password of its URL.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Final, NamedTuple

import aiohttp

from kvsecrets import CertificateProblem, ConnectionFailed, ConnectionProblem

PROXY_AUTHENTICATION: Final = 407


class ConnectionFault(NamedTuple):
    """Why there was no response, and whose fault it is: that of a proxy if one is named."""

    problem: ConnectionProblem
    proxy: str | None = None
    proxy_status: int | None = None
    certificate: CertificateProblem | None = None

    @property
    def is_of_proxy(self) -> bool:
        """Whether no connection to the host itself was tried, but to a proxy."""
        return self.proxy is not None and self.problem in _ON_THE_WAY


class Explanation(NamedTuple):
    """What happened, and what to do, as two parts of a sentence."""

    cause: str
    advice: str


_ON_THE_WAY: Final = frozenset(
    {
        ConnectionProblem.PROXY,
        ConnectionProblem.UNRESOLVED,
        ConnectionProblem.LOOKUP_FAILED,
        ConnectionProblem.REFUSED,
        ConnectionProblem.CONNECT_TIMED_OUT,
        ConnectionProblem.UNREACHABLE,
    }
)

_EGRESS: Final = "check egress: NetworkPolicies, firewalls, and HTTPS_PROXY if a proxy is needed"
_CHECK_DNS: Final = "check the cluster's DNS"
_CHECK_PROXY: Final = "correct HTTPS_PROXY, or check the proxy"
_CLOCK: Final = "renew it, or check the clock of the node"

_CAUSES: Final = {
    ConnectionProblem.UNRESOLVED: Explanation("its host name does not exist", f"correct the host, or {_CHECK_DNS}"),
    ConnectionProblem.LOOKUP_FAILED: Explanation("its host name cannot be looked up", _CHECK_DNS),
    ConnectionProblem.REFUSED: Explanation("the connection was refused", _EGRESS),
    ConnectionProblem.CONNECT_TIMED_OUT: Explanation("no connection in time", _EGRESS),
    ConnectionProblem.UNREACHABLE: Explanation("no connection", _EGRESS),
    ConnectionProblem.TIMED_OUT: Explanation("the response did not arrive in time", "it is tried again"),
    ConnectionProblem.RESET: Explanation("the connection was reset", "it is tried again"),
    ConnectionProblem.BROKEN: Explanation("the connection broke", "it is tried again"),
}

_PROXY_CAUSES: Final = {
    ConnectionProblem.UNRESOLVED: Explanation("the host name of proxy {proxy} does not exist", _CHECK_PROXY),
    ConnectionProblem.LOOKUP_FAILED: Explanation("the host name of proxy {proxy} cannot be looked up", _CHECK_DNS),
    ConnectionProblem.REFUSED: Explanation("the connection to proxy {proxy} was refused", _CHECK_PROXY),
    ConnectionProblem.CONNECT_TIMED_OUT: Explanation("no connection to proxy {proxy} in time", _CHECK_PROXY),
    ConnectionProblem.UNREACHABLE: Explanation("no connection to proxy {proxy}", _CHECK_PROXY),
    ConnectionProblem.PROXY: Explanation(
        "proxy {proxy} refused the connection{status}", "allow the host there, or list it in NO_PROXY"
    ),
}

_CERTIFICATES: Final = {
    CertificateProblem.UNKNOWN_AUTHORITY: Explanation(
        "its certificate is of an unknown authority",
        "if that is a private one, or that of a proxy that inspects TLS, add it by the chart's value caBundle "
        "(VAULTSYNC_CA_FILE)",
    ),
    CertificateProblem.EXPIRED: Explanation("its certificate has expired", _CLOCK),
    CertificateProblem.NOT_YET_VALID: Explanation("its certificate is not valid yet", _CLOCK),
    CertificateProblem.OTHER_HOST: Explanation(
        "its certificate is for other host names", "correct the host, or check DNS and what is in between"
    ),
    CertificateProblem.INVALID: Explanation("its certificate is not valid", "the log has OpenSSL's reason"),
}


def explain(fault: ConnectionFault) -> Explanation:
    """Return what happened to a connection, of which the sentence has named the other side."""
    if fault.problem is ConnectionProblem.UNTRUSTED:
        cause, advice = _CERTIFICATES[fault.certificate or CertificateProblem.INVALID]
        return Explanation(f"{cause}{f' (through proxy {fault.proxy})' if fault.proxy else ''}", advice)
    if fault.proxy_status == PROXY_AUTHENTICATION:
        cause = f"proxy {fault.proxy or 'of HTTPS_PROXY'} requires authentication (HTTP 407)"
        return Explanation(cause, "set user and password in HTTPS_PROXY")
    known = _PROXY_CAUSES if fault.problem is ConnectionProblem.PROXY or fault.is_of_proxy else _CAUSES
    cause, advice = known.get(fault.problem, _CAUSES[ConnectionProblem.UNREACHABLE])
    status = f" (HTTP {fault.proxy_status})" if fault.proxy_status else ""
    return Explanation(cause.format(proxy=fault.proxy or "of HTTPS_PROXY", status=status), advice)


def fault_of_vault(error: ConnectionFailed) -> ConnectionFault:
    """Return the fault of an error of kvsecrets."""
    return ConnectionFault(error.problem, error.proxy, error.proxy_status, error.certificate)


def fault_of(error: BaseException, host: str | None = None) -> ConnectionFault | None:
    """Return the fault of an error of aiohttp, or of one that it caused; None if it is about no connection.

    Args:
        error: What was raised.
        host: The host that the request was for: a connection to another one was to a proxy.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, aiohttp.ClientHttpProxyError):
            url = cause.request_info.real_url
            return ConnectionFault(ConnectionProblem.PROXY, _address(url.host, url.port), proxy_status=cause.status)
    for cause in causes:
        # aiohttp's own error is of this class, too, and has no code.
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_code"):
            problem = CertificateProblem.of(cause.verify_code)
            return ConnectionFault(ConnectionProblem.UNTRUSTED, certificate=problem)
    proxy = next((_proxy(cause, host) for cause in causes if isinstance(cause, aiohttp.ClientConnectorError)), None)
    found = next(filter(None, map(_problem, causes)), None)
    return None if found is None else ConnectionFault(found, proxy)


def _proxy(error: aiohttp.ClientConnectorError, host: str | None) -> str | None:
    is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError) or (host is not None and error.host != host)
    return _address(error.host, error.port) if is_proxy else None


def _address(host: str | None, port: int | None) -> str:
    return f"[{host}]:{port}" if host is not None and ":" in host else f"{host}:{port}"


_OF_ERRORS: Final[tuple[tuple[type[BaseException], ConnectionProblem], ...]] = (
    (aiohttp.ConnectionTimeoutError, ConnectionProblem.CONNECT_TIMED_OUT),
    (ConnectionRefusedError, ConnectionProblem.REFUSED),
    (ConnectionResetError, ConnectionProblem.RESET),
    (TimeoutError, ConnectionProblem.TIMED_OUT),
    (aiohttp.ClientPayloadError, ConnectionProblem.BROKEN),
    (aiohttp.ServerConnectionError, ConnectionProblem.BROKEN),
)


def _problem(error: BaseException) -> ConnectionProblem | None:
    match error:
        case socket.gaierror():
            missing = error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
            return ConnectionProblem.UNRESOLVED if missing else ConnectionProblem.LOOKUP_FAILED
        case aiohttp.ClientConnectorError() if error.os_error.errno == errno.ETIMEDOUT:
            return ConnectionProblem.CONNECT_TIMED_OUT
        case aiohttp.ClientConnectorError() if not isinstance(error.os_error, socket.gaierror | ConnectionRefusedError):
            return ConnectionProblem.UNREACHABLE
        case OSError(errno=errno.ECONNRESET | errno.EPIPE):
            return ConnectionProblem.RESET
    return next((problem for kind, problem in _OF_ERRORS if isinstance(error, kind)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that caused it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, aiohttp.ClientConnectorError):
            yield cause.os_error
        cause = cause.__cause__ or cause.__context__
