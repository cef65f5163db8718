"""A template's text as tokens for python-liquid's parser, in time proportional to its length; knows no tag but raw.

The library's own lexer consists of regular expressions that take quadratic time on long runs of spaces.
"""

import re
from collections.abc import Iterator
from typing import Final

from liquid.exceptions import LiquidSyntaxError
from liquid.token import TOKEN_CONTENT, TOKEN_EXPRESSION, TOKEN_OUTPUT, TOKEN_TAG, Token

MAX_TAG: Final = 1000
"""In characters, from braces to braces: what the library does with one of them takes quadratic time, too."""

_OPENING: Final = re.compile(r"\{[{%]-?")
_NAME: Final = re.compile(r"\w*")
_ENDRAW: Final = re.compile(r"\{%(-?)\s*endraw\s*(-?)%\}")
_CLOSING: Final = {"{{": "}}", "{%": "%}"}


def tokenize(source: str) -> Iterator[Token]:
    """Split a template into plain text, outputs and tags. A hyphen inside of the braces takes the white space beside.

    Raises:
        LiquidSyntaxError: A brace is not closed, or what it opens is too long.
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
        elif inner.strip() == "raw":
            ending = _end_of_raw(source, opening, end)
            yield from _content(source, end, ending.start(), left=False, right=ending[1] == "-")
            end, strip = ending.end(), ending[2] == "-"
        else:
            yield from _tag(source, inner.lstrip(), begin)
        at = end
    yield from _content(source, at, len(source), left=strip, right=False)


def _inner(source: str, opening: re.Match[str]) -> tuple[str, int]:
    """Find what is between the braces, and where the closing ones end."""
    closing = _CLOSING[opening[0][:2]]
    found = source.find(closing, opening.end(), opening.start() + MAX_TAG)
    if found == -1:
        trouble = f"expected {closing!r} within {MAX_TAG} characters"
        raise LiquidSyntaxError(trouble, token=Token(TOKEN_TAG, opening[0], opening.start(), source))
    return source[opening.end() : found], found + len(closing)


def _content(source: str, begin: int, end: int, *, left: bool, right: bool) -> Iterator[Token]:
    text = source[begin:end]
    text = text.lstrip() if left else text
    text = text.rstrip() if right else text
    if text:
        yield Token(TOKEN_CONTENT, text, begin, source)


def _tag(source: str, inner: str, begin: int) -> Iterator[Token]:
    name = _NAME.match(inner)
    assert name is not None  # it matches nothing, too
    yield Token(TOKEN_TAG, name[0], begin, source)
    expression = inner[name.end() :].lstrip()
    if expression:
        yield Token(TOKEN_EXPRESSION, expression, begin + len(inner) - len(expression), source)


def _end_of_raw(source: str, opening: re.Match[str], begin: int) -> re.Match[str]:
    ending = _ENDRAW.search(source, begin)
    if ending is None:
        raise LiquidSyntaxError("expected tag 'endraw'", token=Token(TOKEN_TAG, "raw", opening.start(), source))
    return ending
