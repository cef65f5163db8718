"""Parses the API server's JSON with a bounded depth; does not interpret it.

Users can write `managedFields`, and the API server stores them nested thousands of levels deep. The depth is checked
before the parser runs: Python's parser recurses for each level, and on Python 3.11 a high recursion limit turns deep
JSON into a crash of the process. One such object must not make a whole list or watch unreadable.
"""

import json
import re
from itertools import accumulate
from typing import Any

MAX_DEPTH = 64
"""Levels of objects and lists that are parsed. The documents that vaultsync reads have fewer than 20."""

_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_AS_BRACES = bytes.maketrans(b"[]", b"{}")
_STEPS = tuple((chr(byte) in "[{") - (chr(byte) in "]}") for byte in range(256))
"""By how much each byte outside of strings changes the depth."""
_TOO_DEEP = re.compile(b"\x01+")


def parsed(body: bytes) -> dict[str, Any] | None:
    """Parse a JSON object.

    Returns:
        The object, with null in place of everything that is nested deeper than `MAX_DEPTH`. None if the body is not a
        JSON object in UTF-8.
    """
    try:
        document: object = json.loads(bounded(body).decode())
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def bounded(body: bytes) -> bytes:
    """Return JSON text with null in place of everything that is nested deeper than `MAX_DEPTH`; takes linear time.

    What is not valid JSON is returned so that no parser recurses deeper than `MAX_DEPTH` before it finds the error.
    """
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return body
    parts = _parts(body)
    return body if _is_shallow(parts) else _shallow(body, parts)


def _parts(body: bytes) -> list[bytes]:
    """Split JSON text at the quotes of its strings, so that every second part is a string; lengths stay as they are."""
    if b"\\" in body:
        body = body.replace(rb"\\", b"__").replace(rb"\"", b"__")
    return body.split(b'"')


def _is_shallow(parts: list[bytes]) -> bool:
    """Return whether the depth is at most `MAX_DEPTH`: each round removes the innermost brackets, at the speed of C."""
    brackets = b"".join(parts[::2]).translate(_AS_BRACES, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return True
        brackets = brackets.replace(b"{}", b"")
    return not brackets


def _shallow(body: bytes, parts: list[bytes]) -> bytes:
    """Copy JSON text, with null in place of every object and list that is too deep."""
    parts[1::2] = [b" " * len(string) for string in parts[1::2]]
    depths = accumulate(map(_STEPS.__getitem__, b'"'.join(parts)))
    copied, end = list[bytes](), 0
    for match in _TOO_DEEP.finditer(bytes(map(MAX_DEPTH.__lt__, depths))):
        copied += body[end : match.start()], b"null"
        end = match.end() + 1  # with the closing bracket
    return b"".join((*copied, body[end:]))
