"""Spans and moments as kubectl writes them."""

from datetime import UTC, datetime, timedelta

import pytest

from vaultsync.cli.ages import duration, until

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(minutes=5, seconds=30), "5m30s"),
        (timedelta(minutes=179), "179m"),
        (timedelta(hours=3), "3h"),
        (timedelta(hours=3, minutes=12), "3h12m"),
        (timedelta(hours=47), "47h"),
        (timedelta(days=6, hours=4), "6d4h"),
        (timedelta(days=40, hours=4), "40d"),
    ],
)
def test_a_span_has_one_unit_or_two(span: timedelta, text: str) -> None:
    assert duration(span) == text


def test_a_moment_is_in_the_future_or_in_the_past() -> None:
    assert until(NOW + timedelta(days=12), NOW) == "in 12d"
    assert until(NOW - timedelta(hours=3), NOW) == "3h ago"
