"""Matches names against patterns: * stands for any characters, ? for one; knows no vault."""

import fnmatch
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

ALL: Final = "*"
"""The pattern that matches every name."""


def matches(pattern: str, name: str) -> bool:
    """Return whether a pattern matches a whole name; the case counts."""
    return pattern == ALL or _regex(pattern).match(name) is not None


def is_literal(pattern: str) -> bool:
    """Return whether a pattern matches nothing but itself."""
    return "*" not in pattern and "?" not in pattern


def matches_any(patterns: Iterable[str], name: str) -> bool:
    """Return whether one of the patterns, in lower case, matches a secret's name, whose case does not count."""
    lower = name.lower()
    return any(matches(pattern, lower) for pattern in patterns)


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> re.Pattern[str]:
    """Return the expression for a pattern; each star is atomic in it, so it does not backtrack without bound."""
    return re.compile(fnmatch.translate(pattern))
