"""What all models have in common: names, what they read over, and how they refuse."""

import pytest

from vaultsync.api.model import InvalidSpec, Model


class Inner(Model):
    """A part."""

    long_name: int


class Outer(Model):
    """A whole."""

    parts: tuple[Inner, ...] = ()


def test_fields_have_other_names_in_manifests() -> None:
    assert Outer.parse({"parts": [{"longName": 1}]}) == Outer(parts=(Inner(long_name=1),))


def test_unknown_fields_are_read_over() -> None:
    assert Outer.parse({"tomorrow": 1}) == Outer()


def test_a_refusal_names_the_place_and_shows_nothing_of_it() -> None:
    with pytest.raises(InvalidSpec) as refused:
        Outer.parse({"parts": [{"longName": 1}, {"longName": "Pa55w0rd!"}]})

    assert str(refused.value).startswith("parts[1].longName: ")
    assert "Pa55w0rd" not in str(refused.value)
    assert refused.value.__context__ is None
