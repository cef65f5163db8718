"""A clock that jumps while the operator that reads it runs; its monotonic clock does not."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_LIBRARY: Final = "vendor/libfaketime/src/libfaketime.so.1"


class JumpingClock:
    """The time of day of programs that run with the variables of `environment`: the real one plus an offset.

    Args:
        file: Where the offset is kept for the library that answers in place of the system.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.jump_to(0)

    def jump_to(self, seconds: int) -> None:
        """Be that much ahead of the real time from now on, or behind it."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.replace(self._file)

    def environment(self) -> Mapping[str, str]:
        """https://github.com/wolfcw/libfaketime#4-usage."""
        found = find_spec("libfaketime")
        assert found is not None
        assert found.origin is not None
        return {
            "LD_PRELOAD": str(Path(found.origin).parent / _LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
