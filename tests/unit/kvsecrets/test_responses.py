"""Responses are parsed into models or errors: any body becomes one or the other."""

import contextlib
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import _responses
from kvsecrets._disclosure import MAX_MESSAGE_CHARACTERS, MEANINGS, WITHHELD
from kvsecrets._protocol import Response
from kvsecrets._responses import error_from, retry_after
from kvsecrets.errors import (
    AccessDenied,
    BadRequest,
    Conflict,
    FirewallDenied,
    KeyVaultError,
    NotAuthenticated,
    PurgeProtected,
    ResponseError,
    SecretDisabled,
    SecretNotFound,
    ServerFailed,
    Throttled,
    UnexpectedAnswer,
)
from kvsecrets.models import DeletedSecret, KeyVaultSecret, SecretId, SecretProperties, SecretValue
from tests.unit.kvsecrets.stepper import DELETED, PROPERTIES, SECRET, URL, VERSION, error_response, response

ID = SecretId(URL, "db", VERSION)
PREVIOUS = "f" * 32
CERTIFICATE = {
    "value": "MII",
    "contentType": "application/x-pkcs12",
    "id": str(ID),
    "managed": True,
    "attributes": {
        "enabled": False,
        "nbf": 1_700_000_000,
        "exp": 32_503_680_000,
        "created": 1_700_000_000,
        "updated": 1_700_000_000,
        "recoveryLevel": "CustomizedRecoverable",
        "recoverableDays": 7,
    },
    "tags": {"team": "shop"},
    "kid": f"{URL}/keys/db/{VERSION}",
    "previousVersion": PREVIOUS,
}


def at(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def test_a_recorded_secret_is_parsed() -> None:
    secret = _responses.parse_secret(response(SECRET, x_ms_request_id="theirs"))

    assert secret == KeyVaultSecret(
        properties=SecretProperties(
            id=ID,
            created_on=at(1_700_000_000),
            updated_on=at(1_700_000_100),
            recovery_level="Recoverable+Purgeable",
            recoverable_days=90,
        ),
        value=SecretValue("hunter2"),
    )
    assert secret.response.request_id == "theirs"


def test_the_secret_of_a_certificate_is_parsed_with_every_field() -> None:
    assert _responses.parse_properties(response(CERTIFICATE)) == SecretProperties(
        id=ID,
        enabled=False,
        created_on=at(1_700_000_000),
        updated_on=at(1_700_000_000),
        not_before=at(1_700_000_000),
        expires_on=at(32_503_680_000),
        content_type="application/x-pkcs12",
        tags={"team": "shop"},
        managed=True,
        key_id=f"{URL}/keys/db/{VERSION}",
        previous_version=PREVIOUS,
        recoverable_days=7,
        recovery_level="CustomizedRecoverable",
    )


def test_a_deleted_secret_is_parsed() -> None:
    assert _responses.parse_deleted_secret(response(DELETED)) == DeletedSecret(
        properties=_responses.parse_properties(response(PROPERTIES)),
        deleted_on=at(1_700_000_200),
        scheduled_purge_on=at(1_707_776_200),
        recovery_id=f"{URL}/deletedsecrets/db",
    )


def test_an_empty_value_is_valid() -> None:
    assert _responses.parse_secret(response({**SECRET, "value": ""})).value == SecretValue("")


def test_a_page_is_parsed_with_the_link_to_the_next() -> None:
    items, following = _responses.parse_properties_page(
        response({"value": [PROPERTIES, CERTIFICATE], "nextLink": "https://next"})
    )

    assert [item.content_type for item in items] == [None, "application/x-pkcs12"]
    assert following == "https://next"


@pytest.mark.parametrize("last", [{"nextLink": None}, {}, {"nextLink": ""}], ids=["null", "absent", "empty"])
def test_the_last_page_has_no_link(last: dict[str, object]) -> None:
    assert _responses.parse_deleted_page(response({"value": [], **last})) == ((), None)


def test_an_expiry_after_the_year_9999_is_the_largest_datetime() -> None:
    far = {**SECRET, "attributes": {"exp": 2**63 - 1}}

    assert _responses.parse_secret(response(far)).properties.expires_on == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "parse",
    [_responses.parse_secret, _responses.parse_properties, _responses.parse_deleted_secret, _responses.parse_backup],
)
def test_an_error_status_raises_its_error(parse: Callable[[Response], object]) -> None:
    with pytest.raises(SecretNotFound):
        parse(error_response(404, "SecretNotFound"))


