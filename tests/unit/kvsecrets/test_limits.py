"""What Key Vault would refuse is refused before any request, by an error that says the rule and never the value."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import _limits

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
def test_a_vaults_url_is_its_host_and_an_unusual_port(given_url: str, expected: str) -> None:
    assert _limits.vault_url(given_url) == expected


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
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="vault URL"):
        _limits.vault_url(url)


@pytest.mark.parametrize("name", ["a", "db-password", "A9-", "x" * 127])
def test_a_name_of_letters_digits_and_dashes_passes(name: str) -> None:
    assert _limits.name(name) == name


@pytest.mark.parametrize("name", ["", "a_b", "a.b", "a/b", "..", "a b", "\u00e9", "x" * 128, "a\n", "\u0661"])
def test_any_other_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 127 characters"):
        _limits.name(name)


@pytest.mark.parametrize("version", [None, "0123456789abcdef0123456789ABCDEF"])
def test_a_version_is_32_hexadecimal_digits_or_none(version: str | None) -> None:
    assert _limits.version(version) == version


@pytest.mark.parametrize("version", ["", "latest", "0" * 31, "0" * 33, "g" * 32, "../" + "0" * 29])
def test_any_other_version_is_refused_with_the_rule(version: str) -> None:
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        _limits.version(version)


@pytest.mark.parametrize("length", [0, 1, 25_600])
def test_a_value_of_up_to_25600_characters_passes(length: int) -> None:
    assert len(_limits.value("x" * length)) == length


def test_a_longer_value_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match=r"25601 characters: .*at most 25600") as caught:
        _limits.value("x" * 25_601)

    assert "xx" not in str(caught.value)


def wrong(thing: object) -> Any:  # noqa: ANN401 - hides from the type checker what is of a wrong type
    return thing


WRONG_TYPES: dict[str, Callable[[], object]] = {
    "vault URL": lambda: _limits.vault_url(wrong(None)),
    "secret name": lambda: _limits.name(wrong(b"db")),
    "secret version": lambda: _limits.version(wrong(5)),
    "secret value": lambda: _limits.value(wrong(b"hunter2")),
    "content type": lambda: _limits.content_type(wrong(5)),
    "tags": lambda: _limits.tags(wrong(["a"])),
    "name of a tag": lambda: _limits.tags(wrong({1: "a"})),
    "value of a tag": lambda: _limits.tags(wrong({"a": None})),
    "expires_on": lambda: _limits.moment("expires_on", wrong(date(2030, 1, 1))),
    "enabled": lambda: _limits.enabled(wrong("no")),
    "timeout": lambda: _limits.timeout(wrong("5")),
    "max_page_size": lambda: _limits.page_size(wrong("5")),
    "api_version": lambda: _limits.api_version(wrong(7.4)),
}


@pytest.mark.parametrize("what", WRONG_TYPES)
def test_what_is_of_a_wrong_type_is_refused_by_its_name(what: str) -> None:
    with pytest.raises(TypeError, match=f"{what}.* not ") as caught:
        WRONG_TYPES[what]()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "check",
    [
        lambda: _limits.value("hunter2\ud800"),
        lambda: _limits.content_type("hunter2\ud800"),
        lambda: _limits.tags({"hunter2\ud800": ""}),
        lambda: _limits.tags({"a": "hunter2\udfff"}),
    ],
    ids=["a value", "a content type", "a tag's name", "a tag's value"],
)
def test_half_a_character_is_refused_without_a_trace_of_its_text(check: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="Unicode text") as caught:
        check()

    assert "hunter2" not in repr(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    ("check", "rule"),
    [
        (lambda: _limits.content_type("x" * 256), "at most 255"),
        (lambda: _limits.tags(MANY), "at most 15"),
        (lambda: _limits.tags({"": "x"}), "1 to 256"),
        (lambda: _limits.tags({"x" * 257: "x"}), "1 to 256"),
        (lambda: _limits.tags({"x": "x" * 257}), "at most 256"),
        (lambda: _limits.moment("expires_on", datetime(2030, 1, 1)), "time zone"),  # noqa: DTZ001 - what is refused
        (lambda: _limits.moment("expires_on", datetime(1969, 1, 1, tzinfo=UTC)), "before 1970"),
        (lambda: _limits.page_size(0), "1 to 25"),
        (lambda: _limits.page_size(26), "1 to 25"),
        (lambda: _limits.api_version("7.4&x=1"), "look like"),
        (lambda: _limits.timeout(0), "above 0"),
        (lambda: _limits.timeout(float("nan")), "above 0"),
        (lambda: _limits.timeout(float("inf")), "at most 86400 seconds"),
    ],
    ids=[
        "a long content type",
        "16 tags",
        "a tag without name",
        "a tag with a long name",
        "a tag with a long value",
        "a time without zone",
        "a time before 1970",
        "an empty page",
        "a large page",
        "a version with a parameter in it",
        "no time at all",
        "a time that is no number",
        "a time without end",
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_rule(check: Callable[[], object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        check()


@pytest.mark.parametrize("size", [None, 1, 25])
def test_a_page_holds_1_to_25_rows(size: int | None) -> None:
    assert _limits.page_size(size) == size


def test_times_of_any_zone_become_whole_seconds_since_1970() -> None:
    moment = datetime(2030, 1, 1, 2, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))

    assert _limits.moment("expires_on", moment) == int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())


@given(st.text())
def test_any_name_that_passes_is_safe_in_a_path(text: str) -> None:
    try:
        name = _limits.name(text)
    except ValueError:
        return

    assert name.isascii()
    assert not set(name) & set("/?#%.\\ ")
