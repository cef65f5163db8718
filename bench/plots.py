"""Draws curves as SVG: what something costs against how many there are; measures nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from bench.figures import short

_WIDTH: Final = 300
_HEIGHT: Final = 230
_LEFT, _TOP, _RIGHT, _BOTTOM = 62, 40, 26, 38
_STYLE: Final = (
    "<style>text{font:12px sans-serif;fill:#57606a}.title{font-weight:600;fill:#1f2328}.axis{stroke:#d0d7de}"
    ".linear{stroke:#8c959f;stroke-dasharray:4 4;fill:none}.curve{stroke:#0969da;stroke-width:2;fill:none}"
    ".point{fill:#0969da}</style>"
)


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve: a value for each number, and the title, which has the unit."""

    title: str
    points: Mapping[int, float]


def draw(panels: Sequence[Panel], number: str, file: Path) -> None:
    """Draw panels side by side; a dashed line is what grows in proportion from the first point on."""
    width = _WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}">',
        _STYLE,
        f'<rect width="{width}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    for index, panel in enumerate(panels):
        parts += [f'<g transform="translate({index * _WIDTH},0)">', *_panel(panel, number), "</g>"]
    file.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _panel(panel: Panel, number: str) -> Iterator[str]:
    most = max(panel.points)
    first = min(panel.points)
    top = max(panel.points.values()) or 1.0
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(count: float, value: float) -> str:
        x = _LEFT + (right - _LEFT) * count / most
        return f"{x:.1f},{bottom - (bottom - _TOP) * value / top:.1f}"

    yield f'<text class="title" x="{_LEFT}" y="20">{escape(panel.title)}</text>'
    yield f'<path class="axis" d="M{_LEFT},{_TOP}V{bottom}H{right}" fill="none"/>'
    for value in (0.0, top / 2, top):
        _, y = place(0, value).split(",")
        yield f'<text x="{_LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{short(float(f"{value:.3g}"))}</text>'
    for count in panel.points:
        x, _ = place(count, 0).split(",")
        yield f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{count:,}</text>'
    yield f'<text x="{(_LEFT + right) / 2}" y="{bottom + 32}" text-anchor="middle">{escape(number)}</text>'
    slope = panel.points[first] / first
    end = min(most, top / slope) if slope else most
    yield f'<path class="linear" d="M{place(0, 0)}L{place(end, slope * end)}"/>'
    curve = [place(count, value) for count, value in sorted(panel.points.items())]
    yield f'<path class="curve" d="M{"L".join(curve)}"/>'
    for point in curve:
        x, y = point.split(",")
        yield f'<circle class="point" cx="{x}" cy="{y}" r="3.5"/>'
