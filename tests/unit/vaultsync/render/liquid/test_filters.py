"""Filters: what each returns, and that they refuse what is not text without showing it."""

import base64
import hashlib
import json
from inspect import signature
from typing import Final
from urllib.parse import unquote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK
from vaultsync.render.liquid.filters import BINARY_FILTERS, FILTERS
from vaultsync.render.liquid.values import (
    MAX_PARTS,
    MAX_TEXT,
    Binary,
    ValueFreeError,
    text_of,
    text_or_binary,
)

BYTES: Final = Binary(b"\xff" + MARK.encode())
"""A value that is not text."""

NEEDED: Final = {
    name: sum(
        parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        for parameter in signature(function).parameters.values()
    )
    - 1
    for name, function in FILTERS.items()
}
"""How many arguments a filter needs."""

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
        ("split", "", [","], []),
        ("split", "a,,", [","], ["a"]),
        ("split", " a \n b ", [" "], ["a", "b"]),
        ("split", "ab", [""], ["a", "b"]),
        ("replace", "ab", ["", "-"], "-a-b-"),
        ("join", ["a", "b"], [","], "a,b"),
        ("join", ["a", "b"], [], "a b"),
        ("join", "a", [","], "a"),
        ("first", ["a", "b"], [], "a"),
        ("first", [], [], None),
        ("last", [], [], None),
        ("last", ["a", "b"], [], "b"),
        ("default", "", ["b"], "b"),
        ("default", None, ["b"], "b"),
        ("default", False, ["b"], "b"),
        ("default", "a", ["b"], "a"),
        ("default", 0, ["b"], 0),
        ("default", {}, ["b"], "b"),
        ("url_decode", "%66+%C3%BC", [], "f ü"),
        ("sha256", BYTES, [], hashlib.sha256(BYTES.content).hexdigest()),
        ("indent", "a\n\nb\n", [2], "  a\n\n  b\n"),
        ("indent", "a", [0], "a"),
        ("yaml", {"a.b": "no", "c": "x\ny"}, [], '"a.b": "no"\n"c": "x\\ny"'),
        ("yaml", {}, [], "{}"),
        ("yaml", [], [], "[]"),
        ("yaml", 7, [], "7"),
        ("yaml", None, [], "null"),
        ("plus", "007", ["-8"], -1),
        ("times", 10**9, [10**8], 10**17),
        ("date", "0", ["%F %T"], "1970-01-01 00:00:00"),
        ("date", "", ["%F"], ""),
        ("date", "2026-11-29T23:30:00-01:00", ["%F"], "2026-11-30"),
        ("date", "2026-01-02", ["%-d.%-m. %e|%s|%z%Z"], "2.1.  2|1767312000|+0000UTC"),
        ("pem_chain", "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----", [], ""),
        ("default", BYTES, ["b"], BYTES),
        ("b64encode", "grüß", [], "Z3LDvMOf"),
        ("b64encode", Binary(b"\xff\x00"), [], "/wA="),
        ("b64decode", "Z3LD\nvMOf ", [], "grüß"),
        ("url_encode", "a b/ü@:+~", [], "a%20b%2F%C3%BC%40%3A%2B~"),
        ("json", 'a"\n\\ü\x00', [], r'"a\"\n\\ü\u0000"'),
        ("json", {"a": "b", "c": "d"}, [], '{"a": "b", "c": "d"}'),
        ("json", ["a", "b"], [], '["a", "b"]'),
        ("json", [1, "1", True], [], '[1, "1", true]'),
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


@given(text=st.text(), other=st.text())
def test_yaml_output_is_read_as_the_same_texts(text: str, other: str) -> None:
    assert yaml.safe_load(str(FILTERS["yaml"]({"a": text, other: "b"}))) == {"a": text, other: "b"}
    assert yaml.safe_load(f"x: {FILTERS['yaml'](text)}\n") == {"x": text}
    assert yaml.safe_load(str(FILTERS["yaml"]([text, other]))) == [text, other]


@given(text=st.text())
def test_url_decode_inverts_url_encode(text: str) -> None:
    assert FILTERS["url_decode"](FILTERS["url_encode"](text)) == text


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"])
def test_a_private_key_is_found_among_certificates(label: str) -> None:
    headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n" if label.startswith("RSA") else ""
    key = f"-----BEGIN {label}-----\n{headers}a2V5\n-----END {label}-----\n"
    other = "-----BEGIN CERTIFICATE-----\nbGVhZg==\n-----END CERTIFICATE-----\n"

    assert FILTERS["pem_private_key"](f"Bag Attributes\n{other}{key}{other}") == key


