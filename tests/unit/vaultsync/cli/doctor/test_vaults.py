"""The lines about a vault, by the first call to it."""

import pytest

from kvsecrets import CertificateProblem, ConnectionProblem
from vaultsync.adapters.keyvault.errors import NoConnection
from vaultsync.cli.doctor.findings import Result
from vaultsync.cli.doctor.vaults import proxy_to, secret_finding, vault_findings
from vaultsync.connection_faults import ConnectionFault
from vaultsync.errors import NoLogin, Reason, SyncError
from vaultsync.state.access import TokenClaims
from vaultsync.state.secrets import SecretRef

PROXY = "proxy.test:3128"


def no_connection(problem: ConnectionProblem, proxy: str | None = None, **of: CertificateProblem) -> NoConnection:
    fault = ConnectionFault(problem, proxy, certificate=of.get("certificate"))
    return NoConnection(Reason.VAULT_UNREACHABLE, "No response.", fault)


def lines(error: SyncError | None, proxy: str | None = None) -> list[tuple[Result, str]]:
    found = vault_findings("vault", error, TokenClaims("c11e"), proxy=proxy)
    return [(one.result, one.text) for one in found]


RESPONDS = (Result.OK, "It responds: DNS and TLS are fine.")
LOGGED_IN = (Result.OK, "login: your Azure identity got a token.")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            None,
            [
                RESPONDS,
                (Result.OK, "login: your Azure identity (client id c11e) got a token."),
                (Result.OK, "list: allowed."),
            ],
            id="all is well",
        ),
        pytest.param(
            NoLogin(Reason.LOGIN_FAILED, "None."), [RESPONDS, (Result.UNKNOWN, "login: None.")], id="no login at all"
        ),
        pytest.param(
            SyncError(Reason.LOGIN_FAILED, "Refused."),
            [RESPONDS, (Result.FAILED, "login: Refused.")],
            id="login refused",
        ),
        pytest.param(
            SyncError(Reason.ACCESS_DENIED, "Denied."),
            [RESPONDS, LOGGED_IN, (Result.FAILED, "list: Denied.")],
            id="list denied",
        ),
        pytest.param(
            SyncError(Reason.FIREWALL_DENIED, "Closed."),
            [RESPONDS, (Result.FAILED, "list: FirewallDenied: Closed.")],
            id="a firewall",
        ),
        pytest.param(
            no_connection(ConnectionProblem.UNRESOLVED), [(Result.FAILED, "DNS: No response.")], id="no such host"
        ),
        pytest.param(
            no_connection(ConnectionProblem.LOOKUP_FAILED), [(Result.FAILED, "DNS: No response.")], id="no DNS"
        ),
        pytest.param(
            no_connection(ConnectionProblem.UNRESOLVED, PROXY),
            [(Result.FAILED, "proxy: No response.")],
            id="no such proxy",
        ),
        pytest.param(
            no_connection(ConnectionProblem.PROXY, PROXY),
            [(Result.FAILED, "proxy: No response.")],
            id="a proxy refuses",
        ),
        pytest.param(
            no_connection(ConnectionProblem.CONNECT_TIMED_OUT),
            [(Result.FAILED, "connection: No response.")],
            id="no connection",
        ),
        pytest.param(
            no_connection(ConnectionProblem.UNTRUSTED, certificate=CertificateProblem.EXPIRED),
            [(Result.OK, "DNS: the host is reached."), (Result.FAILED, "TLS: No response.")],
            id="a certificate",
        ),
        pytest.param(
            no_connection(ConnectionProblem.UNTRUSTED, PROXY, certificate=CertificateProblem.UNKNOWN_AUTHORITY),
            [(Result.OK, f"proxy {PROXY} is reached."), (Result.FAILED, "TLS: No response.")],
            id="a proxy that inspects TLS",
        ),
    ],
)
def test_the_first_call_says_how_far_the_way_to_a_vault_is_open(
    error: SyncError | None, expected: list[tuple[Result, str]]
) -> None:
    assert lines(error) == expected


def test_an_authority_that_is_private_is_set_for_this_command() -> None:
    error = no_connection(ConnectionProblem.UNTRUSTED, certificate=CertificateProblem.UNKNOWN_AUTHORITY)

    *_, finding = vault_findings("vault", error, TokenClaims(), proxy=None)

    assert "VAULTSYNC_CA_FILE" in finding.advice


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"https_proxy": "http://user:hidden@proxy.test:3128"}, PROXY),
        ({"all_proxy": "proxy.test:3128"}, PROXY),
        ({"https_proxy": "http://proxy.test:3128", "no_proxy": ".vault.azure.net"}, None),
    ],
)
def test_a_proxy_is_named_without_its_login(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: str | None
) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)

    assert proxy_to("https://shop.vault.azure.net") == proxy


@pytest.mark.parametrize(
    ("ref", "written", "result"),
    [
        (SecretRef("db"), "v1", Result.OK),
        (SecretRef("db"), None, Result.OK),
        (SecretRef("db"), "v0", Result.UNKNOWN),
        (SecretRef("db", previous=True), "v0", Result.OK),
    ],
)
def test_the_version_in_the_vault_is_compared(ref: SecretRef, written: str | None, result: Result) -> None:
    assert secret_finding("vault", ref, "v1", written).result is result
