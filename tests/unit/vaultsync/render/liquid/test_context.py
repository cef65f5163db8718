"""How names are found, and what is counted: bytes, items and passes."""

from typing import Final

import pytest
from liquid import Environment
from liquid.exceptions import UndefinedError

from vaultsync.render.liquid.context import Context, Meter
from vaultsync.render.liquid.filters import Binary, Refusal

VALUES: Final = {"user": "app", "tls.crt": "CRT", "size": "XL"}


def a_context(budget: int = 1000) -> Context:
    return Context(Environment().from_string(""), VALUES, Meter(budget))


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
def test_a_path_leads_to(path: list[object], found: object) -> None:
    assert a_context().get(path, token=None) == found


@pytest.mark.parametrize(
    "path", [["nobody"], ["tls", "crt"], ["entries", "nobody"], ["user", 0], ["user", "first"], ["now"], ["today"]]
)
def test_a_path_that_leads_nowhere_is_an_error_at_once(path: list[object]) -> None:
    with pytest.raises(UndefinedError):
        a_context().get(path, token=None)


@pytest.mark.parametrize(
    ("value", "cost"),
    [("abc", 3), (Binary(b"abcd"), 4), (["a", "b"], 32), ({"a": "b"}, 16), (7, 0), (None, 0)],
    ids=["a text", "bytes", "a list", "all entries", "a number", "nothing"],
)
def test_what_is_read_costs(value: object, cost: int) -> None:
    Meter(cost).read(value)
    if cost:
        with pytest.raises(Refusal, match="more work than all templates of a target together may"):
            Meter(cost - 1).read(value)


def test_a_character_that_is_passed_costs_sixteen_bytes() -> None:
    meter = Meter(33)
    meter.pass_through(2)

    with pytest.raises(Refusal):
        meter.pass_through(1)


def test_a_lookup_costs_what_it_finds() -> None:
    context = a_context(budget=5)
    context.get(["user"], token=None)

    with pytest.raises(Refusal):
        context.get(["user"], token=None)


def test_a_filter_costs_what_it_makes() -> None:
    context = a_context(budget=5)
    upcase = context.filter("upcase", token=None)
    upcase("abc")

    with pytest.raises(Refusal):
        upcase("abc")
