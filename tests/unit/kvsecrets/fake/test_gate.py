"""What a call meets before it reaches the secrets."""

import base64
import re
from functools import partial

import pytest

from kvsecrets._fake import refusals
from kvsecrets._fake.calls import Call, Kind, Permission
from kvsecrets._fake.gate import Caller, Gate, TokenRefused
from kvsecrets._fake.refusals import VaultRefused
from tests.unit.kvsecrets.fake.builders import profile

GET = Call(Kind.GET, "GET", "/secrets/db", {}, "db")
LIST = Call(Kind.LIST, "GET", "/secrets", {})
SOMEBODY = Caller(client_id="app-1")


def bearer(text: str = "token") -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def gate(*, require_token: bool = True, rbac: bool = False) -> Gate:
    return Gate(profile(rbac=rbac), require_token=require_token, check_token=lambda _: SOMEBODY)


def refusal(call: Call, at: Gate, headers: dict[str, str] | None = None) -> VaultRefused:
    with pytest.raises(VaultRefused) as refused:
        at.admit(call, bearer() if headers is None else headers)
    return refused.value


class TestTokens:
    @pytest.mark.parametrize("headers", [{}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer "}])
    def test_a_call_without_a_bearer_token_is_challenged(self, headers: dict[str, str]) -> None:
        refused = refusal(GET, gate(), headers)

        assert (refused.status, refused.message) == (
            401,
            "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.",
        )
        assert refused.headers["www-authenticate"] == (
            'Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"'
        )

    def test_a_vault_may_take_calls_without_tokens(self) -> None:
        assert gate(require_token=False).admit(GET, {}) == Caller()

    def test_a_token_that_its_check_refuses_is_challenged_with_the_reason(self) -> None:
        def check(_token: str) -> Caller:
            raise TokenRefused("[TokenExpired]")

        refused = refusal(GET, Gate(profile(), require_token=True, check_token=check))

        assert (refused.status, refused.message) == (401, "[TokenExpired]")
        assert "resource=" in refused.headers["www-authenticate"]


class TestClaims:
    def test_the_token_that_comes_next_is_refused_until_another_one_comes(self) -> None:
        here = gate()
        here.demand_claims('{"a":1}')

        first, again = refusal(GET, here, bearer("old")), refusal(GET, here, bearer("old"))
        here.admit(GET, bearer("new"))
        here.admit(GET, bearer("old"))

        assert first.headers == again.headers

    def test_the_challenge_carries_the_claims_and_no_resource(self) -> None:
        here = gate()
        here.demand_claims('{"a":1}')

        header = refusal(GET, here).headers["www-authenticate"]

        claims = re.search('claims="([^"]+)"', header)
        assert claims is not None
        assert base64.b64decode(claims[1]) == b'{"a":1}'
        assert 'error="insufficient_claims"' in header
        assert "resource=" not in header


class TestPlannedFailures:
    def test_they_meet_as_many_calls_as_planned_one_after_the_other(self) -> None:
        here = gate()
        here.plan(2, partial(refusals.broken, 503), None)
        here.plan(1, partial(refusals.throttled, 7), None)

        met = [refusal(GET, here) for _ in range(3)]
        here.admit(GET, bearer())

        assert [each.status for each in met] == [503, 503, 429]
        assert met[2].headers == {"retry-after": "7"}

    def test_one_for_a_kind_of_call_leaves_other_calls_alone(self) -> None:
        here = gate()
        here.plan(1, partial(refusals.broken, 503), Kind.LIST)
        here.admit(GET, bearer())

        assert refusal(LIST, here).status == 503

    def test_a_call_without_a_token_does_not_use_one_up(self) -> None:
        here = gate()
        here.plan(1, partial(refusals.broken, 503), None)
        refusal(GET, here, {})

        assert refusal(GET, here).status == 503


class TestRights:
    def test_a_denied_permission_is_refused_in_the_words_of_access_policies(self) -> None:
        here = gate()
        here.deny(Permission.GET, None)

        with pytest.raises(VaultRefused, match="does not have secrets get permission on key vault 'fake") as refused:
            here.authorize(SOMEBODY, GET)

        assert (refused.value.status, refused.value.inner) == (403, "ForbiddenByPolicy")
        assert "appid=app-1" in refused.value.message

    def test_under_rbac_the_refusal_names_the_action_and_the_secret(self) -> None:
        here = gate(rbac=True)
        here.deny(Permission.GET, None)

        with pytest.raises(VaultRefused) as refused:
            here.authorize(SOMEBODY, GET)

        assert refused.value.inner == "ForbiddenByRbac"
        assert "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'" in refused.value.message
        assert "/vaults/fake/secrets/db'" in refused.value.message

    def test_a_permission_denied_to_one_client_stays_with_the_others(self) -> None:
        here = gate()
        here.deny(Permission.GET, "app-1")
        here.authorize(Caller(client_id="app-2"), GET)

        with pytest.raises(VaultRefused):
            here.authorize(SOMEBODY, GET)

    def test_a_permission_that_is_given_back_counts_again(self) -> None:
        here = gate()
        here.deny(Permission.GET, None)
        here.allow(Permission.GET, None)

        here.authorize(SOMEBODY, GET)

        assert here.counts == {}


def test_a_closed_firewall_refuses_every_address() -> None:
    here = gate()
    here.firewall_closed = True

    refused = refusal(GET, here)

    assert (refused.status, refused.inner) == (403, "ForbiddenByFirewall")
    assert "Client address: 127.0.0.1" in refused.message


def test_calls_are_counted_by_kind_and_those_without_a_token_apart() -> None:
    here = gate()
    here.admit(GET, bearer())
    here.firewall_closed = True
    refusal(LIST, here)
    refusal(GET, here, {})

    assert here.counts == {Kind.GET: 1, Kind.LIST: 1, Kind.CHALLENGE: 1}
