"""Durations are read as people write them, and written so that they are read again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.api.durations import format_duration, parse_duration


@given(st.integers(0, 86_400 * 365))
def test_what_is_written_is_read_again(seconds: int) -> None:
    duration = timedelta(seconds=seconds)

    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("2m", 120), ("1h30m", 5400), ("90m", 5400), ("0s", 0), ("1s1s", 2), ("007s", 7)],
)
def test_parts_are_summed(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "s", "1.5h", "-5s", "1d", " 30s", "30s\n", "100000s", "1h1m1s1s", "٣s"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="written like 30s, 2m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(("seconds", "text"), [(90, "1m30s"), (3600, "1h"), (86_400, "24h"), (0, "0s"), (3601, "1h1s")])
def test_the_fewest_words_are_written(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text
