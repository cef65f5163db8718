"""Fits texts of others, names and dates into a message: one line, printable, bounded; knows nothing of their meaning.

Equal texts can share their memory. Whether a text may be shown at all is decided where it is received: one that could
repeat a value is not.
"""

import sys
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

MAX_BYTES: Final = 300
"""Upper bound of one text within a message, in UTF-8."""

MAX_MESSAGE: Final = 4096
"""Upper bound of a condition's message, in UTF-8. Kubernetes allows 32,768 characters."""

MAX_NAME: Final = 128
"""Upper bound of a name that is not restricted otherwise, such as that of a field manager."""

MAX_NAMES: Final = 5
"""Upper bound of the number of names in a list."""

_LINE_ENDS: Final = frozenset({"Cc", "Zl", "Zp"})
_INVISIBLE: Final = frozenset({"Cf", "Cn", "Co", "Cs"})
"""Categories of characters without a shape of their own; those that change the direction of a text are among them.

https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
"""

_INTERNED_TEXTS_STAY: Final = sys.version_info[:2] == (3, 12)
"""Whether Python keeps each interned text until it ends. Tenants write ever new ones."""


def shared(text: str) -> str:
    """Return the equal text that is in memory already, if there is one, so that objects with the same text share it."""
    return text if _INTERNED_TEXTS_STAY else sys.intern(text)


def one_line(text: str, max_bytes: int = MAX_BYTES) -> str:
    """Return a text in one line, without control and invisible characters, cut between two words.

    A text that is cut ends with `…`, so that nobody takes its last word for the end of a sentence.
    """
    # A text may be of any size: no more of it is looked at than could be shown.
    part = text[: 2 * max_bytes]
    shown = " ".join((part if part.isprintable() else "".join(map(_visible, part))).split())
    content = shown.encode()
    if len(content) <= max_bytes and len(text) <= 2 * max_bytes:
        return shown
    cut = content[: max_bytes - len("…".encode())].decode(errors="ignore")
    words, blank, _ = cut.rpartition(" ")
    # A text without blanks is cut anywhere.
    return f"{words if blank and len(words) * 2 > len(cut) else cut}…"


def listed(names: Iterable[str], separator: str = ", ") -> str:
    """Return names in one line: the first few, and how many there are more."""
    every = list(names)
    more = [f"and {len(every) - MAX_NAMES} more"] if len(every) > MAX_NAMES else []
    return separator.join([*(one_line(name, MAX_NAME) for name in every[:MAX_NAMES]), *more])


def in_utc(moment: datetime) -> str:
    """Return a moment to the second, such as 2026-11-29 08:05:00 UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _visible(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else " "
    category = unicodedata.category(character)
    return " " if category in _LINE_ENDS else "" if category in _INVISIBLE else character