@pytest.mark.parametrize("text", ["KUF6dXJlS2V5_w", "KUF6dXJlS2V5_w=="], ids=["recorded", "padded"])
def test_a_backup_is_decoded_into_bytes(text: str) -> None:
    assert _responses.parse_backup(response({"value": text})) == b")AzureKey\xff"


@pytest.mark.parametrize("value", [None, "", 5, "A", "K U", "KUF6\u00e9", "\ud800"])
def test_an_invalid_backup_is_unexpected(value: object) -> None:
    with pytest.raises(UnexpectedAnswer, match="base64url"):
        _responses.parse_backup(response({"value": value}))


def test_a_value_with_an_unpaired_surrogate_is_unexpected_and_not_shown() -> None:
    with pytest.raises(UnexpectedAnswer, match="not Unicode text") as caught:
        _responses.parse_secret(response({**SECRET, "value": "hunter2\ud800"}))

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 204])
def test_a_response_without_content_is_a_success(status: int) -> None:
    _responses.check_success(Response(status))


def test_an_error_status_is_not_a_success() -> None:
    with pytest.raises(SecretNotFound):
        _responses.check_success(error_response(404, "SecretNotFound"))


def changed(path: list[str], field: object) -> Response:
    body: Any = copy.deepcopy(SECRET)
    inner = body
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = field
    return response(body)


@pytest.mark.parametrize(
    "http_response",
    [
        Response(200, {}, b""),
        Response(200, {}, b"<html>hunter2</html>"),
        Response(200, {}, b"[" * 100_000),
        Response(200, {}, b'{"value":' * 100_000),
        Response(200, {}, b"\xff\xfe"),
        response([]),
        response({}),
        changed(["value"], None),
        changed(["value"], ["hunter2"]),
        changed(["id"], None),
        changed(["id"], "hunter2"),
        changed(["attributes"], ["hunter2"]),
        changed(["attributes", "enabled"], "hunter2"),
        changed(["attributes", "exp"], "hunter2"),
        changed(["attributes", "exp"], True),
        changed(["attributes", "exp"], 1.5),
        changed(["attributes", "exp"], -(10**30)),
        changed(["contentType"], {"hunter2": 1}),
        changed(["tags"], {"hunter2": 1}),
        changed(["tags"], "hunter2"),
        changed(["managed"], "hunter2"),
        changed(["kid"], 7),
        changed(["previousVersion"], 7),
    ],
)
def test_an_invalid_secret_is_unexpected_and_its_body_is_not_shown(http_response: Response) -> None:
    with pytest.raises(UnexpectedAnswer) as caught:
        _responses.parse_secret(http_response)

    assert caught.value.status == 200
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [{}, "x", [1], [[]], [None], [PROPERTIES, None]])
def test_a_page_without_a_list_of_objects_is_unexpected(value: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        _responses.parse_properties_page(response({"value": value}))


def test_a_page_may_have_null_for_no_secrets_but_must_say_so() -> None:
    """The page of a vault that never had a secret; `{}` may be anyone's."""
    assert _responses.parse_properties_page(Response(200, {}, b'{"value":null,"nextLink":null}')) == ((), None)
    with pytest.raises(UnexpectedAnswer, match="not a list"):
        _responses.parse_properties_page(Response(200, {}, b'{"nextLink":null}'))


@pytest.mark.parametrize("more", ['"error":{"code":"ServerError"}', '"status":"failed","nextLink":null'])
def test_null_beside_anything_else_is_no_empty_listing(more: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        _responses.parse_properties_page(Response(200, {}, f'{{"value":null,{more}}}'.encode()))


def test_null_in_an_optional_field_is_the_same_as_no_field() -> None:
    """Emulators write null where Key Vault leaves a field out."""
    attributes = {**PROPERTIES["attributes"], "nbf": None, "exp": None, "recoverableDays": None}
    nulls = {"value": None, "contentType": None, "managed": None, "kid": None, "tags": {"team": None, "env": ""}}
    without = {**PROPERTIES, "attributes": {name: field for name, field in attributes.items() if field is not None}}

    page, _ = _responses.parse_properties_page(response({"value": [{**PROPERTIES, **nulls, "attributes": attributes}]}))

    assert page == (replace(_responses.parse_properties(response(without)), tags={"env": ""}),)


PARSERS = [
    _responses.parse_secret,
    _responses.parse_properties,
    _responses.parse_deleted_secret,
    _responses.parse_backup,
    _responses.parse_properties_page,
    _responses.parse_deleted_page,
]
FIELDS = ["value", "id", "attributes", "enabled", "exp", "nbf", "created", "updated", "tags", "contentType", "managed"]
FIELDS += ["kid", "recoverableDays", "recoveryLevel", "recoveryId", "deletedDate", "scheduledPurgeDate", "nextLink"]
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(str(ID))
anything = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS), inner), max_leaves=6
)
mutations = st.dictionaries(st.sampled_from(FIELDS), anything, max_size=3)


