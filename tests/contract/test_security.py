"""docs/attacks.md lists every attack, and docs/security.md names, for each guarantee, tests that exist."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests.attacks import page

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "security.md").read_text()
ATTACKS: Final = tuple(page.attacks())


def table(heading: str) -> list[str]:
    """The rows of the table below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def named_tests(text: str) -> list[tuple[str, str]]:
    """The files of tests that a text names, each with a test in it, or with none."""
    return re.findall(r"`(tests/[a-z0-9_/]+\.py)(?:::(\w+))?`", text)


def test_the_list_of_attacks_is_up_to_date() -> None:
    assert page.PAGE.read_text() == page.page(), "run `make generate`, or `python -m tests.attacks` alone"


def test_there_are_at_least_sixty_attacks() -> None:
    assert len(ATTACKS) >= 60


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_says_in_one_sentence_who_the_attacker_is_and_what_he_tries(attack: page.Attack) -> None:
    assert re.fullmatch(r"[A-Z].{20,}[.]", attack.text)


@pytest.mark.parametrize("row", table("Guarantees"), ids=lambda row: row.split("**")[1])
def test_each_guarantee_names_a_test(row: str) -> None:
    assert named_tests(row)


@pytest.mark.parametrize(("file", "name"), sorted(set(named_tests(PAGE))))
def test_a_test_that_the_page_names_exists(file: str, name: str) -> None:
    defined = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")}

    assert not name or name in defined
