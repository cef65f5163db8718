"""What can happen to a running process besides signals: it gets no file descriptor, and cannot write to its log.

Limits of resources are changed from outside while it runs: https://man7.org/linux/man-pages/man2/prlimit.2.html
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def no_more_files(pid: int) -> Iterator[None]:
    """Let it open no file and no connection; what is open stays open."""
    with _limit(pid, resource.RLIMIT_NOFILE, len(list(Path(f"/proc/{pid}/fd").iterdir()))):
        yield


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
