"""Errors of aiohttp have a typed cause, and each cause has words that name no foreign text and no password."""

import errno
import itertools
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from kvsecrets import CertificateProblem, ConnectionProblem
from vaultsync.connection_faults import ConnectionFault, Explanation, explain, fault_of

HOST = "login.test"
PROXY = "proxy.test:3128"
TO_HOST = ConnectionKey(HOST, 443, True, True, None, None, None)
TO_PROXY = ConnectionKey("proxy.test", 3128, False, True, None, None, None)


def from_(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def untrusted(code: int) -> Exception:
    cause = ssl.SSLCertVerificationError(1, "MARKED")
    cause.verify_code = code
    return from_(aiohttp.ClientConnectorCertificateError(TO_HOST, cause), cause)


def proxy_error(status: int) -> Exception:
    url = URL("http://user:MARKED@proxy.test:3128")
    request = aiohttp.RequestInfo(URL(f"https://{HOST}"), "CONNECT", CIMultiDictProxy(CIMultiDict()), url)
    return aiohttp.ClientHttpProxyError(request, (), status=status, message="MARKED")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (proxy_error(407), ConnectionFault(ConnectionProblem.PROXY, PROXY, 407)),
        (
            from_(RuntimeError("MARKED"), proxy_error(403)),
            ConnectionFault(ConnectionProblem.PROXY, PROXY, 403),
        ),
        (
            untrusted(20),
            ConnectionFault(ConnectionProblem.UNTRUSTED, certificate=CertificateProblem.UNKNOWN_AUTHORITY),
        ),
        (untrusted(10), ConnectionFault(ConnectionProblem.UNTRUSTED, certificate=CertificateProblem.EXPIRED)),
        (untrusted(9), ConnectionFault(ConnectionProblem.UNTRUSTED, certificate=CertificateProblem.NOT_YET_VALID)),
        (untrusted(62), ConnectionFault(ConnectionProblem.UNTRUSTED, certificate=CertificateProblem.OTHER_HOST)),
        (untrusted(79), ConnectionFault(ConnectionProblem.UNTRUSTED, certificate=CertificateProblem.INVALID)),
        (
            aiohttp.ClientConnectorDNSError(TO_HOST, socket.gaierror(socket.EAI_NONAME, "MARKED")),
            ConnectionFault(ConnectionProblem.UNRESOLVED),
        ),
        (
            aiohttp.ClientConnectorDNSError(TO_PROXY, socket.gaierror(socket.EAI_NONAME, "MARKED")),
            ConnectionFault(ConnectionProblem.UNRESOLVED, PROXY),
        ),
        (
            aiohttp.ClientConnectorDNSError(TO_HOST, socket.gaierror(socket.EAI_AGAIN, "MARKED")),
            ConnectionFault(ConnectionProblem.LOOKUP_FAILED),
        ),
        (
            aiohttp.ClientConnectorError(TO_HOST, OSError(errno.ECONNREFUSED, "MARKED")),
            ConnectionFault(ConnectionProblem.REFUSED),
        ),
        (
            aiohttp.ClientProxyConnectionError(TO_PROXY, OSError(errno.ECONNREFUSED, "MARKED")),
            ConnectionFault(ConnectionProblem.REFUSED, PROXY),
        ),
        (
            aiohttp.ClientProxyConnectionError(
                ConnectionKey("fd00::1", 3128, False, True, None, None, None), OSError(errno.ECONNREFUSED, "MARKED")
            ),
            ConnectionFault(ConnectionProblem.REFUSED, "[fd00::1]:3128"),
        ),
        (
            aiohttp.ClientConnectorError(TO_HOST, OSError(errno.ENETUNREACH, "MARKED")),
            ConnectionFault(ConnectionProblem.UNREACHABLE),
        ),
        (
            aiohttp.ClientConnectorError(TO_HOST, OSError(errno.ETIMEDOUT, "MARKED")),
            ConnectionFault(ConnectionProblem.CONNECT_TIMED_OUT),
        ),
        (aiohttp.ConnectionTimeoutError("MARKED"), ConnectionFault(ConnectionProblem.CONNECT_TIMED_OUT)),
        (aiohttp.SocketTimeoutError("MARKED"), ConnectionFault(ConnectionProblem.TIMED_OUT)),
        (aiohttp.ClientOSError(errno.ECONNRESET, "MARKED"), ConnectionFault(ConnectionProblem.RESET)),
        (
            from_(aiohttp.ClientOSError("MARKED"), ConnectionResetError("MARKED")),
            ConnectionFault(ConnectionProblem.RESET),
        ),
        (aiohttp.ServerDisconnectedError("MARKED"), ConnectionFault(ConnectionProblem.BROKEN)),
        (aiohttp.ClientPayloadError("MARKED"), ConnectionFault(ConnectionProblem.BROKEN)),
        (RuntimeError("MARKED"), None),
    ],
)
def test_each_error_of_aiohttp_has_its_cause(error: Exception, fault: ConnectionFault | None) -> None:
    assert fault_of(error, HOST) == fault


def test_every_cause_has_words_of_its_own() -> None:
    direct = [ConnectionFault(problem) for problem in ConnectionProblem if problem is not ConnectionProblem.CROWDED]
    by_proxy = [fault for fault in (ConnectionFault(one.problem, PROXY) for one in direct) if fault.is_of_proxy]
    certificates = [ConnectionFault(ConnectionProblem.UNTRUSTED, certificate=one) for one in CertificateProblem]
    refusals = [ConnectionFault(ConnectionProblem.PROXY, PROXY, status) for status in (403, 407, 502)]
    # One without a certificate's trouble has the words of a certificate that is invalid.
    faults = {*direct, *by_proxy, *certificates, *refusals} - {ConnectionFault(ConnectionProblem.UNTRUSTED)}
    faults -= {ConnectionFault(ConnectionProblem.PROXY)}

    causes = [explain(fault).cause for fault in faults]

    assert all(one != other for one, other in itertools.combinations(causes, 2))
    assert all((PROXY in explain(fault).cause) == (fault.proxy is not None) for fault in faults)


def test_a_certificate_behind_a_proxy_names_both() -> None:
    fault = ConnectionFault(ConnectionProblem.UNTRUSTED, PROXY, certificate=CertificateProblem.UNKNOWN_AUTHORITY)

    cause, advice = explain(fault)

    assert cause == f"its certificate is of an unknown authority (through proxy {PROXY})"
    assert "caBundle" in advice


def test_a_proxy_that_requires_authentication_is_named_with_its_status() -> None:
    assert explain(ConnectionFault(ConnectionProblem.PROXY, PROXY, 407)) == Explanation(
        f"proxy {PROXY} requires authentication (HTTP 407)", "set user and password in HTTPS_PROXY"
    )
