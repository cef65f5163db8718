"""The challenge, stepped by hand: who is asked to log in for what, and whom we refuse."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._auth import Challenge, authorized, bearer_parameters, belongs, challenge_of, claims_of
from kvsecrets._flow import Token
from kvsecrets._wire import Request
from kvsecrets.errors import AccessDenied, NotAuthenticated, ResponseError, UnexpectedAnswer, UntrustedChallenge
from tests.unit.kvsecrets.stepping import CHALLENGE, KNOWN, MOVED, TOKEN, Talk, access, answer, challenge, refusal

GET = Request("GET", "https://shop.vault.azure.net/secrets/db?api-version=7.4")
PUT = Request("PUT", GET.url, {"content-type": "application/json"}, b'{"value":"hunter2"}')
SECOND = Token("second-token", expires_on=9_999_999_999)
CLAIMS = '{"access_token":{"nbf":{"essential":true}}}'
REVOKED = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    f'error="insufficient_claims", claims="{base64.b64encode(CLAIMS.encode()).decode()}"'
)


def test_the_first_request_goes_out_without_token_and_body() -> None:
    talk = Talk(authorized(PUT, access(known=None)))

    assert (talk.sends.method, talk.sends.url, talk.sends.body) == ("PUT", PUT.url, b"")
    assert "authorization" not in talk.sends.headers


def test_the_challenge_says_for_what_to_log_in_and_the_real_request_follows() -> None:
    talk = Talk(authorized(PUT, access(known=None))).answer(challenge())
    login = talk.logs_in
    talk.answer(TOKEN)

    assert (login.scope, login.tenant) == ("https://vault.azure.net/.default", "tenant-1")
    assert talk.sends.body == PUT.body
    assert talk.sends.headers == {"content-type": "application/json", "authorization": "Bearer first-token"}


def test_a_known_challenge_is_not_asked_for_again() -> None:
    ours = access(known=None)
    Talk(authorized(GET, ours)).answer(challenge())

    assert Talk(authorized(GET, ours)).logs_in.scope == "https://vault.azure.net/.default"


def test_the_answer_of_the_real_request_is_returned_whatever_it_says() -> None:
    talk = Talk(authorized(GET, access())).answer(TOKEN).answer(refusal(403, "Forbidden"))

    assert talk.result.status == 403


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
def test_a_challenge_for_a_foreign_domain_gets_no_token(resource: str) -> None:
    header = f'Bearer authorization="https://login.microsoftonline.com/t", resource="{resource}"'
    ours = access(known=None)

    with pytest.raises(UntrustedChallenge, match="not its own domain"):
        Talk(authorized(GET, ours)).answer(challenge(header))
    assert ours.challenge is None


def test_a_foreign_scope_is_refused_even_beside_an_honest_resource() -> None:
    header = CHALLENGE + ', scope="https://evil.example/.default"'

    with pytest.raises(UntrustedChallenge):
        Talk(authorized(GET, access(known=None))).answer(challenge(header))


def test_the_check_can_be_switched_off_for_an_emulator() -> None:
    header = 'Bearer authorization="https://localhost/t", resource="https://vault.azure.net"'
    ours = access(known=None, verify=False)
    ours.host = "localhost"

    assert Talk(authorized(GET, ours)).answer(challenge(header)).logs_in.scope == "https://vault.azure.net/.default"


def test_a_vault_may_name_its_own_host() -> None:
    assert belongs("https://shop.vault.azure.net/.default", "shop.vault.azure.net")
    assert belongs("https://localhost/.default", "localhost")


def test_a_401_without_a_readable_challenge_is_an_error() -> None:
    with pytest.raises(NotAuthenticated):
        Talk(authorized(GET, access(known=None))).answer(challenge("Negotiate"))


def test_a_refusal_before_the_login_is_returned() -> None:
    firewall = refusal(403, "Forbidden", "ForbiddenByFirewall")

    assert Talk(authorized(PUT, access(known=None))).answer(firewall).result == firewall


def test_a_value_never_goes_to_a_server_that_asks_for_no_login() -> None:
    with pytest.raises(UnexpectedAnswer, match="asks for no login"):
        Talk(authorized(PUT, access(known=None))).answer(answer({}))


def test_a_read_from_a_server_that_asks_for_no_login_is_answered() -> None:
    assert Talk(authorized(GET, access(known=None))).answer(answer({"a": 1})).result.status == 200


def test_a_vault_that_moved_to_another_tenant_is_followed_once() -> None:
    ours = access()
    talk = Talk(authorized(GET, ours)).answer(TOKEN).answer(challenge(MOVED))

    assert (talk.logs_in.tenant, talk.logs_in.refused) == ("tenant-2", TOKEN)
    assert talk.answer(SECOND).sends.headers["authorization"] == "Bearer second-token"
    assert talk.answer(answer({})).result.status == 200
    assert ours.challenge == Challenge(KNOWN.scope, "tenant-2")


def test_a_fresh_token_that_is_refused_is_the_callers_to_hear_of() -> None:
    talk = Talk(authorized(GET, access(known=None))).answer(challenge()).answer(TOKEN).answer(challenge())

    assert talk.result.status == 401


def test_a_refused_token_is_not_used_by_the_next_call() -> None:
    ours = access(known=None)
    Talk(authorized(GET, ours)).answer(challenge()).answer(TOKEN).answer(challenge())

    assert Talk(authorized(GET, ours)).answer(challenge()).logs_in.refused == TOKEN


def test_demanded_claims_lead_to_a_new_login_with_the_scope_and_tenant_known_before() -> None:
    talk = Talk(authorized(GET, access())).answer(TOKEN).answer(challenge(REVOKED))

    assert (talk.logs_in.claims, talk.logs_in.scope, talk.logs_in.tenant) == (CLAIMS, KNOWN.scope, KNOWN.tenant)
    assert talk.answer(SECOND).answer(answer({})).result.status == 200


def test_claims_may_be_demanded_right_after_a_challenge() -> None:
    talk = Talk(authorized(GET, access(known=None))).answer(challenge()).answer(TOKEN).answer(challenge(REVOKED))

    assert talk.logs_in.claims == CLAIMS


def test_claims_that_are_demanded_twice_are_the_callers_to_hear_of() -> None:
    talk = Talk(authorized(GET, access())).answer(TOKEN).answer(challenge(REVOKED)).answer(SECOND)

    assert talk.answer(challenge(REVOKED)).result.status == 401


def test_a_move_to_a_foreign_domain_is_refused() -> None:
    foreign = MOVED.replace("vault.azure.net", "evil.example")

    with pytest.raises(UntrustedChallenge):
        Talk(authorized(GET, access())).answer(TOKEN).answer(challenge(foreign))


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
        "the scheme in capitals",
        "after another scheme",
        "before another scheme",
        "without quotes",
        "a slash at the end",
        "no login page",
        "AD FS has no tenant",
        "a tenant that is none",
        "a login page that is no URL",
        "a scope",
        "nothing to log in for",
        "no parameters",
        "no header",
        "another scheme",
    ],
)
def test_a_header_is_read_into_a_challenge(header: str, expected: Challenge | None) -> None:
    assert challenge_of(bearer_parameters(header)) == expected


@pytest.mark.parametrize("encoding", [base64.b64encode, base64.urlsafe_b64encode], ids=["standard", "url-safe"])
def test_claims_are_read_with_and_without_padding(encoding: object) -> None:
    text = '{"a":"~~>?"}'
    encoded = (base64.b64encode if encoding is base64.b64encode else base64.urlsafe_b64encode)(text.encode()).decode()

    assert claims_of({"claims": encoded}) == text
    assert claims_of({"claims": encoded.rstrip("=")}) == text


@pytest.mark.parametrize("encoded", ["", "é", "A", "____"], ids=["none", "no base64", "too short", "no text"])
def test_claims_that_cannot_be_read_are_none(encoded: str) -> None:
    assert claims_of({"claims": encoded}) is None


words = st.sampled_from(
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
headers = st.text() | st.lists(words).map("".join) | st.lists(words).map(lambda parts: "Bearer " + "".join(parts))


@given(headers)
def test_no_header_crashes_and_none_makes_us_log_in_for_a_foreign_domain(header: str) -> None:
    talk = Talk(authorized(GET, access(known=None)))

    try:
        scope = talk.answer(challenge(header)).logs_in.scope
    except (NotAuthenticated, UntrustedChallenge):
        return

    host = scope.removeprefix("https://").partition("/")[0].removesuffix(":443")
    assert scope.startswith("https://")
    assert host in {"vault.azure.net", "shop.vault.azure.net", "azure.net"}


@given(st.text(), st.text())
def test_no_scope_of_another_domain_belongs_to_a_vault(prefix: str, suffix: str) -> None:
    assert not belongs(f"https://{prefix}evil.example{suffix}", "shop.vault.azure.net")


def test_a_permission_that_is_missing_is_not_taken_for_a_login_that_failed() -> None:
    talk = Talk(authorized(GET, access())).answer(TOKEN).answer(refusal(403, "Forbidden", "ForbiddenByRbac"))

    assert talk.result.status == 403
    assert issubclass(AccessDenied, ResponseError)
