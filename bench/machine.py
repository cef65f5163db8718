"""The machine on which figures were measured, and the usage of a program, by /proc."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a program: CPU time so far in seconds, and its current memory in MB."""

    cpu: float
    memory: float


def usage_of(pid: int) -> Usage:
    """Return the usage of a running program, without its children.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    # The second field is the program's name, which may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, pages = (int(fields[index]) for index in (11, 12, 21))
    return Usage(cpu=(user + system) / _TICKS, memory=pages * _PAGE / 1e6)


def peak_memory(pid: int) -> float:
    """Return the peak memory of a running program so far, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def description() -> str:
    """Describe the machine in one line."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * _PAGE / 2**30
    return (
        f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, {memory:.0f} GiB, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    )
