"""A failed login says whose it was and why, in our words alone."""

import socket
import ssl

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.builders import VAULT
from vaultsync.adapters.identities.errors import login_error
from vaultsync.errors import Reason
from vaultsync.state.access import Identity, ManagedIdentity, OwnIdentity, ServicePrincipal, WorkloadIdentity

CLIENT = "c11e0000-0000-4000-8000-000000000001"
TRACE = "7a1e0000-0000-4000-8000-000000000003"
PRINCIPAL = ServicePrincipal("t", CLIENT, "s", "k", is_certificate=False)


def message(error: Exception, identity: Identity = PRINCIPAL) -> str:
    made = login_error(error, identity, VAULT)
    assert made.reason is Reason.LOGIN_FAILED
    assert "MARKED" not in made.message
    return made.message


def refused(text: str) -> ClientAuthenticationError:
    return ClientAuthenticationError(message=f"Authentication failed: {text}")


def test_the_code_of_entra_is_explained_and_its_trace_id_is_the_request_id() -> None:
    error = refused(f"AADSTS7000215: Invalid client secret. MARKED Trace ID: {TRACE} Correlation ID: MARKED")

    assert message(error) == (
        f"Login of service principal {CLIENT} for vault {VAULT} failed (AADSTS7000215: the client secret is wrong); "
        "check tenantId and clientId in the VaultGrant, and the client secret or certificate. "
        f"Request id: {TRACE}."
    )


def test_an_unknown_code_is_shown_as_it_is() -> None:
    assert "failed (AADSTS4242);" in message(refused("AADSTS4242: MARKED AADSTS4242"))


@pytest.mark.parametrize(
    "identity", [OwnIdentity(), ManagedIdentity(CLIENT), WorkloadIdentity("t", CLIENT, "shop", "reader"), PRINCIPAL]
)
def test_every_identity_is_named_with_what_to_do(identity: Identity) -> None:
    said = message(refused("MARKED"), identity)

    assert isinstance(identity, OwnIdentity) or CLIENT in said
    assert f" for vault {VAULT} failed (no token); " in said


@pytest.mark.parametrize(
    "text",
    [
        "AADSTSMARKED",
        "MARKEDAADSTS7000215",
        "AADSTS7000215MARKED",
        "Trace ID: MARKED",
        f"Trace ID: {TRACE}MARKED",
        "</td>MARKED\r\n\x1b[31mMARKED\u202eMARKED",
    ],
)
def test_what_only_looks_like_a_code_is_not_shown(text: str) -> None:
    assert message(refused(text)).endswith(
        "failed (no token); check tenantId and clientId in the VaultGrant, and the client secret or certificate."
    )


def wrapped(cause: Exception) -> ServiceRequestError:
    error = ServiceRequestError("MARKED")
    error.__cause__ = cause
    return error


def untrusted(reason: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "MARKED")
    error.verify_message = reason
    return error


def of_proxy(status: int) -> aiohttp.ClientHttpProxyError:
    request = aiohttp.RequestInfo(URL(), "CONNECT", CIMultiDictProxy(CIMultiDict()), URL())
    return aiohttp.ClientHttpProxyError(request, (), status=status, message="MARKED")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            wrapped(untrusted("certificate has expired")),
            "the certificate of the login host is not trusted: certificate has expired",
        ),
        (wrapped(untrusted("<b>MARKED")), "the certificate of the login host is not trusted"),
        (
            wrapped(of_proxy(407)),
            "the proxy refused the connection with HTTP status 407",
        ),
        (wrapped(socket.gaierror(-2, "MARKED")), "the name of the login host cannot be resolved"),
        (wrapped(ConnectionRefusedError("MARKED")), "no connection to the login host"),
        (TimeoutError(), "no response in time"),
        (refused("MARKED [SSL: CERTIFICATE_VERIFY_FAILED] MARKED"), "the certificate of the login host is not trusted"),
        (refused("Cannot connect to host MARKED"), "no connection to the login host"),
        (RuntimeError("MARKED"), "no token"),
    ],
)
def test_trouble_on_the_way_to_the_login_host_is_named(error: Exception, said: str) -> None:
    assert f"failed ({said});" in message(error)
