"""What a parsed value consists of, and the error for one that is not in its format; parses nothing.

A document is made of dicts, lists, strings, `Literal`, booleans and None, whatever its format.
"""

import json
from typing import Any, Final

Document = Any

BLANKS: Final = " \t\r\n"
"""What JSON calls whitespace."""


class Literal(str):
    """Text that JSON has without quotes: a number, with the digits that it is written with."""

    __slots__ = ()


class FormatError(Exception):
    """A value is not in its format; the text says where and why, and holds nothing of the value but its place."""

    def __init__(self, cause: str, text: str = "", place: int | None = None) -> None:
        """Describe a mistake in `text`, at an index of it if that is known."""
        super().__init__(cause if place is None else f"{position(text, place)}: {cause}")


def position(text: str, place: int) -> str:
    """Return line and column of an index, as editors count them."""
    before = text[:place]
    return f"line {before.count(chr(10)) + 1}, column {place - before.rfind(chr(10))}"


def to_bytes(part: Document) -> bytes:
    """Return a string as its UTF-8, and anything else as compact JSON.

    Raises:
        UnicodeEncodeError: It contains an unpaired surrogate. The error holds the text: do not pass it on.
    """
    return (part if isinstance(part, str) else _compact(part)).encode()


def _compact(part: Document) -> str:
    """Write compact JSON; the recursion is as deep as the document, which its parser bounds."""
    match part:
        case Literal():
            return part
        case dict():
            return "{" + ",".join(f"{_compact(name)}:{_compact(field)}" for name, field in part.items()) + "}"
        case list():
            return "[" + ",".join(map(_compact, part)) + "]"
        case _:
            return json.dumps(part, ensure_ascii=False)
