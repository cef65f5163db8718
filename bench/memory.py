"""`python -m bench memory`: what the memory of an operator is for, by package, as memray records it.

https://bloomberg.github.io/memray/
"""

import argparse
import asyncio
import importlib
import importlib.util
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import machine
from bench.figures import HERE, INCOMPLETE, markdown, rewrite, text_of, write_json
from bench.steps import Steps
from bench.testbed import kubernetes, testbed
from bench.vaultsync import Release, Vaultsync

_MB: Final = 1e6
_LEAST: Final = 0.4
"""Megabytes below which a package is not listed."""

_ALL: Final = "all"
_IMPORTS: Final = "imports: code and classes"
_DEPTH: Final = 60
"""Frames that are looked at, the innermost first."""

_OURS: Final = ("vaultsync", "kvsecrets")
"""Packages whose parts are listed apart."""

Frame = tuple[str, str, int]
"""Function, file and line."""


def run(arguments: list[str]) -> int:
    """Record; returns the exit code. Without memray, which is a package of its own, nothing is recorded."""
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 objects at most: to try it, not to cite it")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    parser.add_argument("--previous", type=Path, metavar="WHEEL", help="the wheel of the previous release")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("memray") is None:
        print("memray is not installed: `pip install memray`", file=sys.stderr)
        return 0
    numbers, rounds = ((50, 100), 1) if options.quick else ((1000, 3000), 3)
    with tempfile.TemporaryDirectory(prefix="vaultsync-memory-") as folder:
        file = Path(folder) / "allocations"
        previous = options.previous and Release(options.previous, Path(folder) / "venv", memray=file)
        subjects = [each for each in (previous, Vaultsync("this checkout", memray=file)) if each]
        heaps = Heaps([subject.title for subject in subjects])
        for _ in range(rounds):
            for number in numbers:
                for subject in subjects:
                    asyncio.run(_record(subject, number))
                    heaps.add(subject.title, number, _by_package(file))
                    _save(heaps, quick=options.quick, write=options.write)
        heaps.complete = True
        _save(heaps, quick=options.quick, write=options.write)
    print(f"\n{heaps.text()}")
    return 0


@dataclass(slots=True)
class Heaps:
    """The peaks of the heap of each program, with each number of VaultSecrets, in bytes by what they are for."""

    titles: Sequence[str]
    recorded: dict[int, dict[str, list[Mapping[str, int]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    complete: bool = False
    measured_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def add(self, title: str, number: int, sizes: Counter[str]) -> None:
        """Add one peak."""
        self.recorded[number][title].append({_ALL: sizes.total(), **sizes})
        print(f"{title}, {number:,} VaultSecrets: {sizes.total() / _MB:.1f} MB", flush=True)

    def table(self) -> str:
        """Write a column for each program, and a row for each purpose of which one of them has a share worth it."""
        lines = [["", *self.titles], ["---"] * (len(self.titles) + 1)]
        for number, programs in self.recorded.items():
            lines.append([f"_{number:,} VaultSecrets_", *[""] * len(self.titles)])
            purposes = {purpose for heaps in programs.values() for heap in heaps for purpose in heap}
            sizes = {
                purpose: [[heap.get(purpose, 0) / _MB for heap in programs[title]] for title in self.titles]
                for purpose in purposes
            }
            listed = {purpose: columns for purpose, columns in sizes.items() if max(map(_typical, columns)) >= _LEAST}
            for purpose, columns in sorted(listed.items(), key=lambda item: _typical(item[1][-1]), reverse=True):
                lines.append([purpose, *(text_of(column, "MB") if column else "" for column in columns)])
        return markdown(lines)

    def text(self) -> str:
        """Write the conditions and the table."""
        conditions = (
            f"The heap of the operator at the peak of a first sync; Kubernetes {kubernetes()}, on "
            f"{machine.description()}; {self.measured_at:%Y-%m-%d}."
        )
        return "\n\n".join([conditions, self.table(), *([] if self.complete else [INCOMPLETE])])


def _typical(sizes: Sequence[float]) -> float:
    return median(sizes) if sizes else 0.0


def _save(heaps: Heaps, *, quick: bool, write: bool) -> None:
    name = "memory-quick" if quick else "memory"
    write_json(HERE / "out" / f"{name}.json", heaps.measured_at, {"bytes": heaps.recorded})
    if write and not quick:
        rewrite("memory", heaps.text())


async def _record(subject: Vaultsync, number: int) -> None:
    async with testbed(subject, secrets=number, refresh=600) as ready:
        steps = Steps(ready)
        await steps.start()
        await steps.settled()
        await steps.sync(ready.secrets, 60 + number / 5)
        await steps.settled()


def _by_package(file: Path) -> Counter[str]:
    """Return the bytes of the peak by what they are for."""
    reader: Any = importlib.import_module("memray").FileReader(file)
    sizes: Counter[str] = Counter()
    for record in reader.get_high_watermark_allocation_records(merge_threads=True):
        sizes[_purpose(record.stack_trace(_DEPTH))] += record.size
    return sizes


def _purpose(stack: Iterable[Frame]) -> str:
    """Return the package of the innermost function that is of one; or that something is imported."""
    package = ""
    for _, file, _ in stack:
        if "importlib" in file:
            return _IMPORTS
        package = package or _package(file)
    return package or "the interpreter"


def _package(file: str) -> str:
    """Return the package of a file, of our own packages the part; empty for the standard library."""
    path = Path(file)
    for parent in ("site-packages", "operator"):
        if parent in path.parts:
            inner = path.parts[path.parts.index(parent) + 1 :]
            return ".".join(inner[: 2 if inner[0] in _OURS else 1]).removesuffix(".py")
    return "asyncio and ssl" if path.parent.name == "asyncio" or path.name == "ssl.py" else ""
