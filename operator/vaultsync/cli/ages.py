"""Writes how long ago something was, as kubectl does; reads no clock."""

from datetime import datetime, timedelta
from typing import Final

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


def duration(span: timedelta) -> str:
    """Return a span in one unit, or in two if it has few of the larger: 45s, 5m30s, 3h12m, 6d4h, 40d.

    https://pkg.go.dev/k8s.io/apimachinery/pkg/util/duration#HumanDuration
    """
    span = max(span, timedelta(0))
    for limit, unit, name, smaller, smaller_name in (
        (2 * _MINUTE, timedelta(seconds=1), "s", None, ""),
        (10 * _MINUTE, _MINUTE, "m", timedelta(seconds=1), "s"),
        (3 * _HOUR, _MINUTE, "m", None, ""),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
        (2 * _DAY, _HOUR, "h", None, ""),
        (8 * _DAY, _DAY, "d", _HOUR, "h"),
    ):
        if span < limit:
            rest = (span % unit) // smaller if smaller is not None else 0
            return f"{span // unit}{name}" + (f"{rest}{smaller_name}" if rest else "")
    return f"{span.days}d"


def until(moment: datetime, now: datetime) -> str:
    """Return when something is: in a time, or since when it has been."""
    return f"in {duration(moment - now)}" if moment > now else f"{duration(now - moment)} ago"
