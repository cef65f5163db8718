"""The machine on which figures were measured, and the usage of a program, by /proc."""

import os
import platform
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MODULE = re.compile(r"\0-m\0([\w.]+)")


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a program: CPU time so far in seconds, and its current memory in MB."""

    cpu: float
    memory: float


def usage_of(pid: int) -> Usage:
    """Return the usage of a running program, without its children.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    _, usage = _stat(pid)
    return usage


def cpu_by_program() -> dict[str, float]:
    """Return the CPU time so far of this program and of all that it has started, in seconds, by their names."""
    found: dict[int, tuple[int, Usage]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found[int(entry.name)] = _stat(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
    children: dict[int, list[int]] = defaultdict(list)
    for pid, (parent, _) in found.items():
        children[parent].append(pid)
    used: dict[str, float] = defaultdict(float)
    left = [os.getpid()]
    while left:
        pid = left.pop()
        left += children[pid]
        used[_name_of(pid)] += found[pid][1].cpu
    return dict(used)


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


def _stat(pid: int) -> tuple[int, Usage]:
    """Return the parent of a program, and its usage."""
    # The second field is the program's name, which may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    parent, user, system, pages = (int(fields[index]) for index in (1, 11, 12, 21))
    return parent, Usage(cpu=(user + system) / _TICKS, memory=pages * _PAGE / 1e6)


def _name_of(pid: int) -> str:
    """Return the module of a Python program, and the file's name of another."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    module = _MODULE.search(command)
    return module[1] if module else Path(command.partition("\0")[0]).name
