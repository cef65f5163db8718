"""The answers of Prometheus become the lines and the tables of panels."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from demo.dashboard.panels import Kind, Panel, Place, Query, Step
from demo.dashboard.record import Moment, Record, Series

PLACE = Place(0, 0, 12, 7)
LINES = Panel(1, Kind.LINES, "Calls", PLACE, (Query("calls", "{{status}}"), Query("limit", "limit")), "reqps")
TABLE = Panel(
    2,
    Kind.TABLE,
    "Expiring",
    PLACE,
    (Query("expiry", instant=True),),
    "s",
    columns={"name": "VaultSecret", "Value": "Expires in"},
)


def record(**answers: list[Series]) -> Record:
    """A record with these answers to expressions."""
    return Record(600, 5, [Moment(130, "tampered")], answers)


def test_each_series_of_each_query_is_a_line() -> None:
    answered = record(
        calls=[Series({"status": "200"}, [(0, 1)]), Series({"status": "429"}, [(5, 2)])], limit=[Series({}, [(0, 9)])]
    )

    assert answered.lines(LINES) == [("200", [(0, 1)]), ("429", [(5, 2)]), ("limit", [(0, 9)])]


def test_a_series_without_numbers_is_not_a_line() -> None:
    answered = record(calls=[Series({"status": "200"}, [(0, math.nan)])], limit=[Series({}, [(0, 9), (5, math.nan)])])

    assert [name for name, _ in answered.lines(LINES)] == ["limit"]


def test_a_table_has_its_columns_and_the_value_in_its_unit() -> None:
    answered = record(expiry=[Series({"name": "db", "key": "password"}, [(600, 777_600)])])

    assert answered.table(TABLE) == [["db", "9 days"]]


def test_a_row_has_the_color_of_its_value() -> None:
    answered = record(expiry=[Series({"name": "db"}, [(600, 60)]), Series({"name": "api"}, [(600, 777_600)])])
    colored = replace(TABLE, steps=(Step(None, "red"), Step(86_400, "green")))

    assert answered.row_colors(colored) == ["red", "green"]


@pytest.mark.parametrize(
    ("answer", "unanswered"),
    [
        pytest.param({}, ["expiry"], id="it was not queried"),
        pytest.param({"expiry": []}, ["expiry"], id="no series"),
        pytest.param({"expiry": [Series({}, [(0, math.nan)])]}, ["expiry"], id="no number"),
        pytest.param({"expiry": [Series({}, [(0, 0)])]}, [], id="a zero"),
    ],
)
def test_a_query_without_numbers_is_unanswered(answer: dict[str, list[Series]], unanswered: list[str]) -> None:
    assert record(**answer).unanswered(TABLE) == unanswered


def test_a_stored_record_is_read_back(tmp_path: Path) -> None:
    answered = record(calls=[Series({"status": "200"}, [(0, 1.5), (5, 2)])], limit=[])

    answered.write(tmp_path / "new" / "kept.json")

    assert Record.read(tmp_path / "new" / "kept.json") == answered