@given(text=st.text())
def test_json_output_parses_to_the_same_text(text: str) -> None:
    encoded = FILTERS["json"](text)

    assert isinstance(encoded, str)
    assert json.loads(encoded) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in sorted(FILTERS)
        for value in (BYTES, [BYTES], ENTRIES)
        if not (name in BINARY_FILTERS and value is BYTES)
        and name != "default"
        and (name, value) not in [(one, ENTRIES) for one in ("json", "yaml", "size")]
        and (name, value) not in [(one, [BYTES]) for one in ("first", "last", "reverse", "slice", "size")]
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_filters_refuse_what_is_not_text_without_showing_it(name: str, value: object) -> None:
    with pytest.raises(ValueFreeError) as raised:
        FILTERS[name](value, *([","] * NEEDED.get(name, 0)))

    assert MARK not in repr(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "arguments", "problem"),
    [
        ("b64decode", f"{MARK}!", [], "the input of b64decode is not base64"),
        ("split", "," * MAX_PARTS, [","], "split may return 10000 parts, and this would be more"),
        ("split", "a" * (MAX_PARTS + 1), [""], "split may return 10000 parts, and this would be more"),
        ("concat", ["a"] * MAX_PARTS, [["a"]], "concat may return 10000 parts, and this would be more"),
        ("plus", MARK, [1], "a whole number of at most 18 digits is needed here"),
        ("plus", "1_0", [1], "a whole number of at most 18 digits is needed here"),
        ("plus", 1.5, [1], "a whole number of at most 18 digits is needed here"),
        ("plus", True, [1], "a whole number of at most 18 digits is needed here"),
        ("times", 10**17, [10], "a number may have 18 digits, and this would have more"),
        ("divided_by", 1, ["0"], "a number cannot be divided by 0"),
        ("modulo", 1, [0], "a number cannot be divided by 0"),
        ("indent", MARK, [65], "indent accepts 0 to 64 spaces"),
        ("indent", MARK, [-1], "indent accepts 0 to 64 spaces"),
        ("indent", "a\n" * 100_000, [64], "a text may have 1048576 characters, and this would be more"),
        ("date", MARK, ["%F"], "the input of date is no date such as 2026-11-29 or 2026-11-29T08:00:00Z"),
        ("date", "9" * 60, ["%F"], "the input of date is no date such as 2026-11-29 or 2026-11-29T08:00:00Z"),
        (
            "date",
            "0",
            ["%Q"],
            "date accepts % followed by one of Y, y, m, d, e, j, H, I, M, S, p, a, A, b, B, F, T, s, z, Z, %",
        ),
        (
            "pem_certificate",
            MARK,
            [],
            "there is no PEM with a certificate; for a PFX, use dataFrom.certificate and its tls.crt and tls.key",
        ),
        (
            "pem_private_key",
            MARK,
            [],
            "there is no PEM with a private key; for a PFX, use dataFrom.certificate and its tls.crt and tls.key",
        ),
        ("replace", "a" * 2000, ["a", "b" * 2000], "a text may have 1048576 characters, and this would be more"),
        ("join", ["a"] * 2000, ["b" * 2000], "a text may have 1048576 characters, and this would be more"),
        ("first", MARK, [], "a list is needed here, as from split"),
        ("append", MARK, [None], "text is needed here; this is a list, all entries or nothing"),
        ("upcase", BYTES, [], "a value that is not text can only be used with b64encode or sha256"),
    ],
)
def test_a_filter_fails_for(name: str, value: object, arguments: list[object], problem: str) -> None:
    with pytest.raises(ValueFreeError) as raised:
        FILTERS[name](value, *arguments)

    assert raised.value.problem == problem


def test_the_longest_texts_and_most_parts_are_allowed() -> None:
    assert len(str(FILTERS["replace"]("a" * 1024, "a", "b" * 1024))) == MAX_TEXT
    assert FILTERS["split"](",".join("a" * MAX_PARTS), ",") == ["a"] * MAX_PARTS


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (True, "true"), (False, "false"), (7, "7"), (1.5, "1.5")])
def test_texts_numbers_and_booleans_have_a_text(value: object, text: str) -> None:
    assert text_of(value) == text


def test_the_repr_of_bytes_hides_them() -> None:
    assert MARK not in repr(BYTES)
    with pytest.raises(ValueFreeError):
        str(BYTES)
