"""Templates as tokens: as the library's own lexer has them, but in time proportional to their length."""

import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liquid.exceptions import LiquidSyntaxError
from liquid.lex import get_lexer
from liquid.token import TOKEN_CONTENT, TOKEN_OUTPUT, Token

from vaultsync.render.liquid.lexer import MAX_TAG, tokenize


def said_by(tokens: Iterable[Token]) -> list[tuple[str, str]]:
    """What tokens mean: the braces of an output say nothing, and plain text may come in several pieces."""
    said: list[tuple[str, str]] = []
    for token in tokens:
        if said and token.kind == TOKEN_CONTENT == said[-1][0]:
            said[-1] = (TOKEN_CONTENT, said[-1][1] + token.value)
        elif token.value and token.kind != TOKEN_OUTPUT:
            said.append((token.kind, token.value))
    return said


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
def test_what_is_said_is_what_the_librarys_own_lexer_takes_it_for(parts: list[str]) -> None:
    # A line feed at the very end is a text of its own to the library's lexer, which so may take it for white space
    # beside a hyphen that is far away.
    source = "".join(parts) + "."

    assert said_by(tokenize(source)) == said_by(get_lexer()(source))


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
def test_hyphens_take_the_white_space_beside(source: str, content: str) -> None:
    assert "".join(text for kind, text in said_by(tokenize(source)) if kind == TOKEN_CONTENT) == content


@given(parts=st.lists(_outputs | _tags | _raws | _contents))
def test_every_expression_and_name_is_where_its_token_says(parts: list[str]) -> None:
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
    ("source", "trouble", "place"),
    [
        ("ab{{ c", "expected '}}' within 1000 characters", 2),
        ("ab{% c }}", "expected '%}' within 1000 characters", 2),
        ("{{" + " " * MAX_TAG + "}}", "expected '}}' within 1000 characters", 0),
        ("a{% raw %}{{ x", "expected tag 'endraw'", 1),
    ],
    ids=["an output that does not end", "a tag that does not end", "an output that is too long", "raw without end"],
)
def test_a_brace_that_is_not_closed_is_told(source: str, trouble: str, place: int) -> None:
    with pytest.raises(LiquidSyntaxError) as refused:
        list(tokenize(source))

    assert refused.value.message == trouble
    assert refused.value.token is not None
    assert refused.value.token.start_index == place


@pytest.mark.parametrize(
    "part",
    ["{{a}}", "{{" + " " * 900 + "}}", "{% a" + " " * 900 + "%}", "{%raw%}{%endraw%}", "{ ", "{%raw%}" + " {%" * 300],
    ids=["outputs", "spaces in outputs", "spaces in tags", "raws", "single braces", "braces in raw"],
)
def test_time_grows_with_length_and_no_faster(part: str) -> None:
    source = part * (500_000 // len(part))
    begin = time.process_time()

    for _ in zip(tokenize(source + "{%endraw%}"), range(1_000_000), strict=False):
        pass

    assert time.process_time() - begin < 2  # what is quadratic takes minutes
