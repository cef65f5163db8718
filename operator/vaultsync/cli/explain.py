"""`vaultsync explain REASON`: what a reason means and what to do, as docs/reasons.md says it, which the wheel contains.

`reasons.md` in this package is a copy of that page, byte for byte.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from vaultsync.texts import one_line

_BLOCK: Final = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")
_NAMES: Final = ("reason", "event")
_FOUND_BY: Final = (*_NAMES, "condition")


@cache
def rows() -> tuple[Mapping[str, str], ...]:
    """Return the rows of all tables of the page, each by the titles of its columns, as plain text."""
    page = files("vaultsync.cli").joinpath("reasons.md").read_text(encoding="utf-8")
    return tuple(row for block in _BLOCK.findall(page) for row in _rows(block.splitlines()))


def explanations(name: str) -> list[Mapping[str, str]]:
    """Return the rows about a reason, an event or a condition; the case does not count."""
    return [row for row in rows() if name.lower() in {row.get(column, "").lower() for column in _FOUND_BY}]


def advice(reason: str) -> str:
    """Return what to do about a reason of the condition Ready; empty if the page does not know it."""
    found = next((row for row in explanations(reason) if "retried" in row or "and then" in row), {})
    return found.get("what to do") or found.get("and then") or ""


def explain(options: argparse.Namespace) -> int:
    """Print what a reason means; return the exit code."""
    found = explanations(options.reason)
    if not found:
        names = dict.fromkeys(row[column] for row in rows() for column in _NAMES if column in row)
        print(f"error: no reason {one_line(options.reason)}; these exist: {', '.join(names)}.", file=sys.stderr)
        return 2
    print("\n\n".join("\n".join(f"{title}: {text}" for title, text in row.items() if text) for row in found))
    return 0


def _rows(lines: list[str]) -> Iterator[Mapping[str, str]]:
    titles, _, *others = map(_cells, lines)
    yield from (dict(zip(titles, cells, strict=False)) for cells in others)


def _cells(line: str) -> list[str]:
    return [_plain(cell.strip()) for cell in line.strip().strip("|").split(" | ")]


def _plain(markdown: str) -> str:
    """Return text without marks; a link is followed by the page that it is to."""
    linked = _LINK.sub(lambda link: link[1] if link[2].startswith("#") else f"{link[1]} (docs/{link[2]})", markdown)
    return re.sub(r"[`*]", "", linked)
