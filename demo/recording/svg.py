"""Draws what a terminal showed as SVG: a still, or lines that appear and scroll by CSS alone; knows no demo.

A code host shows such a file like any picture: there is no script, no font and nothing else to load.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from rich.console import Console
from rich.text import Text

from demo.recording.cast import ROWS, Output, without_idle_time
from demo.terminal import COLUMNS

_LETTER: Final = 7.8
_LINE: Final = 18
_SIZE: Final = 13
_MARGIN: Final = 16
_BAR: Final = 30
_LAST_SECONDS: Final = 6.0
"""How long the last lines stay before the recording begins again."""

_PAPER, _INK = "#0d1117", "#e6edf3"
_COLOURS: Final = {1: "#ff7b72", 2: "#3fb950", 3: "#d29922", 4: "#79c0ff", 6: "#79c0ff"}
"""By the number of a colour of ANSI, which a bright one has eight more than."""

_DIM: Final = "#8b949e"
_CONSOLE: Final = Console()
_FONTS: Final = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the terminal, and when it appeared."""

    seconds: float
    text: Text


def rows_of(outputs: Sequence[Output], columns: int = COLUMNS) -> list[Row]:
    """The rows of a terminal of that width, without the escape sequences that style them."""
    rows, begun = [], ""
    for output in outputs:
        *lines, begun = (begun + output.text).split("\n")
        for text in map(Text.from_ansi, lines):
            rows += [Row(output.seconds, part) for part in text.divide(range(columns, len(text), columns))]
    return rows


def still(rows: Sequence[Row], title: str) -> str:
    """A picture of all rows."""
    return _window(title, len(rows), "".join(_row(row.text, index) for index, row in enumerate(rows)), "")


def animated(outputs: Sequence[Output], title: str) -> str:
    """A picture in which the rows appear as they did, without long waits, and scroll; it begins again at its end.

    A reader who prefers no motion sees the last rows.
    """
    rows = rows_of(without_idle_time(outputs))
    total = rows[-1].seconds + _LAST_SECONDS
    names = {at: f"t{index}" for index, at in enumerate(sorted({row.seconds for row in rows}))}
    appear, scroll = "", ""
    for at, name in names.items():
        percent = f"{100 * at / total:.2f}%"
        appear += f"@keyframes {name}{{0%{{opacity:0}}{percent}{{opacity:1}}}}.{name}{{animation-name:{name}}}"
        scroll += f"{percent}{{{_scrolled(sum(row.seconds <= at for row in rows))}}}"
    style = (
        f"g g,.all{{animation:{total:.1f}s step-end infinite}}{appear}"
        f"@keyframes all{{{scroll}}}.all{{animation-name:all;{_scrolled(len(rows))}}}"
        "@media(prefers-reduced-motion:reduce){g g,.all{animation:none}}"
    )
    drawn = "".join(
        f'<g class="{names[row.seconds]}">{_row(row.text, index)}</g>' for index, row in enumerate(rows) if row.text
    )
    return _window(title, ROWS, f'<g class="all">{drawn}</g>', style)


def _scrolled(count: int) -> str:
    return f"transform:translateY({-_LINE * max(count - ROWS, 0)}px)"


def _window(title: str, count: int, content: str, style: str) -> str:
    width, height = round(COLUMNS * _LETTER + 2 * _MARGIN), count * _LINE + _BAR + _MARGIN
    buttons = "".join(
        f'<circle cx="{18 + 18 * index}" cy="15" r="5" fill="{colour}"/>'
        for index, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">'
        f"<style>text{{font:{_SIZE}px {_FONTS};fill:{_INK};white-space:pre}}"
        f".b{{font-weight:bold}}.d{{fill:{_DIM}}}{style}</style>"
        f'<rect width="{width}" height="{height}" rx="8" fill="{_PAPER}"/>{buttons}'
        f'<text x="{width / 2:g}" y="19" text-anchor="middle" class="d">{escape(title)}</text>'
        f'<svg x="{_MARGIN}" y="{_BAR}" width="{width - 2 * _MARGIN}" height="{count * _LINE}">{content}</svg></svg>\n'
    )


def _row(text: Text, index: int) -> str:
    """One row: what has no gap in it gets its own place, so that columns stand below each other in any font."""
    drawn = []
    for words in re.finditer(r"\S+(?: \S+)*", text.plain):
        cut = text[words.start() : words.end()]
        start = words.start()
        for part in cut.divide(sorted({edge for span in cut.spans for edge in (span.start, span.end)})):
            if part.plain.strip():
                drawn.append(_run(part, start, index))
            start += len(part)
    return "".join(drawn)


def _run(part: Text, start: int, index: int) -> str:
    plain = part.plain.lstrip()
    left = (start + len(part) - len(plain)) * _LETTER
    place = f'x="{left:.1f}" y="{index * _LINE + _SIZE}" textLength="{len(plain) * _LETTER:.1f}"'
    return f"<text {place}{_styled(part)}>{escape(plain, quote=False)}</text>"


def _styled(part: Text) -> str:
    style = part.get_style_at_offset(_CONSOLE, 0)
    classes = " ".join([*(["b"] if style.bold else []), *(["d"] if style.dim else [])])
    number = style.color.number if style.color else None
    colour = None if number is None else _COLOURS.get(number % 8)
    return (f' class="{classes}"' if classes else "") + (f' style="fill:{colour}"' if colour else "")
