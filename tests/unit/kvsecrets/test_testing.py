"""FakeVault answers as the recordings of the real service do; the clients are tested elsewhere."""

import threading
from datetime import timedelta

import httpx
import pytest

from kvsecrets.testing import Caller, FakeVault, TokenRefused, VaultRefused
from tests.unit.kvsecrets.fake.builders import STAMP, Clock, Wire, all_pages, document, error, names, versions_in_order


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(clock: Clock) -> FakeVault:
    return FakeVault(clock=clock, new_version=versions_in_order())


@pytest.fixture
def wire(vault: FakeVault) -> Wire:
    return Wire(vault)


class TestChallenge:
    def test_a_call_without_a_token_is_told_where_to_log_in(self, vault: FakeVault) -> None:
        answer = Wire(vault, headers={})("GET", "/secrets/db")

        assert answer.status == 401
        assert answer.headers["www-authenticate"] == (
            'Bearer authorization="https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000", '
            'resource="https://vault.azure.net"'
        )

    def test_the_challenge_comes_before_name_path_and_version_are_looked_at(self, vault: FakeVault) -> None:
        answers = [
            Wire(vault, headers={})(method, path, api_version="none")
            for method, path in [("PUT", "/secrets/"), ("GET", "/secrets/a_b"), ("GET", "/nowhere")]
        ]

        assert [answer.status for answer in answers] == [401, 401, 401]

    def test_only_calls_with_a_token_count_as_what_they_ask_for(self, vault: FakeVault) -> None:
        Wire(vault, headers={})("GET", "/secrets/db")
        Wire(vault)("GET", "/secrets/db")

        assert vault.calls == {"challenge": 1, "get": 1}

    def test_a_vault_outside_of_azure_names_its_own_host(self) -> None:
        answer = Wire(FakeVault("https://localhost:8443"), headers={})("GET", "/secrets/db")

        assert 'resource="https://localhost"' in answer.headers["www-authenticate"]


