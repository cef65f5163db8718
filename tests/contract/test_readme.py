"""The architecture picture of the README is that of the code."""

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "operator" / "vaultsync"


def picture() -> str:
    """The block below the heading."""
    text = (ROOT / "README.md").read_text()
    match = re.search(r"## How it works\n\n```\n(.*?)```", text, re.DOTALL)
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
