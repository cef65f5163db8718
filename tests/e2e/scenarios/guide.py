"""Reads the guides: each section below a heading as the steps that its code blocks are; runs nothing.

A block of `sh` is what a user runs, one command a line. A VaultSecret in `yaml` is applied; every other `yaml` is what
is then observed: a Secret, or parts of the VaultSecret's `status` and `events`. A block of `console` is a command with
its output. In what is observed, `…` stands for what differs from one time to the next. A section that applies nothing
begins with what is above the first heading.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from vaultsync.api import KIND

_BLOCK: Final = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<content>.*?)^```", re.MULTILINE | re.DOTALL)
_CONTINUED: Final = re.compile(r"\\\n\s*")

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A user runs a command."""

    line: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A user applies a VaultSecret."""

    manifest: Document


@dataclass(frozen=True, slots=True)
class Observed:
    """A Secret, or the VaultSecret's `status` and `events`, become like this."""

    document: Document


@dataclass(frozen=True, slots=True)
class Printed:
    """A command prints this."""

    line: str
    output: str


Step = Command | Applied | Observed | Printed


@dataclass(frozen=True, slots=True)
class Section:
    """One section of a guide."""

    title: str
    steps: tuple[Step, ...]


def sections(page: Path) -> list[Section]:
    """All sections of a page."""
    opening, *following = page.read_text().split("\n## ")
    return [_section(section, opening) for section in following]


def _section(section: str, opening: str) -> Section:
    title, _, text = section.partition("\n")
    steps = tuple(_steps(text))
    is_whole = any(isinstance(step, Applied) for step in steps)
    return Section(title, steps if is_whole else (*_steps(opening), *steps))


def _steps(text: str) -> Iterator[Step]:
    for block in _BLOCK.finditer(text):
        content = block["content"]
        match block["kind"]:
            case "sh":
                yield from map(Command, _CONTINUED.sub(" ", content).splitlines())
            case "console":
                line, _, output = _CONTINUED.sub(" ", content).partition("\n")
                yield Printed(line.removeprefix("$ "), output)
            case "yaml":
                document: Document = yaml.safe_load(content)
                yield Applied(document) if document.get("kind") == KIND else Observed(document)
            case kind:
                raise ValueError(f"a block of {kind!r} cannot be run")
