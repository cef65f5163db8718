"""What the guides tell: each section below a heading as the steps that its blocks are; plays and judges nothing.

A block of `sh` is what somebody does, one command a line. A VaultSecret in `yaml` is applied; every other `yaml` is
what is to be seen then: a Secret, or parts of the VaultSecret's `status` and `events`. A block of `console` is a
command with what it prints. In whatever is to be seen, `…` stands for what differs from one time to the next. Stories
that apply nothing themselves begin with what stands above the first heading.
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
    """Somebody does something, in the words of a shell."""

    line: str


@dataclass(frozen=True, slots=True)
class Applied:
    """Somebody applies a VaultSecret."""

    manifest: Document


@dataclass(frozen=True, slots=True)
class Shown:
    """A Secret is like this, or the VaultSecret's `status` and `events`."""

    document: Document


@dataclass(frozen=True, slots=True)
class Printed:
    """A command prints this."""

    line: str
    output: str


Step = Command | Applied | Shown | Printed


@dataclass(frozen=True, slots=True)
class Told:
    """One story."""

    title: str
    steps: tuple[Step, ...]


def told(page: Path) -> list[Told]:
    """All stories of a page."""
    opening, *sections = page.read_text().split("\n## ")
    return [_story(section, opening) for section in sections]


def _story(section: str, opening: str) -> Told:
    title, _, text = section.partition("\n")
    steps = tuple(_steps(text))
    begins_itself = any(isinstance(step, Applied) for step in steps)
    return Told(title, steps if begins_itself else (*_steps(opening), *steps))


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
                yield Applied(document) if document.get("kind") == KIND else Shown(document)
            case kind:
                raise ValueError(f"nobody plays a block of {kind!r}")
