"""`python -m bench.watched FILE`: runs the operator, and writes each stall of its event loop into a file.

A hundred times a second it measures how late the loop is, and how much CPU time its thread has used meanwhile: the rest
of a stall was the machine's, which other programs use too.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_EVERY: Final = 0.01
_SHORTEST: Final = 0.02
"""Shorter stalls are not written."""


@dataclass(slots=True)
class Stalls:
    """The longest stall, and the longest of the loop's own work, in seconds; known once the block has ended."""

    longest: float = 0.0
    own: float = 0.0


@contextmanager
def stalls_in(file: Path) -> Iterator[Stalls]:
    """Read the stalls of an operator that writes them into a file, while the block lasts."""
    stalls, size = Stalls(), file.stat().st_size if file.exists() else 0
    yield stalls
    if not file.exists():
        return
    with file.open() as lines:
        lines.seek(size)
        for line in lines:
            late, used = map(float, line.split())
            stalls.longest = max(stalls.longest, late)
            stalls.own = max(stalls.own, min(late, used))


def _watch(file: Path) -> Callable[[Callable[[float], None]], object]:
    async def measure_lag(_: Callable[[float], None]) -> None:
        loop = asyncio.get_running_loop()
        with file.open("a", buffering=1) as lines:
            while True:
                due, used = loop.time() + _EVERY, time.thread_time()
                await asyncio.sleep(_EVERY)
                late = loop.time() - due
                if late >= _SHORTEST:
                    print(f"{late:.4f} {time.thread_time() - used:.4f}", file=lines)

    return measure_lag


def _main(file: Path) -> int:
    from vaultsync import __main__  # noqa: PLC0415  the benchmark imports this module, too
    from vaultsync.manager import lifecycle  # noqa: PLC0415  the same

    vars(lifecycle)["measure_lag"] = _watch(file)
    return __main__.main(["run"])


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
