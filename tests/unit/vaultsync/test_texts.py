"""Texts of others become one bounded line that reads as it was written."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.texts import MAX_BYTES, MAX_NAME, listed, one_line, shared


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a name", "a name"),
        ("", ""),
        ("  two\n\n\tlines \r\n", "two lines"),
        ("a\x00b\x1b[31mc\x7f", "a b [31mc"),
        ("line\u2028paragraph\u2029end\x85", "line paragraph end"),
        ("db\u202egnp.exe", "dbgnp.exe"),
        ("\u2066shop\u2069\u200b\ufeff", "shop"),
        ("half \ud83d of a pair, \ue000 of nobody", "half of a pair, of nobody"),
        ("Schlüssel für 漢字 🔑", "Schlüssel für 漢字 🔑"),
        ("one two three", "one two three"),
    ],
    ids=[
        "plain",
        "empty",
        "line ends",
        "control characters",
        "line ends of Unicode",
        "another direction",
        "invisible characters",
        "no characters",
        "letters of other languages",
        "a blank that does not break",
    ],
)
def test_a_text_becomes_one_line(text: str, expected: str) -> None:
    assert one_line(text) == expected


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("Only one reference can be the controller", 40, "Only one reference can be the controller"),
        ("Only one reference can be the controller", 39, "Only one reference can be the…"),
        ("Only one reference can be the controller", 12, "Only one…"),
        ("a" * 50, 20, "a" * 17 + "…"),
        ("a " + "b" * 50, 20, "a " + "b" * 15 + "…"),
        ("é" * 50, 20, "é" * 8 + "…"),
        ("\u200b" * 50 + "end", 20, "…"),
    ],
    ids=[
        "it fits",
        "a word less",
        "words",
        "one long word",
        "a long word at last",
        "between characters",
        "too far off",
    ],
)
def test_a_long_text_is_cut_between_words_and_says_so(text: str, size: int, expected: str) -> None:
    assert one_line(text, size) == expected


@given(text=st.text(max_size=900), size=st.integers(10, 400))
def test_any_text_is_bounded_printable_and_stable(text: str, size: int) -> None:
    shown = one_line(text, size)

    assert len(shown.encode()) <= size
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
    assert one_line(shown, size) == shown


def test_of_many_names_the_first_are_listed_and_the_rest_counted() -> None:
    assert listed(["helm", "kubectl\nedit"]) == "helm, kubectl edit"
    assert listed([f"m{number}" for number in range(7)], "; ") == "m0; m1; m2; m3; m4; and 2 more"
    assert len(listed(["x" * 1000] * 7).encode()) <= 5 * (MAX_NAME + 2) + len("and 2 more")


def test_a_huge_text_costs_no_more_than_is_shown() -> None:
    assert one_line("word " * 1_000_000).endswith("word…")
    assert len(one_line("word " * 1_000_000)) <= MAX_BYTES


def test_a_shared_text_is_freed_with_the_last_object_that_has_it() -> None:
    text = shared("a message".title())

    assert text == "A Message"
    assert sys.getrefcount(text) < 100  # of one that is never freed, it is some billions
