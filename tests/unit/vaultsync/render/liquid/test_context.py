"""How names are resolved, and what is charged: bytes, items and passes."""

from typing import Final

import pytest
from liquid import Environment
from liquid.exceptions import UndefinedError

from vaultsync.render.liquid.context import Budget, Context
from vaultsync.render.liquid.values import Binary, ValueFreeError

VALUES: Final = {"user": "app", "tls.crt": "CRT", "size": "XL"}


def a_context(budget: int = 1000) -> Context:
    return Context(Environment().from_string(""), {**VALUES, "entries": dict(VALUES)}, Budget(budget))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (["user"], "app"),
        (["entries", "tls.crt"], "CRT"),
        (["entries"], VALUES),
        (["entries", "first", 0], "user"),
        (["user", "size"], 3),
        (["entries", "size"], "XL"),
    ],
    ids=[
        "an entry by its key",
        "an entry among all",
        "all entries",
        "the key of the first",
        "the length of one",
        "an entry named like a property",
    ],
)
def test_a_path_resolves_to(path: list[object], found: object) -> None:
    assert a_context().get(path, token=None) == found


@pytest.mark.parametrize(
    "path", [["missing"], ["entries", "missing"], ["user", 0], ["user", "first"], ["now"], ["today"]]
)
def test_a_path_to_nothing_is_an_error(path: list[object]) -> None:
    with pytest.raises(UndefinedError):
        a_context().get(path, token=None)


@pytest.mark.parametrize("path", [["tls", "crt"], ["entries", "tls", "crt"]])
def test_a_path_that_spells_the_name_of_an_entry_is_explained(path: list[object]) -> None:
    with pytest.raises(ValueFreeError, match=r"dots separate parts of a path; write entries\['tls.crt'\]"):
        a_context().get(path, token=None)


@pytest.mark.parametrize(
    ("value", "cost"),
    [("abc", 3), (Binary(b"abcd"), 4), (["a", "bc", 7], 51), ({"a": "b"}, 16), (7, 0), (None, 0)],
    ids=["a text", "bytes", "a list", "all entries", "a number", "nothing"],
)
def test_a_value_costs_its_size(value: object, cost: int) -> None:
    Budget(cost).charge_value(value)
    if cost:
        with pytest.raises(ValueFreeError, match="more work than all templates of a target together may"):
            Budget(cost - 1).charge_value(value)


def test_a_pass_over_a_character_costs_sixteen_bytes() -> None:
    budget = Budget(33)
    budget.charge_pass(2)

    with pytest.raises(ValueFreeError):
        budget.charge_pass(1)


def test_a_lookup_costs_the_size_of_its_result() -> None:
    context = a_context(budget=5)
    context.get(["user"], token=None)

    with pytest.raises(ValueFreeError):
        context.get(["user"], token=None)


def test_a_filter_costs_the_size_of_its_result() -> None:
    context = a_context(budget=5)
    upcase = context.filter("upcase", token=None)
    upcase("abc")

    with pytest.raises(ValueFreeError):
        upcase("abc")


def test_a_slow_filter_also_costs_four_times_its_input() -> None:
    context = a_context(budget=4 * 5 + 3)

    assert context.filter("url_decode", token=None)("a%41%") == "aA%"
    with pytest.raises(ValueFreeError):
        context.budget.charge_pass(1)
