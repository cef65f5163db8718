"""Values of the protocol hide secrets, flows yield effects, and JSON of untrusted peers is bounded in depth."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kvsecrets
from kvsecrets._protocol import (
    MAX_JSON_DEPTH,
    Done,
    Flow,
    Now,
    Pause,
    Request,
    Response,
    Send,
    Token,
    TokenRequest,
    advance,
    decode_json,
    get_token,
    now,
    pause,
    send,
)
from kvsecrets.errors import ConnectionFailed

REQUEST = Request("GET", "https://shop.vault.azure.net/secrets/db")


@pytest.mark.parametrize(
    "value",
    [
        Request("PUT", "https://shop.vault.azure.net/secrets/db", {"authorization": "Bearer hush"}, b"hush"),
        Response(200, {"x-test": "hush"}, b"hush"),
        TokenRequest("scope", claims="hush", rejected=Token("hush", 1)),
    ],
    ids=["request", "response", "token request"],
)
def test_repr_hides_headers_bodies_tokens_and_claims(value: object) -> None:
    assert "hush" not in repr(value)


def conversation() -> Flow[str]:
    try:
        response = yield from send(REQUEST, 10)
    except ConnectionFailed:
        return "no response"
    token = yield from get_token(TokenRequest("scope"))
    yield from pause(1, 2)
    at = yield from now()
    return f"{response.status} {token.text} {at}"


def test_a_flow_yields_effects_and_returns_its_result() -> None:
    flow = conversation()

    steps = [advance(flow, result) for result in (None, Response(200), Token("t", 1), None, 4.5)]

    assert steps == [Send(REQUEST, 10), TokenRequest("scope"), Pause(1, 2), Now(), Done("200 t 4.5")]


def test_an_error_is_thrown_into_the_flow() -> None:
    flow = conversation()
    advance(flow, None)

    assert advance(flow, ConnectionFailed("gone")) == Done("no response")


def test_an_unhandled_error_leaves_the_flow() -> None:
    flow = pause(1, 2)
    advance(flow, None)

    with pytest.raises(ConnectionFailed, match="gone"):
        advance(flow, ConnectionFailed("gone"))


def test_a_result_of_the_wrong_type_is_an_error_of_the_driver() -> None:
    flow = send(REQUEST)
    advance(flow, None)

    with pytest.raises(AssertionError):
        advance(flow, 1.0)


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


def test_json_of_the_maximum_depth_is_decoded() -> None:
    decoded = decode_json(nested(MAX_JSON_DEPTH))

    assert json.dumps(decoded).encode() == nested(MAX_JSON_DEPTH)


@pytest.mark.parametrize(
    "body",
    [
        nested(MAX_JSON_DEPTH + 1),
        nested(MAX_JSON_DEPTH + 1, '{"a":', "}").replace(b":}", b":1}"),
        nested(MAX_JSON_DEPTH + 1, '[{"a":', "}]").replace(b":}", b":1}"),
        b'["\\"[",' * (MAX_JSON_DEPTH + 1),
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=["arrays", "objects", "both", "with strings", "many arrays", "many objects"],
)
def test_deeper_json_is_rejected(body: bytes) -> None:
    with pytest.raises(ValueError, match="nested deeper than 32"):
        decode_json(body)


@pytest.mark.parametrize(
    "document",
    [["[" * 100], ['"[' * 100, "\\"], {"[{" * 50: "}" * 50}, [[]] * 100, [{"a": []}] * 100],
    ids=["brackets in a string", "escaped quotes", "brackets in a key", "wide arrays", "wide objects"],
)
def test_only_nested_brackets_outside_of_strings_count(document: object) -> None:
    assert decode_json(json.dumps(document).encode()) == document


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", "{}".encode("utf-16"), b'["', b'["\\'], ids=repr)
def test_what_is_not_json_in_utf_8_is_rejected(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is that of the decoder
        decode_json(body)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_shallow_document_is_decoded(document: object) -> None:
    body = json.dumps(document).encode()

    assert decode_json(body) == document


def test_an_unterminated_string_is_scanned_once() -> None:
    hostile = b"[" * (MAX_JSON_DEPTH + 1) + b'"\\' * 1_000_000

    with pytest.raises(ValueError, match="nested deeper"):
        decode_json(hostile)
    with pytest.raises(ValueError):  # noqa: PT011 - the text is that of the decoder
        decode_json(b'"' + hostile.replace(b'"', b'\\"'))


@pytest.mark.slow
def test_a_raised_recursion_limit_does_not_let_deep_json_crash_the_process() -> None:
    program = textwrap.dedent("""
        import sys
        sys.setrecursionlimit(1_000_000)
        from kvsecrets._protocol import Response
        from kvsecrets._responses import parse_secret
        from kvsecrets.errors import UnexpectedAnswer
        for body in (b"[" * 4_000_000, b'{"value":' * 400_000):
            try:
                parse_secret(Response(200, {}, body))
            except UnexpectedAnswer as error:
                print(error.status)
    """)

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(kvsecrets.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout.split()) == (0, ["200", "200"]), done.stderr


def test_a_full_stack_is_an_error_of_the_body_and_not_of_the_interpreter() -> None:
    def descend(levels: int) -> object:
        return descend(levels - 1) if levels else decode_json(nested(MAX_JSON_DEPTH))

    limit = sys.getrecursionlimit()
    outcomes = set()
    for levels in range(limit - 200, limit):
        try:
            outcomes.add(type(descend(levels)))
        except ValueError:
            outcomes.add(ValueError)
        except RecursionError:  # not even `decode_json` could be called
            break

    assert outcomes == {list, ValueError}
