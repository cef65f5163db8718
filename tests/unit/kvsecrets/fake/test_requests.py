"""Requests are parsed into calls; bodies are parsed or rejected."""

import pytest

from kvsecrets._fake import requests
from kvsecrets._fake.errors import VaultRefused
from kvsecrets._fake.requests import Kind, Permission, error_of_unknown, parse_call
from kvsecrets._fake.store import SecretVersion
from kvsecrets._protocol import Request

VERSION = "0" * 32


@pytest.mark.parametrize(
    ("method", "path", "kind", "name", "version"),
    [
        ("PUT", "/secrets/db", Kind.SET, "db", ""),
        ("GET", "/secrets/db", Kind.GET, "db", ""),
        ("GET", "/secrets/db/", Kind.GET, "db", ""),
        ("GET", f"/secrets/db/{VERSION}", Kind.GET, "db", VERSION),
        ("PATCH", "/secrets/db/", Kind.UPDATE, "db", ""),
        ("PATCH", f"/secrets/db/{VERSION}", Kind.UPDATE, "db", VERSION),
        ("DELETE", "/secrets/db", Kind.DELETE, "db", ""),
        ("GET", "/secrets", Kind.LIST, "", ""),
        ("GET", "/secrets/db/versions", Kind.LIST_VERSIONS, "db", "versions"),
        ("GET", "/secrets/versions", Kind.GET, "versions", ""),
        ("POST", "/secrets/db/backup", Kind.BACKUP, "db", "backup"),
        ("POST", "/secrets/restore", Kind.RESTORE, "restore", ""),
        ("GET", "/secrets/restore", Kind.GET, "restore", ""),
        ("GET", "/deletedsecrets", Kind.LIST_DELETED, "", ""),
        ("GET", "/deletedsecrets/db", Kind.GET_DELETED, "db", ""),
        ("DELETE", "/deletedsecrets/db", Kind.PURGE, "db", ""),
        ("POST", "/deletedsecrets/db/recover", Kind.RECOVER, "db", "recover"),
        ("GET", "/secrets/d%62", Kind.GET, "db", ""),
    ],
)
def test_method_and_path_are_parsed_into_an_operation(
    method: str, path: str, kind: Kind, name: str, version: str
) -> None:
    call = parse_call(Request(method, f"https://v{path}?api-version=7.4"))

    assert (call.kind, call.name, call.version) == (kind, name, version)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("PUT", "/secrets/", 405, id="set without a name"),
        pytest.param("DELETE", f"/secrets/db/{VERSION}", 405, id="delete of one version"),
        pytest.param("POST", "/secrets/db", 405, id="post to a secret"),
        pytest.param("GET", "/keys/db", 404, id="a key"),
    ],
)
def test_any_other_method_or_path_is_an_error(method: str, path: str, status: int) -> None:
    call = parse_call(Request(method, f"https://v{path}"))

    assert (call.kind, error_of_unknown(call).status) == (Kind.UNKNOWN, status)


def test_the_query_is_parsed_with_empty_and_escaped_parts() -> None:
    call = parse_call(Request("GET", "https://v/secrets?api-version=7.4&maxresults=&%24skiptoken=a%3D"))

    assert call.query == {"api-version": "7.4", "maxresults": "", "$skiptoken": "a="}


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", "/secrets/db", Permission.GET),
        ("GET", "/secrets", Permission.LIST),
        ("GET", "/secrets/db/versions", Permission.LIST),
        ("GET", "/deletedsecrets", Permission.LIST),
        ("PATCH", "/secrets/db", Permission.SET),
        ("POST", "/deletedsecrets/db/recover", Permission.RECOVER),
        ("GET", "/nowhere", None),
    ],
)
def test_each_operation_requires_a_permission(method: str, path: str, permission: Permission | None) -> None:
    assert parse_call(Request(method, f"https://v{path}")).permission is permission


FULL = SecretVersion(
    id="1", value="v", content_type="text", tags={"a": "b"}, enabled=True, not_before=1, expires=2, created=0, updated=0
)


def applied(**document: object) -> SecretVersion:
    return requests.parse_changes(document).applied_to(FULL)


def test_absent_fields_are_not_changed() -> None:
    assert applied() == FULL
    assert applied(attributes={}) == FULL


def test_given_fields_are_changed() -> None:
    changed = applied(contentType="json", tags={"c": "d"}, attributes={"enabled": False, "nbf": 3, "exp": 4})

    assert (changed.content_type, changed.tags) == ("json", {"c": "d"})
    assert (changed.enabled, changed.not_before, changed.expires) == (False, 3, 4)


def test_null_and_empty_fields_are_cleared() -> None:
    changed = applied(contentType=None, tags={}, attributes={"nbf": None, "exp": None})

    assert (changed.content_type, changed.tags, changed.not_before, changed.expires) == (None, None, None, None)


def test_a_null_does_not_change_enabled() -> None:
    assert applied(attributes={"enabled": None}).enabled


def test_a_date_above_32_bits_is_accepted() -> None:
    assert applied(attributes={"exp": 32503680000}).expires == 32503680000


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"attributes": []}, id="attributes not an object"),
        pytest.param({"attributes": {"enabled": "yes"}}, id="enabled not a boolean"),
        pytest.param({"attributes": {"exp": "tomorrow"}}, id="date not a number"),
        pytest.param({"attributes": {"nbf": True}}, id="date a boolean"),
        pytest.param({"attributes": {"exp": 1.5}}, id="date with a fraction"),
        pytest.param({"contentType": "x" * 256}, id="long content type"),
        pytest.param({"contentType": 1}, id="content type not a string"),
        pytest.param({"tags": {str(number): "" for number in range(16)}}, id="too many tags"),
        pytest.param({"tags": {"a": "x" * 257}}, id="long tag"),
        pytest.param({"tags": {"x" * 257: "a"}}, id="long name of a tag"),
        pytest.param({"tags": {"a": 1}}, id="tag not a string"),
        pytest.param({"tags": ["a"]}, id="tags not an object"),
    ],
)
def test_an_invalid_field_is_rejected_without_naming_it(document: dict[str, object]) -> None:
    with pytest.raises(VaultRefused) as caught:
        requests.parse_changes(document)

    assert (caught.value.code, caught.value.message) == ("BadParameter", "Property  has invalid value\r\n")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"text"', b"\xff", b"[" * 100_000, b'{"value":"\\ud800"}'])
def test_a_body_that_is_not_a_json_object_is_rejected(body: bytes) -> None:
    with pytest.raises(VaultRefused, match="400 BadParameter"):
        requests.parse_object(body)


@pytest.mark.parametrize("document", [{}, {"value": None}, {"value": 1}])
def test_a_value_must_be_a_string(document: dict[str, object]) -> None:
    with pytest.raises(VaultRefused, match="400 BadParameter"):
        requests.parse_value(document)


def test_a_value_has_at_most_25600_characters() -> None:
    assert requests.parse_value({"value": "x" * 25600}) == "x" * 25600
    with pytest.raises(VaultRefused) as caught:
        requests.parse_value({"value": "x" * 25601})

    assert caught.value.inner == "SecretTooLarge"
