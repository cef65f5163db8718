"""The request of each operation and the parsing of its response, stepped; lists; changes to properties."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import _requests
from kvsecrets._protocol import MAX_RESPONSE_BYTES, Flow, Request, Send
from kvsecrets._requests import CLEAR, MAX_BACKUP_BYTES, PropertyChanges, Vault
from kvsecrets._retry import RetryPolicy
from kvsecrets.errors import BadRequest, ConnectionFailed, ConnectionProblem, UnexpectedAnswer
from kvsecrets.models import ResponseInfo, SecretId, SecretProperties, SecretValue
from tests.unit.kvsecrets.stepper import (
    DELETED,
    PROPERTIES,
    SECRET,
    TOKEN,
    URL,
    VERSION,
    Stepper,
    auth_context,
    error_response,
    response,
    step_to_request,
    vault,
)

NEXT = f"{URL}:443/secrets?api-version=7.4&$skiptoken=abc"

OPERATIONS: dict[str, tuple[Callable[[Vault], Flow[Any]], str, str, object]] = {
    "get": (lambda vault: _requests.get_secret(vault, "db", None), "GET", "secrets/db", SECRET),
    "get a version": (lambda vault: _requests.get_secret(vault, "db", VERSION), "GET", f"secrets/db/{VERSION}", SECRET),
    "set": (lambda vault: _requests.set_secret(vault, "db", "x", PropertyChanges()), "PUT", "secrets/db", SECRET),
    "update": (
        lambda vault: _requests.update_secret_properties(vault, "db", None, PropertyChanges(enabled=True)),
        "PATCH",
        "secrets/db/",
        PROPERTIES,
    ),
    "update a version": (
        lambda vault: _requests.update_secret_properties(vault, "db", VERSION, PropertyChanges(enabled=True)),
        "PATCH",
        f"secrets/db/{VERSION}",
        PROPERTIES,
    ),
    "delete": (lambda vault: _requests.delete_secret(vault, "db"), "DELETE", "secrets/db", DELETED),
    "get deleted": (lambda vault: _requests.get_deleted_secret(vault, "db"), "GET", "deletedsecrets/db", DELETED),
    "recover": (
        lambda vault: _requests.recover_deleted_secret(vault, "db"),
        "POST",
        "deletedsecrets/db/recover",
        PROPERTIES,
    ),
    "purge": (lambda vault: _requests.purge_deleted_secret(vault, "db"), "DELETE", "deletedsecrets/db", None),
    "back up": (lambda vault: _requests.backup_secret(vault, "db"), "POST", "secrets/db/backup", {"value": "blob"}),
    "restore": (lambda vault: _requests.restore_secret_backup(vault, b"blob"), "POST", "secrets/restore", PROPERTIES),
}


@pytest.mark.parametrize(("flow", "method", "path", "body"), OPERATIONS.values(), ids=OPERATIONS)
def test_each_operation_has_its_method_and_url_and_parses_its_response(
    flow: Callable[[Vault], Flow[Any]], method: str, path: str, body: object
) -> None:
    request, stepper = step_to_request(flow(vault()))
    stepper.resume(response(body, x_ms_request_id="theirs"))

    assert (request.method, request.url) == (method, f"{URL}/{path}?api-version=7.4")
    assert request.headers["authorization"] == "Bearer first-token"
    result = stepper.result
    assert (result if isinstance(result, ResponseInfo) else result.response).request_id == "theirs"


@pytest.mark.parametrize(("flow", "method", "path", "body"), OPERATIONS.values(), ids=OPERATIONS)
def test_each_operation_raises_the_error_of_its_response(
    flow: Callable[[Vault], Flow[Any]], method: str, path: str, body: object
) -> None:
    _, stepper = step_to_request(flow(vault()))

    with pytest.raises(BadRequest):
        stepper.resume(error_response(400, "BadParameter"))


@pytest.mark.parametrize(("flow", "method", "path", "body"), OPERATIONS.values(), ids=OPERATIONS)
def test_each_operation_is_retried_after_a_broken_connection_unless_it_must_not_run_twice(
    flow: Callable[[Vault], Flow[Any]], method: str, path: str, body: object
) -> None:
    patient = vault()
    patient.auth.retry = RetryPolicy(attempts=2)
    _, stepper = step_to_request(flow(patient))
    broken = ConnectionFailed("gone", ConnectionProblem.BROKEN)

    if path.endswith(("recover", "restore")):
        with pytest.raises(ConnectionFailed):
            stepper.resume(broken)
    else:
        assert stepper.resume(broken).resume(None).request.url.startswith(f"{URL}/{path}")


@pytest.mark.parametrize("api_version", ["2025-07-01", "2026-03-01-preview", "2026-04-01"])
def test_a_content_type_to_convert_to_is_sent_in_the_query(api_version: str) -> None:
    newer = replace(vault(), api_version=api_version)

    request, _ = step_to_request(_requests.get_secret(newer, "db", VERSION, "application/x-pem-file"))

    query = f"api-version={api_version}&outContentType=application/x-pem-file"
    assert request.url == f"{URL}/secrets/db/{VERSION}?{query}"


def test_a_content_type_cannot_change_the_query() -> None:
    newer = replace(vault(), api_version="2025-07-01")

    request, _ = step_to_request(_requests.get_secret(newer, "db", None, "a&b=c#d"))

    assert request.url.endswith("&outContentType=a%26b%3Dc%23d")


@pytest.mark.parametrize("api_version", ["7.4", "7.6", "2016-10-01"])
def test_a_content_type_that_the_api_version_would_ignore_is_an_error(api_version: str) -> None:
    older = replace(vault(), api_version=api_version)

    with pytest.raises(ValueError, match=r"^out_content_type: API version .* create the client with api_version="):
        Stepper(_requests.get_secret(older, "db", None, "application/x-pem-file"))


ANSWERED = {name: case for name, case in OPERATIONS.items() if name not in {"purge", "back up"}}
"""The operations whose responses have ids."""
OTHER_HOST = str(SecretId("https://other.vault.azure.net", "db", VERSION))
OTHER_NAME = str(SecretId(URL, "other", VERSION))
OTHER_VERSION = str(SecretId(URL, "db", VERSION[::-1]))


def checked(request: Request, body: Any) -> None:  # noqa: ANN401 - any JSON
    """Check a response to a request as every exchange does, also one to a request with neither body nor token."""
    assert request.check is not None
    request.check(response(body))


@pytest.mark.parametrize(("flow", "method", "path", "body"), ANSWERED.values(), ids=ANSWERED)
def test_a_response_is_compared_with_its_request(
    flow: Callable[[Vault], Flow[Any]], method: str, path: str, body: dict[str, Any]
) -> None:
    request, _ = step_to_request(flow(vault()))
    others = {OTHER_HOST}
    others |= {OTHER_NAME} if "db" in path else set()
    others |= {OTHER_VERSION} if VERSION in path else set()
    others |= set() if body is DELETED else {f"{URL}/deletedsecrets/db"}

    checked(request, body)
    for other in others:
        with pytest.raises(UnexpectedAnswer, match="another secret, version or vault"):
            checked(request, {**body, "id": other})


@pytest.mark.parametrize("recovery_id", [f"{URL}/deletedsecrets/other", "https://other.example/deletedsecrets/db"])
def test_the_recovery_id_of_a_deleted_secret_is_compared_too(recovery_id: str) -> None:
    request, _ = step_to_request(_requests.get_deleted_secret(vault(), "db"))

    with pytest.raises(UnexpectedAnswer):
        checked(request, {**DELETED, "recoveryId": recovery_id})


@pytest.mark.parametrize(
    "same",
    [
        f"https://SHOP.vault.azure.net/secrets/DB/{VERSION.upper()}",
        f"https://shop.vault.azure.net:443/secrets/db/{VERSION}",
        f"https://shop.vault.azure.net:8443/secrets/db/{VERSION}/",
    ],
)
def test_ids_are_the_same_in_other_letters_and_over_another_port(same: str) -> None:
    request, _ = step_to_request(_requests.get_secret(vault(), "Db", VERSION))

    checked(request, {**SECRET, "id": same})


@pytest.mark.parametrize("host", ["10.0.0.1", "[::1]", "[::1]:8443", "localhost:8443"])
def test_ids_of_a_host_without_a_domain_are_compared(host: str) -> None:
    asked = Vault.create(f"https://{host}", "7.4", None, verify_resource=True).asked("db")

    asked.check(response({**SECRET, "id": f"https://{host}/secrets/db"}))
    with pytest.raises(UnexpectedAnswer):
        asked.check(response({**SECRET, "id": "https://10.0.0.2/secrets/db"}))


def test_ids_of_a_vault_behind_a_domain_of_its_own_may_name_any_host() -> None:
    asked = Vault("https://kv.example.com", "7.4", auth_context(verify=False)).asked("db")

    asked.check(response(SECRET))
    with pytest.raises(UnexpectedAnswer):
        asked.check(response({**SECRET, "id": OTHER_NAME}))


@pytest.mark.parametrize(
    ("listing", "others"),
    [
        (_requests.SECRETS, {OTHER_HOST, f"{URL}/deletedsecrets/db"}),
        (_requests.versions_of("db"), {OTHER_HOST, OTHER_NAME}),
        (_requests.DELETED_SECRETS, {OTHER_HOST}),
    ],
    ids=["secrets", "versions", "deleted secrets"],
)
def test_each_item_of_a_page_is_compared_with_the_list(listing: _requests.Listing[Any], others: set[str]) -> None:
    request, _ = step_to_request(_requests.list_page(vault(), listing, None, None))

    checked(request, {"value": [DELETED, DELETED]})
    checked(request, {"value": None})
    for other in others:
        with pytest.raises(UnexpectedAnswer, match="page is about another"):
            checked(request, {"value": [DELETED, {**DELETED, "id": other}]})


@pytest.mark.parametrize("status", [401, 404, 503])
def test_an_error_is_compared_with_nothing(status: int) -> None:
    request, _ = step_to_request(_requests.get_secret(vault(), "db", None))
    assert request.check is not None

    request.check(response({"id": OTHER_NAME}, status))


@pytest.mark.parametrize("value", ["hunter2", SecretValue("hunter2")], ids=["str", "SecretValue"])
def test_a_value_is_sent_in_the_body(value: str | SecretValue) -> None:
    request, _ = step_to_request(_requests.set_secret(vault(), "db", value, PropertyChanges(tags={"a": "b"})))

    assert json.loads(request.body) == {"value": "hunter2", "tags": {"a": "b"}}
    assert request.headers["content-type"] == "application/json"


def test_a_value_of_any_script_is_sent_unchanged() -> None:
    text = 'p\u00e4ss \U0001f511 "\\\n'
    request, _ = step_to_request(_requests.set_secret(vault(), "db", text, PropertyChanges()))

    assert json.loads(request.body)["value"] == text


def test_an_error_that_contains_the_value_does_not_show_it() -> None:
    _, stepper = step_to_request(_requests.set_secret(vault(), "db", "hunter2", PropertyChanges()))

    with pytest.raises(BadRequest) as caught:
        stepper.resume(error_response(400, "BadParameter", message="hunter2 is weak"))
    assert "hunter2" not in str(caught.value)


def test_an_update_sends_only_the_changes() -> None:
    request, _ = step_to_request(
        _requests.update_secret_properties(vault(), "db", None, PropertyChanges(expires_on=CLEAR))
    )

    assert json.loads(request.body) == {"attributes": {"exp": None}}


@pytest.mark.parametrize(
    "flow",
    [
        lambda: _requests.get_secret(vault(), "a_b", None),
        lambda: _requests.get_secret(vault(), "db", "latest"),
        lambda: _requests.set_secret(vault(), "db", "x" * 25_601, PropertyChanges()),
        lambda: _requests.set_secret(vault(), "../db", "x", PropertyChanges()),
        lambda: _requests.set_secret(vault(), "db", "\ud800", PropertyChanges()),
        lambda: _requests.list_page(vault(), _requests.SECRETS, None, 26),
        lambda: _requests.list_page(vault(), _requests.SECRETS, "https://evil.example/secrets?a", None),
        lambda: _requests.list_page(vault(), _requests.DELETED_SECRETS, f"{URL}/secrets?a", None),
    ],
    ids=[
        "invalid name",
        "invalid version",
        "long value",
        "path in a name",
        "unpaired surrogate in a value",
        "large page size",
        "continuation token of another host",
        "continuation token of another list",
    ],
)
def test_an_argument_that_breaks_a_rule_is_rejected_before_any_request(flow: Callable[[], Flow[Any]]) -> None:
    with pytest.raises(ValueError, match=r".+: .+"):
        Stepper(flow())


def untyped(value: object) -> Any:  # noqa: ANN401 - hides a wrong type from the type checker
    return value


@pytest.mark.parametrize(
    "flow",
    [
        lambda: _requests.get_secret(vault(), untyped(None), None),
        lambda: _requests.set_secret(vault(), "db", untyped({"a": 1}), PropertyChanges()),
        lambda: _requests.update_secret_properties(vault(), "db", None, PropertyChanges(enabled=untyped("no"))),
        lambda: _requests.restore_secret_backup(vault(), untyped("text")),
        lambda: _requests.list_page(vault(), _requests.SECRETS, untyped(5), None),
    ],
    ids=["name None", "value dict", "enabled str", "backup str", "continuation token int"],
)
def test_an_argument_of_a_wrong_type_is_rejected_before_any_request(flow: Callable[[], Flow[Any]]) -> None:
    with pytest.raises(TypeError):
        Stepper(flow())


@given(st.binary(min_size=1))
def test_a_backup_is_restored_unchanged(blob: bytes) -> None:
    sent, _ = step_to_request(_requests.restore_secret_backup(vault(), blob))
    text = json.loads(sent.body)["value"]
    _, stepper = step_to_request(_requests.backup_secret(vault(), "db"))

    assert stepper.resume(response({"value": text})).result == blob
    assert "=" not in text


def test_a_backup_may_be_larger_than_other_responses() -> None:
    stepper = Stepper(_requests.backup_secret(vault(), "db")).resume(TOKEN)
    other = Stepper(_requests.get_secret(vault(), "db", None)).resume(TOKEN)

    assert isinstance(stepper.effect, Send)
    assert isinstance(other.effect, Send)
    assert (stepper.effect.max_bytes, other.effect.max_bytes) == (MAX_BACKUP_BYTES, MAX_RESPONSE_BYTES)


@pytest.mark.parametrize(
    ("listing", "path", "item"),
    [
        (_requests.SECRETS, "secrets", PROPERTIES),
        (_requests.versions_of("db"), "secrets/db/versions", PROPERTIES),
        (_requests.DELETED_SECRETS, "deletedsecrets", DELETED),
    ],
    ids=["secrets", "versions", "deleted secrets"],
)
def test_a_list_starts_at_its_url_and_parses_a_page(listing: _requests.Listing[Any], path: str, item: object) -> None:
    request, stepper = step_to_request(_requests.list_page(vault(), listing, None, None))
    link = f"{URL}:443/{path}?api-version=7.4&$skiptoken=abc"
    page = stepper.resume(response({"value": [item], "nextLink": link}, x_ms_request_id="theirs")).result

    assert request.url == f"{URL}/{path}?api-version=7.4"
    assert [entry.name if hasattr(entry, "name") else entry for entry in page.items] == ["db"]
    assert (page.continuation_token, page.response.request_id) == (link, "theirs")


def test_a_page_size_is_sent_if_it_is_given() -> None:
    request, _ = step_to_request(_requests.list_page(vault(), _requests.SECRETS, None, 5))

    assert request.url == f"{URL}/secrets?api-version=7.4&maxresults=5"


def test_a_continuation_token_is_requested_unchanged() -> None:
    request, stepper = step_to_request(_requests.list_page(vault(), _requests.SECRETS, NEXT, None))

    assert request.url == NEXT
    assert stepper.resume(response({"value": [], "nextLink": None})).result.continuation_token is None


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/secrets?$skiptoken=abc",
        "https://shop.vault.azure.net.evil.example/secrets",
        "https://shop.vault.azure.net@evil.example/secrets",
        "https://shop.vault.azure.net\\@evil.example/secrets",
        "https://shop.vault.azure.net:8443/secrets",
        "http://shop.vault.azure.net/secrets",
        "//evil.example/secrets",
        "/secrets",
        f"{URL}/secrets/../keys?a",
        f"{URL}/secrets/%2e%2e/keys?a",
        f"{URL}/secrets/db",
        f"{URL}/secrets?a b",
        f"{URL}/deletedsecrets?a",
        f"{URL}/secretsof?a",
        NEXT,
    ],
)
def test_a_page_that_links_elsewhere_or_to_itself_is_rejected(link: str) -> None:
    _, stepper = step_to_request(_requests.list_page(vault(), _requests.SECRETS, NEXT, None))

    with pytest.raises(UnexpectedAnswer, match="does not continue the list"):
        stepper.resume(response({"value": [], "nextLink": link}))


@pytest.mark.parametrize(
    ("vault_url", "link"),
    [
        ("https://127.0.0.1:8443", "https://127.0.0.1:8443/secrets?x"),
        (URL, "https://SHOP.vault.azure.net:443/secrets?x"),
        (URL, f"{URL}/secrets?x"),
    ],
)
def test_links_within_the_list_are_accepted_with_and_without_port(vault_url: str, link: str) -> None:
    assert _requests.is_page_link(Vault(vault_url, "7.4", auth_context()), _requests.SECRETS, link)


@pytest.mark.parametrize("host", ["shop.vault.azure.net:443", "shop.vault.azure.net", "evil.example", "10.0.0.1:8443"])
def test_links_of_a_vault_behind_a_domain_of_its_own_are_followed_on_that_domain(host: str) -> None:
    proxied = Vault("https://kv.example.com", "7.4", auth_context(verify=False))
    _, stepper = step_to_request(_requests.list_page(proxied, _requests.SECRETS, None, None))

    page = stepper.resume(response({"value": [], "nextLink": f"https://{host}/secrets?$skiptoken=abc"})).result

    assert page.continuation_token == "https://kv.example.com/secrets?$skiptoken=abc"


@pytest.mark.parametrize("link", ["https://kv.example.com/keys?a", "http://kv.example.com/secrets?a", "/secrets?a"])
def test_no_other_links_of_a_vault_behind_a_domain_of_its_own_are_followed(link: str) -> None:
    proxied = Vault("https://kv.example.com", "7.4", auth_context(verify=False))
    _, stepper = step_to_request(_requests.list_page(proxied, _requests.SECRETS, None, None))

    with pytest.raises(UnexpectedAnswer, match="does not continue the list"):
        stepper.resume(response({"value": [], "nextLink": link}))


def test_the_arguments_of_a_client_are_checked() -> None:
    created = Vault.create("https://Shop.vault.azure.net/", "2030-01-01", RetryPolicy(), verify_resource=True)

    assert (created.url, created.api_version, created.auth.host) == (URL, "2030-01-01", "shop.vault.azure.net")


# PropertyChanges to properties.

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
SECONDS = 1_893_456_000
READ = SecretProperties(id=SecretId("https://shop.vault.azure.net", "db"), content_type="text/plain")


def test_a_field_that_is_not_given_is_left_out() -> None:
    assert PropertyChanges().json_fields() == {}


def test_given_fields_are_written_in_the_services_format() -> None:
    changes = PropertyChanges(
        content_type="text/plain", tags={"a": "b"}, enabled=False, not_before=NEW_YEAR, expires_on=NEW_YEAR
    )

    assert changes.json_fields() == {
        "attributes": {"enabled": False, "nbf": SECONDS, "exp": SECONDS},
        "contentType": "text/plain",
        "tags": {"a": "b"},
    }


def test_cleared_fields_are_written_as_null_or_empty() -> None:
    changes = PropertyChanges(content_type=CLEAR, tags=CLEAR, not_before=CLEAR, expires_on=CLEAR)

    assert changes.json_fields() == {"attributes": {"nbf": None, "exp": None}, "contentType": None, "tags": {}}


def test_empty_fields_are_not_left_out() -> None:
    assert PropertyChanges(content_type="", tags={}).json_fields() == {"contentType": "", "tags": {}}


def test_replacing_all_writes_every_field_and_clears_empty_ones() -> None:
    assert PropertyChanges.replacing_all(READ).json_fields() == {
        "attributes": {"enabled": True, "nbf": None, "exp": None},
        "contentType": "text/plain",
        "tags": {},
    }


def test_replacing_all_writes_changed_fields() -> None:
    changed = replace(READ, enabled=False, expires_on=NEW_YEAR, not_before=NEW_YEAR, content_type=None, tags={"a": "b"})

    assert PropertyChanges.replacing_all(changed).json_fields() == {
        "attributes": {"enabled": False, "nbf": SECONDS, "exp": SECONDS},
        "contentType": None,
        "tags": {"a": "b"},
    }


def test_an_invalid_field_is_rejected() -> None:
    with pytest.raises(ValueError, match="time zone"):
        PropertyChanges(expires_on=datetime(2030, 1, 1)).json_fields()  # noqa: DTZ001 - the naive datetime is under test
