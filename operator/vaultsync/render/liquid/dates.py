"""The filter that formats dates; it reads no clock, and has the names of months and days in English."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from vaultsync.render.liquid.values import ValueFreeError, text_of

_MAX_DATE: Final = 64
_DIRECTIVE: Final = re.compile(r"%(-?)(.?)", re.DOTALL)
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_FORMATS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "Y": lambda time: f"{time.year:04}",
    "y": lambda time: f"{time.year % 100:02}",
    "m": lambda time: f"{time.month:02}",
    "d": lambda time: f"{time.day:02}",
    "e": lambda time: f"{time.day:2}",
    "j": lambda time: f"{time.timetuple().tm_yday:03}",
    "H": lambda time: f"{time.hour:02}",
    "I": lambda time: f"{(time.hour - 1) % 12 + 1:02}",
    "M": lambda time: f"{time.minute:02}",
    "S": lambda time: f"{time.second:02}",
    "p": lambda time: "AM" if time.hour < 12 else "PM",  # noqa: PLR2004  noon
    "a": lambda time: _DAYS[time.weekday()][:3],
    "A": lambda time: _DAYS[time.weekday()],
    "b": lambda time: _MONTHS[time.month - 1][:3],
    "B": lambda time: _MONTHS[time.month - 1],
    "F": lambda time: time.date().isoformat(),
    "T": lambda time: time.time().isoformat("seconds"),
    "s": lambda time: str(int(time.timestamp())),
    "z": lambda _: "+0000",
    "Z": lambda _: "UTC",
    "%": lambda _: "%",
}
"""In the notation of strftime; the result is the same on each system."""


def date(value: object, pattern: object) -> str:
    """Format a date or time in ISO 8601, or seconds since 1970, in UTC; an empty text stays empty."""
    if value == "":
        return ""
    time = _time(value)

    def formatted(found: re.Match[str]) -> str:
        made = _FORMATS.get(found[2])
        if made is None:
            raise ValueFreeError(f"date accepts % followed by one of {', '.join(_FORMATS)}")
        text = made(time)
        return text.lstrip("0 ") or "0" if found[1] else text

    return _DIRECTIVE.sub(formatted, text_of(pattern))


def _time(value: object) -> datetime:
    text = text_of(value).strip()
    text = text if len(text) <= _MAX_DATE else ""
    try:
        time = datetime.fromtimestamp(int(text), UTC) if text.isdecimal() else datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    # Not inside the handler: its error would be the context, and holds the value.
    raise ValueFreeError("the input of date is no date such as 2026-11-29 or 2026-11-29T08:00:00Z")
