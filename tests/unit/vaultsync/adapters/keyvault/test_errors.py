"""Every error of the client library has a reason and a message that does not change between retries."""

import pytest

import kvsecrets
from kvsecrets import CertificateProblem, ConnectionProblem, KeyVaultError, ResponseError
from tests.builders import VAULT
from vaultsync.adapters.keyvault.errors import MAX_WAIT, NoConnection, log_fields, sync_error
from vaultsync.errors import NoLogin, Reason, SyncError, is_same_message
from vaultsync.state.access import Identity, ManagedIdentity, OwnIdentity, ServicePrincipal, WorkloadIdentity


def made(kind: type[KeyVaultError], request_id: str = "1") -> KeyVaultError:
    """An error of that kind, as the library would raise it."""
    if issubclass(kind, ResponseError):
        return kind(400, code="SomeCode", message="MARKED by the service", request_id=request_id)
    return kind("MARKED by the library")


def all_kinds(root: type[KeyVaultError] = KeyVaultError) -> list[type[KeyVaultError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in all_kinds(child))]


def translated(error: KeyVaultError) -> SyncError:
    return sync_error(error, vault_url=VAULT, secret="db-password", identity=OwnIdentity())


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (kvsecrets.SecretNotFound, Reason.SECRET_NOT_FOUND),
        (kvsecrets.SecretDisabled, Reason.SECRET_DISABLED),
        (kvsecrets.AccessDenied, Reason.ACCESS_DENIED),
        (kvsecrets.FirewallDenied, Reason.FIREWALL_DENIED),
        (kvsecrets.Throttled, Reason.VAULT_THROTTLED),
        (kvsecrets.LoginFailed, Reason.LOGIN_FAILED),
        (kvsecrets.NotAuthenticated, Reason.LOGIN_FAILED),
        (kvsecrets.UntrustedChallenge, Reason.LOGIN_FAILED),
        (kvsecrets.ConnectionFailed, Reason.VAULT_UNREACHABLE),
        (kvsecrets.ServerFailed, Reason.VAULT_FAILED),
        (kvsecrets.BadRequest, Reason.VAULT_FAILED),
        (kvsecrets.ResponseError, Reason.VAULT_FAILED),
        (kvsecrets.UnexpectedAnswer, Reason.VAULT_FAILED),
    ],
)
def test_every_kind_of_failure_has_its_reason(kind: type[KeyVaultError], reason: Reason) -> None:
    assert translated(made(kind)).reason is reason


@pytest.mark.parametrize("kind", all_kinds())
def test_the_message_names_the_vault_and_does_not_change_between_retries(kind: type[KeyVaultError]) -> None:
    first, second = translated(made(kind, "1")), translated(made(kind, "2"))

    assert f"vault {VAULT}" in first.message.lower()
    assert is_same_message(first.message, second.message)
    assert first.message.endswith(".")


@pytest.mark.parametrize("kind", [kvsecrets.SecretNotFound, kvsecrets.SecretDisabled, kvsecrets.AccessDenied])
def test_the_message_of_a_secrets_failure_names_the_secret(kind: type[KeyVaultError]) -> None:
    assert f"secret db-password of vault {VAULT}" in translated(made(kind)).message.lower()


@pytest.mark.parametrize(
    "kind",
    [
        kvsecrets.FirewallDenied,
        kvsecrets.Throttled,
        kvsecrets.LoginFailed,
        kvsecrets.ConnectionFailed,
        kvsecrets.ServerFailed,
        kvsecrets.UnexpectedAnswer,
    ],
)
def test_the_message_of_a_vaults_failure_names_no_secret(kind: type[KeyVaultError]) -> None:
    one = sync_error(made(kind), vault_url=VAULT, secret="db-password", identity=OwnIdentity())
    other = sync_error(made(kind), vault_url=VAULT, secret="api-token", identity=OwnIdentity())

    assert one.message == other.message
    assert one.message == sync_error(made(kind), vault_url=VAULT, secret=None, identity=OwnIdentity()).message


@pytest.mark.parametrize("kind", all_kinds())
def test_the_message_repeats_nothing_of_the_response(kind: type[KeyVaultError]) -> None:
    error = translated(made(kind))

    assert "MARKED" not in error.message
    assert (error.__cause__, error.__context__) == (None, None)


