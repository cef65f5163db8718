"""A run of the design load."""

from pathlib import Path

from bench.figures import Figure, Report
from bench.large import QUICK, Large
from bench.steps import Overdue


async def test_a_step_that_fails_does_not_lose_the_next_ones(tmp_path: Path) -> None:
    report = Report("large", "Here, on", folder=tmp_path)
    large = Large(QUICK, report, tmp_path / "growth.svg")

    async def polls() -> None:
        report.section("Polls")
        raise Overdue("not 3 polls by now")

    async def rotations() -> None:
        report.section("Rotations")
        report.add(Figure("values read", [100]))

    for step in (polls, rotations):
        await large.attempt(step)
    assert report.failed == {"Polls": "Overdue: not 3 polls by now"}
    assert [figure.what for figure in report.sections["Rotations"]] == ["values read"]
