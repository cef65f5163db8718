"""Numbers as Grafana writes them, by the units that the dashboard uses; knows no panel."""

import math
from collections.abc import Sequence
from typing import Final

_Scale = Sequence[tuple[float, str]]

_TIMES: Final[_Scale] = ((1e-6, "µs"), (1e-3, "ms"), (1, "s"), (60, "min"), (3600, "hours"), (86_400, "days"))
_BYTES: Final[_Scale] = ((1, "B"), (2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB"))
_SHORT: Final[_Scale] = ((1, ""), (1e3, "K"), (1e6, "Mil"))
_SCALES: Final = {"s": _TIMES, "bytes": _BYTES}
_SUFFIXES: Final = {"reqps": "req/s", "ops": "ops/s"}
_DIGITS: Final = 3


def readable(value: float, unit: str = "") -> str:
    """A number with its unit: three digits that matter, scaled so that they are few before the point."""
    factor, word = scale(value, unit)
    return f"{_short(value / factor)} {word}".rstrip()


def scale(value: float, unit: str) -> tuple[float, str]:
    """The divisor for a number of that size in that unit, and the suffix."""
    if unit == "percentunit":
        return 0.01, "%"
    steps = _SCALES.get(unit, _SHORT)
    factor, word = next((step for step in reversed(steps) if abs(value) >= step[0]), steps[0])
    if value == 0:
        factor, word = next(step for step in steps if step[0] == 1)
    return factor, f"{word} {_SUFFIXES.get(unit, '')}".strip()


def _short(value: float) -> str:
    if value == 0:
        return "0"
    before_the_point = math.floor(math.log10(abs(value))) + 1
    text = f"{value:.{max(0, _DIGITS - max(before_the_point, 1))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
