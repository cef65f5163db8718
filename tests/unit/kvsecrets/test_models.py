"""The models: ids, times, and a secret text that is hidden."""

import copy
import json
import logging
import operator
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, replace
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets.models import (
    DeletedSecret,
    KeyVaultSecret,
    ResponseInfo,
    SecretBackup,
    SecretId,
    SecretProperties,
    SecretValue,
    http_date,
)

ID = SecretId("https://shop.vault.azure.net", "db", "0123456789abcdef0123456789abcdef")
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

names = st.from_regex(re.compile(r"[0-9a-zA-Z-]{1,127}", re.ASCII), fullmatch=True)
versions = st.none() | st.from_regex(re.compile(r"[0-9a-f]{32}", re.ASCII), fullmatch=True)
hosts = st.sampled_from(["shop.vault.azure.net", "shop.vault.azure.cn", "127.0.0.1:8443", "[::1]:8443"])


def logged(value: SecretValue) -> str:
    record = logging.LogRecord("app", logging.INFO, __file__, 1, "the value is %s, %r", (value, value), None)
    return logging.Formatter().format(record)


def raised(value: SecretValue) -> str:
    return str(ValueError("not good", value))


@pytest.mark.parametrize(
    "show",
    [repr, str, "%s".__mod__, "{!s:>20}".format, "{!r}".format, lambda value: f"{value!s}", logged, raised],
    ids=["repr", "str", "percent", "str with a width", "format of the repr", "f-string", "log record", "error"],
)
def test_a_secret_value_shows_asterisks(show: Callable[[SecretValue], str]) -> None:
    text = show(SecretValue("hunter2"))

    assert "hunter2" not in text
    assert "**********" in text


def test_reveal_returns_the_text_of_a_secret_value() -> None:
    assert SecretValue("hunter2").reveal() == "hunter2"


def test_secret_values_are_equal_when_their_texts_are() -> None:
    assert SecretValue("a") == SecretValue("a")
    assert SecretValue("a") != SecretValue("b")
    assert SecretValue("a") != None  # noqa: E711 - an optional value is compared with None
    assert SecretValue("a") not in [None, 1, SecretValue("b")]


@pytest.mark.parametrize(
    "use",
    [
        format,
        "{}".format,
        "{:>20}".format,
        lambda value: f"password={value}",
        lambda value: value == "hunter2",
        lambda value: value != "hunter2",
        partial(operator.eq, "hunter2"),
        lambda value: value == b"hunter2",
        ["hunter2"].index,
    ],
    ids=[
        "format",
        "str.format",
        "str.format with a width",
        "f-string",
        "equal",
        "unequal",
        "on the right",
        "bytes",
        "in a list",
    ],
)
def test_what_would_take_the_asterisks_for_the_text_raises_and_shows_no_value(
    use: Callable[[SecretValue], object],
) -> None:
    with pytest.raises(TypeError, match=r"reveal\(\)") as caught:
        use(SecretValue("hunter2"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "operation",
    [pickle.dumps, copy.deepcopy, copy.copy, hash, json.dumps, asdict, lambda value: {value}],
    ids=["pickle", "deepcopy", "copy", "hash", "JSON", "asdict", "set"],
)
def test_a_secret_value_cannot_be_copied_or_serialized(operation: Callable[[SecretValue], object]) -> None:
    with pytest.raises(TypeError):
        operation(SecretValue("hunter2"))


def test_a_secret_cannot_be_converted_to_a_dictionary() -> None:
    secret = KeyVaultSecret(properties=SecretProperties(id=ID), value=SecretValue("hunter2"))

    with pytest.raises(TypeError, match="reveal"):
        asdict(secret)


def test_a_secret_value_must_be_a_str() -> None:
    with pytest.raises(TypeError, match="str, not bytes"):
        SecretValue(b"hunter2")  # type: ignore[arg-type]  # the wrong type is the point


def test_a_secret_value_must_not_contain_an_unpaired_surrogate() -> None:
    with pytest.raises(ValueError, match="unpaired surrogate"):
        SecretValue("\ud83d")

    assert SecretValue("\U0001f511").reveal().encode()


def test_a_secret_prints_without_its_value() -> None:
    secret = KeyVaultSecret(properties=SecretProperties(id=ID), value=SecretValue("hunter2"))

    assert "hunter2" not in repr(secret)
    assert "db" in repr(secret)


@given(hosts, names, versions)
def test_an_id_is_the_same_after_writing_and_parsing_its_url(host: str, name: str, version: str | None) -> None:
    secret_id = SecretId(f"https://{host}", name, version)

    assert SecretId.parse(str(secret_id)) == secret_id


@given(st.text() | st.from_regex(r"https://[^/]*/(deleted)?secrets/.*"))
def test_any_text_is_parsed_as_an_id_or_rejected(text: str) -> None:
    try:
        parsed = SecretId.parse(text)
    except ValueError:
        return

    assert str(parsed) == text.removesuffix("/").replace("/deletedsecrets/", "/secrets/")


def test_the_url_of_a_deleted_secret_is_parsed_as_the_id_before_deletion() -> None:
    assert SecretId.parse("https://shop.vault.azure.net/deletedsecrets/db") == replace(ID, version=None)


def test_an_id_must_be_a_str() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        SecretId.parse(None)  # type: ignore[arg-type]  # the wrong type is the point


@pytest.mark.parametrize(
    "text",
    [
        "",
        "db",
        "http://shop.vault.azure.net/secrets/db",
        "https://shop.vault.azure.net/keys/db",
        "https://shop.vault.azure.net/secrets/",
        "https://shop.vault.azure.net/secrets/db/1/2",
        "https://shop.vault.azure.net/secrets/a_b",
        "https://user@shop.vault.azure.net/secrets/db",
        "https://shop.vault.azure.net/secrets/db?x=1",
        "https://shop.vault.azure.net/secrets/db\n",
    ],
)
def test_any_other_url_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"https://\{vault\}/secrets/\{name\}"):
        SecretId.parse(text)


