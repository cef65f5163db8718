"""Answers become models, field by field, or UnexpectedAnswer: nothing else comes out of any JSON."""

import contextlib
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import _answers
from kvsecrets._wire import Response
from kvsecrets.errors import KeyVaultError, SecretNotFound, UnexpectedAnswer
from kvsecrets.models import DeletedSecret, KeyVaultSecret, SecretId, SecretProperties, SecretValue
from tests.unit.kvsecrets.stepping import DELETED, PROPERTIES, SECRET, URL, VERSION, answer, refusal

ID = SecretId(URL, "db", VERSION)
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
}


def at(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def test_a_secret_as_recorded_is_read() -> None:
    secret = _answers.secret(answer(SECRET, x_ms_request_id="theirs"))

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


def test_a_certificates_secret_is_read_with_every_field() -> None:
    assert _answers.properties(answer(CERTIFICATE)) == SecretProperties(
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
        recoverable_days=7,
        recovery_level="CustomizedRecoverable",
    )


def test_a_deleted_secret_is_read() -> None:
    assert _answers.deleted(answer(DELETED)) == DeletedSecret(
        properties=_answers.properties(answer(PROPERTIES)),
        deleted_on=at(1_700_000_200),
        scheduled_purge_on=at(1_707_776_200),
        recovery_id=f"{URL}/deletedsecrets/db",
    )


def test_an_empty_value_is_a_value() -> None:
    assert _answers.secret(answer({**SECRET, "value": ""})).value == SecretValue("")


def test_a_page_is_read_with_the_link_to_the_next() -> None:
    items, following = _answers.properties_page(
        answer({"value": [PROPERTIES, CERTIFICATE], "nextLink": "https://next"})
    )

    assert [item.content_type for item in items] == [None, "application/x-pkcs12"]
    assert following == "https://next"


@pytest.mark.parametrize("last", [{"nextLink": None}, {}, {"nextLink": ""}], ids=["null", "absent", "empty"])
def test_the_last_page_leads_nowhere(last: dict[str, object]) -> None:
    assert _answers.deleted_page(answer({"value": [], **last})) == ((), None)


def test_an_expiry_beyond_the_calendar_is_the_last_moment_of_it() -> None:
    far = {**SECRET, "attributes": {"exp": 2**63 - 1}}

    assert _answers.secret(answer(far)).properties.expires_on == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("read", [_answers.secret, _answers.properties, _answers.deleted, _answers.backup])
def test_a_refusal_is_raised_as_what_it_means(read: Callable[[Response], object]) -> None:
    with pytest.raises(SecretNotFound):
        read(refusal(404, "SecretNotFound"))


@pytest.mark.parametrize("text", ["KUF6dXJlS2V5_w", "KUF6dXJlS2V5_w=="], ids=["as recorded", "padded"])
def test_a_backup_is_the_bytes_that_its_text_stands_for(text: str) -> None:
    assert _answers.backup(answer({"value": text})) == b")AzureKey\xff"


@pytest.mark.parametrize("value", [None, "", 5, "A", "K U", "KUF6\u00e9", "\ud800"])
def test_what_is_no_backup_is_unexpected(value: object) -> None:
    with pytest.raises(UnexpectedAnswer, match="base64url"):
        _answers.backup(answer({"value": value}))


def test_a_value_that_is_no_text_is_unexpected_and_not_shown() -> None:
    with pytest.raises(UnexpectedAnswer, match="not Unicode text") as caught:
        _answers.secret(answer({**SECRET, "value": "hunter2\ud800"}))

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 204])
def test_an_answer_without_content_is_accepted(status: int) -> None:
    _answers.nothing(Response(status))


def test_a_refusal_is_not_taken_for_an_answer_without_content() -> None:
    with pytest.raises(SecretNotFound):
        _answers.nothing(refusal(404, "SecretNotFound"))


def changed(path: list[str], field: object) -> Response:
    body: Any = copy.deepcopy(SECRET)
    inner = body
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = field
    return answer(body)


@pytest.mark.parametrize(
    "response",
    [
        Response(200, {}, b""),
        Response(200, {}, b"<html>hunter2</html>"),
        Response(200, {}, b"[" * 100_000),
        Response(200, {}, b"\xff\xfe"),
        answer([]),
        answer({}),
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
    ],
)
def test_what_cannot_be_read_is_unexpected_and_does_not_show_the_body(response: Response) -> None:
    with pytest.raises(UnexpectedAnswer) as caught:
        _answers.secret(response)

    assert caught.value.status == 200
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [None, {}, "x", [1], [[]]])
def test_a_page_without_a_list_of_objects_is_unexpected(value: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        _answers.properties_page(answer({"value": value}))


READERS = [
    _answers.secret,
    _answers.properties,
    _answers.deleted,
    _answers.backup,
    _answers.properties_page,
    _answers.deleted_page,
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
    response = Response(200, {}, json.dumps(body).encode())

    assert_readable_or_unexpected(response)


@given(fields=mutations, attributes=mutations)
def test_any_change_to_an_honest_answer_becomes_a_model_or_unexpected(
    fields: dict[str, object], attributes: dict[str, object]
) -> None:
    body = {**DELETED, **SECRET, "attributes": {**SECRET["attributes"], **attributes}, **fields}

    assert_readable_or_unexpected(answer(body))


def assert_readable_or_unexpected(response: Response) -> None:
    for read in READERS:
        with contextlib.suppress(UnexpectedAnswer):
            assert read(response) is not None


@given(body=st.binary(), status=st.integers(100, 599))
def test_any_bytes_become_a_model_or_an_error_of_ours(body: bytes, status: int) -> None:
    for read in READERS:
        with contextlib.suppress(KeyVaultError):
            assert read(Response(status, {}, body)) is not None
