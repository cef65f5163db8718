"""Draws a bar for each series, colored by its values over time; knows no other panels."""

from typing import Final

from demo.dashboard.colors import NAMED
from demo.dashboard.lines import draw_names, rule_time, runs_of
from demo.dashboard.panels import Panel
from demo.dashboard.record import Points, Record
from demo.dashboard.sheet import INK, Rectangle, Sheet, shortened

_NAMES: Final = 58.0
"""The room for the names of the bars."""

_RIGHT, _ABOVE, _BELOW = 12.0, 6.0, 15.0
_SMALL: Final = 7.5
_BAR: Final = 0.7


def draw_states(sheet: Sheet, panel: Panel, record: Record, place: Rectangle) -> None:
    """Draw the bars of a panel with their names, and the meaning of the colors that occur below them."""
    bars = record.lines(panel)
    seen = {value for _, points in bars for _, value in points}
    meanings = [(text, NAMED[color]) for value, (text, color) in panel.meaning.items() if value in seen]
    named = draw_names(sheet, meanings, place)
    height = place.height - _ABOVE - _BELOW - named
    axes = sheet.axes(place.x + _NAMES, place.y + _ABOVE, place.width - _NAMES - _RIGHT, height)
    axes.set_ylim(len(bars), 0)
    axes.set_yticks([])
    rule_time(axes, record)
    for row, (name, points) in enumerate(bars):
        for begin, end, value in _stretches(points, record.step):
            color = NAMED[panel.meaning[value][1]]
            axes.broken_barh([(begin, end - begin)], (row + (1 - _BAR) / 2, _BAR), facecolor=color, alpha=0.8, zorder=3)
        y = place.y + _ABOVE + height * (row + 0.5) / len(bars)
        sheet.text(place.x, y + 2.5, shortened(name.strip(), _SMALL, _NAMES - 6), size=_SMALL, color=INK)


def _stretches(points: Points, step: float) -> list[tuple[float, float, float]]:
    """The times from which to which a series has had a value; points that are missing end one."""
    found: list[tuple[float, float, float]] = []
    for run in runs_of(points, step):
        for moment, value in run:
            if found and found[-1][1] >= moment and found[-1][2] == value:
                found[-1] = (found[-1][0], moment + step, value)
            else:
                found.append((moment, moment + step, value))
    return found
