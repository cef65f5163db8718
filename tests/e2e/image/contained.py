"""A program as the first process of its own PID namespace, observed from outside; does not set up its files.

The kernel spares such a process every signal that it has no handler for, but SIGKILL and SIGSTOP from outside:
https://man7.org/linux/man-pages/man7/pid_namespaces.7.html. Whoever is the entry point of an image has to take care.
"""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.e2e.operators import RunningOperator

_BEGINS_WITHIN: Final = 10.0


def first_within(entry: int) -> int:
    """The number that this machine knows the first process of a container by, whose `unshare` has the number given."""
    children = Path(f"/proc/{entry}/task/{entry}/children")
    deadline = time.monotonic() + _BEGINS_WITHIN
    while not (numbers := children.read_text().split()):
        assert time.monotonic() < deadline, "nothing was started in the container"
        time.sleep(0.01)
    return int(numbers[0])


def status_of(number: int) -> Mapping[str, list[str]]:
    """The status of a process, from the kernel: https://man7.org/linux/man-pages/man5/proc_pid_status.5.html."""
    lines = Path(f"/proc/{number}/status").read_text().splitlines()
    return {name: texts.split() for name, _, texts in (line.partition(":") for line in lines)}


def options_of_root(number: int) -> list[str]:
    """How the root of a process is mounted: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html."""
    mounts = [line.split() for line in Path(f"/proc/{number}/mountinfo").read_text().splitlines()]
    return next(fields[5].split(",") for fields in mounts if fields[4] == "/")


class ContainedOperator(RunningOperator):
    """An operator in its own container: signals are sent to it, not to the `unshare` that waits for its end.

    `unshare` ends as it does, so its exit code is the operator's.
    """

    @property
    def first(self) -> int:
        """The first process of the container."""
        return first_within(self._process.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process of the container, as a container engine does."""
        os.kill(self.first, number)
