"""Draws one panel into its rectangle, by its kind, as Grafana does; does not place the rectangle."""

from collections.abc import Sequence
from typing import Final

from demo.dashboard.colors import NAMED
from demo.dashboard.lines import draw_line, draw_lines
from demo.dashboard.numbers import readable
from demo.dashboard.panels import Kind, Panel
from demo.dashboard.record import Points, Record
from demo.dashboard.sheet import PALE, Rectangle, Sheet, rows_of, shortened, width_of
from demo.dashboard.states import draw_states

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
    below_title = Rectangle(place.x + _PAD, place.y + _TITLE, place.width - 2 * _PAD, place.height - _TITLE)
    match panel.kind:
        case Kind.NUMBER:
            _draw_number(sheet, panel, record, place)
        case Kind.TABLE:
            _draw_table(sheet, panel, record, place)
        case Kind.LINES:
            draw_lines(sheet, panel, record, below_title)
        case Kind.STATES:
            draw_states(sheet, panel, record, below_title)


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
    color = NAMED[panel.color(value)]
    if len(points) > 1:
        _draw_history(sheet, points, record, place, color)
    sheet.text(
        place.x + place.width / 2,
        place.y + place.height - 14,
        readable(value, panel.unit),
        size=18,
        color=color,
        bold=True,
        align="center",
    )


def _draw_history(sheet: Sheet, points: Points, record: Record, place: Rectangle, color: str) -> None:
    height = place.height * 0.2
    axes = sheet.axes(place.x + 1, place.y + place.height - height - 1, place.width - 2, height)
    axes.set_axis_off()
    axes.set_xlim(0, record.seconds)
    axes.set_ylim(0, max(value for _, value in points) * 1.1 or 1)
    draw_line(axes, points, record.step, color, fill=0.22)


def _draw_table(sheet: Sheet, panel: Panel, record: Record, place: Rectangle) -> None:
    rows, colors = record.table(panel), record.row_colors(panel)
    headers = list(panel.columns.values())
    used = [index for index in range(len(headers)) if any(row[index] for row in rows)]
    headers, rows = [headers[index] for index in used], [[row[index] for index in used] for row in rows]
    room = int((place.height - _TITLE - _LINE - 6) // _LINE)
    shown = rows[:room] if len(rows) <= room else rows[: room - 1]
    inner = place.width - 2 * _PAD
    widths = _column_widths([headers, *shown], inner)
    y = place.y + _TITLE + _LINE
    x = place.x + _PAD
    for header, width in zip(headers, widths, strict=True):
        sheet.text(x, y, header, size=_SMALL, color=PALE)
        x += width
    sheet.rule(place.x + _PAD, y + 3.5, inner)
    values = [list(panel.columns)[index] == "Value" for index in used]
    for row, colored in zip(shown, colors, strict=False):
        y += _LINE
        x = place.x + _PAD
        for text, width, is_value in zip(row, widths, values, strict=True):
            color = NAMED[colored if is_value else ""]
            sheet.text(x, y + 2, shortened(text, _SMALL, width - 6), size=_SMALL, color=color)
            x += width
    if len(shown) < len(rows):
        sheet.text(place.x + _PAD, y + _LINE + 2, f"and {len(rows) - len(shown)} more", size=_SMALL, color=PALE)


def _column_widths(rows: Sequence[Sequence[str]], room: float) -> list[float]:
    """Room for each column, by its longest text; all of the room is used."""
    wanted = [max(width_of(text, _SMALL) for text in column) + 14 for column in zip(*rows, strict=True)]
    return [width * room / sum(wanted) for width in wanted]
