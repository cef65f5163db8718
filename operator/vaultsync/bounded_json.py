"""Parses JSON that others wrote, with a bound on its nesting depth that is checked before parsing; interprets nothing.

Python's parser recurses once per level. With a raised recursion limit it overflows the C stack, which ends the process:
on Python 3.11, 25,000 brackets are enough.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final

MAX_DEPTH: Final = 64
"""Levels of objects and lists: far more than configuration needs, far fewer than Python's parser supports."""

_NO_BRACKETS: Final = re.compile(r'"[^"]*"?|[^"\[\]{}]+')
"""Strings, and all text between brackets. It needs no backtracking, so its time is linear for any text."""

_Hook = Callable[[str], object]


class TooDeepError(ValueError):
    """The JSON nests deeper than allowed; the message holds nothing of it."""


def parse(
    text: str | bytes,
    *,
    max_depth: int = MAX_DEPTH,
    parse_float: _Hook | None = None,
    parse_int: _Hook | None = None,
    parse_constant: _Hook | None = None,
) -> Any:  # noqa: ANN401  a JSON document is anything
    """Parse a JSON document.

    Args:
        text: The document; bytes must be UTF-8.
        max_depth: How many objects and lists may contain each other.
        parse_float: Called with the text of each number that is not an integer, as in `json.loads`.
        parse_int: Called with the text of each integer.
        parse_constant: Called with NaN, Infinity or -Infinity, which Python's parser accepts beside JSON.

    Returns:
        What `json.loads` returns.

    Raises:
        TooDeepError: It nests deeper than `max_depth`.
        ValueError: It is not JSON. The error may hold the text as context or attribute: do not pass it on.
    """
    text = text if isinstance(text, str) else text.decode()
    if nests_deeper(text, max_depth):
        raise TooDeepError(f"nests deeper than {max_depth} levels")
    return json.loads(text, parse_float=parse_float, parse_int=parse_int, parse_constant=parse_constant)


def nests_deeper(text: str, max_depth: int = MAX_DEPTH) -> bool:
    """Return whether JSON nests deeper than `max_depth`, in linear time and without recursion.

    Of text that is not JSON, only the part before its first mistake counts: a parser stops there.
    """
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    depth = 0
    for bracket in _NO_BRACKETS.sub("", unescaped):
        depth += 1 if bracket in "[{" else -1
        if depth > max_depth:
            return True
    return False
