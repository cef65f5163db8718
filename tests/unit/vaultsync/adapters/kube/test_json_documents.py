"""The API server's JSON is parsed with a bounded depth: deep parts become null, all else is read as it is."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.adapters.kube.json_documents import MAX_DEPTH, bounded, parsed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
BRACKETS = st.text(st.sampled_from('[]{}",:\\1 a'), max_size=300)


def nested(depth: int, *, opening: str = '{"f:a":', closing: str = "}") -> str:
    return opening * depth + "{}" + closing * depth


def cut(document: object, depth: int = 0) -> object:
    """The document with None in place of what is too deep, by recursion."""
    if isinstance(document, dict):
        return None if depth == MAX_DEPTH else {name: cut(part, depth + 1) for name, part in document.items()}
    if isinstance(document, list):
        return None if depth == MAX_DEPTH else [cut(part, depth + 1) for part in document]
    return document


@given(document=st.dictionaries(st.text(), JSON))
def test_a_shallow_document_is_parsed_as_it_is(document: object) -> None:
    assert parsed(json.dumps(document).encode()) == document


@given(document=JSON)
def test_the_text_of_a_shallow_document_stays_as_it_is(document: object) -> None:
    body = json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass")

    assert bounded(body) == body


@given(depth=st.integers(MAX_DEPTH - 8, MAX_DEPTH + 8), inner=JSON, sibling=JSON, ascii_only=st.booleans())
def test_what_is_too_deep_becomes_null_and_its_siblings_stay(
    depth: int, inner: object, sibling: object, *, ascii_only: bool
) -> None:
    document: Any = inner
    for level in range(depth):
        document = {"in": document, 'be"side\\': sibling} if level % 2 else [sibling, document]
    body = json.dumps({"all": document}, ensure_ascii=ascii_only).encode()

    assert parsed(body) == cut({"all": document})


@pytest.mark.parametrize("depth", [MAX_DEPTH - 2, MAX_DEPTH, 900, 1000, 9990, 40_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [pytest.param('{"f:a":', "}", id="objects"), pytest.param("[", "]", id="lists")]
)
def test_a_deep_part_does_not_hide_what_is_beside_it(depth: int, opening: str, closing: str) -> None:
    deep = nested(depth, opening=opening, closing=closing)

    document = parsed(f'{{"before": "[\\"{{", "deep": {deep}, "deeper": [{deep}, {deep}], "after": [1]}}'.encode())

    assert document is not None
    assert (document["before"], document["after"], len(document["deeper"])) == ('["{', [1], 2)


HIDDEN = {
    "objects": nested(95_000),
    "lists": nested(95_000, opening="[", closing="]"),
    "lists that never end": "[" * 95_000,
    "with strings between that seem to close them": '["]",' * 95_000 + "1" + "]" * 95_000,
    "with escaped quotes between": '["\\"]\\\\",' * 95_000 + "1" + "]" * 95_000,
    "of mixed brackets": '[{"a":' * 95_000 + "1" + "}]" * 95_000,
}


SCRIPT = """
import sys
from vaultsync.adapters.kube.json_documents import parsed

sys.setrecursionlimit(100_000)
for line in sys.stdin.buffer:
    document = parsed(line)
    print(None if document is None else document["after"], flush=True)
"""


@pytest.mark.slow
def test_no_recursion_limit_lets_deep_json_end_the_process() -> None:
    """On Python 3.11 the parser checks nothing else: with this limit so many levels overflow the stack."""
    bodies = "".join(f'{{"deep": {text}, "after": 1}}\n' for text in HIDDEN.values())

    done = subprocess.run([sys.executable, "-c", SCRIPT], input=bodies.encode(), capture_output=True, check=False)

    read = dict(zip(HIDDEN, done.stdout.decode().splitlines(), strict=False))
    assert read == {name: "None" if name == "lists that never end" else "1" for name in HIDDEN}
    assert (done.returncode, done.stderr) == (0, b"")


@given(prefix=st.sampled_from(["[", '["]",', '["\\"]",', '{"a":']), text=BRACKETS)
def test_no_text_makes_the_parser_recurse_before_it_finds_the_error(prefix: str, text: str) -> None:
    body = f'{{"deep": {prefix * 2000}{text}'.encode()

    assert parsed(body) is None  # and no RecursionError


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(b'{"half', id="half an object"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(nested(5000).encode()[:-9], id="half a deep object"),
        pytest.param(b"[" * 5000 + b"]" * 5000, id="a deep list"),
    ],
)
def test_what_is_not_a_json_object_is_none(body: bytes) -> None:
    assert parsed(body) is None


@given(body=st.binary())
def test_no_bytes_break_the_parser(body: bytes) -> None:
    assert parsed(body) is None or body.strip().startswith(b"{")
