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


def any_matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Return the function that returns whether one of the patterns matches a whole name; the case counts.

    Brackets stand for themselves. It is not cached: the patterns are those of tenants.
    """
    if not patterns:
        return lambda _name: False
    match = re.compile("|".join(fnmatch.translate(pattern.replace("[", "[[]")) for pattern in patterns)).match
    return lambda name: match(name) is not None


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
