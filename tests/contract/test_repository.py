"""Rules for the whole repository: pins, names, and texts that are independent of machines and trackers."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
CODE: Final = ("operator", "tests", "demo", "bench", "website")

BANNED_WORDS: Final = {"process", "manage", "do", "util", "utils", "helper", "helpers", "common", "misc", "base"}
"""Words that are too general for a name."""

FOREIGN_TEXT: Final = {
    # The brackets keep the patterns from matching themselves.
    "a path on one machine": r"/(?:[w]ork/(?:main|shared)|[r]oot/|[h]ome/\w)",
    "a task left for later": r"\b(?:T[O]DO|F[I]XME|X[X]X)\b",
    "a reference that only a tracker resolves": r"(?i)\b[i]ssue #?\d",
}


def tracked_files() -> list[Path]:
    """Every text file that git tracks, except for lists of pins."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in listed if not name.endswith((".lock", ".sum")) and (ROOT / name).exists()]


def modules() -> list[Path]:
    """Every Python module of this repository."""
    return sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))


def named_things(module: Path) -> Iterator[str]:
    """The names of a module and of its classes and functions, except for tests, whose names are sentences."""
    yield module.stem
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
            "test_"
        ):
            yield node.name


def words(name: str) -> set[str]:
    """The words of a name: read, all and items for `read_allItems`."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+", name)}


def locked_requirements() -> list[Requirement]:
    """The pins of requirements.lock, one for each platform where they differ."""
    text = (ROOT / "requirements.lock").read_text()
    return [
        Requirement(line.removesuffix("\\")) for line in text.splitlines() if line and not line.startswith((" ", "#"))
    ]


def declared_requirements() -> list[Requirement]:
    """The requirements of pyproject.toml, including extras and development tools, without our own library."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    library = tomllib.loads((ROOT / "operator" / "kvsecrets" / "pyproject.toml").read_text())["project"]
    of_library = (library["dependencies"], *library["optional-dependencies"].values())
    parts = (project["project"]["dependencies"], *extras, *groups, *of_library)
    found = [Requirement(text) for part in parts for text in part if isinstance(text, str)]  # not { include-group = … }
    return [requirement for requirement in found if requirement.name != library["name"]]


@pytest.mark.parametrize("what", FOREIGN_TEXT)
def test_no_tracked_file_contains(what: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}"
        for path in tracked_files()
        for hit in re.finditer(FOREIGN_TEXT[what], path.read_text(errors="replace"))
    ]

    assert found == []


@pytest.mark.slow
def test_no_module_class_or_function_has_a_name_that_is_too_general() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules()
        for name in named_things(path)
        if words(name) & BANNED_WORDS
    }

    assert found == set()


def test_every_pin_has_hashes() -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())

    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_pins_have_no_urls() -> None:
    assert re.findall(r"\S*(?:://|--index|--find-links)\S*", (ROOT / "requirements.lock").read_text()) == []


def test_every_requirement_is_pinned_to_a_version_that_satisfies_it() -> None:
    pins: dict[str, list[str]] = {}
    for pin in locked_requirements():
        pins.setdefault(canonicalize_name(pin.name), []).extend(specifier.version for specifier in pin.specifier)

    unmet = [
        str(requirement)
        for requirement in declared_requirements()
        if not any(
            requirement.specifier.contains(version) for version in pins.get(canonicalize_name(requirement.name), [])
        )
    ]

    assert unmet == []


def test_the_guide_for_contributors_lists_every_command_of_the_makefile() -> None:
    commands = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    guide = (ROOT / "CONTRIBUTING.md").read_text()

    assert [command for command in commands if f"`make {command}" not in guide] == []


def test_the_guide_for_contributors_says_where_each_package_is_changed() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Where to change what")[1].split("\n## ")[0]
    packages = {path.parent.name for path in (ROOT / "operator" / "vaultsync").glob("*/__init__.py")}

    assert {name for name in packages | {"charts", "demo", "website"} if f"`{name}/" not in table} == set()
