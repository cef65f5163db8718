"""FakeVault returns responses as recorded from the real service; the clients are tested elsewhere."""

import threading
from datetime import timedelta

import httpx
import pytest

from kvsecrets.testing import Caller, FakeVault, TokenRefused, VaultRefused
from tests.unit.kvsecrets.fake.builders import (
    STAMP,
    Clock,
    RawClient,
    all_pages,
    document,
    error,
    names,
    versions_in_order,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(clock: Clock) -> FakeVault:
    return FakeVault(clock=clock, new_version=versions_in_order())


@pytest.fixture
def call(vault: FakeVault) -> RawClient:
    return RawClient(vault)


class TestChallenge:
    def test_a_call_without_a_token_gets_the_challenge(self, vault: FakeVault) -> None:
        response = RawClient(vault, headers={})("GET", "/secrets/db")

        assert response.status == 401
        assert response.headers["www-authenticate"] == (
            'Bearer authorization="https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000", '
            'resource="https://vault.azure.net"'
        )

    def test_the_token_is_checked_before_name_path_and_version(self, vault: FakeVault) -> None:
        responses = [
            RawClient(vault, headers={})(method, path, api_version="none")
            for method, path in [("PUT", "/secrets/"), ("GET", "/secrets/a_b"), ("GET", "/nowhere")]
        ]

        assert [response.status for response in responses] == [401, 401, 401]

    def test_only_calls_with_a_token_are_counted_by_kind(self, vault: FakeVault) -> None:
        RawClient(vault, headers={})("GET", "/secrets/db")
        RawClient(vault)("GET", "/secrets/db")

        assert vault.calls == {"challenge": 1, "get": 1}

    def test_a_vault_outside_of_azure_names_its_own_host(self) -> None:
        response = RawClient(FakeVault("https://localhost:8443"), headers={})("GET", "/secrets/db")

        assert 'resource="https://localhost"' in response.headers["www-authenticate"]


class TestSetAndGet:
    def test_fields_are_in_the_recorded_order(self, call: RawClient) -> None:
        body = {"value": "v", "contentType": "text/plain", "tags": {"a": "b"}, "attributes": {"nbf": 1, "exp": 2}}

        response = call("PUT", "/secrets/db", body)

        assert response.status == 200
        assert list(document(response)) == ["value", "contentType", "id", "attributes", "tags"]
        assert list(document(response)["attributes"]) == [
            "enabled", "nbf", "exp", "created", "updated", "recoveryLevel", "recoverableDays",
        ]  # fmt: skip
        assert call("GET", "/secrets/db/").body == response.body

    def test_fields_that_are_not_set_are_absent(self, call: RawClient) -> None:
        body = document(call("PUT", "/secrets/db", {"value": ""}))

        assert body == {
            "value": "",
            "id": "https://fake.vault.azure.net/secrets/db/00000000000000000000000000000001",
            "attributes": {
                "enabled": True,
                "created": 1772366400,
                "updated": 1772366400,
                "recoveryLevel": "Recoverable+Purgeable",
                "recoverableDays": 90,
            },
        }

    def test_names_ignore_case_and_keep_that_of_their_creation(self, call: RawClient) -> None:
        call("PUT", "/secrets/DbPassword", {"value": "v"})

        response = call("GET", "/secrets/dbpassword")

        assert "/secrets/DbPassword/" in document(response)["id"]

    def test_a_disabled_newest_version_hides_the_enabled_ones_before_it(
        self, vault: FakeVault, call: RawClient
    ) -> None:
        old = vault.set("db", "old")
        vault.set("db", "new", enabled=False)

        assert error(call("GET", "/secrets/db")) == (403, "Forbidden", "SecretDisabled")
        assert document(call("GET", f"/secrets/db/{old}"))["value"] == "old"

    def test_every_response_has_a_date_and_both_request_ids(self, vault: FakeVault) -> None:
        headers = {"Authorization": "Bearer token", "X-Ms-Client-Request-Id": "mine"}

        response = RawClient(vault, headers)("GET", "/secrets/none")

        assert response.headers["date"] == "Sun, 01 Mar 2026 12:00:00 GMT"
        assert response.headers["x-ms-client-request-id"] == "mine"
        assert len(response.headers["x-ms-request-id"]) == 36


class TestList:
    def test_a_thousand_secrets_of_one_version_are_forty_pages(self, vault: FakeVault, call: RawClient) -> None:
        for number in range(1000):
            vault.set(f"secret-{number:04}", "v")

        pages = all_pages(call, "/secrets")

        assert [len(names(page)) for page in pages] == [25] * 40
        assert [name for page in pages for name in names(page)] == [f"secret-{number:04}" for number in range(1000)]

    def test_old_versions_and_deleted_secrets_fill_pages_without_being_listed(
        self, vault: FakeVault, call: RawClient
    ) -> None:
        for _ in range(60):
            vault.set("a", "v")
        vault.set("b", "v")
        vault.delete("b")
        vault.set("c", "v")

        pages = [names(page) for page in all_pages(call, "/secrets")]

        assert pages == [["a"], [], ["c"]]

    def test_the_next_link_has_the_port_the_api_version_and_the_page_size(
        self, vault: FakeVault, call: RawClient
    ) -> None:
        vault.set("a", "v")
        vault.set("b", "v")

        link = document(call("GET", "/secrets?maxresults=1&api-version=7.3"))["nextLink"]

        assert link.startswith("https://fake.vault.azure.net:443/secrets?api-version=7.3&$skiptoken=")
        assert link.endswith("&maxresults=1")

    def test_a_list_continues_after_the_next_secret_is_purged(self, vault: FakeVault, call: RawClient) -> None:
        for name in "abc":
            vault.set(name, "v")
        first = call("GET", "/secrets?maxresults=1")
        vault.delete("b")
        vault.purge("b")

        assert names(call("GET", document(first)["nextLink"])) == ["c"]


class TestTransport:
    def test_only_its_vault_is_reachable(self, vault: FakeVault) -> None:
        with httpx.Client(transport=vault.transport()) as client, pytest.raises(httpx.ConnectError):
            client.get("https://other.vault.azure.net/secrets")

    def test_connections_are_refused_between_close_and_open_door(self, vault: FakeVault) -> None:
        with httpx.Client(transport=vault.transport()) as client:
            vault.close_door()
            with pytest.raises(httpx.ConnectError):
                client.get(vault.url)
            vault.open_door()
            assert client.get(vault.url).status_code == 401


def test_direct_changes_raise_the_error_of_the_service(vault: FakeVault) -> None:
    with pytest.raises(VaultRefused, match="404 SecretNotFound") as caught:
        vault.delete("none")

    assert caught.value.status == 404


class TestOrderOfErrors:
    def test_the_api_version_is_checked_before_permissions_and_names(self, vault: FakeVault, call: RawClient) -> None:
        vault.deny("get")

        responses = [call("GET", "/secrets/a_b", api_version=version) for version in ("1.0", "")]

        assert [document(response)["error"]["code"] for response in responses] == ["BadParameter", "BadParameter"]
        assert "The specified version (1.0) is not recognized." in document(responses[0])["error"]["message"]

    def test_permissions_are_checked_before_the_secret_is_searched(self, vault: FakeVault, call: RawClient) -> None:
        vault.deny("get")

        assert error(call("GET", "/secrets/none")) == (403, "Forbidden", "ForbiddenByPolicy")

    def test_a_caller_who_may_not_read_deleted_secrets_gets_403_after_the_deletion(self, clock: Clock) -> None:
        vault = FakeVault(clock=clock, deletion_delay=timedelta(seconds=5))
        vault.set("db", "v")
        vault.deny("get")
        vault.delete("db")

        before = RawClient(vault)("GET", "/deletedsecrets/db").status
        clock.advance(seconds=5)

        assert (before, RawClient(vault)("GET", "/deletedsecrets/db").status) == (404, 403)


class TestFailures:
    def test_calls_are_forbidden_between_close_and_open_firewall(self, vault: FakeVault, call: RawClient) -> None:
        vault.set("db", "v")
        vault.close_firewall()
        closed = error(call("GET", "/secrets/db"))
        vault.open_firewall()

        assert closed == (403, "Forbidden", "ForbiddenByFirewall")
        assert call("GET", "/secrets/db").status == 200

    def test_planned_failures_end_after_their_number_of_calls(self, vault: FakeVault, call: RawClient) -> None:
        vault.fail(status=500, kind="list")
        vault.throttle(2, retry_after=1)

        responses = [call("GET", "/secrets/none").status for _ in range(3)]

        assert responses == [429, 429, 404]
        assert call("GET", "/secrets").status == 500

    @pytest.mark.parametrize(
        ("kind", "expected"), [("list", [200, 503]), ("get", [429, 200]), ("set", [429, 503]), (None, [200, 200])]
    )
    def test_planned_failures_can_be_taken_back(
        self, kind: str | None, expected: list[int], vault: FakeVault, call: RawClient
    ) -> None:
        vault.set("db", "v")
        vault.throttle(100, kind="list")
        vault.fail(100, kind="get")

        vault.forget_failures(kind)

        assert [call("GET", "/secrets").status, call("GET", "/secrets/db").status] == expected

    def test_demanded_claims_can_be_taken_back(self, vault: FakeVault, call: RawClient) -> None:
        vault.demand_claims()
        demanded = call("GET", "/secrets").status
        vault.accept_claims()

        assert (demanded, call("GET", "/secrets").status) == (401, 200)

    @pytest.mark.parametrize("word", ["read", "List", ""])
    def test_an_unknown_permission_is_rejected(self, vault: FakeVault, word: str) -> None:
        with pytest.raises(ValueError, match="is not a valid Permission"):
            vault.deny(word)

    def test_tokens_can_be_checked(self) -> None:
        def check(token: str) -> Caller:
            if token != "good":
                raise TokenRefused("[TokenExpired]")
            return Caller(client_id="app")

        vault = FakeVault(check_token=check)

        responses = [
            RawClient(vault, {"Authorization": f"Bearer {token}"})("GET", "/secrets").status
            for token in ("good", "bad")
        ]

        assert responses == [200, 401]


class TestDirectChanges:
    def test_dates_of_a_secret_can_be_set(self, vault: FakeVault, call: RawClient, clock: Clock) -> None:
        vault.set("db", "v", created_on=clock() - timedelta(days=2), updated_on=clock() - timedelta(days=1))

        attributes = document(call("GET", "/secrets/db"))["attributes"]

        assert (attributes["created"], attributes["updated"]) == (STAMP - 2 * 86400, STAMP - 86400)

    def test_tags_are_replaced_and_change_updated(self, vault: FakeVault, call: RawClient, clock: Clock) -> None:
        version = vault.set("db", "v", tags={"a": "b"})
        before = document(call("GET", "/secrets/db"))
        clock.advance(seconds=5)
        vault.tag("db", {"file-encoding": "base64"})
        after = document(call("GET", "/secrets/db"))

        assert (after["tags"], after["id"].endswith(version)) == ({"file-encoding": "base64"}, True)
        assert after["attributes"]["updated"] == before["attributes"]["updated"] + 5

    def test_disable_and_enable_change_updated(self, vault: FakeVault, call: RawClient, clock: Clock) -> None:
        version = vault.set("db", "v")
        clock.advance(seconds=1)
        vault.disable("db", version)
        assert call("GET", "/secrets/db").status == 403

        clock.advance(seconds=1)
        vault.enable("db")

        assert document(call("GET", "/secrets/db"))["attributes"]["updated"] == STAMP + 2

    def test_delete_recover_and_purge(self, vault: FakeVault, call: RawClient) -> None:
        vault.set("db", "v")
        statuses = []
        for step in (vault.delete, vault.recover, vault.delete, vault.purge):
            step("db")
            statuses.append((call("GET", "/secrets/db").status, call("GET", "/deletedsecrets/db").status))

        assert statuses == [(404, 200), (200, 404), (404, 200), (404, 404)]

    def test_direct_changes_are_not_counted_and_counts_can_be_reset(self, vault: FakeVault, call: RawClient) -> None:
        vault.set("db", "v")
        call("GET", "/secrets/db")
        counted = vault.calls
        vault.forget_calls()

        assert (counted, vault.calls) == ({"get": 1}, {})


def test_threads_may_share_a_vault(vault: FakeVault) -> None:
    def write(thread: int) -> None:
        for number in range(50):
            RawClient(vault)("PUT", f"/secrets/secret-{thread}-{number:02}", {"value": "v"})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert vault.calls == {"set": 400}
    assert sum(len(names(page)) for page in all_pages(RawClient(vault), "/secrets")) == 400
