"""The base of all models: names, unknown fields, and errors."""

import json
from collections.abc import Mapping

import pytest
from pydantic import Field

from vaultsync import texts
from vaultsync.api.fields import SharedText
from vaultsync.api.model import MAX_PATH, MAX_PROBLEMS, InvalidSpec, Model


class Inner(Model):
    """A part."""

    long_name: int


class Outer(Model):
    """A whole."""

    parts: tuple[Inner, ...] = ()
    sizes: Mapping[str, int] = Field(default_factory=dict)


def test_fields_have_other_names_in_manifests() -> None:
    assert Outer.parse({"parts": [{"longName": 1}]}) == Outer(parts=(Inner(long_name=1),))


def test_unknown_fields_are_ignored() -> None:
    assert Outer.parse({"tomorrow": 1}) == Outer()


def test_an_error_has_the_path_of_the_field_and_not_its_value() -> None:
    with pytest.raises(InvalidSpec) as error:
        Outer.parse({"parts": [{"longName": 1}, {"longName": "Pa55w0rd!"}]})

    assert str(error.value).startswith("parts[1].longName: ")
    assert "Pa55w0rd" not in str(error.value)
    assert error.value.__context__ is None


def nested(depth: int) -> object:
    """A list in a list in a list."""
    value: object = "Pa55w0rd!"
    for _ in range(depth):
        value = [value]
    return value


def test_a_deeply_nested_value_is_an_error_of_its_field() -> None:
    with pytest.raises(InvalidSpec, match=r"^parts\[0\]\.longName: Input should be a valid integer$"):
        Outer.parse({"parts": [{"longName": nested(10_000)}], "unknown": nested(10_000)})


def test_an_error_names_a_bounded_number_of_problems() -> None:
    with pytest.raises(InvalidSpec, match=r"; and 980 more$") as error:
        Outer.parse({"parts": [{}] * 1000})

    assert str(error.value).count("Field required") == MAX_PROBLEMS


def test_an_error_has_a_bounded_path() -> None:
    with pytest.raises(InvalidSpec) as error:
        Outer.parse({"sizes": {"a" * 10_000: "large"}})

    assert len(str(error.value).partition("…: ")[0]) == MAX_PATH


class Text(Model):
    """A text, and one that need not be given."""

    text: SharedText
    more: str | None = None


def test_equal_texts_and_sets_of_fields_are_in_memory_once() -> None:
    one, other = (Text.parse(json.loads('{"text": "Synced"}')) for _ in range(2))

    assert (one.text is other.text) is not texts._INTERNED_TEXTS_STAY
    assert one.model_fields_set is other.model_fields_set


def test_a_copy_with_other_fields_changes_no_other_model() -> None:
    one, other = (Text.parse({"text": "a"}) for _ in range(2))
    changed = one.model_copy(update={"more": "b"})

    assert changed.model_fields_set == {"text", "more"}
    assert one.model_fields_set == other.model_fields_set == {"text"}
    assert (one.more, other.more) == (None, None)