def test_a_failure_of_the_vault_as_a_whole_names_the_vault() -> None:
    error = sync_error(made(kvsecrets.AccessDenied), vault_url=VAULT, secret=None, identity=OwnIdentity())

    assert f"No permission to read vault {VAULT}" in error.message


REASONS = {ConnectionProblem.UNRESOLVED: Reason.VAULT_NOT_FOUND, ConnectionProblem.CROWDED: Reason.WAITING}


@pytest.mark.parametrize(
    ("problem", "reason"),
    [(problem, REASONS.get(problem, Reason.VAULT_UNREACHABLE)) for problem in ConnectionProblem],
    ids=list(ConnectionProblem),
)
def test_each_problem_of_a_connection_has_its_reason(problem: ConnectionProblem, reason: Reason) -> None:
    assert translated(kvsecrets.ConnectionFailed("no", problem)).reason is reason


@pytest.mark.parametrize(
    ("requested", "waits"),
    [(None, None), (0.0, 0.0), (12.0, 12.0), (999_999_999.0, MAX_WAIT)],
    ids=["none", "zero", "seconds", "thirty years"],
)
def test_a_retry_after_is_kept_up_to_a_limit(requested: float | None, waits: float | None) -> None:
    assert translated(kvsecrets.Throttled(429, retry_after=requested)).retry_after == waits


@pytest.mark.parametrize("kind", [kind for kind in all_kinds() if kind is not kvsecrets.ConnectionFailed])
def test_a_log_line_has_no_text_of_a_vault_or_an_identity_provider(kind: type[KeyVaultError]) -> None:
    assert "MARKED" not in str(log_fields(made(kind, request_id="MARKED by the service")))


def test_a_log_line_has_the_status_the_codes_and_the_ids_of_a_response() -> None:
    error = ResponseError(403, code="Forbidden", inner_code="ForbiddenByRbac", message="MARKED", request_id="a-1")

    assert log_fields(error) == {"detail": "403 Forbidden ForbiddenByRbac", "request_id": "a-1"}


def test_a_code_that_is_none_is_not_logged() -> None:
    assert log_fields(ResponseError(403, code="MARKED by the service"))["detail"] == "403"


def test_a_log_line_of_a_failed_login_has_the_kind_of_its_error_and_entras_code() -> None:
    error = kvsecrets.LoginFailed("ClientAuthenticationError: AADSTS7000215: MARKED. AADSTS7000215 AADSTS50027")
    error.__cause__ = PermissionError("MARKED")

    assert log_fields(error) == {"detail": "PermissionError AADSTS7000215 AADSTS50027"}


def test_a_log_line_says_why_there_was_no_connection() -> None:
    assert log_fields(kvsecrets.ConnectionFailed("GET vault: no connection")) == {"detail": "GET vault: no connection"}


CLIENT, OBJECT = "c11e0000-0000-4000-8000-000000000001", "0b1e0000-0000-4000-8000-000000000002"
DENIED = (
    "Caller is not authorized to perform action on resource.\r\nMARKED.\r\n"
    f"Caller: appid={CLIENT};oid={OBJECT};iss=https://sts.windows.net/7e0a1a52-0000-4000-8000-000000000001/\r\nMARKED"
)


@pytest.mark.parametrize(
    ("identity", "named"),
    [
        (OwnIdentity(), f"the operator's identity (client id {CLIENT}, object id {OBJECT})"),
        (ManagedIdentity(CLIENT), f"managed identity {CLIENT} (object id {OBJECT})"),
        (
            WorkloadIdentity("t", CLIENT, "shop", "reader"),
            f"identity {CLIENT} of ServiceAccount shop/reader (object id {OBJECT})",
        ),
        (
            ServicePrincipal("t", CLIENT, "s", "k", is_certificate=False),
            f"service principal {CLIENT} (object id {OBJECT})",
        ),
    ],
)
def test_a_denied_identity_is_named_with_the_ids_and_the_code_of_key_vault(identity: Identity, named: str) -> None:
    error = kvsecrets.AccessDenied(
        403, code="Forbidden", inner_code="ForbiddenByRbac", message=DENIED, request_id="1b2c-3"
    )

    assert sync_error(error, vault_url=VAULT, secret="db-password", identity=identity).message == (
        f"No permission to read secret db-password of vault {VAULT} (ForbiddenByRbac); grant {named} the role "
        "Key Vault Secrets User. Request id: 1b2c-3."
    )


