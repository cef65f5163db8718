"""Splits a template into tokens for python-liquid's parser, in linear time; knows no tags but raw and comments.

The library's own lexer uses regular expressions that take quadratic time on long runs of spaces. Its parser recurses
with each bracket and operator of an expression, so their number is bounded here, before it runs.
"""

import re
from collections.abc import Iterator
from typing import Final

from liquid.exceptions import LiquidSyntaxError
from liquid.token import TOKEN_CONTENT, TOKEN_EXPRESSION, TOKEN_OUTPUT, TOKEN_TAG, Token

MAX_TAG: Final = 1000
"""In characters, from braces to braces: the library takes quadratic time for one of them, too."""

MAX_NESTING: Final = 64
"""Brackets and operators in one expression: each may be one more level."""

_OPENING: Final = re.compile(r"\{[{%]-?")
_NAME: Final = re.compile(r"\w*")
_ENDINGS: Final = {name: re.compile(rf"\{{%(-?)\s*end{name}\s*(-?)%\}}") for name in ("raw", "comment")}
_COMMENTED_LINE: Final = re.compile(r"\n\s*[^#\s]")
"""A line of a `{% # comment %}` that is none."""
_NESTING: Final = re.compile(r"[\[(]|[=!<>]{1,2}|(?<![^\W\d])(?:and|or|not|contains)\b")
"""What makes the parser recurse. Strings are not skipped: the library's rules for where they end are intricate."""

_CLOSING: Final = {"{{": "}}", "{%": "%}"}


def tokenize(source: str) -> Iterator[Token]:
    """Split a template into plain text, outputs and tags; a hyphen inside braces strips the white space next to them.

    Raises:
        LiquidSyntaxError: A brace is not closed, or what it opens is too long or nests too deeply.
    """
    at, strip = 0, False
    while (opening := _OPENING.search(source, at)) is not None:
        yield from _content(source, at, opening.start(), left=strip, right=opening[0].endswith("-"))
        braces = opening[0][:2]
        inner, end = _inner(source, opening)
        strip = inner.endswith("-")
        inner = inner.removesuffix("-").rstrip()
        begin = opening.end() + len(inner) - len(inner.lstrip())
        if braces == "{{":
            yield Token(TOKEN_OUTPUT, braces, opening.start(), source)
            yield Token(TOKEN_EXPRESSION, inner.lstrip(), begin, source)
        elif (name := inner.strip()) in _ENDINGS:
            ending = _ending(source, name, opening, end)
            if name == "raw":
                yield from _content(source, end, ending.start(), left=False, right=ending[1] == "-")
            end, strip = ending.end(), ending[2] == "-"
        elif name.startswith("#"):
            if _COMMENTED_LINE.search(name):
                raise _error("every line of an inline comment must start with #", source, opening)
        else:
            yield from _tag(source, inner.lstrip(), begin)
        at = end
    yield from _content(source, at, len(source), left=strip, right=False)


def _inner(source: str, opening: re.Match[str]) -> tuple[str, int]:
    """Return the text between the braces, and where the closing braces end."""
    closing = _CLOSING[opening[0][:2]]
    found = source.find(closing, opening.end(), opening.start() + MAX_TAG)
    if found == -1:
        raise _error(f"expected {closing!r} within {MAX_TAG} characters", source, opening)
    inner = source[opening.end() : found]
    if len(_NESTING.findall(inner)) > MAX_NESTING:
        raise _error(
            f"more than {MAX_NESTING} brackets and operators; split the expression with assign or nested if",
            source,
            opening,
        )
    return inner, found + len(closing)


def _error(problem: str, source: str, opening: re.Match[str]) -> LiquidSyntaxError:
    return LiquidSyntaxError(problem, token=Token(TOKEN_TAG, opening[0], opening.start(), source))


def _content(source: str, begin: int, end: int, *, left: bool, right: bool) -> Iterator[Token]:
    text = source[begin:end]
    text = text.lstrip() if left else text
    text = text.rstrip() if right else text
    if text:
        yield Token(TOKEN_CONTENT, text, begin, source)


def _tag(source: str, inner: str, begin: int) -> Iterator[Token]:
    name = _NAME.match(inner)
    assert name is not None  # it also matches the empty string
    yield Token(TOKEN_TAG, name[0], begin, source)
    expression = inner[name.end() :].lstrip()
    if expression:
        yield Token(TOKEN_EXPRESSION, expression, begin + len(inner) - len(expression), source)


def _ending(source: str, name: str, opening: re.Match[str], begin: int) -> re.Match[str]:
    ending = _ENDINGS[name].search(source, begin)
    if ending is None:
        raise LiquidSyntaxError(f"expected tag 'end{name}'", token=Token(TOKEN_TAG, name, opening.start(), source))
    return ending
