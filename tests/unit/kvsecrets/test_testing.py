"""FakeVault answers as the recordings of the real service do; the clients are tested elsewhere."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from kvsecrets._wire import Request, Response
from kvsecrets.testing import FakeVault, VaultRefused

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **step: float) -> None:
        self.now += timedelta(**step)


@dataclass
class Wire:
    """Speaks to a vault as a client does: with a token and an API version."""

    vault: FakeVault
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": "Bearer token"})

    def __call__(self, method: str, path: str, body: object = None, *, api_version: str = "7.4") -> Response:
        url = path if path.startswith("https://") else f"{self.vault.url}{path}"
        if "api-version" not in url:
            url += f"{'&' if '?' in url else '?'}api-version={api_version}"
        return self.vault.respond(
            Request(method, url, self.headers, b"" if body is None else json.dumps(body).encode())
        )


def document(response: Response) -> Any:  # noqa: ANN401 - JSON has any shape, and the tests say which
    return json.loads(response.body)


def error(response: Response) -> tuple[int, str, str | None]:
    """The three words that clients classify by."""
    told = document(response)["error"]
    return response.status, told["code"], told.get("innererror", {}).get("code")


def names(page: Response) -> list[str]:
    return [item["id"].rpartition("/")[2] for item in document(page)["value"]]


def all_pages(wire: Wire, path: str) -> list[Response]:
    pages = [wire("GET", path)]
    while link := document(pages[-1])["nextLink"]:
        pages.append(wire("GET", link))
    return pages


def versions_in_order() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):032x}"


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
