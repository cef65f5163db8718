"""Draws lines over time with axes, marks and legends; knows no other panels."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from demo.dashboard.colors import NAMED, PALETTE
from demo.dashboard.numbers import scale
from demo.dashboard.panels import Panel
from demo.dashboard.record import Points, Record
from demo.dashboard.sheet import BORDER, FAINT, PALE, Rectangle, Sheet, rows_of, width_of

_SMALL: Final = 7.5
_LINE: Final = 11.0
_DASH: Final = 9.0
_LEFT, _RIGHT, _ABOVE, _BELOW = 34.0, 12.0, 6.0, 15.0
"""The room that the axes leave for their ticks, and for the marks above."""

_MINUTES: Final = 2
_CIRCLED_ONE: Final = 0x2460


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    points: Points
    color: str

    @property
    def is_flat_zero(self) -> bool:
        """Whether it lies on the axis all the time."""
        return all(value == 0 for _, value in self.points)


def circled(number: int) -> str:
    """A mark in the picture, from 1 to 20."""
    return chr(_CIRCLED_ONE + number - 1)


def draw_lines(sheet: Sheet, panel: Panel, record: Record, place: Rectangle) -> None:
    """Draw the lines of a panel, and their names below them."""
    found = record.lines(panel)
    lines = list(_colored(panel, found))
    named = _draw_legend(sheet, lines, place)
    axes = sheet.axes(
        place.x + _LEFT, place.y + _ABOVE, place.width - _LEFT - _RIGHT, place.height - _ABOVE - _BELOW - named
    )
    _rule(axes, record, [value for _, points in found for _, value in points if not math.isnan(value)], panel.unit)
    for line in lines:
        draw_line(axes, line.points, record.step, line.color, fill=0.1)


def draw_line(axes: Axes, points: Points, step: float, color: str, *, fill: float) -> None:
    """Draw a line with gaps where points are missing; a single point is a dot."""
    for run in runs_of(points, step):
        moments, values = zip(*_corners(run), strict=True)
        marker = "o" if len(run) == 1 else ""
        axes.plot(moments, values, color=color, linewidth=1.1, marker=marker, markersize=2, zorder=3)
        if any(values):
            axes.fill([moments[0], *moments, moments[-1]], [0, *values, 0], color=color, alpha=fill, linewidth=0)


def runs_of(points: Points, step: float) -> list[list[tuple[float, float]]]:
    """Break a line where a point is missing; NaN is skipped."""
    numbers = [point for point in points if not math.isnan(point[1])]
    runs = [numbers[:1]] if numbers else []
    for before, point in pairwise(numbers):
        if point[0] - before[0] > 1.5 * step:
            runs.append([])
        runs[-1].append(point)
    return runs


def _corners(run: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Drop the inner points of a level line, which makes the file shorter."""
    inner = [
        point
        for before, point, after in zip(run, run[1:], run[2:], strict=False)
        if not before[1] == point[1] == after[1]
    ]
    return [run[0], *inner, *run[1:][-1:]]


def _rule(axes: Axes, record: Record, values: Sequence[float], unit: str) -> None:
    """Set the bounds, ticks and marks of the axes."""
    top = max(values, default=0) * 1.08 or 1
    factor, word = scale(top, unit)
    whole = all(value == int(value) for value in values)
    locator = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10], integer=whole and factor == 1)
    ticks = [float(tick) for tick in locator.tick_values(0, top / factor) if tick >= 0]
    highest = max(top, ticks[1] * factor)
    ticks = [tick for tick in ticks if tick * factor <= highest]
    axes.set_ylim(-0.01 * highest, highest)
    axes.set_yticks([tick * factor for tick in ticks], [f"{tick:g} {word}".rstrip() for tick in ticks])
    axes.grid(color=FAINT, linewidth=0.6)
    rule_time(axes, record)


def rule_time(axes: Axes, record: Record) -> None:
    """Set the bounds and ticks of the time, and the marks."""
    minutes = range(0, int(record.seconds / 60) + 1, _MINUTES)
    axes.set_xlim(0, record.seconds)
    axes.set_xticks([60 * minute for minute in minutes], [f"{minute} min" if minute else "0" for minute in minutes])
    axes.set_axisbelow(True)
    for number, moment in enumerate(record.moments, start=1):
        axes.axvline(moment.at, color=BORDER, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1.5)
        axes.annotate(
            circled(number),
            (moment.at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 1),
            textcoords="offset points",
            size=6.5,
            color=PALE,
            ha="center",
            va="bottom",
        )


def _colored(panel: Panel, found: Sequence[tuple[str, Points]]) -> Iterator[_Line]:
    """Lines with their own colors, or with the next ones of the palette."""
    palette = itertools.cycle(PALETTE)
    for name, points in found:
        own = panel.line_color(name)
        yield _Line(name.strip(), points, NAMED[own] if own else next(palette))


def _draw_legend(sheet: Sheet, lines: Sequence[_Line], place: Rectangle) -> float:
    """Write the legend at the bottom; returns its height.

    Where they take more than a row, those of lines that were at zero all the time are left out.
    """
    if len(_rows([line.name for line in lines], place.width)) > 1:
        lines = [line for line in lines if not line.is_flat_zero]
    return draw_names(sheet, [(line.name, line.color) for line in lines], place)


def draw_names(sheet: Sheet, names: Sequence[tuple[str, str]], place: Rectangle) -> float:
    """Write names with their colors at the bottom; returns their height."""
    rows = _rows([name for name, _ in names], place.width)
    y = place.y + place.height - 6 - _LINE * (len(rows) - 1)
    for row in rows:
        x = place.x
        for name, color in (names[index] for index in row):
            sheet.dash(x, y - 2.7, _DASH, color)
            sheet.text(x + _DASH + 3, y, name, size=_SMALL)
            x += _name_width(name)
        y += _LINE
    return _LINE * len(rows) + 2


def _rows(names: Sequence[str], room: float) -> list[list[int]]:
    return rows_of(map(_name_width, names), room)


def _name_width(name: str) -> float:
    return _DASH + 3 + width_of(name, _SMALL) + 10
