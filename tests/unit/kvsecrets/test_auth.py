"""The authentication challenge, stepped: which token is requested, and when none is."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._auth import (
    Challenge,
    is_vault_domain,
    parse_bearer,
    parse_challenge,
    parse_claims,
    send_authorized,
)
from kvsecrets._protocol import Request, Token, TokenRequest
from kvsecrets.errors import AccessDenied, NotAuthenticated, ResponseError, UnexpectedAnswer, UntrustedChallenge
from tests.unit.kvsecrets.stepper import (
    CHALLENGE,
    KNOWN,
    MOVED,
    TOKEN,
    Stepper,
    auth_context,
    challenge_response,
    error_response,
    response,
)

GET = Request("GET", "https://shop.vault.azure.net/secrets/db?api-version=7.4")
PUT = Request("PUT", GET.url, {"content-type": "application/json"}, b'{"value":"hunter2"}')
SECOND = Token("second-token", expires_on=9_999_999_999)
CLAIMS = '{"access_token":{"nbf":{"essential":true}}}'
REVOKED = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    f'error="insufficient_claims", claims="{base64.b64encode(CLAIMS.encode()).decode()}"'
)


def test_the_first_request_goes_out_without_token_and_body() -> None:
    stepper = Stepper(send_authorized(PUT, auth_context(challenge=None)))

    assert (stepper.request.method, stepper.request.url, stepper.request.body) == ("PUT", PUT.url, b"")
    assert "authorization" not in stepper.request.headers


def test_the_challenge_names_the_scope_and_the_real_request_follows() -> None:
    stepper = Stepper(send_authorized(PUT, auth_context(challenge=None))).resume(challenge_response())
    token_request = stepper.token_request
    stepper.resume(TOKEN)

    assert (token_request.scope, token_request.tenant) == ("https://vault.azure.net/.default", "tenant-1")
    assert stepper.request.body == PUT.body
    assert stepper.request.headers == {"content-type": "application/json", "authorization": "Bearer first-token"}


def test_a_known_challenge_is_not_requested_again() -> None:
    auth = auth_context(challenge=None)
    Stepper(send_authorized(GET, auth)).resume(challenge_response())

    assert Stepper(send_authorized(GET, auth)).token_request.scope == "https://vault.azure.net/.default"


def test_the_response_to_the_real_request_is_returned_whatever_its_status() -> None:
    stepper = Stepper(send_authorized(GET, auth_context())).resume(TOKEN).resume(error_response(403, "Forbidden"))

    assert stepper.result.status == 403


@pytest.mark.parametrize(
    "resource",
    [
        "https://vault.azure.net.evil.example",
        "https://evil.example",
        "https://management.azure.com",
        "https://net",
        "https://xault.azure.net",
        "https://vault.azure.net:8443",
        "https://user@vault.azure.net",
        "http://vault.azure.net",
        "https://op.vault.azure.net",
    ],
)
def test_no_token_is_requested_for_a_foreign_domain(resource: str) -> None:
    header = f'Bearer authorization="https://login.microsoftonline.com/t", resource="{resource}"'
    auth = auth_context(challenge=None)

    with pytest.raises(UntrustedChallenge, match="not its own domain"):
        Stepper(send_authorized(GET, auth)).resume(challenge_response(header))
    assert auth.challenge is None


def test_a_foreign_scope_is_rejected_even_beside_a_valid_resource() -> None:
    header = CHALLENGE + ', scope="https://evil.example/.default"'

    with pytest.raises(UntrustedChallenge):
        Stepper(send_authorized(GET, auth_context(challenge=None))).resume(challenge_response(header))


def test_the_check_can_be_disabled_for_an_emulator() -> None:
    header = 'Bearer authorization="https://localhost/t", resource="https://vault.azure.net"'
    auth = auth_context(challenge=None, verify=False)
    auth.host = "localhost"

    assert (
        Stepper(send_authorized(GET, auth)).resume(challenge_response(header)).token_request.scope
        == "https://vault.azure.net/.default"
    )


def test_a_vault_may_name_its_own_host() -> None:
    assert is_vault_domain("https://shop.vault.azure.net/.default", "shop.vault.azure.net")
    assert is_vault_domain("https://localhost/.default", "localhost")


def test_a_401_without_a_valid_challenge_is_an_error() -> None:
    with pytest.raises(NotAuthenticated):
        Stepper(send_authorized(GET, auth_context(challenge=None))).resume(challenge_response("Negotiate"))


def test_an_error_before_the_login_is_returned() -> None:
    response_403 = error_response(403, "Forbidden", "ForbiddenByFirewall")

    assert Stepper(send_authorized(PUT, auth_context(challenge=None))).resume(response_403).result == response_403


def test_a_value_is_not_sent_to_a_server_that_requires_no_login() -> None:
    with pytest.raises(UnexpectedAnswer, match="requires no login"):
        Stepper(send_authorized(PUT, auth_context(challenge=None))).resume(response({}))


def test_a_server_that_requires_no_login_can_be_read() -> None:
    assert Stepper(send_authorized(GET, auth_context(challenge=None))).resume(response({"a": 1})).result.status == 200


def test_a_vault_that_moved_to_another_tenant_is_followed_once() -> None:
    auth = auth_context()
    stepper = Stepper(send_authorized(GET, auth)).resume(TOKEN).resume(challenge_response(MOVED))

    assert (stepper.token_request.tenant, stepper.token_request.rejected) == ("tenant-2", TOKEN)
    assert stepper.resume(SECOND).request.headers["authorization"] == "Bearer second-token"
    assert stepper.resume(response({})).result.status == 200
    assert auth.challenge == Challenge(KNOWN.scope, "tenant-2")


NEGOTIATE = "Negotiate"


@pytest.mark.parametrize("header", [CHALLENGE, NEGOTIATE], ids=["the same challenge", "no challenge"])
def test_a_rejected_token_is_replaced_once(header: str) -> None:
    stepper = Stepper(send_authorized(PUT, auth_context())).resume(TOKEN).resume(challenge_response(header))

    assert stepper.token_request == TokenRequest(KNOWN.scope, KNOWN.tenant, rejected=TOKEN)
    assert stepper.resume(SECOND).request.headers["authorization"] == "Bearer second-token"
    assert stepper.request.body == PUT.body
    assert stepper.resume(challenge_response(header)).result.status == 401


def test_a_rejected_token_is_replaced_right_after_a_challenge() -> None:
    stepper = (
        Stepper(send_authorized(GET, auth_context(challenge=None)))
        .resume(challenge_response())
        .resume(TOKEN)
        .resume(challenge_response())
    )

    assert stepper.token_request.rejected == TOKEN
    assert stepper.resume(SECOND).resume(response({})).result.status == 200


def test_a_rejected_token_is_not_sent_again_in_the_same_call() -> None:
    auth = auth_context()
    stepper = Stepper(send_authorized(GET, auth)).resume(TOKEN).resume(challenge_response())
    same = Token(TOKEN.text, TOKEN.expires_on + 1)

    assert stepper.resume(same).result.status == 401
    assert auth.challenge == KNOWN


def test_a_rejected_token_is_sent_by_the_next_call_if_there_is_no_other() -> None:
    auth = auth_context()
    Stepper(send_authorized(GET, auth)).resume(TOKEN).resume(challenge_response()).resume(TOKEN)
    stepper = Stepper(send_authorized(GET, auth))

    assert stepper.token_request.rejected == TOKEN
    assert stepper.resume(TOKEN).resume(response({})).result.status == 200


def test_a_call_handles_a_move_a_revoked_token_and_claims_once_each() -> None:
    third, fourth = Token("third-token", 9_999_999_999), Token("fourth-token", 9_999_999_999)
    stepper = Stepper(send_authorized(GET, auth_context())).resume(TOKEN).resume(challenge_response(MOVED))
    stepper.resume(SECOND).resume(challenge_response(MOVED)).resume(third).resume(challenge_response(REVOKED))

    assert (stepper.token_request.tenant, stepper.token_request.claims) == ("tenant-2", CLAIMS)
    assert stepper.resume(fourth).resume(challenge_response(CHALLENGE)).result.status == 401


def test_a_vault_that_moves_to_and_fro_is_not_followed() -> None:
    stepper = Stepper(send_authorized(GET, auth_context())).resume(TOKEN).resume(challenge_response(MOVED))

    assert stepper.resume(SECOND).resume(challenge_response(CHALLENGE)).result.status == 401


def test_required_claims_cause_a_login_with_the_same_scope_and_tenant() -> None:
    stepper = Stepper(send_authorized(GET, auth_context())).resume(TOKEN).resume(challenge_response(REVOKED))

    assert (stepper.token_request.claims, stepper.token_request.scope, stepper.token_request.tenant) == (
        CLAIMS,
        KNOWN.scope,
        KNOWN.tenant,
    )
    assert stepper.resume(SECOND).resume(response({})).result.status == 200


def test_claims_can_be_required_right_after_a_challenge() -> None:
    stepper = (
        Stepper(send_authorized(GET, auth_context(challenge=None)))
        .resume(challenge_response())
        .resume(TOKEN)
        .resume(challenge_response(REVOKED))
    )

    assert stepper.token_request.claims == CLAIMS


def test_claims_required_twice_are_returned_as_401() -> None:
    stepper = (
        Stepper(send_authorized(GET, auth_context())).resume(TOKEN).resume(challenge_response(REVOKED)).resume(SECOND)
    )

    assert stepper.resume(challenge_response(REVOKED)).result.status == 401


def test_a_move_to_a_foreign_domain_is_rejected() -> None:
    foreign = MOVED.replace("vault.azure.net", "evil.example")

    with pytest.raises(UntrustedChallenge):
        Stepper(send_authorized(GET, auth_context())).resume(TOKEN).resume(challenge_response(foreign))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (CHALLENGE, KNOWN),
        (CHALLENGE.replace("authorization=", "authorization_uri="), KNOWN),
        (CHALLENGE.replace("Bearer", "BEARER"), KNOWN),
        (f"Negotiate, {CHALLENGE}", KNOWN),
        (f'{CHALLENGE}, PoP realm="x"', KNOWN),
        (CHALLENGE.replace('"', ""), KNOWN),
        (CHALLENGE.replace("vault.azure.net", "vault.azure.net/"), KNOWN),
        ('Bearer resource="https://vault.azure.net"', Challenge(KNOWN.scope, None)),
        (CHALLENGE.replace("tenant-1", "adfs"), Challenge(KNOWN.scope, None)),
        (CHALLENGE.replace("login.microsoftonline.com", "uswest2-passive-dsts.dsts.core.windows.net/dstsv2"), KNOWN),
        (CHALLENGE.replace("tenant-1", "DSTSv2/tenant-1/"), KNOWN),
        (CHALLENGE.replace("tenant-1", "dstsv2"), Challenge(KNOWN.scope, None)),
        (CHALLENGE.replace("tenant-1", "a%20b"), Challenge(KNOWN.scope, None)),
        (CHALLENGE.replace("https://login", "https://[login"), Challenge(KNOWN.scope, None)),
        ('Bearer scope="https://vault.azure.net/read"', Challenge("https://vault.azure.net/read", None)),
        ('Bearer authorization="https://login.microsoftonline.com/t"', None),
        ("Bearer", None),
        ("", None),
        ('Basic realm="vault"', None),
    ],
    ids=[
        "as recorded",
        "authorization_uri",
        "scheme in capitals",
        "after another scheme",
        "before another scheme",
        "without quotes",
        "trailing slash",
        "no login URL",
        "AD FS has no tenant",
        "the tenant of dSTS",
        "the tenant of dSTS in capitals",
        "dSTS without a tenant",
        "invalid tenant",
        "invalid login URL",
        "a scope",
        "neither scope nor resource",
        "no parameters",
        "no header",
        "another scheme",
    ],
)
def test_a_header_is_parsed_into_a_challenge(header: str, expected: Challenge | None) -> None:
    assert parse_challenge(parse_bearer(header)) == expected


@pytest.mark.parametrize("encoding", [base64.b64encode, base64.urlsafe_b64encode], ids=["standard", "url-safe"])
def test_claims_are_decoded_with_and_without_padding(encoding: object) -> None:
    text = '{"a":"~~>?"}'
    encoded = (base64.b64encode if encoding is base64.b64encode else base64.urlsafe_b64encode)(text.encode()).decode()

    assert parse_claims({"claims": encoded}) == text
    assert parse_claims({"claims": encoded.rstrip("=")}) == text


def encoded_claims(claims: bytes) -> str:
    return base64.urlsafe_b64encode(claims).decode()


@pytest.mark.parametrize(
    "encoded",
    ["", "é", "A", "____", encoded_claims(b"no JSON"), encoded_claims(b"[]"), encoded_claims(b'{"a":' * 1_000)],
    ids=["none", "not base64", "too short", "not text", "not JSON", "not an object", "nested too deep"],
)
def test_claims_that_cannot_be_decoded_are_ignored(encoded: str) -> None:
    assert parse_claims({"claims": encoded}) is None


@pytest.mark.parametrize(
    "filler", ['a="' + '",b="' * 5_000 + '",', "a=b," * 5_000], ids=["quoted parameters", "plain parameters"]
)
def test_a_header_is_parsed_up_to_its_limit(filler: str) -> None:
    parameters = CHALLENGE.removeprefix("Bearer ")

    assert parse_challenge(parse_bearer(f"Bearer {filler[:1_000]}{parameters}")) == KNOWN
    assert parse_challenge(parse_bearer(f"Bearer {filler}{parameters}")) is None


fragments = st.sampled_from(
    [
        "Bearer",
        "PoP",
        "authorization=",
        "resource=",
        "scope=",
        "claims=",
        "https://",
        "vault.azure.net",
        "evil.example",
        "azure.net",
        "tenant",
        "shop.vault.azure.net",
        "VAULT.azure.net",
        '"',
        ",",
        "=",
        "/",
        ":",
        "\\",
        "@",
        "#",
        "?",
        "%00",
        "[",
        "]",
        "İ",
        " ",
    ]
)
headers = (
    st.text() | st.lists(fragments).map("".join) | st.lists(fragments).map(lambda parts: "Bearer " + "".join(parts))
)


@given(headers)
def test_no_header_crashes_or_causes_a_token_request_for_a_foreign_domain(header: str) -> None:
    stepper = Stepper(send_authorized(GET, auth_context(challenge=None)))

    try:
        scope = stepper.resume(challenge_response(header)).token_request.scope
    except (NotAuthenticated, UntrustedChallenge):
        return

    host = scope.removeprefix("https://").partition("/")[0].removesuffix(":443")
    assert scope.startswith("https://")
    assert host in {"vault.azure.net", "shop.vault.azure.net", "azure.net"}


@given(st.text(), st.text())
def test_no_scope_of_another_domain_is_the_vaults_domain(prefix: str, suffix: str) -> None:
    assert not is_vault_domain(f"https://{prefix}evil.example{suffix}", "shop.vault.azure.net")


def test_a_missing_permission_is_not_treated_as_a_failed_login() -> None:
    stepper = (
        Stepper(send_authorized(GET, auth_context()))
        .resume(TOKEN)
        .resume(error_response(403, "Forbidden", "ForbiddenByRbac"))
    )

    assert stepper.result.status == 403
    assert issubclass(AccessDenied, ResponseError)
