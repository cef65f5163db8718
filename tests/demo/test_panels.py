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
    named = {"id": "organize", "options": {"renameByName": {"Value": "Expires in"}}}
    targets = [{"expr": "failing", "instant": True, "range": False}]

    sort = {"id": "sortBy", "options": {}}
    panel = Panel.read(document(type="table", transformations=[sort, kept, named], targets=targets))

    assert panel.columns == {"name": "name", "Value": "Expires in"}
    assert panel.queries == (Query("failing", instant=True),)


def test_lines_have_the_colors_of_the_patterns_of_their_names() -> None:
    color = {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}}
    overrides = [{"matcher": {"id": "byRegexp", "options": "/ 5..$/"}, "properties": [color]}]

    panel = Panel.read(document(fieldConfig={"defaults": {}, "overrides": overrides}))

    assert [panel.line_color(name) for name in ("get 200", "get 503")] == [None, "red"]


def test_states_have_a_text_and_a_color_for_each_value() -> None:
    options = {"0": {"text": "away", "color": "red", "index": 0}, "1": {"text": "there", "color": "green", "index": 1}}
    mappings = [{"type": "value", "options": options}]

    panel = Panel.read(document(type="state-timeline", fieldConfig={"defaults": {"mappings": mappings}}))

    assert (panel.kind, panel.meaning) == (Kind.STATES, {0: ("away", "red"), 1: ("there", "green")})


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


def test_rates_use_the_given_interval_and_averages_all_of_the_time_shown() -> None:
    query = Query('rate(calls{vault=~"$vault"}[$__rate_interval]) / avg_over_time(polls[$__range])')

    assert query.over("30s", "600s") == 'rate(calls{vault=~".*"}[30s]) / avg_over_time(polls[600s])'


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
