"""The headers of every answer."""

from kvsecrets._fake.headers import answer_headers
from tests.unit.kvsecrets.fake.builders import START


def test_the_callers_id_comes_back_unchanged_and_the_services_own_is_new_each_time() -> None:
    asked = {"x-ms-client-request-id": "mine"}

    first, second = (answer_headers(asked, 200, b"{}", START, rbac=False) for _ in range(2))

    assert first["x-ms-client-request-id"] == second["x-ms-client-request-id"] == "mine"
    assert first["x-ms-request-id"] != second["x-ms-request-id"]


def test_the_date_is_the_vaults_clock() -> None:
    assert answer_headers({}, 200, b"{}", START, rbac=False)["date"] == "Sun, 01 Mar 2026 12:00:00 GMT"


def test_an_empty_answer_has_no_type_and_no_length() -> None:
    headers = answer_headers({}, 204, b"", START, rbac=False)

    assert not {"content-type", "content-length"} & headers.keys()


def test_rbac_shows_on_authorized_calls_only() -> None:
    authorized, challenged = (answer_headers({}, status, b"{}", START, rbac=True) for status in (404, 401))

    assert "x-ms-keyvault-rbac-assignment-id" in authorized
    assert "x-ms-keyvault-rbac-assignment-id" not in challenged
