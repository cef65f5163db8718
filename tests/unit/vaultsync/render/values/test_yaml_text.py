"""YAML as text: what scalars are, what is refused and where, and that the rest is as PyYAML's own loader reads it."""

import json
from typing import Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK, cpu_units
from vaultsync.bounded_json import MAX_DEPTH, TooDeepError
from vaultsync.render.values.documents import FormatError, to_bytes
from vaultsync.render.values.formats import MAX_YAML
from vaultsync.render.values.yaml_text import parse_yaml


@pytest.mark.parametrize(
    "text",
    [
        "1.10",
        "on",
        "Yes",
        "True",
        "2026-03-01",
        "017",
        "0o17",
        "0x1F",
        "1_000",
        "12:30:45",
        "+1",
        ".5",
        ".inf",
        "NaN",
        "=",
    ],
)
def test_a_scalar_is_the_text_that_it_is_written_with(text: str) -> None:
    assert to_bytes(parse_yaml(text)) == text.encode()


@pytest.mark.parametrize("text", ["null", "Null", "NULL", "~", "", "# nothing", "---"])
def test_null_is_null(text: str) -> None:
    assert parse_yaml(text) is None
    assert parse_yaml(f"a: {text}\n" if text != "---" else "a:") == {"a": None}


@pytest.mark.parametrize("text", ["'null'", '"~"', "''", "|\n  null"])
def test_null_in_quotes_or_a_block_is_text(text: str) -> None:
    assert isinstance(parse_yaml(f"a: {text}\n")["a"], str)


def test_a_part_that_is_written_as_json_is_json() -> None:
    text = "{n: 1.10, e: -1E5, t: true, u: True, d: 2026-03-01, o: 017, q: '1', x: ~, l: [on, .5], 'a\"b': ä}"

    content = to_bytes(parse_yaml(text)).decode()

    assert content == (
        '{"n":1.10,"e":-1E5,"t":true,"u":"True","d":"2026-03-01","o":"017","q":"1","x":null,'
        '"l":["on",".5"],"a\\"b":"ä"}'
    )


def test_blocks_keep_their_line_ends() -> None:
    text = "key: |\n  -----BEGIN KEY-----\n  MIIE\n  -----END KEY-----\nfolded: >-\n  a\n  b\n"

    assert parse_yaml(text) == {"key": "-----BEGIN KEY-----\nMIIE\n-----END KEY-----\n", "folded": "a b"}


def test_names_are_text() -> None:
    assert list(parse_yaml("{1: a, true: b, ~: c, 2026-03-01: d, 'e f': e}")) == ["1", "true", "~", "2026-03-01", "e f"]


def test_the_last_of_two_fields_with_one_name_counts() -> None:
    assert parse_yaml("a: 1\nb: 2\na: 3\n") == {"a": "3", "b": "2"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &x 1\nb: 2", "line 1, column 4: an anchor (&); remove it, or quote the text"),
        ("a: 1\nb: *x", "line 2, column 4: an alias (*); write the value itself, or quote the text"),
        ("ä: !!str 1", "line 1, column 4: a tag (!); remove it, or quote the text"),
        ("a: !!python/object/apply:os.system [x]", "line 1, column 4: a tag (!); remove it, or quote the text"),
        ("! a", "line 1, column 1: a tag (!); remove it, or quote the text"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document; keep one"),
        ("? [a]\n: 1", "line 1, column 3: a list or an object as the name of a field"),
        ("a: @x", "line 1, column 4: a character that begins no value, such as a tab, @, ` or %; quote the text"),
        ("a:\n\tb: 1", "line 2, column 1: a character that begins no value, such as a tab, @, ` or %; quote the text"),
        ("a: b: c", "line 1, column 5: a colon where no field can begin; quote the text, or indent it"),
        ("a: 1\nb", "line 2, column 2: a line that is no field: a colon is missing, or a blank after it"),
        ("a: 1\n b: 2", "line 2, column 3: a colon where no field can begin; quote the text, or indent it"),
        ("  a: 1\n b: 2", "line 2, column 2: a line that neither continues what is before it nor is indented like it"),
        ("- a\nb: 1", "line 2, column 1: a line that neither continues what is before it nor is indented like it"),
        ("a: - b", "line 1, column 4: an item of a list where none can begin"),
        ("[a, b", "line 1, column 6: a comma or a closing bracket is missing"),
        ("{a: b", "line 1, column 6: a comma or a closing bracket is missing"),
        ("a: 'b", "line 1, column 6: a quote that is not closed"),
        ('a: "\\d"', "line 1, column 5: a backslash that begins no escape of YAML; use single quotes"),
        ("ä: \0", "line 1, column 4: a control character"),
        ("ä: \ud800", "line 1, column 4: an unpaired surrogate"),
        ("%YAML 3.0\n---\na: 1", "line 1, column 1: a mistake in its syntax"),
    ],
    ids=str,
)
def test_a_mistake_has_a_place_and_a_cause(text: str, problem: str) -> None:
    with pytest.raises(FormatError) as raised:
        parse_yaml(text)

    assert str(raised.value) == problem


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ("- ", ""), ("{a: ", "}")], ids=["flow", "block", "objects"])
def test_the_deepest_document_is_read_and_one_level_more_is_not(begin: str, end: str) -> None:
    parse_yaml(begin * MAX_DEPTH + "a" + end * MAX_DEPTH)

    with pytest.raises(TooDeepError, match="nests deeper than 64 levels"):
        parse_yaml(begin * (MAX_DEPTH + 1) + "a" + end * (MAX_DEPTH + 1))


