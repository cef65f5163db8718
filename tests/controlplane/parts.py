"""One program of the control plane: started, waited for, stopped and restarted; does not know its flags."""

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

_SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")
_READY_SECONDS: Final = 300
"""A guard against hanging: a busy machine may take long."""

_POLL_SECONDS: Final = 0.05
_LOG_LINES_SHOWN: Final = 15


class PartFailed(Exception):
    """A part did not become ready; the message names its log and ends with the last lines of it."""


class Part:
    """A program under a supervisor: it ends when it is stopped, and with this interpreter at the latest.

    Args:
        name: Its name in messages and of its log file.
        command: The program and its flags; the same for each start, so ports and data stay.
        log: Where its output goes; each start adds to it.
        ready: Whether it answers.
    """

    def __init__(self, name: str, command: Sequence[str | Path], *, log: Path, ready: Callable[[], bool]) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the program and returns when it is ready.

        Raises:
            PartFailed: It ended, or did not become ready.
        """
        assert self._process is None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", _SUPERVISOR, *self._command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not self._ready():
            if (status := self._process.poll()) is not None:
                raise self._failed(f"ended with status {status}")
            if time.monotonic() > deadline:
                raise self._failed(f"was not ready after {_READY_SECONDS} s")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ends the program, and returns when it has ended; does nothing if it is stopped."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Stops and starts: the same ports, the same data."""
        self.stop()
        self.start()

    def _failed(self, how: str) -> PartFailed:
        self.stop()
        tail = "\n  ".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:])
        return PartFailed(f"{self.name} {how}. Its log is {self.log}:\n  {tail}")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which no program listens.

    They lie below the range from which systems take the local ports of outgoing connections: a part that is stopped
    for a while finds its port free, not in use by a client that kept connecting.
    """
    candidates = random.SystemRandom().sample(range(20_000, 32_000), 1_000)
    with ExitStack() as held:
        return [port for port in candidates if _holds(port, held)][:count]


def _holds(port: int, held: ExitStack) -> bool:
    probe = held.enter_context(socket.socket())
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
