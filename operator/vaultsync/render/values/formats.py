"""Parses a value in its format, or says what is wrong with it and what it looks like instead; finds no part of it."""

import base64
from typing import Final

from vaultsync.bounded_json import TooDeepError
from vaultsync.errors import Reason, SyncError
from vaultsync.render.values.documents import Document, FormatError
from vaultsync.render.values.json_text import parse_json

_BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""Some editors begin a file with it; it is no part of the text: https://www.rfc-editor.org/rfc/rfc8259#section-8.1."""


def parse(text: str, *, origin: str) -> Document:
    """Parse a value.

    Args:
        text: The value.
        origin: Its name for messages.

    Raises:
        SyncError: PropertyMissing, if it is not in its format, or nests too deeply.
    """
    text = text.removeprefix(_BOM)
    try:
        return parse_json(text)
    except TooDeepError as error:
        problem = f"is JSON that {error}; flatten it in the vault."
    except FormatError as error:
        problem = f"is not valid JSON: {error}.{_hint(text)}"
    # Not inside the handlers: a parser's error would be the context, and it may hold the text.
    raise SyncError(Reason.PROPERTY_MISSING, f"{origin} {problem}")


def text_hint(document: Document) -> str:
    """Return a sentence for a document that is one string and looks like JSON, with a space before it, or nothing."""
    if isinstance(document, str) and document.lstrip().startswith(("{", "[")):
        return " It is a string that looks like JSON: it was encoded twice."
    return ""


def _hint(text: str) -> str:
    """Return a sentence about what an invalid text looks like, with a space before it, or nothing."""
    return " It looks like base64: store the JSON itself." if _is_base64_of_json(text) else ""


def _is_base64_of_json(text: str) -> bool:
    try:
        decoded = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return False
    return decoded.lstrip().startswith((b"{", b"["))