ATTACKS: Final = {
    "an alias in an alias": "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 99)),
    "an alias of itself": "&a [*a]",
    "brackets": "[" * MAX_YAML,
    "braces": "{" * MAX_YAML,
    "brackets in lines": "[\n" * (MAX_YAML // 2),
    "items in a line": "- " * (MAX_YAML // 2),
    "names in names": "? " * (MAX_YAML // 2),
    "items": "-\n" * (MAX_YAML // 2),
    "empty lists": "[" + "[]," * (MAX_YAML // 3 - 1) + "]",
    "empty fields": "{" + "a," * (MAX_YAML // 2 - 1) + "}",
    "items in a deep list": "[" * (MAX_DEPTH - 1) + "[" + "a," * (MAX_YAML // 2 - MAX_DEPTH),
    "a long number": "1" * MAX_YAML,
    "a long name": "a" * (MAX_YAML - 3) + ": 1",
    "a long name in quotes": "'" + "a" * (MAX_YAML - 5) + "': 1",
    "blanks": "a:" + " " * (MAX_YAML - 2),
    "line ends": "a: |\n" + "\n" * (MAX_YAML - 5),
    "comments": "#\n" * (MAX_YAML // 2),
    "directives": "%TAG ! tag:a\n" * (MAX_YAML // 13),
    "documents": "---\n" * (MAX_YAML // 4),
}


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_as_much_yaml_as_is_read_at_all_takes_limited_time(text: str) -> None:
    assert len(text) <= MAX_YAML
    assert cpu_units(lambda: result_of(text)) < 100  # what is quadratic takes thousands


def result_of(text: str) -> object:
    """The document, or the error."""
    try:
        return parse_yaml(text)
    except (FormatError, TooDeepError) as error:
        return error


class _Texts(yaml.SafeLoader):
    """PyYAML's own parser; every scalar is its text."""


class _FastTexts(yaml.CSafeLoader):
    """libyaml's parser, which allows tabs in more places, with PyYAML's own construction."""


_Texts.yaml_implicit_resolvers = {}
_FastTexts.yaml_implicit_resolvers = {}


def is_same(part: Any, text: Any) -> bool:  # noqa: ANN401  a part of a document is anything
    """Whether a part is what a part of texts stands for: null and booleans are those with a text of theirs."""
    match part:
        case None:
            return text in {None, "", "~", "null", "Null", "NULL"}
        case bool():
            return bool(text == str(part).lower())
        case dict():
            return part.keys() == text.keys() and all(is_same(field, text[name]) for name, field in part.items())
        case list():
            return len(part) == len(text) and all(map(is_same, part, text))
        case _:
            return bool(part == text)


_names = st.text(alphabet="ab1~-:# '\"\n\té\U0001f600", max_size=5)
_documents = st.recursive(
    st.booleans() | st.integers() | _names | st.sampled_from(["on", "1.10", "017", "0x1f", "2026-03-01"]),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(_names, parts, max_size=3),
    max_leaves=8,
)


@given(document=_documents, flow=st.sampled_from([None, True, False]), width=st.sampled_from([5, 80]))
def test_what_a_dumper_writes_is_read_as_the_reference_loader_reads_it(
    document: object, flow: bool | None, width: int
) -> None:
    text = yaml.dump(document, Dumper=_NoAliases, default_flow_style=flow, width=width, allow_unicode=True)

    assert is_same(parse_yaml(text), yaml.load(text, Loader=_Texts))  # noqa: S506  it is a safe loader


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


@given(text=st.text(alphabet=list("-?:,[]{}#&*!|>'\"%@` \n\tab1~\\")) | st.text())
def test_any_text_is_read_as_the_reference_loader_reads_it_or_refused(text: str) -> None:
    result = result_of(text)

    if isinstance(result, Exception):
        assert result.__context__ is None
    else:
        assert is_same(result, yaml.load(text, Loader=_FastTexts))  # noqa: S506  it is a safe loader


@given(document=_documents)
def test_json_is_read_as_json_reads_it(document: object) -> None:
    text = json.dumps(document, ensure_ascii=False)  # YAML has no escapes in pairs

    assert parse_yaml(text) == json.loads(text, parse_int=str)


@pytest.mark.parametrize(
    "text", [f"{MARK}: [", f"a: {MARK}: b", f"- *{MARK}", f"!{MARK} a", f"%{MARK}\n---", f"\0{MARK}"]
)
def test_no_error_holds_anything_of_the_text(text: str) -> None:
    error = result_of(text)

    assert isinstance(error, FormatError)
    assert MARK not in repr(error)
    assert error.__context__ is None
