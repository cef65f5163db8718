"""Prints the progress of a long build; decides nothing."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Final, TextIO

_CLEAR_TO_END_OF_LINE: Final = "\033[K"


class Progress:
    """Lines about a build: one that counts up on a terminal, one every half minute elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._write(text, "\n")

    def wait(self, program: subprocess.Popen[bytes], title: str, doing: Callable[[], str]) -> int:
        """The status with which `program` ends; says meanwhile what it has done; ends it when this wait is cut short.

        The program leads its own process group.
        """
        started = time.monotonic()
        try:
            while (status := self._ended(program)) is None:
                elapsed = minutes(time.monotonic() - started)
                self._write(f"{title}: {elapsed}, {doing()}", "\r" if self._terminal else "\n")
        except BaseException:
            os.killpg(program.pid, signal.SIGTERM)
            program.wait()
            raise
        outcome = doing() if status == 0 else "failed"
        self.say(f"{title}: {outcome} after {minutes(time.monotonic() - started)}")
        return status

    def _ended(self, program: subprocess.Popen[bytes]) -> int | None:
        try:
            return program.wait(1 if self._terminal else 30)
        except subprocess.TimeoutExpired:
            return None

    def _write(self, text: str, end: str) -> None:
        self._out.write(f"{text}{_CLEAR_TO_END_OF_LINE if self._terminal else ''}{end}")
        self._out.flush()


def minutes(seconds: float) -> str:
    """A duration as people read it: `3:24 min`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