def test_properties_have_the_parts_of_their_id() -> None:
    properties = SecretProperties(id=ID)

    assert (properties.name, properties.version, properties.vault_url) == (ID.name, ID.version, ID.vault_url)


@pytest.mark.parametrize(
    "secret",
    [
        KeyVaultSecret(properties=SecretProperties(id=ID), value=SecretValue("x")),
        DeletedSecret(properties=SecretProperties(id=ID)),
    ],
    ids=["secret", "deleted secret"],
)
def test_models_can_be_constructed_and_have_name_and_id(secret: KeyVaultSecret | DeletedSecret) -> None:
    assert (secret.name, secret.id) == ("db", ID)


def test_models_are_immutable() -> None:
    properties = SecretProperties(id=ID)

    with pytest.raises(FrozenInstanceError):
        properties.enabled = False  # type: ignore[misc]  # the assignment is under test

    assert replace(properties, enabled=False).enabled is False


def test_comparisons_ignore_the_response() -> None:
    one = KeyVaultSecret(properties=SecretProperties(id=ID), value=SecretValue("x"))

    assert one == replace(one, response=ResponseInfo(200, {"x-ms-request-id": "1"}))


def test_a_backup_is_its_bytes_and_its_response() -> None:
    backup = SecretBackup(b"blob", ResponseInfo(200, {"x-ms-request-id": "1"}))

    assert (backup, backup.response.request_id) == (b"blob", "1")
    assert pickle.loads(pickle.dumps(backup)).response == backup.response  # noqa: S301 - pickled in the same line


def test_a_response_has_the_vaults_clock_and_both_request_ids() -> None:
    info = ResponseInfo(
        200,
        {
            "date": "Sun, 01 Mar 2026 12:00:00 GMT",
            "x-ms-request-id": "theirs",
            "x-ms-client-request-id": "ours",
        },
    )

    assert (info.date, info.request_id, info.client_request_id) == (NOON, "theirs", "ours")


def test_a_response_without_headers_has_none_of_them() -> None:
    info = ResponseInfo()

    assert (info.date, info.request_id, info.client_request_id) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 01 Mar 2026 12:00:00 GMT", NOON),
        ("Sun, 01 Mar 2026 14:00:00 +0200", NOON),
        ("Sun, 01 Mar 2026 12:00:00 -0000", NOON),
        ("yesterday", None),
        ("Sun, 99 Mar 2026 12:00:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_of_headers_are_converted_to_utc(text: str | None, expected: datetime | None) -> None:
    assert http_date(text) == expected


@given(st.text())
def test_any_text_is_parsed_as_a_date_or_none(text: str) -> None:
    moment = http_date(text)

    assert moment is None or moment.tzinfo is UTC
