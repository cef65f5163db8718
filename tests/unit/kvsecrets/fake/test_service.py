"""The service: authentication, authorization, planned failures, and the response of each operation."""

import base64
import re
from functools import partial

import pytest

from kvsecrets._fake import errors
from kvsecrets._fake.errors import VaultRefused
from kvsecrets._fake.requests import Call, Kind, Permission
from kvsecrets._fake.service import AccessControl, Caller, TokenRefused
from kvsecrets.testing import FakeVault
from tests.unit.kvsecrets.fake.builders import (
    STAMP,
    Clock,
    RawClient,
    all_pages,
    config,
    document,
    error,
    names,
    versions_in_order,
)

GET = Call(Kind.GET, "GET", "/secrets/db", {}, "db")
LIST = Call(Kind.LIST, "GET", "/secrets", {})
CALLER = Caller(client_id="app-1")


def bearer(text: str = "token") -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def access_control(*, require_token: bool = True, rbac: bool = False) -> AccessControl:
    return AccessControl(config(rbac=rbac), require_token=require_token, check_token=lambda _: CALLER)


def rejection(call: Call, access: AccessControl, headers: dict[str, str] | None = None) -> VaultRefused:
    with pytest.raises(VaultRefused) as caught:
        access.authenticate(call, bearer() if headers is None else headers)
    return caught.value


