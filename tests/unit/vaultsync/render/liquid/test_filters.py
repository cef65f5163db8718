"""Filters: what each makes of texts, and that they refuse what is not text without showing it."""

import base64
import json
from typing import Final
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK
from vaultsync.render.liquid.filters import FILTERS, MAX_PARTS, MAX_TEXT, Binary, Refusal, text_of, text_or_binary

BYTES: Final = Binary(b"\xff" + MARK.encode())
"""A value that is no text."""

ENTRIES: Final = {"a": MARK}
"""All entries, as a template has them."""


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
def test_a_filter_makes(name: str, value: object, arguments: list[object], made: object) -> None:
    assert FILTERS[name](value, *arguments) == made


@given(text=st.text())
def test_base64_and_back_is_the_same(text: str) -> None:
    assert FILTERS["b64decode"](FILTERS["b64encode"](text)) == text


@given(content=st.binary())
def test_bytes_come_through_base64_whatever_they_are(content: bytes) -> None:
    assert FILTERS["b64encode"](text_or_binary(content)) == base64.b64encode(content).decode()


@given(text=st.text())
def test_url_encoded_text_is_unreserved_and_can_be_decoded(text: str) -> None:
    encoded = FILTERS["url_encode"](text)

    assert isinstance(encoded, str)
    assert not set(encoded) & set(" /?#@:&=+\"'<>")
    assert unquote(encoded) == text


@given(text=st.text())
def test_json_is_the_same_text_to_a_reader(text: str) -> None:
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
def test_what_is_not_text_is_refused_and_not_shown(name: str, value: object) -> None:
    with pytest.raises(Refusal) as refused:
        FILTERS[name](value, *([","] if name in {"append", "prepend", "replace", "split", "join"} else []))

    assert MARK not in repr(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "arguments", "trouble"),
    [
        ("b64decode", f"{MARK}!", [], "b64decode got something that is no base64"),
        ("replace", MARK, ["", "b"], "replace needs a text to look for"),
        ("split", MARK, [""], "split needs a separator"),
        ("split", "," * MAX_PARTS, [","], "split may make 10000 parts, and would make more"),
        ("replace", "a" * 2000, ["a", "b" * 2000], "a text may have 1048576 characters, and this one would have more"),
        ("join", ["a"] * 2000, ["b" * 2000], "a text may have 1048576 characters, and this one would have more"),
        ("first", MARK, [], "a list is needed here, as split makes it"),
        ("append", MARK, [None], "text is needed here, and this is a list, all entries or nothing"),
        ("upcase", BYTES, [], "a value that is not text can only be taken by b64encode"),
    ],
)
def test_a_filter_refuses(name: str, value: object, arguments: list[object], trouble: str) -> None:
    with pytest.raises(Refusal) as refused:
        FILTERS[name](value, *arguments)

    assert refused.value.trouble == trouble


def test_the_longest_texts_and_most_parts_are_allowed() -> None:
    assert len(str(FILTERS["replace"]("a" * 1024, "a", "b" * 1024))) == MAX_TEXT
    assert FILTERS["split"]("," * (MAX_PARTS - 1), ",") == [""] * MAX_PARTS


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (True, "true"), (False, "false"), (7, "7"), (1.5, "1.5")])
def test_texts_numbers_and_truths_have_a_text(value: object, text: str) -> None:
    assert text_of(value) == text


def test_bytes_do_not_show_themselves() -> None:
    assert MARK not in repr(BYTES)
    with pytest.raises(Refusal):
        str(BYTES)
