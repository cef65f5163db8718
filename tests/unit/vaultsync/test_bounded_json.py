"""JSON with a bound on its depth: what parses, what is too deep, and that the scan agrees with the parser."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.bounded_json import MAX_DEPTH, TooDeepError, nests_deeper, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{}/u\n\u225d', max_size=6),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(alphabet='a"\\[{', max_size=4), parts),
    max_leaves=10,
)


def depth_of(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
        case list():
            return 1 + max(map(depth_of, value), default=0)
        case _:
            return 0


@given(value=VALUES, ascii_only=st.booleans())
def test_the_scan_finds_the_depth_of_any_document(value: object, ascii_only: bool) -> None:
    text, depth = json.dumps(value, ensure_ascii=ascii_only), depth_of(value)

    assert not nests_deeper(text, depth)
    assert depth == 0 or nests_deeper(text, depth - 1)
    assert parse(text, max_depth=depth) == parse(text.encode(), max_depth=depth) == value


@pytest.mark.parametrize("text", ["[" * MAX_DEPTH + "]" * MAX_DEPTH, '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH])
def test_the_deepest_document_is_parsed_and_one_level_more_is_not(text: str) -> None:
    parse(text)

    with pytest.raises(TooDeepError, match="nests deeper than 64 levels"):
        parse(f"[{text}]")


@pytest.mark.parametrize(
    "text",
    ['"' + "[" * 100 + '"', '"\\"' + "[" * 100 + '"', '["\\\\", "' + "[" * 100 + '"]', "[" + "[]," * 100 + "[]]"],
    ids=["brackets in a string", "after an escaped quote", "after an escaped backslash", "many lists side by side"],
)
def test_brackets_that_do_not_nest_are_not_counted(text: str) -> None:
    assert parse(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "[", "]", '"', "[1,]", "\\", '{"a":}', "nul"])
def test_other_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse(text)

    assert not isinstance(error.value, TooDeepError)


@pytest.mark.parametrize("part", ['"', '\\"', '"\\"', "\\", "[", "[]", '"\\\\"', "x"])
def test_a_mebibyte_of_anything_is_scanned_or_refused(part: str) -> None:
    text = part * (1024 * 1024 // len(part))

    with pytest.raises(ValueError, match=r"."):  # quadratic time would take minutes here
        parse(text)


def test_hooks_parse_numbers() -> None:
    assert parse('[1.10, 2, "3"]', parse_float=str, parse_int=str) == ["1.10", "2", "3"]
