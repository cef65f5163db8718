"""A sheet of paper in points, counted from its upper left corner: texts, boxes, axes, files. Knows no panel."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.textpath import TextPath

PAPER: Final = "#111217"
CARD: Final = "#181b1f"
BORDER: Final = "#2c2f36"
FAINT: Final = "#26292f"
INK: Final = "#d5d6df"
PALE: Final = "#9a9ba6"

_POINTS_PER_INCH: Final = 72
_PNG_DOTS_PER_POINT: Final = 2
_FONT: Final = "DejaVu Sans"
_ALIKE: Final = "Verdana"
"""As wide as ours: texts keep the room that was measured for them."""

_PATH_DATA: Final = re.compile(r'(?<= d=")[^"]+')
_NO_TURN: Final = re.compile(r' transform="rotate\(-0 [^"]*"')
_MANY_DIGITS: Final = re.compile(r"-?\d+\.\d{2,}")


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Where to draw, in points of the sheet."""

    x: float
    y: float
    width: float
    height: float


class Sheet:
    """One page, drawn on bit by bit."""

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = width, height
        self._figure = Figure(
            figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), dpi=_POINTS_PER_INCH, facecolor=PAPER
        )
        FigureCanvasAgg(self._figure)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 8,
        color: str = INK,
        bold: bool = False,
        align: str = "left",
    ) -> None:
        """Write a line; `y` is its baseline, `align` says which end of it is at `x`."""
        self._figure.text(
            x / self._width,
            1 - y / self._height,
            text,
            size=size,
            color=color,
            ha=align,
            va="baseline",
            family=_FONT,
            weight="bold" if bold else "normal",
        )

    def dash(self, x: float, y: float, length: float, color: str) -> None:
        """Draw a short line to the right."""
        height = 1 - y / self._height
        ends = [x / self._width, (x + length) / self._width]
        self._figure.add_artist(Line2D(ends, [height, height], color=color, linewidth=2, solid_capstyle="butt"))

    def rule(self, x: float, y: float, length: float) -> None:
        """Draw a faint line to the right."""
        height = 1 - y / self._height
        ends = [x / self._width, (x + length) / self._width]
        self._figure.add_artist(Line2D(ends, [height, height], color=BORDER, linewidth=0.6))

    def card(self, x: float, y: float, width: float, height: float) -> None:
        """Draw the ground of a panel; `x` and `y` are its upper left corner."""
        axes = self.axes(x, y, width, height)
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(0, height)
        edge = 0.4
        shape = FancyBboxPatch(
            (edge, edge),
            width - 2 * edge,
            height - 2 * edge,
            boxstyle="round,pad=0,rounding_size=2.5",
            facecolor=CARD,
            edgecolor=BORDER,
            linewidth=0.7,
        )
        axes.add_patch(shape)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes without anything, in a rectangle whose upper left corner is given."""
        corner = (x / self._width, 1 - (y + height) / self._height)
        axes = self._figure.add_axes((*corner, width / self._width, height / self._height), facecolor="none")
        axes.margins(0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0, labelsize=7, labelcolor=PALE, pad=3, labelfontfamily=_FONT)
        return axes

    def write(self, file: Path) -> None:
        """Write it as the kind of file that its name ends in; the same drawing becomes the same bytes."""
        # Letters as letters: they can be searched for, and the file is a third as long.
        with mpl.rc_context({"svg.hashsalt": "vaultsync", "svg.fonttype": "none", "path.simplify_threshold": 0.2}):
            if file.suffix == ".svg":
                self._figure.savefig(file, metadata={"Date": None})
                file.write_text(_trimmed(file.read_text()))
            else:
                self._figure.savefig(file, dpi=_PNG_DOTS_PER_POINT * _POINTS_PER_INCH)


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """How many points wide a line is."""
    if not text.strip():
        return 0.0
    font = FontProperties(family=_FONT, weight="bold" if bold else "normal")
    return float(TextPath((0, 0), text, size=size, prop=font).get_extents().width)


def shortened(text: str, size: float, width: float) -> str:
    """The text, cut to the room with an ellipsis."""
    if width_of(text, size) <= width:
        return text
    return next((f"{text[:end]}…" for end in range(len(text), 0, -1) if width_of(f"{text[:end]}…", size) <= width), "…")


def rows_of(widths: Iterable[float], room: float) -> list[list[int]]:
    """Break items of such widths into rows; returns their positions."""
    rows: list[list[int]] = []
    left = 0.0
    for index, width in enumerate(widths):
        if not rows or width > left:
            rows.append([])
            left = room
        rows[-1].append(index)
        left -= width
    return rows


def _trimmed(svg: str) -> str:
    """Simplify paths, and use the nearest font where ours is missing."""
    paths = _PATH_DATA.sub(lambda path: _MANY_DIGITS.sub(_tenth, path[0]).replace(" \n", ""), svg)
    return _NO_TURN.sub("", paths).replace(f"'{_FONT}'", f"'{_FONT}', {_ALIKE}, sans-serif")


def _tenth(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}"
