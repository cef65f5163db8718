"""What a terminal showed and when: recorded, and kept as an asciicast (version 2); draws nothing.

https://docs.asciinema.org/manual/asciicast/v2/ .
"""

import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from demo.terminal import COLUMNS

ROWS: Final = 32
_IDLE_SECONDS: Final = 1.2
"""A player waits no longer than this for the next output."""


@dataclass(frozen=True, slots=True)
class Output:
    """A text and when it was written, in seconds since the start."""

    seconds: float
    text: str


class Recorder(io.StringIO):
    """A terminal that keeps what is written to it, and shows it on another stream."""

    def __init__(self, shown: TextIO) -> None:
        super().__init__()
        self.outputs: list[Output] = []
        self._shown = shown
        self._started = time.monotonic()

    def isatty(self) -> bool:
        """Answer that it is a terminal, so that styles are written."""
        return True

    def write(self, text: str) -> int:
        """Keep a text."""
        self.outputs.append(Output(round(time.monotonic() - self._started, 3), text))
        return self._shown.write(text)


def save(outputs: Sequence[Output], path: Path) -> None:
    """Write an asciicast."""
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "idle_time_limit": _IDLE_SECONDS, "title": "vaultsync"}
    events = [[output.seconds, "o", output.text.replace("\n", "\r\n")] for output in outputs]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (header, *events)))


def load(path: Path) -> list[Output]:
    """Read an asciicast."""
    _, *events = path.read_text().splitlines()
    return [Output(seconds, text.replace("\r\n", "\n")) for seconds, _, text in map(json.loads, events)]


def without_idle_time(outputs: Sequence[Output]) -> list[Output]:
    """The same as a player shows it: no wait is longer than the limit."""
    shown, before, now = [], 0.0, 0.0
    for output in outputs:
        now += min(output.seconds - before, _IDLE_SECONDS)
        before = output.seconds
        shown.append(Output(now, output.text))
    return shown
