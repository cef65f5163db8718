"""Regular expressions become wildcards if they match the same names."""

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.convert.patterns import Naming, glob_of

NAMES = st.text("abAB-9", min_size=1, max_size=6)
PIECES = st.sampled_from(["a", "b-", "9", ".", ".*", ".+", r"\-"])


@pytest.mark.parametrize(
    ("pattern", "glob"),
    [
        ("^db-.*$", "db-*"),
        ("db", "*db*"),
        ("^db$", "db"),
        ("^db", "db*"),
        ("db$", "*db"),
        (".*", "*"),
        ("^a.c$", "a?c"),
        ("^a.+$", "a?*"),
        ("^$", None),
        ("a|b", None),
        ("[ab]", None),
        ("(?i)a", None),
        (r"\d", None),
        ("ab+", None),
        ("ab?", None),
        ("a{2}", None),
    ],
)
def test_a_pattern_is_converted_or_not(pattern: str, glob: str | None) -> None:
    assert glob_of(pattern) == glob


@pytest.mark.slow
@given(st.booleans(), st.lists(PIECES, min_size=1, max_size=5), st.booleans(), NAMES)
def test_wildcards_match_what_the_expression_finds(start: bool, pieces: list[str], end: bool, name: str) -> None:
    pattern = "^" * start + "".join(pieces) + "$" * end
    glob = glob_of(pattern)

    assert glob is not None
    assert fnmatchcase(name, glob) == (re.search(pattern, name) is not None)


@pytest.mark.parametrize(
    ("source", "target", "fields"),
    [
        ("^app-(.*)$", "$1", {"rename": "^app-(?P<key>.*)$"}),
        ("^app-(.*)", "${1}", {"rename": "^app-(?P<key>.*)$"}),
        ("^(.+)-prod$", "$1", {"rename": "^(?P<key>.+)-prod$"}),
        ("(.*)", "APP_$1", {"prefix": "APP_"}),
        ("^(.*)$", "APP_$1", {"prefix": "APP_"}),
        ("-", "_", None),
        ("app-(.*)", "$1", None),
        ("^a(b)", "$1", None),
        ("^a(b)(c)$", "$1", None),
        ("^app-(.*)$", "x-$1", None),
        ("(.*)", "$1", None),
    ],
)
def test_a_rule_is_converted_or_not(source: str, target: str, fields: dict[str, str] | None) -> None:
    naming = Naming()

    assert naming.add_regexp(source, target) is (fields is not None)
    assert naming.fields() == (fields or {})
