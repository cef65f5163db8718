"""The panels of the dashboard file: their queries and their options."""

import json
from typing import Any

import pytest

from demo.dashboard.panels import Kind, Panel, Place, Query, Step, panels_of
from tests.chart.dashboard import FILE, queries


def document(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A panel with lines, as Grafana stores it, but for the changes."""
    return {
        "id": 7,
        "type": "timeseries",
        "title": "Calls",
        "gridPos": {"x": 12, "y": 5, "w": 12, "h": 7},
        "fieldConfig": {"defaults": {"unit": "reqps"}},
        "targets": [{"expr": "rate(calls[$__rate_interval])", "legendFormat": "{{operation}} {{status}}"}],
        **changes,
    }


def test_lines_have_queries_unit_and_place() -> None:
    panel = Panel.read(document())

    query = Query("rate(calls[$__rate_interval])", "{{operation}} {{status}}")
    assert panel == Panel(7, Kind.LINES, "Calls", Place(12, 5, 12, 7), (query,), "reqps")


def test_a_number_has_thresholds() -> None:
    steps = [{"value": None, "color": "green"}, {"value": 1, "color": "red"}]

    panel = Panel.read(document(type="stat", fieldConfig={"defaults": {"thresholds": {"steps": steps}}}))

    assert (panel.kind, panel.steps) == (Kind.NUMBER, (Step(None, "green"), Step(1, "red")))


def test_a_table_has_the_columns_of_its_filter_and_an_instant_query() -> None:
    kept = {"id": "filterFieldsByName", "options": {"include": {"names": ["name", "Value"]}}}
    targets = [{"expr": "failing", "instant": True, "range": False}]

    panel = Panel.read(document(type="table", transformations=[{"id": "sortBy"}, kept], targets=targets))

    assert (panel.columns, panel.queries) == (("name", "Value"), (Query("failing", instant=True),))


def test_a_row_has_no_query() -> None:
    row = {"id": 1, "type": "row", "title": "Now", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1}}

    assert Panel.read(row).queries == ()


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="heatmap"):
        Panel.read(document(type="heatmap"))


@pytest.mark.parametrize(
    ("value", "color"),
    [
        pytest.param(-1, "green", id="below all bounds"),
        pytest.param(0.9, "green", id="just below a bound"),
        pytest.param(1, "orange", id="at a bound"),
        pytest.param(9, "red", id="above the last"),
    ],
)
def test_a_number_has_the_color_of_the_highest_step_that_it_reaches(value: float, color: str) -> None:
    steps = (Step(None, "green"), Step(1, "orange"), Step(5, "red"))

    assert Panel(1, Kind.NUMBER, "", Place(0, 0, 4, 4), steps=steps).color(value) == color


def test_rates_use_the_given_interval() -> None:
    query = Query("rate(calls[$__rate_interval]) / rate(polls[$__rate_interval])")

    assert query.over("30s") == "rate(calls[30s]) / rate(polls[30s])"


@pytest.mark.parametrize(
    ("legend", "name"),
    [
        pytest.param("half", "half", id="a plain text"),
        pytest.param("{{operation}} {{ status }}", "get 200", id="labels"),
        pytest.param("{{vault}}: budget", ": budget", id="a label that is not there"),
    ],
)
def test_a_series_has_its_legend(legend: str, name: str) -> None:
    assert Query("calls", legend).label({"operation": "get", "status": "200"}) == name


def test_every_panel_of_the_charts_dashboard_is_read_with_all_queries() -> None:
    panels = panels_of(json.loads(FILE.read_text()))

    asked = {panel.title: [query.expression for query in panel.queries] for panel in panels if panel.queries}
    assert asked == queries()
