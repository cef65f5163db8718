"""What Prometheus has answered becomes the lines and the tables of panels."""

import math
from pathlib import Path

import pytest

from demo.dashboard.panels import Kind, Panel, Place, Query
from demo.dashboard.record import Moment, Record, Series

PLACE = Place(0, 0, 12, 7)
LINES = Panel(1, Kind.LINES, "Calls", PLACE, (Query("calls", "{{status}}"), Query("limit", "limit")), "reqps")
TABLE = Panel(2, Kind.TABLE, "Expiring", PLACE, (Query("expiry", instant=True),), "s", columns=("name", "Value"))


def record(*answered: list[Series], panel: Panel = LINES) -> Record:
    """A record in which a panel has these answers to its queries."""
    return Record(600, 5, [Moment(130, "tampered")], {panel.number: list(answered)})


def test_each_series_of_each_query_is_a_line_with_its_name() -> None:
    answered = record(
        [Series({"status": "200"}, [(0, 1)]), Series({"status": "429"}, [(5, 2)])], [Series({}, [(0, 9)])]
    )

    assert answered.lines(LINES) == [("200", [(0, 1)]), ("429", [(5, 2)]), ("limit", [(0, 9)])]


def test_a_series_without_a_number_is_no_line() -> None:
    answered = record([Series({"status": "200"}, [(0, math.nan)])], [Series({}, [(0, 9), (5, math.nan)])])

    assert [name for name, _ in answered.lines(LINES)] == ["limit"]


def test_a_table_has_its_columns_alone_and_the_value_in_its_unit() -> None:
    answered = record([Series({"name": "db", "key": "password"}, [(600, 777_600)])], panel=TABLE)

    assert answered.table(TABLE) == [["db", "9 days"]]


@pytest.mark.parametrize(
    ("series", "empty"),
    [
        pytest.param([], True, id="no series"),
        pytest.param([Series({}, [(0, math.nan)])], True, id="no number"),
        pytest.param([Series({}, [(0, 0)])], False, id="a zero"),
    ],
)
def test_a_panel_without_a_number_is_empty(series: list[Series], empty: bool) -> None:
    assert record(series, panel=TABLE).is_empty(TABLE) is empty


def test_what_is_kept_is_what_was_answered(tmp_path: Path) -> None:
    answered = record([Series({"status": "200"}, [(0, 1.5), (5, 2)])], [])

    answered.write(tmp_path / "new" / "kept.json")

    assert Record.read(tmp_path / "new" / "kept.json") == answered
