"""The output of the demo: numbered steps, the commands as a user types them, and their real output."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TextIO

_GUARD_SECONDS: Final = 300.0
"""Seconds after which a step counts as hanging."""

COLUMNS: Final = 120
"""The width of the terminal that commands write to."""

_INDENT: Final = 3
_BLOCK: Final = 65_536


class StepFailed(Exception):
    """A step of the demo did not have the expected outcome."""


@dataclass(slots=True)
class Terminal:
    """Prints steps and runs commands in a shell with the environment of the demo."""

    environ: Mapping[str, str]
    out: TextIO = field(default_factory=lambda: sys.stdout)
    step: int = 0

    def title(self, text: str) -> None:
        """Begin the next step."""
        self.step += 1
        self._print(f"\n{self._bold(f'{self.step}. {text}')}")

    def say(self, text: str) -> None:
        """Print a remark."""
        self._print(f"   {text}")

    def run(self, command: str) -> str:
        """Print a command, run it, print its output, and return that.

        Raises:
            StepFailed: It ended with an error.
        """
        self._print(f"   {self._dim('$')} {command}")
        status, output = self._run(command)
        for line in output.rstrip().splitlines():
            self._print(f"   {line}")
        if status != 0:
            raise StepFailed(f"`{command}` ended with status {status}")
        return output

    def _run(self, command: str) -> tuple[int, str]:
        """Run a command on a terminal like ours, or with a pipe; returns its status and its output."""
        ours, its = os.openpty() if self.out.isatty() else os.pipe()
        environ = {**self.environ, "COLUMNS": str(COLUMNS - _INDENT)}
        program = subprocess.Popen(["sh", "-c", command], env=environ, stdin=subprocess.DEVNULL, stdout=its, stderr=its)
        os.close(its)
        written = bytearray()
        # A terminal ends with an error when the last program has closed it.
        with os.fdopen(ours, "rb", buffering=0) as terminal, suppress(OSError):
            while some := terminal.read(_BLOCK):
                written += some
        return program.wait(), written.decode().replace("\r\n", "\n")

    def output_of(self, *command: str) -> str:
        """Run a command without printing it; returns its output, or an empty text if it fails."""
        done = subprocess.run(command, env=dict(self.environ), capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    def wait_until(self, what: str, holds: Callable[[], bool]) -> float:
        """Wait for a condition, and return how many seconds that took.

        Raises:
            StepFailed: It does not come to hold.
        """
        started = time.monotonic()
        while not holds():
            if time.monotonic() - started > _GUARD_SECONDS:
                raise StepFailed(f"{what}: not after {_GUARD_SECONDS:g} s")
            time.sleep(0.05)
        took = time.monotonic() - started
        self._print(f"   {self._good('✓')} {what} ({took:.1f} s)")
        return took

    def check(self, what: str, *, holds: bool) -> None:
        """Print that a condition holds.

        Raises:
            StepFailed: It does not.
        """
        if not holds:
            raise StepFailed(f"{what}: does not hold")
        self._print(f"   {self._good('✓')} {what}")

    def table(self, rows: Mapping[str, str]) -> None:
        """Print two columns."""
        width = max(map(len, rows))
        for left, right in rows.items():
            self._print(f"   {left:<{width}}  {right}")

    def _print(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def _bold(self, text: str) -> str:
        return self._styled(text, "1")

    def _dim(self, text: str) -> str:
        return self._styled(text, "2")

    def _good(self, text: str) -> str:
        return self._styled(text, "32")

    def _styled(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.out.isatty() else text


def export(variables: Mapping[str, str]) -> str:
    """The shell command that exports variables."""
    return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(variables.items()))


def search_path(environ: Mapping[str, str]) -> str:
    """The directories in which programs are searched."""
    return environ.get("PATH", os.defpath)