class TestTokens:
    @pytest.mark.parametrize("headers", [{}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer "}])
    def test_a_call_without_a_bearer_token_is_challenged(self, headers: dict[str, str]) -> None:
        rejected = rejection(GET, access_control(), headers)

        assert (rejected.status, rejected.message) == (
            401,
            "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.",
        )
        assert rejected.headers["www-authenticate"] == (
            'Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"'
        )

    def test_a_vault_can_accept_calls_without_tokens(self) -> None:
        assert access_control(require_token=False).authenticate(GET, {}) == Caller()

    def test_a_token_rejected_by_its_check_is_challenged_with_the_reason(self) -> None:
        def check(_token: str) -> Caller:
            raise TokenRefused("[TokenExpired]")

        rejected = rejection(GET, AccessControl(config(), require_token=True, check_token=check))

        assert (rejected.status, rejected.message) == (401, "[TokenExpired]")
        assert "resource=" in rejected.headers["www-authenticate"]


class TestClaims:
    def test_the_next_token_is_rejected_until_another_is_sent(self) -> None:
        access = access_control()
        access.demand_claims('{"a":1}')

        first, again = rejection(GET, access, bearer("old")), rejection(GET, access, bearer("old"))
        access.authenticate(GET, bearer("new"))
        access.authenticate(GET, bearer("old"))

        assert first.headers == again.headers

    def test_the_challenge_has_the_claims_and_no_resource(self) -> None:
        access = access_control()
        access.demand_claims('{"a":1}')

        header = rejection(GET, access).headers["www-authenticate"]

        claims = re.search('claims="([^"]+)"', header)
        assert claims is not None
        assert base64.b64decode(claims[1]) == b'{"a":1}'
        assert 'error="insufficient_claims"' in header
        assert "resource=" not in header


class TestPlannedFailures:
    def test_the_planned_number_of_calls_fail_in_order(self) -> None:
        access = access_control()
        access.plan(2, partial(errors.server_failed, 503), None)
        access.plan(1, partial(errors.throttled, 7), None)

        failures = [rejection(GET, access) for _ in range(3)]
        access.authenticate(GET, bearer())

        assert [each.status for each in failures] == [503, 503, 429]
        assert failures[2].headers == {"retry-after": "7"}

    def test_a_failure_of_one_kind_does_not_affect_other_calls(self) -> None:
        access = access_control()
        access.plan(1, partial(errors.server_failed, 503), Kind.LIST)
        access.authenticate(GET, bearer())

        assert rejection(LIST, access).status == 503

    def test_a_call_without_a_token_does_not_count(self) -> None:
        access = access_control()
        access.plan(1, partial(errors.server_failed, 503), None)
        rejection(GET, access, {})

        assert rejection(GET, access).status == 503


class TestPermissions:
    def test_a_denied_permission_is_an_error_of_access_policies(self) -> None:
        access = access_control()
        access.deny(Permission.GET, None)

        with pytest.raises(VaultRefused, match="does not have secrets get permission on key vault 'fake") as caught:
            access.authorize(CALLER, GET)

        assert (caught.value.status, caught.value.inner) == (403, "ForbiddenByPolicy")
        assert "appid=app-1" in caught.value.message

    def test_with_rbac_the_error_names_the_action_and_the_secret(self) -> None:
        access = access_control(rbac=True)
        access.deny(Permission.GET, None)

        with pytest.raises(VaultRefused) as caught:
            access.authorize(CALLER, GET)

        assert caught.value.inner == "ForbiddenByRbac"
        assert "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'" in caught.value.message
        assert "/vaults/fake/secrets/db'" in caught.value.message

    def test_a_permission_can_be_denied_to_one_client(self) -> None:
        access = access_control()
        access.deny(Permission.GET, "app-1")
        access.authorize(Caller(client_id="app-2"), GET)

        with pytest.raises(VaultRefused):
            access.authorize(CALLER, GET)

    def test_a_permission_can_be_allowed_again(self) -> None:
        access = access_control()
        access.deny(Permission.GET, None)
        access.allow(Permission.GET, None)

        access.authorize(CALLER, GET)

        assert access.counts == {}


def test_a_closed_firewall_rejects_every_call() -> None:
    access = access_control()
    access.firewall_closed = True

    rejected = rejection(GET, access)

    assert (rejected.status, rejected.inner) == (403, "ForbiddenByFirewall")
    assert "Client address: 127.0.0.1" in rejected.message


def test_calls_are_counted_by_kind_and_those_without_a_token_as_challenges() -> None:
    access = access_control()
    access.authenticate(GET, bearer())
    access.firewall_closed = True
    rejection(LIST, access)
    rejection(GET, access, {})

    assert access.counts == {Kind.GET: 1, Kind.LIST: 1, Kind.CHALLENGE: 1}


# Operations.

FIRST = f"{1:032x}"


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault(clock=Clock(), new_version=versions_in_order())


@pytest.fixture
def call(vault: FakeVault) -> RawClient:
    return RawClient(vault)


def test_set_returns_the_value_of_a_disabled_secret_too(call: RawClient) -> None:
    response = call("PUT", "/secrets/db", {"value": "v", "attributes": {"enabled": False}})

    assert document(response)["value"] == "v"
    assert error(call("GET", f"/secrets/db/{FIRST}")) == (403, "Forbidden", "SecretDisabled")


def test_update_returns_no_value(call: RawClient) -> None:
    call("PUT", "/secrets/db", {"value": "v"})

    response = call("PATCH", "/secrets/db/", {"contentType": "text", "tags": {"a": "b"}})

    assert list(document(response)) == ["contentType", "id", "attributes", "tags"]


def test_delete_returns_the_newest_version_and_the_dates(call: RawClient) -> None:
    call("PUT", "/secrets/db", {"value": "v"})

    body = document(call("DELETE", "/secrets/db"))

    assert body["id"].endswith(f"/secrets/db/{FIRST}")
    assert (body["deletedDate"], body["scheduledPurgeDate"]) == (STAMP, STAMP + 90 * 86400)
    assert document(call("GET", "/deletedsecrets/db")) == body


def test_deleted_secrets_are_listed_apart_from_live_ones(vault: FakeVault, call: RawClient) -> None:
    for name in ("gone", "here"):
        vault.set(name, "v")
    vault.delete("gone")

    assert [names(page) for page in all_pages(call, "/deletedsecrets")] == [["gone"]]
    assert [names(page) for page in all_pages(call, "/secrets")] == [["here"]]


def test_recover_returns_no_value_and_purge_no_content(vault: FakeVault, call: RawClient) -> None:
    vault.set("db", "v")
    vault.delete("db")
    recovered = call("POST", "/deletedsecrets/db/recover")
    vault.delete("db")
    purged = call("DELETE", "/deletedsecrets/db")

    assert (recovered.status, list(document(recovered))) == (200, ["id", "attributes"])
    assert (purged.status, purged.body) == (204, b"")


def test_restore_adds_all_versions_with_their_ids_and_dates(vault: FakeVault, call: RawClient) -> None:
    vault.set("db", "old")
    vault.set("db", "new")
    before = call("GET", "/secrets/db/versions").body
    backup = document(call("POST", "/secrets/db/backup"))
    vault.delete("db")
    vault.purge("db")

    restored = call("POST", "/secrets/restore", backup)

    assert "value" not in document(restored)
    assert call("GET", "/secrets/db/versions").body == before
    assert vault.value("db") == "new"


@pytest.mark.parametrize("body", [{}, {"value": 1}])
def test_restore_requires_a_backup(call: RawClient, body: object) -> None:
    assert error(call("POST", "/secrets/restore", body)) == (400, "BadParameter", None)


def test_versions_are_listed_in_pages_ordered_by_id(vault: FakeVault, call: RawClient) -> None:
    for _ in range(30):
        vault.set("db", "v")

    pages = [names(page) for page in all_pages(call, "/secrets/db/versions")]

    assert [len(page) for page in pages] == [25, 5]
    assert [name for page in pages for name in page] == [f"{number:032x}" for number in range(1, 31)]


@pytest.mark.parametrize("deleted", [False, True])
def test_an_unknown_or_deleted_name_has_no_versions(vault: FakeVault, call: RawClient, *, deleted: bool) -> None:
    if deleted:
        vault.set("db", "v")
        vault.delete("db")

    assert call("GET", "/secrets/db/versions").body == b'{"value":[],"nextLink":null}'


@pytest.mark.parametrize("size", ["0", "26", "-1", "x", "", "9" * 5_000, "%D9%A1"])
def test_a_page_size_outside_of_1_to_25_is_rejected(call: RawClient, size: str) -> None:
    assert error(call("GET", f"/secrets?maxresults={size}")) == (400, "BadParameter", None)


def test_an_invalid_continuation_token_is_rejected(call: RawClient) -> None:
    assert error(call("GET", "/secrets?$skiptoken=forged")) == (400, "BadParameter", None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/secrets/a_b"),
        ("GET", "/secrets/a.b"),
        ("PATCH", "/secrets/a_b"),
        ("DELETE", "/secrets/a_b"),
        ("GET", "/secrets/a_b/versions"),
        ("POST", "/secrets/a_b/backup"),
        ("GET", "/deletedsecrets/a_b"),
        ("DELETE", "/deletedsecrets/a_b"),
        ("POST", "/deletedsecrets/a_b/recover"),
    ],
)
def test_an_invalid_name_is_rejected_by_every_operation(call: RawClient, method: str, path: str) -> None:
    assert error(call(method, path, {"value": "v"})) == (400, "BadParameter", None)


def test_an_unknown_operation_is_an_error(call: RawClient) -> None:
    response = call("PUT", "/secrets/", {"value": "v"})

    assert document(response)["error"] == {"code": "MethodNotAllowed", "message": "HTTP PUT not allowed"}
