"""How the costs of a first sync grow with the number of VaultSecrets: curves, and the slope from end to end."""

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path
from statistics import median

from bench.figures import Figure
from bench.plots import Panel, draw


@dataclass(frozen=True, slots=True)
class Point:
    """What a first sync has cost; `written` is how many Secrets were written in it."""

    written: float
    seconds: float
    cpu: float
    memory: float
    requests: float
    calls: float


@dataclass(slots=True)
class Growth:
    """The points of each number, one for each time that it was measured."""

    points: dict[int, list[Point]] = field(default_factory=dict)

    def add(self, number: int, point: Point) -> None:
        """Add what one first sync of so many has cost."""
        self.points.setdefault(number, []).append(point)

    def draw(self, file: Path) -> None:
        """Draw the medians against the numbers."""
        medians = self._medians()
        panels = [
            Panel("first post → all there, s", {number: point.seconds for number, point in medians.items()}),
            Panel("CPU of the operator, s", {number: point.cpu for number, point in medians.items()}),
            Panel("memory, MB", {number: point.memory for number, point in medians.items()}),
            Panel("API requests", {number: point.requests for number, point in medians.items()}),
        ]
        file.parent.mkdir(exist_ok=True)
        draw(panels, "VaultSecrets posted to a running operator", file)

    def slopes(self, first: int, last: int) -> Iterator[Figure]:
        """Yield by which power of the Secrets that are written each cost grows from one number to another."""
        medians = self._medians()
        few, many = medians[first], medians[last]
        # The time has no goal: the vault's budget, which binds the largest, leaves the first 2,000 calls alone.
        for what, before, after, goal in (
            ("CPU", few.cpu, many.cpu, 1),
            ("memory", few.memory, many.memory, 1),
            ("requests to the API server", few.requests, many.requests, 1),
            ("calls to the vault", few.calls, many.calls, 1),
            ("time", few.seconds, many.seconds, None),
        ):
            slope = math.log(after / before) / math.log(many.written / few.written)
            yield Figure(f"{what}: {after / before:.3g} times as much, a slope of", [round(slope, 2)], goal=goal)

    def _medians(self) -> dict[int, Point]:
        return {
            number: Point(*(median(values) for values in zip(*map(astuple, points), strict=True)))
            for number, points in sorted(self.points.items())
        }
