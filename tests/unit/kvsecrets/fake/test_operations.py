"""Every operation's answer on the wire."""

import pytest

from kvsecrets.testing import FakeVault
from tests.unit.kvsecrets.fake.builders import STAMP, Clock, Wire, all_pages, document, error, names, versions_in_order

FIRST = f"{1:032x}"


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault(clock=Clock(), new_version=versions_in_order())


@pytest.fixture
def wire(vault: FakeVault) -> Wire:
    return Wire(vault)


def test_a_set_answers_with_the_value_even_of_a_disabled_secret(wire: Wire) -> None:
    answer = wire("PUT", "/secrets/db", {"value": "v", "attributes": {"enabled": False}})

    assert document(answer)["value"] == "v"
    assert error(wire("GET", f"/secrets/db/{FIRST}")) == (403, "Forbidden", "SecretDisabled")


def test_an_update_answers_without_the_value(wire: Wire) -> None:
    wire("PUT", "/secrets/db", {"value": "v"})

    answer = wire("PATCH", "/secrets/db/", {"contentType": "text", "tags": {"a": "b"}})

    assert list(document(answer)) == ["contentType", "id", "attributes", "tags"]


def test_a_deletion_answers_with_the_newest_version_and_the_dates(wire: Wire) -> None:
    wire("PUT", "/secrets/db", {"value": "v"})

    answer = document(wire("DELETE", "/secrets/db"))

    assert answer["id"].endswith(f"/secrets/db/{FIRST}")
    assert (answer["deletedDate"], answer["scheduledPurgeDate"]) == (STAMP, STAMP + 90 * 86400)
    assert document(wire("GET", "/deletedsecrets/db")) == answer


def test_the_deleted_are_listed_without_their_versions_and_the_live_are_not(vault: FakeVault, wire: Wire) -> None:
    for name in ("gone", "here"):
        vault.set(name, "v")
    vault.delete("gone")

    assert [names(page) for page in all_pages(wire, "/deletedsecrets")] == [["gone"]]
    assert [names(page) for page in all_pages(wire, "/secrets")] == [["here"]]


def test_a_recovery_answers_without_the_value_and_a_purge_with_nothing(vault: FakeVault, wire: Wire) -> None:
    vault.set("db", "v")
    vault.delete("db")
    recovered = wire("POST", "/deletedsecrets/db/recover")
    vault.delete("db")
    purged = wire("DELETE", "/deletedsecrets/db")

    assert (recovered.status, list(document(recovered))) == (200, ["id", "attributes"])
    assert (purged.status, purged.body) == (204, b"")


def test_a_backup_restores_all_versions_with_their_ids_and_dates(vault: FakeVault, wire: Wire) -> None:
    vault.set("db", "old")
    vault.set("db", "new")
    before = wire("GET", "/secrets/db/versions").body
    backup = document(wire("POST", "/secrets/db/backup"))
    vault.delete("db")
    vault.purge("db")

    restored = wire("POST", "/secrets/restore", backup)

    assert "value" not in document(restored)
    assert wire("GET", "/secrets/db/versions").body == before
    assert vault.value("db") == "new"


@pytest.mark.parametrize("body", [{}, {"value": 1}])
def test_a_restore_needs_a_blob(wire: Wire, body: object) -> None:
    assert error(wire("POST", "/secrets/restore", body)) == (400, "BadParameter", None)


def test_versions_are_listed_in_pages_in_the_order_of_their_ids(vault: FakeVault, wire: Wire) -> None:
    for _ in range(30):
        vault.set("db", "v")

    pages = [names(page) for page in all_pages(wire, "/secrets/db/versions")]

    assert [len(page) for page in pages] == [25, 5]
    assert [name for page in pages for name in page] == [f"{number:032x}" for number in range(1, 31)]


@pytest.mark.parametrize("deleted", [False, True])
def test_versions_of_an_unknown_or_deleted_name_are_an_empty_list(
    vault: FakeVault, wire: Wire, *, deleted: bool
) -> None:
    if deleted:
        vault.set("db", "v")
        vault.delete("db")

    assert wire("GET", "/secrets/db/versions").body == b'{"value":[],"nextLink":null}'


@pytest.mark.parametrize("size", ["0", "26", "-1", "x", ""])
def test_a_page_size_outside_1_to_25_is_refused(wire: Wire, size: str) -> None:
    assert error(wire("GET", f"/secrets?maxresults={size}")) == (400, "BadParameter", None)


def test_a_forged_continuation_is_refused(wire: Wire) -> None:
    assert error(wire("GET", "/secrets?$skiptoken=forged")) == (400, "BadParameter", None)


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
def test_a_bad_name_is_refused_by_every_operation(wire: Wire, method: str, path: str) -> None:
    assert error(wire(method, path, {"value": "v"})) == (400, "BadParameter", None)


def test_what_is_no_operation_is_not_allowed(wire: Wire) -> None:
    answer = wire("PUT", "/secrets/", {"value": "v"})

    assert document(answer)["error"] == {"code": "MethodNotAllowed", "message": "HTTP PUT not allowed"}
