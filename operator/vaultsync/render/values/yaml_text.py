"""Parses YAML as text: no tags, no aliases, one document, and nothing that another version of YAML reads differently.

Every scalar is the text that it is written with: `on`, `1.10`, `017` and dates stay so. Null is what YAML 1.2 calls
null, without quotes. Where a list or an object is written as JSON, `true`, `false` and numbers that JSON has are not
quoted. Of two fields with the same name, the last one counts.

libyaml splits the text into events. Nothing here recurses.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import yaml
from yaml.cyaml import CSafeLoader
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)
from yaml.reader import ReaderError

from vaultsync.bounded_json import MAX_DEPTH, TooDeepError
from vaultsync.render.values.documents import Document, FormatError, Literal

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
"""https://yaml.org/spec/1.2.2/#103-core-schema"""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?", re.ASCII)
_CONSTANTS: Final = {"true": True, "false": False}

_SPECIAL: Final = "a character that begins no value, such as a tab, @, ` or %; quote the text"
_INDENTATION: Final = "a line that neither continues what is before it nor is indented like it"
_BRACKET: Final = "a comma or a closing bracket is missing"
_CAUSES: Final = {
    "found character that cannot start any token": _SPECIAL,
    "found a tab character that violates indentation": "a tab; indent with spaces",
    "mapping values are not allowed in this context": "a colon where no field can begin; quote the text, or indent it",
    "block sequence entries are not allowed in this context": "an item of a list where none can begin",
    "could not find expected ':'": "a line that is no field: a colon is missing, or a blank after it",
    "did not find expected key": _INDENTATION,
    "did not find expected '-' indicator": _INDENTATION,
    "did not find expected <document start>": _INDENTATION,
    "did not find expected ',' or ']'": _BRACKET,
    "did not find expected ',' or '}'": _BRACKET,
    "found unexpected end of stream": "a quote that is not closed",
    "found unknown escape character": "a backslash that begins no escape of YAML; use single quotes",
    "control characters are not allowed": "a control character",
}
"""By libyaml's message; others have a general one."""


@dataclass(slots=True)
class _Open:
    """A list or an object that has begun, and the name of the field whose content comes next."""

    content: list[Document] | dict[str, Document]
    name: str | None = None


def parse_yaml(text: str) -> Document:
    """Parse a YAML document.

    Raises:
        TooDeepError: It nests deeper than `bounded_json` allows for JSON.
        FormatError: It is not YAML, or has what is not read.
    """
    try:
        return _build(yaml.parse(text, Loader=CSafeLoader), text)
    except yaml.MarkedYAMLError as error:
        cause, mark = _CAUSES.get(error.problem or "", "a mistake in its syntax"), error.problem_mark
        place = None if mark is None else mark.index
    except ReaderError as error:
        cause, place = _CAUSES.get(error.reason, "a character that YAML does not have"), _index(text, error.position)
    except UnicodeEncodeError as error:
        cause, place = "an unpaired surrogate", error.start
    # Not inside the handlers: the parser's error would be the context, and it may hold the text.
    raise FormatError(cause, text, place)


def _index(text: str, place: int) -> int:
    """Return the index of the character at that place of the text's UTF-8."""
    return len(text.encode()[:place].decode(errors="ignore"))


def _build(events: Iterable[Event], text: str) -> Document:
    """Build the document from its events."""
    root: list[Document] = []
    stack = [_Open(root)]
    has_begun = False
    for event in events:
        cause = None
        match event:
            case DocumentStartEvent():
                cause, has_begun = "a second document; keep one" if has_begun else None, True
            case ScalarEvent() | CollectionStartEvent():
                cause = _unread(event) or _add(event, stack)
            case AliasEvent():
                cause = "an alias (*); write the value itself, or quote the text"
            case CollectionEndEvent():
                stack.pop()
        if cause is not None:
            assert event.start_mark is not None
            raise FormatError(cause, text, event.start_mark.index)
    return root[0] if root else None


def _unread(event: ScalarEvent | CollectionStartEvent) -> str | None:
    """Return what an event has that is not read; None if there is nothing."""
    if event.anchor is not None:
        return "an anchor (&); remove it, or quote the text"
    return None if event.tag is None else "a tag (!); remove it, or quote the text"


def _add(event: ScalarEvent | CollectionStartEvent, stack: list[_Open]) -> str | None:
    """Add a node to the list or object that is open, and open it if it is one itself; return what keeps it out."""
    here = stack[-1]
    if isinstance(here.content, dict) and here.name is None:
        if not isinstance(event, ScalarEvent):
            return "a list or an object as the name of a field"
        here.name = event.value
        return None
    part = _scalar(event) if isinstance(event, ScalarEvent) else {} if isinstance(event, MappingStartEvent) else []
    if isinstance(here.content, list):
        here.content.append(part)
    else:
        assert here.name is not None
        here.content[here.name], here.name = part, None
    if isinstance(event, CollectionStartEvent):
        if len(stack) > MAX_DEPTH:
            raise TooDeepError(f"nests deeper than {MAX_DEPTH} levels")
        stack.append(_Open(part))
    return None


def _scalar(event: ScalarEvent) -> Document:
    text: str = event.value
    if event.style:  # quoted, or a block
        return text
    if text in _NULLS:
        return None
    return Literal(text) if _NUMBER.fullmatch(text) else _CONSTANTS.get(text, text)
