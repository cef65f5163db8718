"""Templates as tokens: those of the library's own lexer, but in linear time."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liquid.exceptions import LiquidSyntaxError
from liquid.lex import get_lexer
from liquid.token import TOKEN_CONTENT, TOKEN_OUTPUT, Token

from tests.unit.vaultsync.render.attempts import cpu_units
from vaultsync.render.liquid.lexer import MAX_NESTING, MAX_TAG, tokenize


def meaning_of(tokens: Iterable[Token]) -> list[tuple[str, str]]:
    """Tokens without the braces of outputs, and with adjacent pieces of plain text joined."""
    meaning: list[tuple[str, str]] = []
    for token in tokens:
        if meaning and token.kind == TOKEN_CONTENT == meaning[-1][0]:
            meaning[-1] = (TOKEN_CONTENT, meaning[-1][1] + token.value)
        elif token.value and token.kind != TOKEN_OUTPUT:
            meaning.append((token.kind, token.value))
    return meaning


_spaces = st.sampled_from(["", " ", "\n  "])
_outputs = st.builds(
    "{{{}{}{}{}{}}}".format,
    st.sampled_from(["{", "{-"]),
    _spaces,
    st.sampled_from(["a", "a.b", "'x' | y", "-1"]),
    _spaces,
    st.sampled_from(["}", "-}"]),
)
_tags = st.builds(
    "{{{}{}{}{}{}}}".format,
    st.sampled_from(["%", "%-"]),
    _spaces,
    st.sampled_from(["if a", "else", "assign a = 'b'", "for x in\ny"]),
    _spaces,
    st.sampled_from(["%", "-%"]),
)
_raws = st.sampled_from(["{% raw %}{{ x }} {% y %}{% endraw %}", "{%raw%}{%endraw%}", "{%- raw %} { {%endraw%}"])
_contents = st.text(alphabet="ab{}% \n", max_size=8).filter(
    lambda text: (
        not {"{{", "{%", "}}", "%}"} & {text[at : at + 2] for at in range(len(text))}
        and not text.endswith("{")
        and not text.startswith(("}", "%"))
    )
)


@given(parts=st.lists(_outputs | _tags | _raws | _contents))
def test_tokens_are_those_of_the_librarys_own_lexer(parts: list[str]) -> None:
    # The library's lexer emits a line feed at the very end as a separate text, and may strip it for an earlier hyphen.
    source = "".join(parts) + "."

    assert meaning_of(tokenize(source)) == meaning_of(get_lexer()(source))


@pytest.mark.parametrize(
    ("source", "content"),
    [
        ("a {{- b -}} c", "ac"),
        ("a {%- b -%} c", "ac"),
        ("a {%- raw %} {{ }} {%- endraw -%} c", "a {{ }}c"),
        ("a {{ b }} c", "a  c"),
    ],
    ids=["an output", "a tag", "raw", "without hyphens nothing is taken"],
)
def test_hyphens_strip_white_space(source: str, content: str) -> None:
    assert "".join(text for kind, text in meaning_of(tokenize(source)) if kind == TOKEN_CONTENT) == content


@given(parts=st.lists(_outputs | _tags | _raws | _contents))
def test_every_token_has_its_position(parts: list[str]) -> None:
    source = "".join(parts)

    for token in tokenize(source):
        if token.kind != TOKEN_CONTENT:
            assert source.startswith(token.value, token.start_index)


@given(source=st.text(alphabet="{}%- \nraw|'end"))
def test_any_text_gives_tokens_or_a_syntax_error(source: str) -> None:
    try:
        tokens = list(tokenize(source))
    except LiquidSyntaxError:
        return

    assert sum(len(token.value) for token in tokens if token.kind == TOKEN_CONTENT) <= len(source)


@pytest.mark.parametrize(
    ("source", "problem", "place"),
    [
        ("ab{{ c", "expected '}}' within 1000 characters", 2),
        ("ab{% c }}", "expected '%}' within 1000 characters", 2),
        ("{{" + " " * MAX_TAG + "}}", "expected '}}' within 1000 characters", 0),
        ("a{% raw %}{{ x", "expected tag 'endraw'", 1),
    ],
    ids=["an output that does not end", "a tag that does not end", "an output that is too long", "raw without end"],
)
def test_a_brace_that_is_not_closed_is_an_error_with_a_position(source: str, problem: str, place: int) -> None:
    with pytest.raises(LiquidSyntaxError) as raised:
        list(tokenize(source))

    assert raised.value.message == problem
    assert raised.value.token is not None
    assert raised.value.token.start_index == place


@pytest.mark.parametrize(
    "nested",
    [
        lambda depth: "{{ " + "a[" * depth + "b" + "]" * depth + " }}",
        lambda depth: "{{ " + "(" * depth + " }}",
        lambda depth: "{% if a" + " and b" * depth + " %}",
        lambda depth: "{% if a" + "==b" * depth + " %}",
        lambda depth: "{% if 1.0" + "or 1.0" * depth + " %}",
    ],
    ids=["paths in paths", "parentheses", "conditions", "comparisons", "operators after numbers"],
)
def test_an_expression_has_at_most_64_brackets_and_operators(nested: Callable[[int], str]) -> None:
    list(tokenize(nested(MAX_NESTING)))

    with pytest.raises(LiquidSyntaxError, match="more than 64 brackets and operators; split the expression"):
        list(tokenize(nested(MAX_NESTING + 1)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    ["{{a}}", "{{" + " " * 900 + "}}", "{% a" + " " * 900 + "%}", "{%raw%}{%endraw%}", "{ ", "{%raw%}" + " {%" * 300],
    ids=["outputs", "spaces in outputs", "spaces in tags", "raws", "single braces", "braces in raw"],
)
def test_the_lexer_takes_linear_time(part: str) -> None:
    source = part * (500_000 // len(part))

    def all_tokens() -> None:
        for _ in zip(tokenize(source + "{%endraw%}"), range(1_000_000), strict=False):
            pass

    assert cpu_units(all_tokens) < 200  # quadratic time would be thousands
