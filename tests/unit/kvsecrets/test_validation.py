"""Invalid arguments are rejected before any request, by an error that names the rule and never the secret value."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import _validation

MANY = {f"tag-{number}": "x" for number in range(16)}


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("https://shop.vault.azure.net", "https://shop.vault.azure.net"),
        ("https://shop.vault.azure.net/", "https://shop.vault.azure.net"),
        ("https://Shop.Vault.Azure.net:443", "https://shop.vault.azure.net"),
        ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_a_vault_url_is_normalized_to_host_and_port(given_url: str, expected: str) -> None:
    assert _validation.vault_url(given_url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.vault.azure.net",
        "shop.vault.azure.net",
        "",
        "https://",
        "https://shop vault",
        "https://shop.vault.azure.net\\@evil.example",
        "https://user:hush@shop.vault.azure.net",
        "https://shop.vault.azure.net/secrets/db",
        "https://shop.vault.azure.net?x=1",
        "https://shop.vault.azure.net#x",
        "https://shop.vault.azure.net:99999",
        "https://[shop",
        "https://sh\u00f6p.vault.azure.net",
    ],
)
def test_any_other_url_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="vault URL"):
        _validation.vault_url(url)


@pytest.mark.parametrize("name", ["a", "db-password", "A9-", "x" * 127])
def test_a_name_of_letters_digits_and_dashes_is_valid(name: str) -> None:
    assert _validation.secret_name(name) == name


@pytest.mark.parametrize("name", ["", "a_b", "a.b", "a/b", "..", "a b", "\u00e9", "x" * 128, "a\n", "\u0661"])
def test_any_other_name_is_rejected_with_the_rule(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 127 characters"):
        _validation.secret_name(name)


@pytest.mark.parametrize("version", [None, "0123456789abcdef0123456789ABCDEF"])
def test_a_version_is_32_hexadecimal_digits_or_none(version: str | None) -> None:
    assert _validation.secret_version(version) == version


@pytest.mark.parametrize("version", ["", "latest", "0" * 31, "0" * 33, "g" * 32, "../" + "0" * 29])
def test_any_other_version_is_rejected_with_the_rule(version: str) -> None:
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        _validation.secret_version(version)


@pytest.mark.parametrize("length", [0, 1, 25_600])
def test_a_value_of_up_to_25600_characters_is_valid(length: int) -> None:
    assert len(_validation.secret_value("x" * length)) == length


def test_a_longer_value_is_rejected_without_showing_it() -> None:
    with pytest.raises(ValueError, match=r"25601 characters: .*at most 25600") as caught:
        _validation.secret_value("x" * 25_601)

    assert "xx" not in str(caught.value)


def untyped(value: object) -> Any:  # noqa: ANN401 - hides a wrong type from the type checker
    return value


WRONG_TYPES: dict[str, Callable[[], object]] = {
    "vault URL": lambda: _validation.vault_url(untyped(None)),
    "secret name": lambda: _validation.secret_name(untyped(b"db")),
    "secret version": lambda: _validation.secret_version(untyped(5)),
    "secret value": lambda: _validation.secret_value(untyped(b"hunter2")),
    "content type": lambda: _validation.content_type(untyped(5)),
    "tags": lambda: _validation.tags(untyped(["a"])),
    "name of a tag": lambda: _validation.tags(untyped({1: "a"})),
    "value of a tag": lambda: _validation.tags(untyped({"a": None})),
    "expires_on": lambda: _validation.timestamp("expires_on", untyped(date(2030, 1, 1))),
    "enabled": lambda: _validation.enabled(untyped("no")),
    "timeout": lambda: _validation.timeout(untyped("5")),
    "max_page_size": lambda: _validation.page_size(untyped("5")),
    "api_version": lambda: _validation.api_version(untyped(7.4)),
}


@pytest.mark.parametrize("argument", WRONG_TYPES)
def test_a_wrong_type_is_rejected_with_the_name_of_the_argument(argument: str) -> None:
    with pytest.raises(TypeError, match=f"{argument}.* not ") as caught:
        WRONG_TYPES[argument]()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "check",
    [
        lambda: _validation.secret_value("hunter2\ud800"),
        lambda: _validation.content_type("hunter2\ud800"),
        lambda: _validation.tags({"hunter2\ud800": ""}),
        lambda: _validation.tags({"a": "hunter2\udfff"}),
    ],
    ids=["value", "content type", "name of a tag", "value of a tag"],
)
def test_an_unpaired_surrogate_is_rejected_without_showing_the_text(check: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="Unicode text") as caught:
        check()

    assert "hunter2" not in repr(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    ("check", "rule"),
    [
        (lambda: _validation.content_type("x" * 256), "at most 255"),
        (lambda: _validation.tags(MANY), "at most 15"),
        (lambda: _validation.tags({"": "x"}), "1 to 256"),
        (lambda: _validation.tags({"x" * 257: "x"}), "1 to 256"),
        (lambda: _validation.tags({"x": "x" * 257}), "at most 256"),
        (lambda: _validation.timestamp("expires_on", datetime(2030, 1, 1)), "time zone"),  # noqa: DTZ001 - the naive datetime is under test
        (lambda: _validation.timestamp("expires_on", datetime(1969, 1, 1, tzinfo=UTC)), "before 1970"),
        (lambda: _validation.page_size(0), "1 to 25"),
        (lambda: _validation.page_size(26), "1 to 25"),
        (lambda: _validation.api_version("7.4&x=1"), "look like"),
        (lambda: _validation.timeout(0), "above 0"),
        (lambda: _validation.timeout(float("nan")), "above 0"),
        (lambda: _validation.timeout(float("inf")), "at most 86400 seconds"),
    ],
    ids=[
        "long content type",
        "16 tags",
        "tag without name",
        "tag with a long name",
        "tag with a long value",
        "naive datetime",
        "time before 1970",
        "page size 0",
        "page size 26",
        "API version with a query parameter",
        "timeout 0",
        "timeout NaN",
        "infinite timeout",
    ],
)
def test_a_broken_rule_is_named_in_the_error(check: Callable[[], object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        check()


@pytest.mark.parametrize("size", [None, 1, 25])
def test_a_page_holds_1_to_25_rows(size: int | None) -> None:
    assert _validation.page_size(size) == size


def test_a_time_of_any_zone_is_converted_to_whole_seconds_since_1970() -> None:
    moment = datetime(2030, 1, 1, 2, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))

    assert _validation.timestamp("expires_on", moment) == int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())


@given(st.text())
def test_any_valid_name_is_safe_in_a_path(text: str) -> None:
    try:
        name = _validation.secret_name(text)
    except ValueError:
        return

    assert name.isascii()
    assert not set(name) & set("/?#%.\\ ")
