"""A request's method and path name its operation."""

import pytest

from kvsecrets._fake.calls import Kind, Permission, refusal_of_unknown, understand
from kvsecrets._wire import Request

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
def test_a_path_is_an_operation_on_a_name(method: str, path: str, kind: Kind, name: str, version: str) -> None:
    call = understand(Request(method, f"https://v{path}?api-version=7.4"))

    assert (call.kind, call.name, call.version) == (kind, name, version)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("PUT", "/secrets/", 405, id="setting no name"),
        pytest.param("DELETE", f"/secrets/db/{VERSION}", 405, id="deleting one version"),
        pytest.param("POST", "/secrets/db", 405, id="posting to a secret"),
        pytest.param("GET", "/keys/db", 404, id="a key"),
    ],
)
def test_what_is_no_operation_is_refused(method: str, path: str, status: int) -> None:
    call = understand(Request(method, f"https://v{path}"))

    assert (call.kind, refusal_of_unknown(call).status) == (Kind.UNKNOWN, status)


def test_the_query_is_read_with_its_empty_and_escaped_parts() -> None:
    call = understand(Request("GET", "https://v/secrets?api-version=7.4&maxresults=&%24skiptoken=a%3D"))

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
def test_each_operation_needs_the_permission_of_its_access_policy(
    method: str, path: str, permission: Permission | None
) -> None:
    assert understand(Request(method, f"https://v{path}")).permission is permission
