"""The data to draw: the answers of Prometheus for all panels, and the marks; stored as a file, queries nothing."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from demo.dashboard.numbers import readable
from demo.dashboard.panels import Panel, Query

Points = Sequence[tuple[float, float]]
"""Seconds since the beginning, and values."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer."""

    labels: Mapping[str, str]
    points: Points

    @property
    def last(self) -> float:
        """The newest value that is a number; NaN if there is none."""
        return next((value for _, value in reversed(self.points) if not math.isnan(value)), math.nan)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, so many seconds after the beginning."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """All answers, each by the expression that it answers."""

    seconds: float
    step: float
    moments: Sequence[Moment]
    answers: Mapping[str, Sequence[Series]]

    def lines(self, panel: Panel) -> list[tuple[str, Points]]:
        """The lines of a panel: names and points, without lines that have none."""
        found = [(query.label(series.labels), series) for query in panel.queries for series in self._to(query)]
        return [(name, series.points) for name, series in found if not math.isnan(series.last)]

    def table(self, panel: Panel) -> list[list[str]]:
        """The lines of a panel with a table, a text for each of its columns."""
        found = [series for query in panel.queries for series in self._to(query)]
        fields = [{**series.labels, "Value": readable(series.last, panel.unit)} for series in found]
        return [[each.get(column, "") for column in panel.columns] for each in fields]

    def row_colors(self, panel: Panel) -> list[str]:
        """The colors of the values in a table, by its thresholds; empty for those that have none."""
        return [panel.color(series.last) for query in panel.queries for series in self._to(query)]

    def unanswered(self, panel: Panel) -> list[str]:
        """The expressions of panels that show nothing."""
        return [
            query.expression for query in panel.queries if all(math.isnan(series.last) for series in self._to(query))
        ]

    def write(self, file: Path) -> None:
        """Keep it, to be drawn again."""
        file.parent.mkdir(parents=True, exist_ok=True)
        answers = {
            expression: [[dict(series.labels), list(series.points)] for series in answer]
            for expression, answer in self.answers.items()
        }
        moments = [[moment.at, moment.text] for moment in self.moments]
        file.write_text(
            json.dumps({"seconds": self.seconds, "step": self.step, "moments": moments, "answers": answers})
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a stored record."""
        kept = json.loads(file.read_text())
        answers = {
            expression: [Series(labels, [(at, value) for at, value in points]) for labels, points in answer]
            for expression, answer in kept["answers"].items()
        }
        return cls(kept["seconds"], kept["step"], [Moment(*moment) for moment in kept["moments"]], answers)

    def _to(self, query: Query) -> Sequence[Series]:
        return self.answers.get(query.expression, ())
