"""What holds for the repository as a whole: pins, names, sizes, and text that means the same to every reader."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[2]
CODE: Final = ("operator", "tests", "demo", "bench")

BANNED_WORDS: Final = {"process", "manage", "do", "util", "utils", "helper", "helpers", "common", "misc", "base"}
"""Words that fit every thing, and so name none."""

FOREIGN_TEXT: Final = {
    # Written so that they do not match themselves.
    "a path of one machine": r"/(?:[w]ork/(?:main|shared)|[r]oot/|[h]ome/\w)",
    "a thing left for later": r"\b(?:T[O]DO|F[I]XME|X[X]X)\b",
    "a reference that only a tracker resolves": r"(?i)\b[i]ssue #?\d",
}


def tracked_files() -> list[Path]:
    """Every text file that git tracks, but for lists of pins."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in listed if not name.endswith((".lock", ".sum")) and (ROOT / name).exists()]


def modules() -> list[Path]:
    """Every Python module of this repository."""
    return sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))


def named_things(module: Path) -> Iterator[str]:
    """The names of a module and of its classes and functions; a test's name is a sentence, and may hold any word."""
    yield module.stem
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
            "test_"
        ):
            yield node.name


def words(name: str) -> set[str]:
    """The words of a name: `read_allItems` has read, all and items."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+", name)}


def locked_requirements() -> list[Requirement]:
    """What requirements.lock pins, one for each platform where they differ."""
    text = (ROOT / "requirements.lock").read_text()
    return [
        Requirement(line.removesuffix("\\")) for line in text.splitlines() if line and not line.startswith((" ", "#"))
    ]


def wanted_requirements() -> list[Requirement]:
    """What pyproject.toml asks for, extras and development tools included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    parts = (project["project"]["dependencies"], *extras, *groups)
    return [Requirement(text) for part in parts for text in part if isinstance(text, str)]  # not { include-group = … }


@pytest.mark.parametrize("what", FOREIGN_TEXT)
def test_no_tracked_file_holds(what: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}"
        for path in tracked_files()
        for hit in re.finditer(FOREIGN_TEXT[what], path.read_text(errors="replace"))
    ]

    assert found == []


def test_no_module_class_or_function_is_named_with_a_word_that_fits_everything() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules()
        for name in named_things(path)
        if words(name) & BANNED_WORDS
    }

    assert found == set()


def test_every_pin_carries_hashes() -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())

    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_pins_name_no_place_to_load_from() -> None:
    assert re.findall(r"\S*(?:://|--index|--find-links)\S*", (ROOT / "requirements.lock").read_text()) == []


def test_every_wanted_package_is_pinned_to_a_version_that_is_wanted() -> None:
    pins: dict[str, list[str]] = {}
    for pin in locked_requirements():
        pins.setdefault(pin.name, []).extend(specifier.version for specifier in pin.specifier)

    unmet = [
        str(wanted)
        for wanted in wanted_requirements()
        if not any(wanted.specifier.contains(version) for version in pins.get(wanted.name.lower(), []))
    ]

    assert unmet == []


def test_the_guide_for_contributors_names_every_verb_of_the_makefile() -> None:
    verbs = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    guide = (ROOT / "CONTRIBUTING.md").read_text()

    assert [verb for verb in verbs if f"`make {verb}" not in guide] == []
