"""What has no counterpart: where it is, why, and what to do instead; knows no peer."""

from dataclasses import dataclass
from typing import Final

from vaultsync.texts import one_line

MAX_FINDINGS: Final = 10_000
"""Of one run: a document may have hundreds of thousands of fields, and all of them may be unknown."""


_MAX_TEXT: Final = 2000
"""Bytes of a finding: names in it are those of the input."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{one_line(self.file)}:{self.line}"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A part of the input that is not converted, or not completely."""

    place: Place
    subject: str
    """The object, or the field by its path."""
    reason: str
    """Why it is not converted."""
    advice: str
    """What to do instead."""

    def __str__(self) -> str:
        what = f"{self.subject}: {self.reason}; {self.advice}"
        return f"{self.place}: {one_line(what, _MAX_TEXT)}"


class UnusableInput(Exception):
    """The input cannot be read at all; the text says where and why."""