@given(body=anything)
def test_any_json_becomes_a_model_or_unexpected(body: object) -> None:
    assert_parsed_or_unexpected(Response(200, {}, json.dumps(body).encode()))


@given(fields=mutations, attributes=mutations)
def test_any_change_to_a_valid_response_becomes_a_model_or_unexpected(
    fields: dict[str, object], attributes: dict[str, object]
) -> None:
    body = {**DELETED, **SECRET, "attributes": {**SECRET["attributes"], **attributes}, **fields}

    assert_parsed_or_unexpected(response(body))


def assert_parsed_or_unexpected(http_response: Response) -> None:
    for parse in PARSERS:
        with contextlib.suppress(UnexpectedAnswer):
            assert parse(http_response) is not None
    asked = _responses.Asked("shop.vault.azure.net", "db", VERSION, deleted=True)
    for check in (asked.check, asked.check_page):
        with contextlib.suppress(UnexpectedAnswer):
            check(http_response)


@given(body=st.binary(), status=st.integers(100, 599))
def test_any_bytes_become_a_model_or_a_key_vault_error(body: bytes, status: int) -> None:
    for parse in PARSERS:
        with contextlib.suppress(KeyVaultError):
            assert parse(Response(status, {}, body)) is not None


# Errors.

PURGE = 'Operation "purge" is not allowed because purge protection is enabled for this vault.'
DISABLED = "Operation get is not allowed on a disabled secret."
PERIMETER = "Request was not allowed by NSP rules and the client address is not authorized"


@pytest.mark.parametrize(
    ("http_response", "expected"),
    [
        (error_response(400, "BadParameter"), BadRequest),
        (error_response(401, "Unauthorized"), NotAuthenticated),
        (error_response(403, "Forbidden", "AccessDenied"), AccessDenied),
        (error_response(403, "Forbidden", "ForbiddenByPolicy"), AccessDenied),
        (error_response(403, "Forbidden", "ForbiddenByRbac"), AccessDenied),
        (error_response(403, "Forbidden"), AccessDenied),
        (error_response(403, "Forbidden", "ForbiddenByFirewall"), FirewallDenied),
        (error_response(403, "Forbidden", "ForbiddenByConnection"), FirewallDenied),
        (error_response(403, "Forbidden", message=PERIMETER), FirewallDenied),
        (error_response(403, "Forbidden", "SecretDisabled"), SecretDisabled),
        (
            error_response(403, "Forbidden", message=DISABLED),
            SecretDisabled,
        ),
        (error_response(403, "Forbidden", message=PURGE), PurgeProtected),
        (error_response(404, "SecretNotFound"), SecretNotFound),
        (error_response(404, "NotFound", "SecretNotFound"), SecretNotFound),
        (error_response(404, "KeyNotFound"), ResponseError),
        (error_response(408, "RequestTimeout"), ResponseError),
        (error_response(405, "MethodNotAllowed"), ResponseError),
        (error_response(409, "Conflict", "ObjectIsBeingDeleted"), Conflict),
        (error_response(429, "Throttled"), Throttled),
        (error_response(500, "InternalServerError"), ServerFailed),
        (error_response(503, "ServiceUnavailable"), ServerFailed),
        (Response(503, {}, b"<html>"), ServerFailed),
        (Response(503, {}, b'{"error":' * 100_000), ServerFailed),
        (Response(404, {}, b'{"error":' * 100_000), UnexpectedAnswer),
        (Response(403, {}, b""), AccessDenied),
        (Response(404, {}, b"<html>not found</html>"), UnexpectedAnswer),
        (Response(404, {}, b'{"error":"not_found"}'), UnexpectedAnswer),
        (Response(302, {"location": "https://evil.example"}, b""), UnexpectedAnswer),
        (Response(206, {}, b"{}"), UnexpectedAnswer),
    ],
    ids=lambda case: case.__name__ if isinstance(case, type) else f"{case.status} {case.body[:60].decode()}",
)
def test_each_error_response_has_its_class(http_response: Response, expected: type[KeyVaultError]) -> None:
    assert type(error_from(http_response)) is expected


