"""Writes tables and lines to a terminal or a pipe; every text of others is cleaned and bounded here.

Names, conditions and messages of a cluster are written by others: a control character in them could change what the
terminal shows, or what it does. With rich, a terminal gets colours, and long lines are folded between words; without,
the same text.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TextIO

from vaultsync.texts import MAX_MESSAGE, one_line

if TYPE_CHECKING:
    from rich.console import Console

_GAP: Final = "   "
_MAX_INDENT: Final = 4


class Color(StrEnum):
    """When colours are used."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Style(StrEnum):
    """The colour of a text, as rich names it."""

    PLAIN = ""
    GOOD = "green"
    BAD = "red"
    WARNING = "yellow"
    DIM = "dim"
    BOLD = "bold"


class MissingExtra(Exception):
    """A package is missing that an extra of vaultsync brings; the text says how to install it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A text of a table, and its colour."""

    text: str
    style: Style = Style.PLAIN


Row = Sequence[Cell]


class Output:
    """Where a command prints. Without a console of rich, the text is plain."""

    def __init__(self, stream: TextIO, console: "Console | None" = None) -> None:
        self._stream = stream
        self._console = console
        self._widths: list[int] = []

    def table(self, titles: Sequence[str], rows: Iterable[Row]) -> None:
        """Print a table with its titles."""
        cleaned = [_cleaned(row) for row in rows]
        self._widths = [max(map(len, (title, *(row[at].text for row in cleaned)))) for at, title in enumerate(titles)]
        for row in ([Cell(title, Style.BOLD) for title in titles], *cleaned):
            self._write(row)

    def row(self, row: Row) -> None:
        """Print one more row of the table, as far as possible in its columns."""
        self._write(_cleaned(row))

    def line(self, *parts: Cell) -> None:
        """Print a line of several parts; one that begins with blanks keeps them."""
        self._print(_cleaned(parts), folds=True)

    def json(self, document: Mapping[str, Any]) -> None:
        """Print JSON. Of other characters than ASCII, their codes are printed."""
        print(json.dumps(document, indent=2, ensure_ascii=True), file=self._stream)

    def flush(self) -> None:
        """Write what was printed."""
        self._stream.flush()

    def _write(self, row: Row) -> None:
        # The last column is not padded: a long message would make each row as long.
        widths = [*self._widths[: len(row) - 1], *([0] * len(row))]
        gaps = [*([_GAP] * (len(row) - 1)), ""]
        columns = zip(row, widths, gaps, strict=False)
        self._print([Cell(cell.text.ljust(width) + gap, cell.style) for cell, width, gap in columns], folds=False)

    def _print(self, parts: Sequence[Cell], *, folds: bool) -> None:
        """Print a line. With rich, a terminal shows it in colours, and folded between words unless it is of a table."""
        encoding = self._stream.encoding or "utf-8"
        # A terminal without UTF-8 shows a question mark in place of what it does not know.
        known = [Cell(part.text.encode(encoding, errors="replace").decode(encoding), part.style) for part in parts]
        if self._console is None:
            print("".join(part.text for part in known).rstrip(), file=self._stream)
            return
        from rich.text import Text  # noqa: PLC0415  the extra cli is there

        text = Text.assemble(*((part.text, part.style) for part in known))
        text.rstrip()
        self._console.print(text, soft_wrap=not folds)


def open_output(stream: TextIO, environ: Mapping[str, str], color: Color) -> Output:
    """Return where to print: with colours on a terminal, if rich is installed and `NO_COLOR` is not set.

    https://no-color.org/

    Raises:
        MissingExtra: Colours are demanded, and rich is not installed.
    """
    if color is Color.NEVER:
        return Output(stream)
    is_terminal = stream.isatty() and environ.get("TERM") != "dumb" and not environ.get("NO_COLOR")
    if color is Color.AUTO and not is_terminal:
        return Output(stream)
    try:
        from rich.console import Console  # noqa: PLC0415  it is part of an extra
    except ImportError:
        if color is Color.AUTO:
            return Output(stream)
        raise MissingExtra("Colours need rich, which is not installed: pip install 'vaultsync[cli]'") from None
    console = Console(
        file=stream,
        force_terminal=True,
        no_color=False,
        markup=False,
        highlight=False,
        emoji=False,
    )
    return Output(stream, console)


def _cleaned(row: Iterable[Cell]) -> list[Cell]:
    """Return cells in one line each; blanks before and after a text of ours stay."""
    return [Cell(_clean(cell.text), cell.style) for cell in row]


def _clean(text: str) -> str:
    indent, rest = len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" "))
    body = one_line(text, MAX_MESSAGE)
    return f"{' ' * min(indent, _MAX_INDENT)}{body}{' ' * min(rest, _MAX_INDENT)}" if body else ""
