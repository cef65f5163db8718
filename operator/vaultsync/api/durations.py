"""Durations as manifests write them: `30s`, `2m`, `1h30m`; the part of Go's notation that people write by hand."""

import re
from datetime import timedelta

from vaultsync.api.checks import Pattern

DURATION = Pattern("([0-9]{1,5}[hms]){1,3}")
"""What we read. CEL's `duration()` reads it alike; five digits keep it far from overflowing."""

_PART = re.compile(r"([0-9]+)([hms])", re.ASCII)
_UNITS = {"h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}


def parse_duration(text: str) -> timedelta:
    """Read a duration: one to three numbers, each followed by h, m or s.

    Raises:
        ValueError: It is anything else.
    """
    if not DURATION(text):
        raise ValueError("a duration is written like 30s, 2m or 1h30m")
    return sum((int(number) * _UNITS[unit] for number, unit in _PART.findall(text)), timedelta())


def format_duration(duration: timedelta) -> str:
    """Write a duration of whole seconds in the fewest words: 90 seconds are `1m30s`."""
    seconds = int(duration.total_seconds())
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
