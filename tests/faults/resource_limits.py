"""What can happen to a running process besides signals: it gets no file descriptor, and cannot write to its log.

Limits of resources are changed from outside while it runs: https://man7.org/linux/man-pages/man2/prlimit.2.html
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.operators import RunningOperator


@contextmanager
def no_more_files(operator: RunningOperator) -> Iterator[None]:
    """Let it open no file and no connection; what is open stays open."""
    with _limit(operator.pid, resource.RLIMIT_NOFILE, open_files(operator)):
        yield


def open_files(operator: RunningOperator) -> int:
    """How many files and connections an operator has open, which only it may read in `/proc`."""
    # Those with which it counts them are closed again: the folder, and the connection of the scrape.
    return int(operator.metric("process_open_fds")) - 2


@contextmanager
def full_disk(pid: int, log: Path) -> Iterator[None]:
    """Let it write nothing to the end of its log, as on a disk that is full; the errors have other numbers."""
    with _limit(pid, resource.RLIMIT_FSIZE, log.stat().st_size):
        yield


@contextmanager
def _limit(pid: int, kind: int, amount: int) -> Iterator[None]:
    soft, hard = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (amount, hard))
    try:
        yield
    finally:
        # It may have been killed meanwhile.
        with suppress(ProcessLookupError):
            resource.prlimit(pid, kind, (soft, hard))
