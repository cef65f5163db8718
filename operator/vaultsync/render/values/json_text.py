"""Parses JSON, and says where it is invalid and why.

Numbers keep the digits that the vault holds: 1.10 stays 1.10, and long ids lose no digits. Of two fields with the same
name, the last one counts.
"""

import json
import re
from typing import Final, NoReturn

from vaultsync import bounded_json
from vaultsync.render.values.documents import BLANKS, Document, FormatError, Literal

_CONSTANT: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|(?P<constant>NaN|-?Infinity)', re.DOTALL)

_CONTROLS: Final = {
    "\n": r"a line end within a string; write it as \n",
    "\r": r"a line end within a string; write it as \r\n",
    "\t": r"a tab within a string; write it as \t",
}
_TRAILING_COMMA: Final = "a comma before a closing bracket; remove it"
_OPENINGS: Final = {
    "'": 'a single quote; JSON has double quotes, "',
    "\\": r"a backslash outside of a string; if it is part of \n, line ends were replaced when the value was set",
    "\N{LEFT DOUBLE QUOTATION MARK}": 'a typographic quote; JSON has straight ones, "',
    "\N{RIGHT DOUBLE QUOTATION MARK}": 'a typographic quote; JSON has straight ones, "',
    "\N{NO-BREAK SPACE}": "a blank that is no ordinary one; replace it",
    "/": "a comment, which JSON does not have",
    "#": "a comment, which JSON does not have",
}
"""By the character at which something else was expected."""

_EXPECTATIONS: Final = (
    ("Invalid control character", "a control character within a string"),
    ("Unterminated string", "a string that is not closed"),
    ("Invalid \\", r"a backslash that begins no escape of JSON; write it as \\"),
    ("Extra data", "more text after the end of the JSON"),
    ("Illegal trailing comma", _TRAILING_COMMA),
)
"""By the beginning of the parser's message, where the character itself does not matter."""

_MISSING: Final = (
    ("Expecting ','", "a comma or a closing bracket is missing"),
    ("Expecting ':'", "a colon is missing"),
    ("Expecting property name", "a name in double quotes is missing"),
)


def parse_json(text: str) -> Document:
    """Parse a JSON document.

    Raises:
        TooDeepError: It nests deeper than `bounded_json` allows.
        FormatError: It is not JSON.
    """
    try:
        return bounded_json.parse(text, parse_float=Literal, parse_int=Literal, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        message, place = error.msg, error.pos
    except _ConstantError:
        message, place = "", _constant(text)
    # Not inside the handlers: the parser's error would be the context, and it holds the text.
    if not text.strip(BLANKS):
        raise FormatError("it is empty")
    place, cause = _cause(text, message, place)
    raise FormatError(cause, text, place)


class _ConstantError(ValueError):
    """There is NaN or Infinity, which Python's parser accepts and JSON does not have."""


def _refuse_constant(_name: str) -> NoReturn:
    raise _ConstantError


def _constant(text: str) -> int:
    """Return where the first NaN or Infinity is; all before it is valid."""
    return next(found.start() for found in _CONSTANT.finditer(text) if found["constant"])


def _cause(text: str, message: str, place: int) -> tuple[int, str]:
    """Return the place of a mistake and what it is; parsers of other Python versions give other places and messages."""
    here, before = text[place : place + 1], text[:place].rstrip(BLANKS)
    if not message:
        return place, "NaN or Infinity, which JSON does not have"
    for beginning, cause in _EXPECTATIONS:
        if message.startswith(beginning):
            return place, _CONTROLS.get(here, cause)
    if not text[place:].strip(BLANKS):
        return place, "it ends before the JSON is complete; it may have been cut off"
    if here in "}]" and before.endswith(","):
        return len(before) - 1, _TRAILING_COMMA
    missing = next((cause for beginning, cause in _MISSING if message.startswith(beginning)), None)
    return place, _OPENINGS.get(here) or missing or "a value is missing, or a text is not in double quotes"
