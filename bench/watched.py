"""`python -m bench.watched FILE`: runs the operator, and writes each stall of its event loop into a file.

A stall is a pass of the loop over what is ready, or a timer that it finds late; nothing else can run meanwhile. With
each is written how much CPU time the thread of the loop has used: the rest of a stall was the machine's, which other
programs use too. A loop that waits is not woken, so that the CPU time of an operator at rest is its own.
"""

import selectors
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
    try:
        yield stalls
    finally:
        if file.exists():
            with file.open() as lines:
                lines.seek(size)
                for line in lines:
                    late, used = map(float, line.split())
                    stalls.longest = max(stalls.longest, late)
                    stalls.own = max(stalls.own, min(late, used))


class Watched(selectors.DefaultSelector):
    """Where an event loop waits: knows when the loop could have gone on, and when it waits again.

    Args:
        report: Gets the seconds of each stall, and the CPU seconds of the thread in them.
    """

    def __init__(self, report: Callable[[float, float], object]) -> None:
        super().__init__()
        self._report = report
        self._since: tuple[float, float] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as usual."""
        began, used = time.perf_counter(), time.thread_time()
        if self._since is not None and (late := began - self._since[0]) >= _SHORTEST:
            self._report(late, used - self._since[1])
        ready = super().select(timeout)
        now = time.perf_counter()
        due = began + timeout if timeout and not ready else now
        self._since = min(due, now), time.thread_time()
        return ready


def _main(file: Path) -> int:
    from vaultsync import __main__  # noqa: PLC0415  the benchmark imports this module, too

    lines = file.open("a", buffering=1)
    # Event loops look it up at their start.
    vars(selectors)["DefaultSelector"] = lambda: Watched(lambda late, used: print(f"{late:.4f} {used:.4f}", file=lines))
    return __main__.main(["run"])


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
