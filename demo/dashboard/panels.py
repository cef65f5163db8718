"""The panels of Grafana's dashboard file: their queries and their options; neither queries nor draws.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from tests.chart.dashboard import concrete

_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Kind(StrEnum):
    """The kinds of panels that can be drawn, by Grafana's names."""

    ROW = "row"
    NUMBER = "stat"
    LINES = "timeseries"
    TABLE = "table"
    STATES = "state-timeline"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel is, in Grafana's grid of 24 columns; rows count downwards."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Query:
    """A query for Prometheus with the legend of its series; an `instant` one has the last point alone."""

    expression: str
    legend: str = ""
    instant: bool = False

    def over(self, interval: str, shown: str) -> str:
        """The expression with rates over an interval such as `30s`, of a time that is shown such as `600s`, for all."""
        return concrete(self.expression, interval, shown)

    def label(self, labels: Mapping[str, str]) -> str:
        """The legend of a series with these labels; a missing label is empty."""
        return _LABEL.sub(lambda found: labels.get(found[1], ""), self.legend)


@dataclass(frozen=True, slots=True)
class Step:
    """From which value on a number has which color; None is the lowest of all."""

    value: float | None
    color: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; fields that its kind does not use are empty."""

    number: int
    kind: Kind
    title: str
    place: Place
    queries: Sequence[Query] = ()
    unit: str = ""
    steps: Sequence[Step] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    """The columns of a table, and their headers."""
    colors: Sequence[tuple[str, str]] = ()
    """Patterns of the names of lines that have a color of their own."""
    meaning: Mapping[float, tuple[str, str]] = field(default_factory=dict)
    """The text and the color of each value of a state."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read one of the file. Raises `ValueError` for a kind that cannot be drawn."""
        grid = document["gridPos"]
        defaults = document.get("fieldConfig", {}).get("defaults", {})
        steps = defaults.get("thresholds", {}).get("steps", ())
        overrides = document.get("fieldConfig", {}).get("overrides", ())
        return cls(
            number=document["id"],
            kind=Kind(document["type"]),
            title=document["title"],
            place=Place(grid["x"], grid["y"], grid["w"], grid["h"]),
            queries=tuple(_query(target) for target in document.get("targets", ())),
            unit=defaults.get("unit", ""),
            steps=tuple(Step(step["value"], step["color"]) for step in steps),
            columns=_columns(document.get("transformations", ())),
            colors=tuple(_colors(overrides)),
            meaning=_meaning(defaults.get("mappings", ())),
        )

    def color(self, value: float) -> str:
        """The color of a number: that of the highest step that it reaches; empty if it reaches none."""
        reached = [step for step in self.steps if step.value is None or value >= step.value]
        return reached[-1].color if reached else ""

    def line_color(self, name: str) -> str | None:
        """The color of a line by its name, if it has one of its own."""
        return next((color for pattern, color in self.colors if re.search(pattern, name)), None)


def panels_of(dashboard: Mapping[str, Any]) -> list[Panel]:
    """All panels, in the order of the file. Raises `ValueError` for a kind that cannot be drawn."""
    return [Panel.read(document) for document in dashboard["panels"]]


def _query(target: Mapping[str, Any]) -> Query:
    return Query(target["expr"], target.get("legendFormat", ""), instant=target.get("instant", False))


def _columns(transformations: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The names that a filter keeps, with the headers that `organize` gives them."""
    options = {each["id"]: each["options"] for each in transformations}
    headers = options.get("organize", {}).get("renameByName", {})
    names = options.get("filterFieldsByName", {}).get("include", {}).get("names", ())
    return {name: headers.get(name, name) for name in names}


def _colors(overrides: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for each in overrides:
        properties = {one["id"]: one["value"] for one in each["properties"]}
        if each["matcher"]["id"] == "byRegexp" and "color" in properties:
            yield each["matcher"]["options"].strip("/"), properties["color"]["fixedColor"]


def _meaning(mappings: Iterable[Mapping[str, Any]]) -> dict[float, tuple[str, str]]:
    return {
        float(value): (result["text"], result["color"])
        for each in mappings
        for value, result in each["options"].items()
    }
