"""Writes tables and lines to a terminal or a pipe; every text of others is cleaned and bounded here.

Names, conditions and messages of a cluster are written by others: a control character in them could change what the
terminal shows, or what it does. With rich, a terminal gets colours, and long messages are folded; without, the same
text in columns.
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
        if self._console is not None:
            self._console.print(_rich_table(titles, cleaned))
            return
        self._widths = [max(map(len, (title, *(row[at].text for row in cleaned)))) for at, title in enumerate(titles)]
        for row in ([Cell(title) for title in titles], *cleaned):
            self._write(row)

    def rows(self, titles: Sequence[str], rows: Iterable[Row]) -> None:
        """Print more rows of a table, as far as possible in the same columns, without its titles."""
        cleaned = [_cleaned(row) for row in rows]
        if self._console is not None:
            self._console.print(_rich_table(titles, cleaned, show_titles=False))
            return
        for row in cleaned:
            self._write(row)

    def line(self, *parts: Cell) -> None:
        """Print a line of several parts."""
        cleaned = _cleaned(parts, max_bytes=MAX_MESSAGE, keep_indent=True)
        if self._console is None:
            self._print("".join(part.text for part in cleaned).rstrip())
            return
        from rich.text import Text  # noqa: PLC0415  the extra cli is there

        self._console.print(Text.assemble(*((part.text, part.style) for part in cleaned)))

    def json(self, document: Mapping[str, Any]) -> None:
        """Print JSON. Of other characters than ASCII, their codes are printed."""
        self._print(json.dumps(document, indent=2, ensure_ascii=True))

    def flush(self) -> None:
        """Write what was printed."""
        self._stream.flush()

    def _write(self, row: Row) -> None:
        widths = [*self._widths, *([0] * len(row))]
        self._print(_GAP.join(cell.text.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip())

    def _print(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        # A terminal without UTF-8 shows a question mark in place of what it does not know.
        print(text.encode(encoding, errors="replace").decode(encoding), file=self._stream)


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
        width=None if stream.isatty() else 200,
    )
    return Output(stream, console)


def _cleaned(row: Iterable[Cell], *, max_bytes: int = MAX_MESSAGE, keep_indent: bool = False) -> list[Cell]:
    return [Cell(_clean(cell.text, max_bytes, keep_indent=keep_indent), cell.style) for cell in row]


def _clean(text: str, max_bytes: int, *, keep_indent: bool) -> str:
    if not keep_indent:
        return one_line(text, max_bytes)
    blank_before, blank_after = len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" "))
    body = one_line(text, max_bytes)
    return f"{' ' * blank_before}{body}{' ' * blank_after}" if body else " " * blank_before


def _rich_table(titles: Sequence[str], rows: Sequence[Row], *, show_titles: bool = True) -> Any:  # noqa: ANN401  a type of an extra
    from rich.table import Table  # noqa: PLC0415  the extra cli is there
    from rich.text import Text  # noqa: PLC0415  the same

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=show_titles, header_style="bold")
    for at, title in enumerate(titles):
        # Only the last column, that of messages, is folded.
        table.add_column(title, no_wrap=at + 1 < len(titles), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell.text, style=cell.style) for cell in row))
    return table
