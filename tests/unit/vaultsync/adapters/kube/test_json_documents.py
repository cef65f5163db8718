"""Reading the API server's JSON: whatever users have hidden in it, the rest stays readable."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.adapters.kube.json_documents import _shallow, parsed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def nested(depth: int, *, opening: str = '{"f:a":', closing: str = "}") -> str:
    return opening * depth + "{}" + closing * depth


@given(document=st.dictionaries(st.text(), JSON))
def test_documents_are_read_as_they_are(document: object) -> None:
    assert parsed(json.dumps(document).encode()) == document


@given(document=JSON)
def test_cutting_off_what_lies_too_deep_leaves_everything_else(document: object) -> None:
    body = json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass")

    assert b"".join(_shallow(body)) == body


@pytest.mark.parametrize("depth", [900, 1000, 5000, 9990])
@pytest.mark.parametrize(
    ("opening", "closing"), [pytest.param('{"f:a":', "}", id="objects"), pytest.param("[", "]", id="lists")]
)
def test_what_lies_too_deep_hides_nothing_else(depth: int, opening: str, closing: str) -> None:
    deep = nested(depth, opening=opening, closing=closing)

    document = parsed(f'{{"before": "[\\"{{", "deep": {deep}, "deeper": [{deep}, {deep}], "after": [1]}}'.encode())

    assert document is not None
    assert (document["before"], document["after"], len(document["deeper"])) == ('["{', [1], 2)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(b'{"half', id="half an object"),
        pytest.param(b"\xff\xfe", id="no text at all"),
        pytest.param(nested(5000).encode()[:-9], id="half a deep object"),
        pytest.param(b"[" * 5000 + b"]" * 5000, id="a deep list"),
    ],
)
def test_what_is_no_json_object_is_none(body: bytes) -> None:
    assert parsed(body) is None


@given(body=st.binary())
def test_no_bytes_break_the_reader(body: bytes) -> None:
    assert parsed(body) is None or body.strip().startswith(b"{")
