"""`python -m bench memory`: what the memory of an operator is for, by package, as memray records it.

https://bloomberg.github.io/memray/
"""

import argparse
import asyncio
import importlib
import importlib.util
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from bench.figures import Figure, Report
from bench.steps import Steps
from bench.testbed import kubernetes, testbed
from bench.vaultsync import Vaultsync

_NUMBERS: Final = (1000, 3000)
_QUICK: Final = (50, 100)
_MB: Final = 1e6
_LEAST: Final = 0.4
"""Megabytes below which a package is not listed."""

_IMPORTS: Final = "imports: code and classes"
_DEPTH: Final = 60
"""Frames that are looked at, the innermost first."""

Frame = tuple[str, str, int]
"""Function, file and line."""


def run(arguments: list[str]) -> int:
    """Record; returns the exit code. Without memray, which is a package of its own, nothing is recorded."""
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 objects at most: to try it, not to cite it")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("memray") is None:
        print("memray is not installed: `pip install memray`", file=sys.stderr)
        return 0
    numbers = _QUICK if options.quick else _NUMBERS
    conditions = f"The heap of the operator at the peak of a first sync; Kubernetes {kubernetes()}, on"
    with Report.of_a_run("memory", conditions, quick=options.quick, write=options.write) as report:
        for number in numbers:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "allocations"
                asyncio.run(_record(number, file))
                _report(report, number, _by_package(file))
    return 0


async def _record(number: int, file: Path) -> None:
    async with testbed(Vaultsync(memray=file), secrets=number, refresh=600) as ready:
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
    """Return the package of a file, a part of the operator's own; empty for the standard library."""
    path = Path(file)
    for parent, parts in (("site-packages", 1), ("operator", 2)):
        if parent in path.parts:
            inner = path.parts[path.parts.index(parent) + 1 :]
            return ".".join(inner[:parts]).removesuffix(".py")
    return "asyncio and ssl" if path.parent.name == "asyncio" or path.name == "ssl.py" else ""


def _report(report: Report, number: int, sizes: Counter[str]) -> None:
    report.section(f"{number:,} VaultSecrets")
    report.add(Figure("all", [sizes.total() / _MB], "MB"))
    for package, size in sizes.most_common():
        if size / _MB >= _LEAST:
            report.add(Figure(package, [size / _MB], "MB"))
