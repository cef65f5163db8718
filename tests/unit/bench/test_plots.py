"""Curves: their points, and the dashed line of what grows in proportion."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from bench.plots import Panel, draw


def test_a_curve_that_grows_in_proportion_lies_on_the_dashed_line(tmp_path: Path) -> None:
    draw([Panel("CPU, s", {1000: 10.0, 3000: 30.0, 10_000: 100.0})], "VaultSecrets", tmp_path / "plot.svg")
    root = ET.parse(tmp_path / "plot.svg").getroot()  # noqa: S314  our own
    paths = {path.get("class"): path.get("d") or "" for path in root.iter() if path.tag.endswith("path")}
    curve, line = (points(paths[name]) for name in ("curve", "linear"))
    assert len(curve) == 3
    assert curve[-1] == line[-1]
    (left, bottom), (right, top) = line
    assert all(abs((y - bottom) / (top - bottom) - (x - left) / (right - left)) < 0.01 for x, y in curve)
    assert {"1,000", "3,000", "10,000", "CPU, s", "VaultSecrets"} <= {text.text for text in root.iter() if text.text}


def test_every_panel_has_its_place(tmp_path: Path) -> None:
    draw([Panel(title, {1: 0.0, 2: 0.0}) for title in ("a < b", "c")], "n", tmp_path / "plot.svg")
    root = ET.parse(tmp_path / "plot.svg").getroot()  # noqa: S314  our own
    assert len(root.findall("{*}g")) == 2


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", path)]
