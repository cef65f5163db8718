"""Draws one panel into its rectangle, by its kind, as Grafana does; does not place the rectangle."""

from collections.abc import Sequence
from typing import Final

from demo.dashboard.lines import draw_line, draw_lines
from demo.dashboard.numbers import readable
from demo.dashboard.panels import Kind, Panel
from demo.dashboard.record import Record
from demo.dashboard.sheet import INK, PALE, Rectangle, Sheet, rows_of, shortened, width_of

_NAMED: Final = {"green": "#73bf69", "red": "#f2495c", "": INK}
"""The dashboard's colors on a dark background."""

_PAD: Final = 8.0
_TITLE: Final = 17.0
_SMALL: Final = 7.5
_LINE: Final = 11.0


def draw_panel(sheet: Sheet, panel: Panel, record: Record, place: Rectangle) -> None:
    """Draw one panel."""
    if panel.kind is Kind.ROW:
        sheet.text(place.x, place.y + place.height - 4, panel.title, size=10, bold=True)
        return
    sheet.card(place.x, place.y, place.width, place.height)
    for line, text in enumerate(_wrapped(panel.title, place.width - 2 * _PAD)):
        sheet.text(place.x + _PAD, place.y + 12.5 + 9.5 * line, text, size=_SMALL, bold=True)
    match panel.kind:
        case Kind.NUMBER:
            _draw_number(sheet, panel, record, place)
        case Kind.TABLE:
            _draw_table(sheet, panel, record, place)
        case Kind.LINES:
            below_title = Rectangle(place.x + _PAD, place.y + _TITLE, place.width - 2 * _PAD, place.height - _TITLE)
            draw_lines(sheet, panel, record, below_title)


def _wrapped(title: str, room: float) -> list[str]:
    """Break a title into as many lines as it takes."""
    words = title.split()
    rows = rows_of([width_of(f"{word}n", _SMALL, bold=True) for word in words], room)
    return [" ".join(words[index] for index in row) for row in rows]


def _draw_number(sheet: Sheet, panel: Panel, record: Record, place: Rectangle) -> None:
    points = [point for _, points in record.lines(panel) for point in points]
    if not points:
        return
    value = points[-1][1]
    color = _NAMED[panel.color(value)]
    height = place.height * 0.2
    axes = sheet.axes(place.x + 1, place.y + place.height - height - 1, place.width - 2, height)
    axes.set_axis_off()
    axes.set_xlim(0, record.seconds)
    axes.set_ylim(0, max(value for _, value in points) * 1.1 or 1)
    draw_line(axes, points, record.step, color, fill=0.22)
    sheet.text(
        place.x + place.width / 2,
        place.y + place.height - 14,
        readable(value, panel.unit),
        size=18,
        color=color,
        bold=True,
        align="center",
    )


def _draw_table(sheet: Sheet, panel: Panel, record: Record, place: Rectangle) -> None:
    rows = record.table(panel)
    room = int((place.height - _TITLE - _LINE - 6) // _LINE)
    shown = rows[:room] if len(rows) <= room else rows[: room - 1]
    inner = place.width - 2 * _PAD
    widths = _column_widths([panel.columns, *shown], inner)
    y = place.y + _TITLE + _LINE
    x = place.x + _PAD
    for column, width in zip(panel.columns, widths, strict=True):
        sheet.text(x, y, column.lower(), size=_SMALL, color=PALE)
        x += width
    sheet.rule(place.x + _PAD, y + 3.5, inner)
    for row in shown:
        y += _LINE
        x = place.x + _PAD
        for text, width in zip(row, widths, strict=True):
            sheet.text(x, y + 2, shortened(text, _SMALL, width - 6), size=_SMALL)
            x += width
    if len(shown) < len(rows):
        sheet.text(place.x + _PAD, y + _LINE + 2, f"and {len(rows) - len(shown)} more", size=_SMALL, color=PALE)


def _column_widths(rows: Sequence[Sequence[str]], room: float) -> list[float]:
    """Room for each column, by its longest text; all of the room is used."""
    wanted = [max(width_of(text, _SMALL) for text in column) + 14 for column in zip(*rows, strict=True)]
    return [width * room / sum(wanted) for width in wanted]
