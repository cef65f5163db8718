"""The layout of the dashboard on one page; does not draw panels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from demo.dashboard.charts import draw_panel
from demo.dashboard.lines import circled
from demo.dashboard.panels import Kind, Panel, Place
from demo.dashboard.record import Moment, Record
from demo.dashboard.sheet import PALE, Rectangle, Sheet

_COLUMNS: Final = 24
_COLUMN: Final = 27.0
_ROW: Final = 14.5
_GUTTER: Final = 5.0
_MARGIN: Final = 14.0
_LINE: Final = 12.5
_TITLE: Final = 34.0
_AIR: Final = 9.0
"""Above each row's title, which Grafana's grid leaves no room for."""

_CAPTIONS: Final = 2
"""So many captions are side by side."""


def draw(panels: Sequence[Panel], record: Record, file: Path) -> None:
    """Draw all panels below a title and the list of marks, as .svg or .png by the name of the file."""
    width = _COLUMNS * _COLUMN + 2 * _MARGIN
    head = _TITLE + _LINE * -(-len(record.moments) // _CAPTIONS) + 6
    rows = [panel.place.y for panel in panels if panel.kind is Kind.ROW]
    bottom = max(panel.place.y + panel.place.height for panel in panels)
    sheet = Sheet(width, head + bottom * _ROW + len(rows) * _AIR + _MARGIN)
    sheet.text(_MARGIN, 24, "vaultsync", size=14, bold=True)
    minutes = f"{record.seconds / 60:g} minutes of a real operator, as its Prometheus saw them"
    sheet.text(width - _MARGIN, 24, minutes, size=8, color=PALE, align="right")
    _draw_captions(sheet, record.moments, (width - 2 * _MARGIN) / _CAPTIONS)
    for panel in panels:
        air = _AIR * sum(row <= panel.place.y for row in rows)
        draw_panel(sheet, panel, record, _rectangle(panel.place, head + air))
    sheet.write(file)


def _draw_captions(sheet: Sheet, moments: Sequence[Moment], width: float) -> None:
    """Write the list of marks, column by column."""
    high = -(-len(moments) // _CAPTIONS)
    for index, moment in enumerate(moments):
        column, row = divmod(index, high)
        place = _MARGIN + column * width, _TITLE + (row + 0.6) * _LINE
        sheet.text(*place, f"{circled(index + 1)}  {moment.text}", size=8)


def _rectangle(place: Place, head: float) -> Rectangle:
    """Grafana's grid in points, with gutters between the panels."""
    return Rectangle(
        _MARGIN + place.x * _COLUMN + (_GUTTER / 2 if place.x else 0),
        head + place.y * _ROW,
        place.width * _COLUMN - (_GUTTER / 2 if place.x + place.width == _COLUMNS or not place.x else _GUTTER),
        place.height * _ROW - _GUTTER,
    )