NOT_FOUND = {
    "Key Vault": b'{"error":{"code":"SecretNotFound","message":"A secret with (name/id) db was not found in this key '
    b"vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For "
    b'help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"}}',
    "Key Vault, of a deletion": b'{"error":{"code":"SecretNotFound","message":"Deleted Secret not found: db"}}',
    "lowkey-vault": b'{"error":{"code":"com.github.nagyesta.lowkeyvault.service.exception.NotFoundException",'
    b'"message":"Entity not found: db"}}',
    "another spelling": b'{"error":{"code":"secret_not_found","message":"No secret db."}}',
    "an exception": b'{"error":{"code":"io.example.vault.SecretNotFoundException","message":"db"}}',
    "in words": b'{"error":{"code":"Secret was not found","message":"db"}}',
    "of a version": b'{"error":{"code":"NotFound","message":"No.","innererror":{"code":"SecretVersionNotFound"}}}',
    "azure-keyvault-emulator": b'{"error":{"code":"Failed to perform request into Azure Key Vault Emulator",'
    b'"innererror":null,"message":"Could not find db in vault."}}',
}
NOT_OF_A_VAULT = {
    "no body": b"",
    "HTML": b"<html><head><title>404 Not Found</title></head><body><center>nginx</center></body></html>",
    "text": b"default backend - 404",
    "API Management": b'{ "statusCode": 404, "message": "Resource not found" }',
    "ASP.NET": b'{"type":"https://tools.ietf.org/html/rfc9110#section-15.5.5","title":"Not Found","status":404}',
    "Spring": b'{"timestamp":"2026-01-01T00:00:00.000+00:00","status":404,"error":"Not Found","path":"/secrets/db"}',
    "another service of Azure": b'{"error":{"code":"ResourceNotFound","message":"The Resource was not found."}}',
    "another object": b'{"error":{"code":"CertificateNotFound","message":"A secret was not found."}}',
    "a secret of another kind": b'{"error":{"code":"SecretStoreNotFound","message":"A secret was not found."}}',
    "any object": b'{"error":{"code":"NotFound","message":"A secret was not found."}}',
    "a code that is no text": b'{"error":{"code":404,"message":"SecretNotFound"}}',
    "Key Vault's words in another form": b'{"code":"SecretNotFound","message":"A secret with (name/id) db"}',
}


@pytest.mark.parametrize("body", NOT_FOUND.values(), ids=NOT_FOUND)
def test_a_404_of_a_vault_is_an_absence(body: bytes) -> None:
    assert type(error_from(Response(404, {}, body))) is SecretNotFound


@pytest.mark.parametrize("body", NOT_OF_A_VAULT.values(), ids=NOT_OF_A_VAULT)
def test_a_404_that_does_not_name_a_secret_is_no_absence(body: bytes) -> None:
    assert type(error_from(Response(404, {}, body))) in {UnexpectedAnswer, ResponseError}


@pytest.mark.parametrize("status", [400, 401, 403, 409, 429, 500])
def test_the_code_of_an_absence_counts_in_a_404_only(status: int) -> None:
    for body in NOT_FOUND.values():
        assert not isinstance(error_from(Response(status, {}, body)), SecretNotFound)


def test_an_error_has_codes_message_and_request_ids() -> None:
    error = error_from(
        error_response(
            429,
            "Throttled",
            "TooMany",
            "Too many.",
            {"x-ms-request-id": "theirs", "x-ms-client-request-id": "ours", "retry-after": "3"},
        )
    )

    assert isinstance(error, Throttled)
    assert (error.status, error.code, error.inner_code, error.message) == (429, "Throttled", "TooMany", "Too many.")
    assert (error.request_id, error.client_request_id, error.retry_after) == ("theirs", "ours", 3)
    assert error.headers["retry-after"] == "3"


