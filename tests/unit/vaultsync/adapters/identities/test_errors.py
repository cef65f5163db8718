"""A failed login says whose it was and why, in our words alone."""

import pytest
from azure.core.exceptions import ClientAuthenticationError

from kvsecrets import ConnectionProblem
from tests.builders import VAULT
from vaultsync.adapters.identities.errors import login_error
from vaultsync.adapters.identities.failures import NoResponse
from vaultsync.connection_faults import ConnectionFault
from vaultsync.errors import NoLogin, Reason
from vaultsync.state.access import (
    Identity,
    ManagedIdentity,
    OwnIdentity,
    ServicePrincipal,
    UserLogin,
    WorkloadIdentity,
)

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


def unanswered(host: str, fault: ConnectionFault) -> NoResponse:
    error = NoResponse(host, fault)
    error.__cause__ = refused("MARKED")
    return error


@pytest.mark.parametrize(
    ("error", "identity", "said"),
    [
        (
            unanswered("login.test", ConnectionFault(ConnectionProblem.PROXY, "proxy.test:3128", 407)),
            PRINCIPAL,
            (
                "(no response from login.test: proxy proxy.test:3128 requires authentication (HTTP 407)); set user and "
                "password in HTTPS_PROXY."
            ),
        ),
        (
            unanswered("login.test", ConnectionFault(ConnectionProblem.RESET)),
            OwnIdentity(),
            "(no response from login.test: the connection was reset); it is tried again.",
        ),
        (
            unanswered("169.254.169.254", ConnectionFault(ConnectionProblem.CONNECT_TIMED_OUT)),
            OwnIdentity(),
            (
                "(no response from 169.254.169.254: no connection in time); check the operator's identity: its "
                "variables AZURE_*, its federated credential or client secret."
            ),
        ),
        (TimeoutError(), OwnIdentity(), "(no token in time); check the operator's identity: its variables AZURE_*,"),
    ],
)
def test_trouble_on_the_way_to_the_login_host_is_named(error: Exception, identity: Identity, said: str) -> None:
    assert f" failed {said}" in message(error, identity)


def test_a_code_of_entra_says_more_than_a_request_that_failed_before_it() -> None:
    error = NoResponse("169.254.169.254", ConnectionFault(ConnectionProblem.REFUSED))
    error.__cause__ = refused("AADSTS7000215: MARKED")

    assert "failed (AADSTS7000215: the client secret is wrong);" in message(error)


@pytest.mark.parametrize(
    ("error", "has_none"),
    [
        pytest.param(refused("EnvironmentCredential authentication unavailable. MARKED"), True, id="none is set"),
        pytest.param(
            refused("EnvironmentCredential authentication unavailable. AADSTS70043"), False, id="an expired one"
        ),
        pytest.param(refused("MARKED"), False, id="another failure"),
        pytest.param(
            unanswered("169.254.169.254", ConnectionFault(ConnectionProblem.CONNECT_TIMED_OUT)), False, id="no node"
        ),
        pytest.param(TimeoutError(), False, id="too late"),
    ],
)
def test_whoever_has_no_login_is_told_so(error: Exception, has_none: bool) -> None:
    made = login_error(error, UserLogin(), VAULT)

    assert isinstance(made, NoLogin) is has_none
    assert "az login" in made.message or not has_none
    assert "MARKED" not in made.message


def test_a_node_without_an_identity_is_no_login_either() -> None:
    error = NoResponse("169.254.169.254", ConnectionFault(ConnectionProblem.REFUSED))
    error.__cause__ = refused("EnvironmentCredential authentication unavailable.")

    assert isinstance(login_error(error, UserLogin(), VAULT), NoLogin)