class TestSetAndGet:
    def test_what_was_set_comes_back_in_the_recorded_order_of_fields(self, wire: Wire) -> None:
        body = {"value": "v", "contentType": "text/plain", "tags": {"a": "b"}, "attributes": {"nbf": 1, "exp": 2}}

        answer = wire("PUT", "/secrets/db", body)

        assert answer.status == 200
        assert list(document(answer)) == ["value", "contentType", "id", "attributes", "tags"]
        assert list(document(answer)["attributes"]) == [
            "enabled", "nbf", "exp", "created", "updated", "recoveryLevel", "recoverableDays",
        ]  # fmt: skip
        assert wire("GET", "/secrets/db/").body == answer.body

    def test_what_is_not_set_is_absent_and_not_null(self, wire: Wire) -> None:
        answer = document(wire("PUT", "/secrets/db", {"value": ""}))

        assert answer == {
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

    def test_names_compare_without_case_and_keep_the_letters_of_their_creation(self, wire: Wire) -> None:
        wire("PUT", "/secrets/DbPassword", {"value": "v"})

        answer = wire("GET", "/secrets/dbpassword")

        assert "/secrets/DbPassword/" in document(answer)["id"]

    def test_a_disabled_newest_version_hides_the_enabled_ones_before_it(self, vault: FakeVault, wire: Wire) -> None:
        old = vault.set("db", "old")
        vault.set("db", "new", enabled=False)

        assert error(wire("GET", "/secrets/db")) == (403, "Forbidden", "SecretDisabled")
        assert document(wire("GET", f"/secrets/db/{old}"))["value"] == "old"

    def test_every_answer_has_a_date_a_request_id_and_the_callers_own_id(self, vault: FakeVault) -> None:
        headers = {"Authorization": "Bearer token", "X-Ms-Client-Request-Id": "mine"}

        answer = Wire(vault, headers)("GET", "/secrets/none")

        assert answer.headers["date"] == "Sun, 01 Mar 2026 12:00:00 GMT"
        assert answer.headers["x-ms-client-request-id"] == "mine"
        assert len(answer.headers["x-ms-request-id"]) == 36


class TestList:
    def test_a_thousand_secrets_of_one_version_are_forty_pages(self, vault: FakeVault, wire: Wire) -> None:
        for number in range(1000):
            vault.set(f"secret-{number:04}", "v")

        pages = all_pages(wire, "/secrets")

        assert [len(names(page)) for page in pages] == [25] * 40
        assert [name for page in pages for name in names(page)] == [f"secret-{number:04}" for number in range(1000)]

    def test_old_versions_and_deleted_secrets_fill_pages_without_being_shown(
        self, vault: FakeVault, wire: Wire
    ) -> None:
        for _ in range(60):
            vault.set("a", "v")
        vault.set("b", "v")
        vault.delete("b")
        vault.set("c", "v")

        pages = [names(page) for page in all_pages(wire, "/secrets")]

        assert pages == [["a"], [], ["c"]]

    def test_the_next_link_names_the_port_and_repeats_version_and_page_size(self, vault: FakeVault, wire: Wire) -> None:
        vault.set("a", "v")
        vault.set("b", "v")

        link = document(wire("GET", "/secrets?maxresults=1&api-version=7.3"))["nextLink"]

        assert link.startswith("https://fake.vault.azure.net:443/secrets?api-version=7.3&$skiptoken=")
        assert link.endswith("&maxresults=1")

    def test_a_page_goes_on_by_key_when_the_secret_it_would_begin_with_is_gone(
        self, vault: FakeVault, wire: Wire
    ) -> None:
        for name in "abc":
            vault.set(name, "v")
        first = wire("GET", "/secrets?maxresults=1")
        vault.delete("b")
        vault.purge("b")

        assert names(wire("GET", document(first)["nextLink"])) == ["c"]


class TestTransport:
    def test_it_answers_for_its_vault_alone(self, vault: FakeVault) -> None:
        with httpx.Client(transport=vault.transport()) as client, pytest.raises(httpx.ConnectError):
            client.get("https://other.vault.azure.net/secrets")

    def test_a_closed_door_refuses_connections_until_it_is_opened(self, vault: FakeVault) -> None:
        with httpx.Client(transport=vault.transport()) as client:
            vault.close_door()
            with pytest.raises(httpx.ConnectError):
                client.get(vault.url)
            vault.open_door()
            assert client.get(vault.url).status_code == 401


def test_controls_by_hand_raise_what_a_client_would_be_answered(vault: FakeVault) -> None:
    with pytest.raises(VaultRefused, match="404 SecretNotFound") as refused:
        vault.delete("none")

    assert refused.value.status == 404


class TestOrderOfRefusals:
    def test_an_unknown_api_version_is_refused_before_rights_and_names(self, vault: FakeVault, wire: Wire) -> None:
        vault.deny("get")

        answers = [wire("GET", "/secrets/a_b", api_version=version) for version in ("1.0", "")]

        assert [document(answer)["error"]["code"] for answer in answers] == ["BadParameter", "BadParameter"]
        assert "The specified version (1.0) is not recognized." in document(answers[0])["error"]["message"]

    def test_rights_are_checked_before_the_secret_is_looked_for(self, vault: FakeVault, wire: Wire) -> None:
        vault.deny("get")

        assert error(wire("GET", "/secrets/none")) == (403, "Forbidden", "ForbiddenByPolicy")

    def test_who_may_not_read_deleted_secrets_learns_that_once_the_deletion_is_done(self, clock: Clock) -> None:
        vault = FakeVault(clock=clock, deletion_delay=timedelta(seconds=5))
        vault.set("db", "v")
        vault.deny("get")
        vault.delete("db")

        before = Wire(vault)("GET", "/deletedsecrets/db").status
        clock.advance(seconds=5)

        assert (before, Wire(vault)("GET", "/deletedsecrets/db").status) == (404, 403)


class TestTrouble:
    def test_a_closed_firewall_lets_nobody_in_until_it_is_opened(self, vault: FakeVault, wire: Wire) -> None:
        vault.set("db", "v")
        vault.close_firewall()
        closed = error(wire("GET", "/secrets/db"))
        vault.open_firewall()

        assert closed == (403, "Forbidden", "ForbiddenByFirewall")
        assert wire("GET", "/secrets/db").status == 200

    def test_failing_and_throttling_end_by_themselves(self, vault: FakeVault, wire: Wire) -> None:
        vault.fail(status=500, kind="list")
        vault.throttle(2, retry_after=1)

        answers = [wire("GET", "/secrets/none").status for _ in range(3)]

        assert answers == [429, 429, 404]
        assert wire("GET", "/secrets").status == 500

    @pytest.mark.parametrize("word", ["read", "List", ""])
    def test_a_permission_that_no_vault_knows_is_an_error_of_the_test(self, vault: FakeVault, word: str) -> None:
        with pytest.raises(ValueError, match="is not a valid Permission"):
            vault.deny(word)

    def test_tokens_can_be_checked(self) -> None:
        def check(token: str) -> Caller:
            if token != "good":
                raise TokenRefused("[TokenExpired]")
            return Caller(client_id="app")

        vault = FakeVault(check_token=check)

        answers = [
            Wire(vault, {"Authorization": f"Bearer {token}"})("GET", "/secrets").status for token in ("good", "bad")
        ]

        assert answers == [200, 401]


class TestByHand:
    def test_a_secret_can_be_as_old_as_wanted(self, vault: FakeVault, wire: Wire, clock: Clock) -> None:
        vault.set("db", "v", created_on=clock() - timedelta(days=2), updated_on=clock() - timedelta(days=1))

        attributes = document(wire("GET", "/secrets/db"))["attributes"]

        assert (attributes["created"], attributes["updated"]) == (STAMP - 2 * 86400, STAMP - 86400)

    def test_disabling_and_enabling_move_updated(self, vault: FakeVault, wire: Wire, clock: Clock) -> None:
        version = vault.set("db", "v")
        clock.advance(seconds=1)
        vault.disable("db", version)
        assert wire("GET", "/secrets/db").status == 403

        clock.advance(seconds=1)
        vault.enable("db")

        assert document(wire("GET", "/secrets/db"))["attributes"]["updated"] == STAMP + 2

    def test_a_secret_lives_dies_and_comes_back(self, vault: FakeVault, wire: Wire) -> None:
        vault.set("db", "v")
        seen = []
        for step in (vault.delete, vault.recover, vault.delete, vault.purge):
            step("db")
            seen.append((wire("GET", "/secrets/db").status, wire("GET", "/deletedsecrets/db").status))

        assert seen == [(404, 200), (200, 404), (404, 200), (404, 404)]

    def test_calls_by_hand_are_not_counted_and_counts_can_be_forgotten(self, vault: FakeVault, wire: Wire) -> None:
        vault.set("db", "v")
        wire("GET", "/secrets/db")
        counted = vault.calls
        vault.forget_calls()

        assert (counted, vault.calls) == ({"get": 1}, {})


def test_threads_may_share_a_vault(vault: FakeVault) -> None:
    def write(thread: int) -> None:
        for number in range(50):
            Wire(vault)("PUT", f"/secrets/secret-{thread}-{number:02}", {"value": "v"})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert vault.calls == {"set": 400}
    assert sum(len(names(page)) for page in all_pages(Wire(vault), "/secrets")) == 400