@pytest.mark.parametrize("text", ["appid=MARKED;oid=MARKED;", f"appid={CLIENT}MARKED;oid={OBJECT}MARKED;", "oid=;"])
def test_ids_that_are_none_are_not_shown(text: str) -> None:
    error = kvsecrets.AccessDenied(403, code="MARKED code", inner_code="MARKED\n", message=text, request_id="MARKED id")

    assert translated(error).message == (
        f"No permission to read secret db-password of vault {VAULT}; grant the operator's identity the role Key Vault "
        "Secrets User."
    )


def test_a_rejected_token_has_the_code_in_key_vaults_text() -> None:
    error = kvsecrets.NotAuthenticated(401, code="Unauthorized", message="AKV10032: Invalid issuer. MARKED")

    assert "rejected the token of the operator's identity (Unauthorized, AKV10032)" in translated(error).message


def test_an_error_of_the_server_has_its_status() -> None:
    assert (
        "(HTTP 503, ServiceUnavailable)" in translated(kvsecrets.ServerFailed(503, code="ServiceUnavailable")).message
    )


PROXY = "proxy.test:3128"


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (
            kvsecrets.ConnectionFailed("MARKED", ConnectionProblem.PROXY, proxy=PROXY, proxy_status=407),
            Reason.VAULT_UNREACHABLE,
            (
                f"No response from vault {VAULT}: proxy {PROXY} requires authentication (HTTP 407); set user and "
                "password in HTTPS_PROXY."
            ),
        ),
        (
            kvsecrets.ConnectionFailed(
                "MARKED", ConnectionProblem.UNTRUSTED, certificate=CertificateProblem.UNKNOWN_AUTHORITY
            ),
            Reason.VAULT_UNREACHABLE,
            (
                f"No response from vault {VAULT}: its certificate is of an unknown authority; if that is a private "
                "one, or that of a proxy that inspects TLS, add it by the chart's value caBundle (VAULTSYNC_CA_FILE)."
            ),
        ),
        (
            kvsecrets.ConnectionFailed("MARKED", ConnectionProblem.UNRESOLVED),
            Reason.VAULT_NOT_FOUND,
            f"The host name of vault {VAULT} cannot be resolved; correct vaultUrl, or check the cluster's DNS.",
        ),
        (
            kvsecrets.ConnectionFailed("MARKED", ConnectionProblem.UNRESOLVED, proxy=PROXY),
            Reason.VAULT_UNREACHABLE,
            (
                f"No response from vault {VAULT}: the host name of proxy {PROXY} does not exist; correct HTTPS_PROXY, "
                "or check the proxy."
            ),
        ),
    ],
)
def test_a_failed_connection_says_why_and_what_to_do(error: KeyVaultError, reason: Reason, said: str) -> None:
    assert (translated(error).reason, translated(error).message) == (reason, said)


def test_a_failed_login_has_the_reason_and_message_of_its_own_error() -> None:
    error = kvsecrets.LoginFailed("SyncError: MARKED")
    error.__cause__ = SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API is throttling requests.")

    assert (translated(error).reason, translated(error).message) == (
        Reason.CLUSTER_UNAVAILABLE,
        "The Kubernetes API is throttling requests.",
    )
    assert log_fields(error) == {"detail": "The Kubernetes API is throttling requests."}


def test_why_there_was_no_response_is_kept() -> None:
    made = translated(kvsecrets.ConnectionFailed("MARKED", ConnectionProblem.PROXY, proxy=PROXY, proxy_status=403))

    assert isinstance(made, NoConnection)
    assert (made.fault.problem, made.fault.proxy, made.fault.proxy_status) == (ConnectionProblem.PROXY, PROXY, 403)


def test_that_there_is_no_login_is_kept() -> None:
    error = kvsecrets.LoginFailed("MARKED")
    error.__cause__ = NoLogin(Reason.LOGIN_FAILED, "There is none.")

    assert isinstance(translated(error), NoLogin)
    assert translated(error).message == "There is none."
