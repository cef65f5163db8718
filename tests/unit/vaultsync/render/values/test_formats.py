"""Values in their formats: what an invalid one looks like, and how often and how much is parsed."""

import pytest

from tests.unit.vaultsync.render.attempts import MARK, attempt, cpu_units, visible_text
from vaultsync.api.sources import Format
from vaultsync.bounded_json import MAX_DEPTH
from vaultsync.errors import Reason, SyncError
from vaultsync.render.values.formats import MAX_YAML, Documents, text_hint

JSON, YAML, ENV = Format.JSON, Format.YAML, Format.ENV


def error_of(text: str, format_: Format, documents: Documents | None = None) -> SyncError:
    result = attempt(lambda: (documents or Documents()).get(text, format_, origin="Secret app"))
    assert isinstance(result, SyncError)
    assert result.reason is Reason.PROPERTY_MISSING
    return result


@pytest.mark.parametrize(("text", "format_"), [('{"a": "x"}', JSON), ("a: x", YAML), ("a=x", ENV)])
def test_a_byte_order_mark_is_ignored(text: str, format_: Format) -> None:
    assert Documents().get("\ufeff" + text, format_, origin="") == {"a": "x"}


@pytest.mark.parametrize(
    ("text", "format_", "problem"),
    [
        ("db:\n  user: app", JSON, "It looks like YAML: set format: YAML."),
        ("---\ndb: {}", JSON, "It looks like YAML: set format: YAML."),
        ("- a\n- b", JSON, "It looks like YAML: set format: YAML."),
        ("# settings\n\nDB_USER=app\n", JSON, "It looks like Env: set format: Env."),
        ("export A='x'", JSON, "It looks like Env: set format: Env."),
        ("A: 1", ENV, "It looks like YAML: set format: YAML."),
        ('\n{"a": 1}', ENV, "It looks like JSON: set format: JSON."),
        ("A=b: c\nB=@", YAML, "It looks like Env: set format: Env."),
        ("eyJhIjogMX0=", JSON, "It looks like base64: store the JSON itself."),
        ("eyJhIjog\nMX0=", ENV, "It looks like base64: store the JSON itself."),
    ],
    ids=repr,
)
def test_the_error_for_a_text_in_another_format_names_that_format(text: str, format_: Format, problem: str) -> None:
    message = error_of(text, format_).message

    assert message.startswith(f"Secret app is not valid {format_}: line ")
    assert message.endswith(problem)


@pytest.mark.parametrize(
    "text",
    [
        "s3cret",
        "https://x.example",
        "{a: 1}",
        "Server=tcp:x;Password=y",
        "aGVsbG8=",
        "-----BEGIN KEY-----\n",
        "a b=c",
        "{",
    ],
)
def test_the_error_for_any_other_text_names_no_format(text: str) -> None:
    assert "looks like" not in error_of(text, JSON).message


@pytest.mark.parametrize(
    ("text", "format_", "hint"),
    [
        ("[1]", JSON, " It is a string that looks like JSON: it was encoded twice."),
        ("a: b", JSON, ""),
        ("A=b", YAML, " It looks like Env: set format: Env."),
        ("s3cret", YAML, ""),
    ],
)
def test_the_hint_for_a_document_that_is_one_string(text: str, format_: Format, hint: str) -> None:
    assert text_hint(text, format_) == hint
    assert text_hint([text], format_) == ""


@pytest.mark.parametrize(("begin", "format_"), [("[", JSON), ("- ", YAML)])
def test_deep_nesting_is_an_error_with_the_bound(begin: str, format_: Format) -> None:
    assert error_of(begin * (MAX_DEPTH + 1), format_).message == (
        f"Secret app is {format_} that nests deeper than 64 levels; flatten it in the vault."
    )


def test_a_value_is_parsed_once_for_each_format() -> None:
    documents = Documents()

    first = documents.get('{"a": 1}', JSON, origin="")

    assert documents.get('{"a": 1}', JSON, origin="") is first
    assert documents.get('{"a": 1}', YAML, origin="") is not first


def test_yaml_has_a_limit_for_all_values_together_and_each_counts_once() -> None:
    documents = Documents()
    half = f"a: {'x' * (MAX_YAML // 2 - 3)}"
    for _ in range(10):
        documents.get(half, YAML, origin="")
    documents.get(f"{half[:-1]}y", YAML, origin="")

    error = error_of(f"a: {MARK}", YAML, documents)

    assert "may have 65536 characters together" in error.message
    assert documents.get(f'["{half}"]', JSON, origin="") == [half]


def test_parts_of_one_large_value_take_the_time_of_one() -> None:
    """The most entries that a VaultSecret can have, each with a part of the largest value of a vault."""
    text = "".join(f"k{number}: v{number}\n" for number in range(2_000))
    documents = Documents()

    assert cpu_units(lambda: [documents.get(text, YAML, origin="") for _ in range(256)]) < 20


@pytest.mark.parametrize("format_", Format)
def test_no_error_holds_anything_of_the_value(format_: Format) -> None:
    text = f"{{{MARK}: '{MARK}"

    assert MARK not in visible_text(error_of(text, format_))
