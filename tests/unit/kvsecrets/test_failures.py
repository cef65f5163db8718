"""Which error an answer means: by status, then inner code, then code, and the sentence last."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._failures import MESSAGE_CHARACTERS, failure, retry_after
from kvsecrets._wire import Response
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
from tests.unit.kvsecrets.stepping import answer, refusal

PURGE = 'Operation "purge" is not allowed because purge protection is enabled for this vault.'
PERIMETER = "Request was not allowed by NSP rules and the client address is not authorized"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (refusal(400, "BadParameter"), BadRequest),
        (refusal(401, "Unauthorized"), NotAuthenticated),
        (refusal(403, "Forbidden", "AccessDenied"), AccessDenied),
        (refusal(403, "Forbidden", "ForbiddenByPolicy"), AccessDenied),
        (refusal(403, "Forbidden", "ForbiddenByRbac"), AccessDenied),
        (refusal(403, "Forbidden"), AccessDenied),
        (refusal(403, "Forbidden", "ForbiddenByFirewall"), FirewallDenied),
        (refusal(403, "Forbidden", "ForbiddenByConnection"), FirewallDenied),
        (refusal(403, "Forbidden", message=PERIMETER), FirewallDenied),
        (refusal(403, "Forbidden", "SecretDisabled"), SecretDisabled),
        (refusal(403, "Forbidden", message=PURGE), PurgeProtected),
        (refusal(404, "SecretNotFound"), SecretNotFound),
        (refusal(404, "KeyNotFound"), ResponseError),
        (refusal(405, "MethodNotAllowed"), ResponseError),
        (refusal(409, "Conflict", "ObjectIsBeingDeleted"), Conflict),
        (refusal(429, "Throttled"), Throttled),
        (refusal(500, "InternalServerError"), ServerFailed),
        (refusal(503, "ServiceUnavailable"), ServerFailed),
        (Response(503, {}, b"<html>"), ServerFailed),
        (Response(403, {}, b""), AccessDenied),
        (Response(404, {}, b"<html>not found</html>"), UnexpectedAnswer),
        (Response(404, {}, b'{"error":"not_found"}'), UnexpectedAnswer),
        (Response(302, {"location": "https://evil.example"}, b""), UnexpectedAnswer),
        (Response(206, {}, b"{}"), UnexpectedAnswer),
    ],
    ids=lambda case: case.__name__ if isinstance(case, type) else f"{case.status} {case.body[:60].decode()}",
)
def test_each_refusal_has_its_class(response: Response, expected: type[KeyVaultError]) -> None:
    assert type(failure(response)) is expected


def test_an_error_carries_what_support_asks_for() -> None:
    error = failure(
        refusal(
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


def test_a_message_is_one_line_and_not_longer_than_it_may_be() -> None:
    error = failure(refusal(400, "BadParameter", message="two \r\n lines\t" + "x" * 5000))

    assert isinstance(error, ResponseError)
    assert error.message.startswith("two lines x")
    assert len(error.message) == MESSAGE_CHARACTERS


def test_a_message_that_repeats_the_value_is_withheld() -> None:
    error = failure(refusal(400, "BadParameter", message="Not good: hunter2"), secret_text="hunter2")

    assert "hunter2" not in str(error)
    assert "withheld" in str(error)


def test_an_empty_value_withholds_nothing() -> None:
    assert "No." in str(failure(refusal(400, "BadParameter"), secret_text=""))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 12 "}, 12),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "\u0661"}, None),
        ({"retry-after": "9" * 5000}, 999_999_999),
        ({"retry-after": "Mon, 24 Nov 2025 10:47:00 GMT"}, None),
        ({"retry-after": "Mon, 24 Nov 2025 10:47:00 GMT", "date": "Mon, 24 Nov 2025 10:46:00 GMT"}, 60),
        ({"retry-after": "Mon, 24 Nov 2025 10:47:00 GMT", "date": "Mon, 24 Nov 2025 10:48:00 GMT"}, 0),
    ],
    ids=[
        "no header",
        "at once",
        "seconds",
        "a negative number",
        "a word",
        "digits of another script",
        "an absurd number",
        "a date without the vault's own",
        "a date ahead",
        "a date that has passed",
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "message", "innererror"]), inner),
)


@given(st.integers(100, 599), json_values)
def test_any_json_body_of_any_status_becomes_an_error_of_ours(status: int, body: object) -> None:
    assert isinstance(failure(answer(body, status)), KeyVaultError)


@given(st.integers(100, 599), st.binary())
def test_any_bytes_become_an_error_of_ours(status: int, body: bytes) -> None:
    assert isinstance(failure(Response(status, {}, body)), KeyVaultError)
