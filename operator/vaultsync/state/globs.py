"""Matches names against patterns: * stands for any characters, ? for one; knows no vault."""

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

ALL: Final = "*"
"""The pattern that matches every name."""


def matches(pattern: str, name: str) -> bool:
    """Return whether a pattern matches a whole name; the case counts."""
    return pattern == ALL or _regex(pattern).match(name) is not None


def omitter(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Return the function that returns whether one of the patterns matches a whole name; the case counts.

    They have the wildcard * only, so that no expression is compiled and the time is linear: a tenant may write
    thousands of patterns, and a name may be as long as a value.
    """
    literals = frozenset(pattern for pattern in patterns if "*" not in pattern)
    pieces = [pattern.split("*") for pattern in patterns if "*" in pattern]
    return lambda name: name in literals or any(_is_made_of(name, *one) for one in pieces)


def _is_made_of(name: str, first: str, *others: str) -> bool:
    """Return whether a name begins with the first piece, ends with the last, and has all in between, in this order."""
    *between, last = others
    here, end = len(first), len(name) - len(last)
    if here > end or not name.startswith(first) or not name.endswith(last):
        return False
    for piece in between:
        found = name.find(piece, here, end)
        if found < 0:
            return False
        here = found + len(piece)
    return True


def is_literal(pattern: str) -> bool:
    """Return whether a pattern matches nothing but itself."""
    return "*" not in pattern and "?" not in pattern


def matches_any(patterns: tuple[str, ...], name: str) -> bool:
    """Return whether one of the patterns, in lower case, matches a name, whose case does not count.

    The patterns are those of grants: thousands of them cost hardly more than one.
    """
    return _matcher(patterns)(name.lower())


@lru_cache(maxsize=4096)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Return whether one of the patterns matches; what tenants search for is not cached here, and displaces nothing."""
    literals = frozenset(filter(is_literal, patterns))
    others = [fnmatch.translate(pattern) for pattern in patterns if not is_literal(pattern)]
    if not others:
        return literals.__contains__
    match = re.compile("|".join(others)).match
    return lambda name: name in literals or match(name) is not None


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> re.Pattern[str]:
    """Return the expression for a pattern; each star is atomic in it, so it does not backtrack without bound."""
    return re.compile(fnmatch.translate(pattern))
