"""Figures: their text, goals and tables, for one program and for several."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.comparison import Comparison, Row, Size, rows
from bench.figures import INCOMPLETE, Figure, Report, quantile, text_of
from bench.vaultsync import Vaultsync


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([2.0], "2 s"),
        ([0.01234], "0.0123 s"),
        ([1234.5], "1,234 s"),
        ([1.0, 3.0, 2.0], "2 s (1 to 3)"),
        ([5, 5], "5 s"),
        ([48.21, 48.2, 48.19], "48.2 s"),
    ],
)
def test_several_values_are_a_median_and_a_range(values: list[float], text: str) -> None:
    assert text_of(values, "s") == text


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1.0)) == (50, 99, 100)
    assert quantile([7.0], 0.99) == 7


def test_a_report_says_which_goals_are_reached(tmp_path: Path) -> None:
    report = Report("polls", "Here, on", folder=tmp_path)
    report.section("Polls")
    report.add(Figure("CPU", [0.5], "s", goal=1))
    report.add(Figure("memory", [200], "MB", goal=160))
    report.add(Figure("values read", [3], must_be=0))
    assert report.table().splitlines()[3:] == [
        "| CPU | 0.5 s | ≤ 1 s ✓ |",
        "| memory | 200 MB | ≤ 160 MB: **missed** |",
        "| values read | 3 | 0: **missed** |",
    ]
    assert [figure.what for figure in report.failures] == ["values read"]


def test_each_section_is_saved_before_the_next_one_begins(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- polls -->\nNot measured yet.\n<!-- /polls -->\n")
    report = Report("polls", "Here, on", "polls", folder=tmp_path)
    report.section("First sync")
    assert "Not measured yet." in readme.read_text()
    report.add(Figure("CPU", [0.5], "s"))
    report.section("Polls")
    assert "| CPU | 0.5 s |" in readme.read_text()
    assert "Polls" not in readme.read_text()
    assert INCOMPLETE in readme.read_text()


def test_what_fails_is_said_and_the_rest_is_kept(tmp_path: Path) -> None:
    report = Report("polls", "Here, on", folder=tmp_path)
    report.section("First sync")
    report.fail(TimeoutError("not all Secrets | within 9 s"))
    report.section("Polls")
    report.add(Figure("CPU", [0.5], "s"))
    assert report.table().splitlines()[2:] == [
        "| _First sync_ |  |",
        "| failed | TimeoutError: not all Secrets / within 9 s |",
        "| _Polls_ |  |",
        "| CPU | 0.5 s |",
    ]


def test_what_is_measured_again_is_one_row_with_its_spread(tmp_path: Path) -> None:
    report = Report("polls", "Here, on", folder=tmp_path)
    for seconds in (1.0, 3.0, 2.0):
        report.section("First sync")
        report.add(Figure("CPU", [seconds], "s", goal=2))
    assert report.table().splitlines()[2:] == ["| _First sync_ |  |  |", "| CPU | 2 s (1 to 3) | ≤ 2 s ✓ |"]


@pytest.mark.parametrize(
    ("row", "ours", "theirs", "goal"),
    [
        (Row("", "", "MB", limit=90), 80, None, "≤ 90 MB ✓"),
        (Row("", "", "MB", limit=90), 91, 50, "≤ 90 MB: **missed**"),
        (Row("", "", "s", share=0.6), 5, 10, "≤ 0.6 of theirs ✓"),
        (Row("", "", "s", share=0.6), 7, 10, "≤ 0.6 of theirs: **missed**"),
        (Row("", "", "s", share=0.6), 7, None, ""),
        (Row("", "", "s"), 7, 10, ""),
    ],
)
def test_a_goal_is_a_limit_or_a_share_of_the_peer(row: Row, ours: float, theirs: float | None, goal: str) -> None:
    assert row.goal(ours, theirs) == goal


def test_a_comparison_has_a_column_for_each_subject_and_gaps_for_what_one_lacks() -> None:
    peer, ours = Vaultsync("peer"), Vaultsync("this checkout")
    comparison = Comparison(Size(1000, 1), [peer, ours], peer, measured_at=datetime(2026, 1, 1, tzinfo=UTC))
    comparison.figures["peer"]["cpu"] += [10.0, 12.0, 11.0]
    comparison.figures["this checkout"]["cpu"] += [5.0, 5.0]
    lines = comparison.table().splitlines()
    assert lines[0] == "|  | peer | this checkout | goal |"
    assert "| CPU until they are there | 11 s (10 to 12) | 5 s | ≤ 0.6 of theirs ✓ |" in lines
    assert "| memory afterwards |  |  |  |" in lines


def test_every_row_has_a_key_of_its_own() -> None:
    keys = [row.key for section in rows(Size(1, 1)).values() for row in section]
    assert len(keys) == len(set(keys))


def test_a_comparison_says_what_could_not_be_measured() -> None:
    comparison = Comparison(Size(1000, 1), [Vaultsync("this checkout")], None)
    comparison.figures["this checkout"]["cpu"] += [5.0]
    comparison.failed.append("this checkout, round 2 of 3: Overdue: not all Secrets within 160 s")
    assert comparison.text().splitlines()[-2:] == [
        INCOMPLETE,
        "Failed: this checkout, round 2 of 3: Overdue: not all Secrets within 160 s.",
    ]
