"""Reads the API server's JSON, whatever its users have hidden in it; understands none of it.

Users may write `managedFields`, and the API server keeps them nested thousands deep, where Python's parser gives up.
One such object must not make a whole list or watch unreadable.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

_DEEPEST = 64
"""Far deeper than anything that we read, far below where Python's parser gives up."""

_STRINGS_AND_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]')


def parsed(body: bytes) -> dict[str, Any] | None:
    """Read a JSON object, with null for what lies too deep; None if it is no such thing."""
    try:
        document = _parsed(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _parsed(body: bytes) -> object:
    try:
        document: object = json.loads(body)
    except RecursionError:
        document = json.loads(b"".join(_shallow(body)))
    return document


def _shallow(body: bytes) -> Iterator[bytes]:
    """Copy JSON, with null in place of every object and list that lies too deep."""
    depth, start = 0, 0
    for match in _STRINGS_AND_BRACKETS.finditer(body):
        first = body[match.start()]
        if first in b"[{":
            depth += 1
            if depth == _DEEPEST + 1:
                yield body[start : match.start()] + b"null"
        elif first in b"]}":
            if depth == _DEEPEST + 1:
                start = match.end()
            depth -= 1
    yield body[start:]
