"""promtool: what Prometheus itself says of metrics, queries and rules; knows none of ours."""

import subprocess
from pathlib import Path


class PromtoolFailed(Exception):
    """promtool found fault; the message is what it printed."""


class Promtool:
    """The program.

    Args:
        program: Where it is.
    """

    def __init__(self, program: Path) -> None:
        self._program = program

    def __call__(self, *arguments: str | Path, stdin: str = "") -> str:
        """What `promtool ARGUMENTS` prints.

        Raises:
            PromtoolFailed: It found fault.
        """
        done = subprocess.run([self._program, *arguments], input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PromtoolFailed(f"{done.stdout}{done.stderr}".strip())
        return done.stdout
