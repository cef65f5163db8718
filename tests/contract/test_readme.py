"""README.md agrees with the code: its picture of the architecture, its figures, and how long its first screens are."""

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "operator" / "vaultsync"


README: Final = (ROOT / "README.md").read_text()
FIRST_SCREENS: Final = 100
"""Lines until a reader is told how to try it."""


def rows(table: str) -> set[tuple[str, str, str]]:
    """The rows of three columns of a table: a name, theirs and ours, without ranges."""
    cells = ([cell.strip().split(" (")[0] for cell in line.strip("| ").split(" | ")] for line in table.splitlines())
    return {(row[0], row[1], row[-1]) for row in cells if len(row) == 3}


def test_the_cost_of_rest_is_that_of_the_benchmark() -> None:
    (table,) = re.findall(r"^\| 1,000 secrets, 60 seconds .*\n\|---.*\n((?:\|.*\n)+)", README, re.MULTILINE)
    report = (ROOT / "bench" / "README.md").read_text()
    (measured,) = re.findall(r"_60 seconds in which nothing changes_.*\n((?:\|(?! _).*\n)+)", report)
    figures = {
        (name.removeprefix("of which "), theirs.split(" (")[0], ours.split(" (")[0])
        for name, theirs, _previous, ours, _goal in (
            [cell.strip() for cell in line.strip().strip("|").split("|")] for line in measured.splitlines()
        )
    }

    assert len(rows(table)) == 5
    assert rows(table) - figures == set()


def test_the_first_screens_are_short() -> None:
    before, _, _ = README.partition("## See it run")

    assert len(before.splitlines()) < FIRST_SCREENS


def picture() -> str:
    """The block below the heading."""
    match = re.search(r"## How it works\n\n```\n(.*?)```", README, re.DOTALL)
    assert match is not None
    return match[1]


def classes(folder: Path) -> set[str]:
    """The names of all classes below a folder."""
    return {
        node.name
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }


def test_every_part_in_the_picture_is_a_class_of_that_package() -> None:
    packages = re.findall(r"\b([a-z]+)/", picture())
    known = set().union(*(classes(PACKAGE / package) for package in packages))
    parts = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+|\bPoller\b|\bReconciler\b", picture())) - {"VaultSecrets"}

    assert packages == ["sources", "state", "controller"]
    assert len(parts) == 8
    assert parts - known == set()


def test_the_steps_in_the_picture_are_those_that_the_reconciler_names() -> None:
    steps = re.search(r"gather → .*? → report", picture())
    assert steps is not None

    assert steps[0] in (PACKAGE / "controller" / "reconcile.py").read_text().splitlines()[0]
