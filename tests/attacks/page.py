"""Renders the page that lists all attacks; runs none of them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
PAGE: Final = _HERE.parents[1] / "docs" / "attacks.md"

_INTRODUCTION: Final = """\
# Attacks

<!-- `make generate` writes this page from the docstrings of tests/attacks. -->

{count} attacks, each a test that fails if the attack works. `make test` runs them, some against a real API server, and
`make test-image-python` runs them on the image's Python. [security.md](security.md) says what they protect.
"""


@dataclass(frozen=True, slots=True)
class Attack:
    """A test of an attack: its name, and its docstring, which says who the attacker is and what he tries."""

    file: str
    name: str
    text: str


def attacks() -> Iterator[Attack]:
    """Yield all attacks, by file and in the order of each file."""
    for path in sorted(_HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield Attack(path.name, node.name, " ".join((ast.get_docstring(node) or "").split()))


def page() -> str:
    """Return the page."""
    every = list(attacks())
    sections = [_INTRODUCTION.format(count=len(every))]
    for file in dict.fromkeys(attack.file for attack in every):
        title, _, _ = (ast.get_docstring(ast.parse((_HERE / file).read_text())) or "").partition("\n")
        rows = [f"| {_cell(attack.text)} | `{attack.name}` |" for attack in every if attack.file == file]
        table = "\n".join(["| attack | test |", "|---|---|", *rows])
        sections.append(f"## {title.removesuffix('.')}\n\n`tests/attacks/{file}`\n\n{table}\n")
    return "\n".join(sections)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
