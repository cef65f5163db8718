"""Filters: what each returns, and that they refuse what is not text without showing it."""

import base64
import json
from typing import Final
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK
from vaultsync.render.liquid.filters import (
    FILTERS,
    MAX_PARTS,
    MAX_TEXT,
    Binary,
    ValueFreeError,
    text_of,
    text_or_binary,
)

BYTES: Final = Binary(b"\xff" + MARK.encode())
"""A value that is not text."""

ENTRIES: Final = {"a": MARK}
"""All entries, as a template sees them."""


@pytest.mark.parametrize(
    ("name", "value", "arguments", "made"),
    [
        ("append", "a", ["b"], "ab"),
        ("prepend", "a", ["b"], "ba"),
        ("append", 1, [True], "1true"),
        ("upcase", "aß", [], "ASS"),
        ("downcase", "AÄ", [], "aä"),
        ("strip", " a b \n", [], "a b"),
        ("replace", "a-b-c", ["-", "+"], "a+b+c"),
        ("replace", "a-b-c", ["-"], "abc"),
        ("split", "a,b,,c", [","], ["a", "b", "", "c"]),
        ("split", "", [","], [""]),
        ("join", ["a", "b"], [","], "a,b"),
        ("join", ["a", "b"], [], "a b"),
        ("first", ["a", "b"], [], "a"),
        ("last", ["a", "b"], [], "b"),
        ("default", "", ["b"], "b"),
        ("default", None, ["b"], "b"),
        ("default", False, ["b"], "b"),
        ("default", "a", ["b"], "a"),
        ("default", 0, ["b"], 0),
        ("default", BYTES, ["b"], BYTES),
        ("b64encode", "grüß", [], "Z3LDvMOf"),
        ("b64encode", Binary(b"\xff\x00"), [], "/wA="),
        ("b64decode", "Z3LD\nvMOf ", [], "grüß"),
        ("url_encode", "a b/ü@:+~", [], "a%20b%2F%C3%BC%40%3A%2B~"),
        ("json", 'a"\n\\ü\x00', [], r'"a\"\n\\ü\u0000"'),
        ("json", {"a": "b", "c": "d"}, [], '{"a": "b", "c": "d"}'),
        ("json", ["a", "b"], [], '["a", "b"]'),
        ("json", True, [], "true"),
        ("json", None, [], "null"),
    ],
)
def test_a_filter_returns(name: str, value: object, arguments: list[object], made: object) -> None:
    assert FILTERS[name](value, *arguments) == made


@given(text=st.text())
def test_b64decode_inverts_b64encode(text: str) -> None:
    assert FILTERS["b64decode"](FILTERS["b64encode"](text)) == text


@given(content=st.binary())
def test_b64encode_accepts_any_bytes(content: bytes) -> None:
    assert FILTERS["b64encode"](text_or_binary(content)) == base64.b64encode(content).decode()


@given(text=st.text())
def test_url_encoded_text_is_unreserved_and_can_be_decoded(text: str) -> None:
    encoded = FILTERS["url_encode"](text)

    assert isinstance(encoded, str)
    assert not set(encoded) & set(" /?#@:&=+\"'<>")
    assert unquote(encoded) == text


@given(text=st.text())
def test_json_output_parses_to_the_same_text(text: str) -> None:
    encoded = FILTERS["json"](text)

    assert isinstance(encoded, str)
    assert json.loads(encoded) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in sorted(set(FILTERS) - {"b64encode", "default"})
        for value in (BYTES, [BYTES], ENTRIES)
        if (name, value) != ("json", ENTRIES)
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_filters_refuse_what_is_not_text_without_showing_it(name: str, value: object) -> None:
    with pytest.raises(ValueFreeError) as raised:
        FILTERS[name](value, *([","] if name in {"append", "prepend", "replace", "split", "join"} else []))

    assert MARK not in repr(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "arguments", "problem"),
    [
        ("b64decode", f"{MARK}!", [], "the input of b64decode is not base64"),
        ("replace", MARK, ["", "b"], "replace needs a text to search for"),
        ("split", MARK, [""], "split needs a separator"),
        ("split", "," * MAX_PARTS, [","], "split may return 10000 parts, and this would be more"),
        ("replace", "a" * 2000, ["a", "b" * 2000], "a text may have 1048576 characters, and this would be more"),
        ("join", ["a"] * 2000, ["b" * 2000], "a text may have 1048576 characters, and this would be more"),
        ("first", MARK, [], "a list is needed here, as from split"),
        ("append", MARK, [None], "text is needed here; this is a list, all entries or nothing"),
        ("upcase", BYTES, [], "a value that is not text can only be used with b64encode"),
    ],
)
def test_a_filter_fails_for(name: str, value: object, arguments: list[object], problem: str) -> None:
    with pytest.raises(ValueFreeError) as raised:
        FILTERS[name](value, *arguments)

    assert raised.value.problem == problem


def test_the_longest_texts_and_most_parts_are_allowed() -> None:
    assert len(str(FILTERS["replace"]("a" * 1024, "a", "b" * 1024))) == MAX_TEXT
    assert FILTERS["split"]("," * (MAX_PARTS - 1), ",") == [""] * MAX_PARTS


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (True, "true"), (False, "false"), (7, "7"), (1.5, "1.5")])
def test_texts_numbers_and_booleans_have_a_text(value: object, text: str) -> None:
    assert text_of(value) == text


def test_the_repr_of_bytes_hides_them() -> None:
    assert MARK not in repr(BYTES)
    with pytest.raises(ValueFreeError):
        str(BYTES)
