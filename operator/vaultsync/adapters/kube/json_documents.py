"""Parses the API server's JSON with a bounded depth; does not interpret it.

Users can write `managedFields`, and the API server stores them nested thousands of levels deep. The depth is checked
before the parser runs: Python's parser recurses for each level, and whether that is an error or overflows the stack of
the process depends on the version of Python. One such object must not make a whole list or watch unreadable.
"""

import json
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final, TypeVar

MAX_DEPTH: Final = 64
"""Levels of objects and lists that are parsed. The documents that vaultsync reads have fewer than 20."""

_NO_MARKS: Final = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_AS_BRACES: Final = bytes.maketrans(b"[]", b"{}")
_STRINGS: Final = re.compile(rb'"[^"]*+"?+')
_STEPS: Final = tuple((chr(byte) in "[{") - (chr(byte) in "]}") for byte in range(256))
"""By how much each byte outside of strings changes the depth."""
_TOO_DEEP: Final = re.compile(b"\x01+")

_BLANKS: Final = re.compile(r"[ \t\n\r]*+")
_MAX_DIGITS: Final = 640
"""Digits of an integer that is read: Python may be set to refuse longer ones, and by default refuses 4,300 digits.

https://docs.python.org/3/library/stdtypes.html#integer-string-conversion-length-limitation
"""

_Item = TypeVar("_Item")


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= _MAX_DIGITS else 0


_DECODER: Final = json.JSONDecoder(parse_int=_integer)


def parsed(body: bytes) -> dict[str, Any] | None:
    """Parse a JSON object.

    Returns:
        The object, with null in place of everything that is nested deeper than `MAX_DEPTH`, zero in place of integers
        of more than 640 digits, and U+FFFD in place of what is not UTF-8. None if the body is not a JSON object.
    """
    try:
        document: object = _DECODER.decode(_text(body))
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def parsed_list(body: bytes, read: Callable[[Any], _Item]) -> dict[str, Any] | None:
    """Parse a list of objects, one object after the other: only one of them is in memory with all its fields.

    Args:
        body: The list as the API server returns it.
        read: Called with each object; what it returns takes the object's place.

    Returns:
        As `parsed`.
    """
    try:
        return _ListReader(_text(body)).list(read)
    except json.JSONDecodeError:
        return parsed(body)


def _text(body: bytes) -> str:
    """Return the text to parse. Users can write bytes that are not UTF-8: they must not hide the rest of a list."""
    return bounded(body).decode(errors="replace")


def bounded(body: bytes) -> bytes:
    """Return JSON text with null in place of everything that is nested deeper than `MAX_DEPTH`; takes linear time.

    What is not valid JSON is returned so that no parser recurses deeper than `MAX_DEPTH` before it finds the error.
    """
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH or _is_shallow(body):
        return body
    return _shallow(body)


def _is_shallow(body: bytes) -> bool:
    """Return whether the depth is at most `MAX_DEPTH`; needs little more memory than the text."""
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # Strings become pairs of quotes: what is between quotes stays so when a pair is removed.
    marks = body.translate(_AS_BRACES, _NO_MARKS).replace(b'""', b"")
    brackets = _STRINGS.sub(b"", marks)
    levels, before = MAX_DEPTH, 2 * len(brackets)
    while 2 * len(brackets) <= before and levels and brackets:  # each round removes the innermost ones
        levels, before = levels - 1, len(brackets)
        brackets = brackets.replace(b"{}", b"")
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) <= levels


def _shallow(body: bytes) -> bytes:
    """Copy JSON text, with null in place of every object and list that is too deep."""
    text = body.replace(rb"\\", b"__").replace(rb"\"", b"__") if b"\\" in body else body
    text = _STRINGS.sub(_blank, text)
    depths = accumulate(map(_STEPS.__getitem__, text))
    copied, end = list[bytes](), 0
    for match in _TOO_DEEP.finditer(bytes(map(MAX_DEPTH.__lt__, depths))):
        copied += body[end : match.start()], b"null"
        end = match.end() + 1  # with the closing bracket
    return b"".join((*copied, body[end:]))


def _blank(string: re.Match[bytes]) -> bytes:
    return b" " * (string.end() - string.start())


class _ListReader:
    """Reads a JSON object whose field `items` may be long, field by field."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def list(self, read: Callable[[Any], _Item]) -> dict[str, Any]:
        """Return the object; raise `JSONDecodeError` if it is not one with fields."""
        self._take("{")
        document: dict[str, Any] = {}
        more = ","
        while more == ",":
            name = self._value()
            self._take(":")
            document[name] = self._items(read) if name == "items" else self._value()
            more = self._take(",}")
        if self._next():
            raise self._error()
        return document

    def _items(self, read: Callable[[Any], _Item]) -> Any:  # noqa: ANN401  null for an empty list of some kinds
        if self._next() != "[":
            return self._value()
        self._take("[")
        items: list[_Item] = []
        if self._next() == "]":
            self._take("]")
            return items
        more = ","
        while more == ",":
            items.append(read(self._value()))
            more = self._take(",]")
        return items

    def _value(self) -> Any:  # noqa: ANN401  any JSON
        self._skip_blanks()
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def _take(self, marks: str) -> str:
        mark = self._next()
        if not mark or mark not in marks:
            raise self._error()
        self._at += 1
        return mark

    def _error(self) -> json.JSONDecodeError:
        return json.JSONDecodeError("not an object with fields", "", 0)

    def _next(self) -> str:
        """Return the next character that is not blank; empty at the end."""
        self._skip_blanks()
        return self._text[self._at : self._at + 1]

    def _skip_blanks(self) -> None:
        blanks = _BLANKS.match(self._text, self._at)
        assert blanks is not None
        self._at = blanks.end()
