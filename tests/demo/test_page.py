"""The picture of the dashboard: it has all panels, and the same record becomes the same bytes."""

import json
import math
import re
from pathlib import Path

from demo.dashboard.lines import runs_of
from demo.dashboard.page import draw
from demo.dashboard.panels import Kind, Panel, panels_of
from demo.dashboard.record import Moment, Record, Series
from demo.dashboard.sheet import rows_of, shortened, width_of
from tests.chart.dashboard import FILE


def drawn(panels: list[Panel], file: Path) -> str:
    """The picture of panels that all have the same answer."""
    labels = {"namespace": "shop", "name": "database", "reason": "SecretDisabled", "vault": "shop", "key": "password"}
    series = [Series(labels, [(0, 0.5), (5, 3), (10, math.nan), (20, 2)])]
    states = [Series(labels, [(0, 1), (5, 1), (10, math.nan), (20, 0)])]
    answers = {
        query.expression: states if panel.kind is Kind.STATES else series for panel in panels for query in panel.queries
    }
    draw(panels, Record(600, 5, [Moment(130, "drift")], answers), file)
    return file.read_text()


def test_every_panel_of_the_chart_and_every_mark_is_drawn(tmp_path: Path) -> None:
    panels = panels_of(json.loads(FILE.read_text()))

    svg = drawn(panels, tmp_path / "page.svg")

    words = {word for panel in panels for word in panel.title.split()}
    written = set(" ".join(re.findall("<text [^>]*>(.*)</text>", svg)).split())
    assert words | {"drift"} <= written


def test_the_same_record_becomes_the_same_bytes(tmp_path: Path) -> None:
    panels = [panel for panel in panels_of(json.loads(FILE.read_text())) if panel.place.y < 10]

    assert drawn(panels, tmp_path / "one.svg") == drawn(panels, tmp_path / "other.svg")


def test_a_line_breaks_where_a_point_is_missing_and_skips_nan() -> None:
    points = [(0.0, 1.0), (5.0, 2.0), (10.0, math.nan), (15.0, 3.0), (20.0, 4.0)]

    assert runs_of(points, 5) == [[(0, 1), (5, 2)], [(15, 3), (20, 4)]]


def test_items_are_broken_into_rows() -> None:
    assert rows_of([40, 50, 30, 120, 10], 100) == [[0, 1], [2], [3], [4]]


def test_a_text_is_cut_to_its_room() -> None:
    cut = shortened("SecretSoftDeleted", 8, 40)

    assert cut.endswith("…")
    assert width_of(cut, 8) <= 40
