"""docs/comparison.md: its figures are those that were measured, and its costs follow from the number of operations."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "comparison.md").read_text()
PER_10_000: Final = 0.03
"""In USD: https://azure.microsoft.com/pricing/details/key-vault/"""


def rows(section: str) -> list[list[str]]:
    """The cells of a table, without its head."""
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[1:]
    return [[cell.strip().split(" (")[0] for cell in line.split(" | ")] for line in lines]


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_figures_are_those_of_the_benchmark() -> None:
    measured = rows(re.split("<!-- /?operator -->", (ROOT / "bench" / "README.md").read_text())[1])
    figures = {(name, theirs, ours) for name, theirs, _previous, ours, *_goal in measured}

    cited = [tuple(row) for row in rows(section("Figures")) if len(row) == 3 and not row[0].startswith(("_", "-"))]

    assert len(cited) == 12
    assert set(cited) - figures == set()


@pytest.mark.parametrize("row", rows(section("What it costs in Azure")), ids=lambda row: f"{row[0]}, {row[1]}")
def test_a_cost_is_that_of_the_operations(row: list[str]) -> None:
    *_, operations, cost = row

    assert float(cost) == round(int(operations.replace(",", "")) / 10_000 * PER_10_000, 2)


def test_each_source_is_cited_and_each_citation_has_a_source() -> None:
    text, _, sources = PAGE.partition("## Sources")

    assert set(re.findall(r"\[(\d+)\]", text)) == set(re.findall(r"^(\d+)[.]", sources, re.MULTILINE))
