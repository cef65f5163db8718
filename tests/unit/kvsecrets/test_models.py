"""The values that users get: ids, times, and a secret text that does not show itself."""

import copy
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets.models import (
    DeletedSecret,
    KeyVaultSecret,
    ResponseInfo,
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


@pytest.mark.parametrize(
    "shown",
    [repr, str, "{}".format, "{:>20}".format, "{!r}".format, lambda value: f"{value}"],
    ids=["repr", "str", "format", "format with a width", "format of the repr", "an f-string"],
)
def test_a_secret_value_shows_asterisks(shown: Callable[[SecretValue], str]) -> None:
    text = shown(SecretValue("hunter2"))

    assert "hunter2" not in text
    assert "**********" in text


def test_a_secret_value_reveals_its_text_when_asked() -> None:
    assert SecretValue("hunter2").reveal() == "hunter2"


def test_secret_values_are_equal_when_their_texts_are() -> None:
    assert SecretValue("a") == SecretValue("a")
    assert SecretValue("a") != SecretValue("b")
    assert SecretValue("a") != "a"


@pytest.mark.parametrize(
    "taken",
    [pickle.dumps, copy.deepcopy, copy.copy, hash, json.dumps, asdict, lambda value: {value}],
    ids=["pickle", "deepcopy", "copy", "hash", "JSON", "a dict of a dataclass", "a set"],
)
def test_a_secret_value_is_not_written_down_by_accident(taken: Callable[[SecretValue], object]) -> None:
    with pytest.raises(TypeError):
        taken(SecretValue("hunter2"))


def test_a_secret_as_a_dictionary_is_refused_too() -> None:
    secret = KeyVaultSecret(properties=SecretProperties(id=ID), value=SecretValue("hunter2"))

    with pytest.raises(TypeError, match="reveal"):
        asdict(secret)


def test_a_secret_value_is_made_of_text_alone() -> None:
    with pytest.raises(TypeError, match="str, not bytes"):
        SecretValue(b"hunter2")  # type: ignore[arg-type]  # the wrong type is the point


def test_a_secret_value_holds_whole_characters_alone() -> None:
    with pytest.raises(ValueError, match="lone surrogates"):
        SecretValue("\ud83d")

    assert SecretValue("\U0001f511").reveal().encode()


def test_a_secret_prints_without_its_value() -> None:
    secret = KeyVaultSecret(properties=SecretProperties(id=ID), value=SecretValue("hunter2"))

    assert "hunter2" not in repr(secret)
    assert "db" in repr(secret)


@given(hosts, names, versions)
def test_an_id_survives_being_written_as_a_url_and_read_again(host: str, name: str, version: str | None) -> None:
    whole = SecretId(f"https://{host}", name, version)

    assert SecretId.parse(str(whole)) == whole


@given(st.text() | st.from_regex(r"https://[^/]*/(deleted)?secrets/.*"))
def test_any_text_is_read_as_an_id_or_refused(text: str) -> None:
    try:
        parsed = SecretId.parse(text)
    except ValueError:
        return

    assert str(parsed) == text.removesuffix("/").replace("/deletedsecrets/", "/secrets/")


def test_a_deleted_secrets_url_names_the_secret_that_it_was() -> None:
    assert SecretId.parse("https://shop.vault.azure.net/deletedsecrets/db") == replace(ID, version=None)


def test_an_id_that_is_no_text_is_refused_by_its_type() -> None:
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
def test_what_is_no_id_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"https://\{vault\}/secrets/\{name\}"):
        SecretId.parse(text)


def test_properties_tell_the_parts_of_their_id() -> None:
    properties = SecretProperties(id=ID)

    assert (properties.name, properties.version, properties.vault_url) == (ID.name, ID.version, ID.vault_url)


@pytest.mark.parametrize(
    "secret",
    [
        KeyVaultSecret(properties=SecretProperties(id=ID), value=SecretValue("x")),
        DeletedSecret(properties=SecretProperties(id=ID)),
    ],
    ids=["a secret", "a deleted secret"],
)
def test_models_are_made_by_hand_and_tell_name_and_id(secret: KeyVaultSecret | DeletedSecret) -> None:
    assert (secret.name, secret.id) == ("db", ID)


def test_models_do_not_change() -> None:
    properties = SecretProperties(id=ID)

    with pytest.raises(FrozenInstanceError):
        properties.enabled = False  # type: ignore[misc]  # that it cannot be set is the point

    assert replace(properties, enabled=False).enabled is False


def test_two_secrets_are_equal_however_they_were_answered() -> None:
    one = KeyVaultSecret(properties=SecretProperties(id=ID), value=SecretValue("x"))

    assert one == replace(one, response=ResponseInfo(200, {"x-ms-request-id": "1"}))


def test_a_response_tells_the_vaults_clock_and_both_request_ids() -> None:
    info = ResponseInfo(
        200,
        {
            "date": "Sun, 01 Mar 2026 12:00:00 GMT",
            "x-ms-request-id": "theirs",
            "x-ms-client-request-id": "ours",
        },
    )

    assert (info.date, info.request_id, info.client_request_id) == (NOON, "theirs", "ours")


def test_a_response_without_headers_tells_nothing() -> None:
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
def test_dates_of_headers_are_read_in_utc(text: str | None, expected: datetime | None) -> None:
    assert http_date(text) == expected


@given(st.text())
def test_no_date_crashes(text: str) -> None:
    moment = http_date(text)

    assert moment is None or moment.tzinfo is UTC