def test_the_error_of_an_unexpected_response_has_its_headers() -> None:
    error = error_from(Response(302, {"location": "https://login.example"}, b""))

    assert isinstance(error, UnexpectedAnswer)
    assert error.headers == {"location": "https://login.example"}


def test_a_message_is_one_line_of_limited_length() -> None:
    error = error_from(error_response(400, "BadParameter", message="two \r\n lines\t" + "x" * 5000))

    assert isinstance(error, ResponseError)
    assert error.message.startswith("two lines x")
    assert len(error.message) == MAX_MESSAGE_CHARACTERS


UUID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
ECHOES = ["hunter2", "HUNTER2", "hunt", "h\\u0075nter2", "aHVudGVyMg==", "2retnuh", "Forbidden hunter2"]
"""The value of a request as an answer may repeat it: whole, in other letters, cut, escaped, encoded, reversed."""


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500])
def test_a_value_that_was_sent_is_shown_in_no_form_and_no_field(status: int, echo: str) -> None:
    ids = {"x-ms-request-id": echo, "x-ms-client-request-id": echo}
    error = error_from(error_response(status, echo, echo, f"Not good: {echo}", ids), had_value=True)

    assert isinstance(error, ResponseError)
    assert (error.code, error.inner_code, error.request_id, error.client_request_id) == (None, None, None, None)
    assert str(error) == f"{status}: {WITHHELD} (request id -, client request id -)"


@pytest.mark.parametrize("code", MEANINGS)
def test_an_error_of_a_request_with_a_value_says_what_its_code_means(code: str) -> None:
    error = error_from(error_response(400, "BadParameter", code, "hunter2", {"x-ms-request-id": UUID}), had_value=True)

    assert str(error).startswith(f"400 BadParameter/{code}: {MEANINGS[code]} ({WITHHELD}) (request id {UUID}")


def test_what_an_error_means_does_not_depend_on_what_is_shown() -> None:
    denied = error_response(403, "Forbidden", None, "This is not allowed: purge protection is enabled for this vault.")

    assert type(error_from(denied, had_value=True)) is PurgeProtected


def test_the_message_of_a_request_without_a_value_is_shown() -> None:
    assert "No." in str(error_from(error_response(400, "BadParameter")))


@pytest.mark.parametrize("code", ["a\x1b[2K", "\u202eb", "two\nlines", "1", "", "x" * 101, "caf\u00e9"])
def test_a_code_that_is_no_code_word_is_not_shown(code: str) -> None:
    error = error_from(error_response(400, code, code, headers={"x-ms-request-id": code + "!"}))

    assert isinstance(error, ResponseError)
    assert (error.code, error.inner_code, error.request_id) == (None, None, None)


def test_a_message_controls_no_terminal() -> None:
    error = error_from(error_response(400, "BadParameter", message="a\x1b[2Kb\u202ec\x00\nd"))

    assert isinstance(error, ResponseError)
    assert error.message == "a [2Kb c d"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 12 "}, 12),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "\u0661"}, None),
        ({"retry-after": "9" * 5000}, 999_999_999_999),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ms-retry-after-ms": "20", "retry-after": "1"}, 0.02),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3),
        ({"retry-after": "Mon, 24 Nov 2025 10:47:00 GMT"}, None),
        ({"retry-after": "Mon, 24 Nov 2025 10:47:00 GMT", "date": "Mon, 24 Nov 2025 10:46:00 GMT"}, 60),
        ({"retry-after": "Mon, 24 Nov 2025 10:47:00 GMT", "date": "Mon, 24 Nov 2025 10:48:00 GMT"}, 0),
    ],
    ids=[
        "no header",
        "zero",
        "seconds",
        "negative number",
        "word",
        "digits of another script",
        "huge number",
        "milliseconds",
        "milliseconds are more exact",
        "milliseconds that are none",
        "date without a Date header",
        "future date",
        "past date",
    ],
)
def test_retry_after_is_parsed_in_both_forms(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers) == expected


error_bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "message", "innererror"]), inner),
)


@given(st.integers(100, 599), error_bodies)
def test_any_json_body_of_any_status_becomes_a_key_vault_error(status: int, body: object) -> None:
    assert isinstance(error_from(response(body, status)), KeyVaultError)


@given(st.integers(100, 599), st.binary())
def test_any_bytes_of_any_status_become_a_key_vault_error(status: int, body: bytes) -> None:
    assert isinstance(error_from(Response(status, {}, body)), KeyVaultError)
