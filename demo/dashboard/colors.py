"""Grafana's names of colors, as they look on a dark background."""

from typing import Final

from demo.dashboard.sheet import INK

NAMED: Final = {
    "": INK,
    "text": INK,
    "green": "#73bf69",
    "orange": "#ff9830",
    "red": "#f2495c",
    "blue": "#5794f2",
    "purple": "#b877d9",
}

PALETTE: Final = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#8ab8ff", "#b877d9", "#c8f2c2", "#ffb357", "#f2495c")
"""Of the lines of a panel that have no color of their own, in turn."""
