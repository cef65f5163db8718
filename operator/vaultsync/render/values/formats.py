"""Parses values in their formats, each once, or says what is wrong and what they look like; finds no part of them."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from vaultsync.api.sources import Format
from vaultsync.bounded_json import TooDeepError
from vaultsync.errors import Reason, SyncError
from vaultsync.render.strict_base64 import decode_base64
from vaultsync.render.values.documents import Document, FormatError
from vaultsync.render.values.env_text import parse_env
from vaultsync.render.values.json_text import parse_json
from vaultsync.render.values.yaml_text import parse_yaml

MAX_YAML: Final = 64 * 1024
"""In characters, of all YAML of a VaultSecret together: they take less than a quarter of a second."""

_BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""Some editors begin a file with it; it is no part of the text: https://www.rfc-editor.org/rfc/rfc8259#section-8.1."""

_PARSERS: Final[Mapping[Format, Callable[[str], Document]]] = {
    Format.JSON: parse_json,
    Format.YAML: parse_yaml,
    Format.ENV: parse_env,
}
_LOOKS: Final = {
    Format.JSON: re.compile(r"[{\[]"),
    # Not a connection string, whose parts are separated by semicolons, and no base64, which ends with equals signs.
    Format.ENV: re.compile(r"(?:export[ \t]+)?[A-Za-z_][-.\w]*[ \t]*=[^=\s;][^;\r\n]*(?:[\r\n]|\Z)"),
    Format.YAML: re.compile(r"---\s|- |[-./\w]+[ \t]*:(?:\s|\Z)"),
}
"""How the first line looks that is no comment."""

_COMMENTS: Final = re.compile(r"(?:\s++|#[^\r\n]*+)*+")


class NotInFormat(SyncError):
    """A value is not in its format, or nests too deeply."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.PROPERTY_MISSING, message)


class Documents:
    """The values of one VaultSecret as documents. It holds them, so it lives as long as one rendering."""

    def __init__(self) -> None:
        self._parsed: dict[tuple[str, Format], Document] = {}
        self._yaml = 0

    def get(self, text: str, format_: Format, *, origin: str) -> Document:
        """Return a value as a document; each value is parsed once, however many entries have a part of it.

        Args:
            text: The value.
            format_: Its format.
            origin: Its name for messages.

        Raises:
            NotInFormat: It is not in its format, or nests too deeply.
            SyncError: PropertyMissing, if it is too much YAML.
        """
        place = (text, format_)
        if place not in self._parsed:
            if format_ is Format.YAML:
                self._count_yaml(text)
            self._parsed[place] = _parse(text, format_, origin)
        return self._parsed[place]

    def _count_yaml(self, text: str) -> None:
        self._yaml += len(text)
        if self._yaml > MAX_YAML:
            raise SyncError(
                Reason.PROPERTY_MISSING,
                f"The YAML values of a VaultSecret may have {MAX_YAML} characters together, and these have more; use "
                "several VaultSecrets, or JSON.",
            )


def text_hint(document: Document, format_: Format) -> str:
    """Return a sentence about a document that is one string, with a space before it, or nothing."""
    if not isinstance(document, str):
        return ""
    if format_ is not Format.JSON:
        return _hint(document, format_)
    return " It is a string that looks like JSON: it was encoded twice." if _looks_like(document, Format.JSON) else ""


def _parse(text: str, format_: Format, origin: str) -> Document:
    text = text.removeprefix(_BOM)
    try:
        return _PARSERS[format_](text)
    except TooDeepError as error:
        problem = f"is {format_} that {error}; flatten it in the vault."
    except FormatError as error:
        problem = f"is not valid {format_}: {error}.{_hint(text, format_)}"
    # Not inside the handlers: a parser's error would be the context, and it may hold the text.
    raise NotInFormat(f"{origin} {problem}")


def _hint(text: str, format_: Format) -> str:
    """Return a sentence about what a text looks like that is not in its format, with a space before it, or nothing."""
    if _is_base64_of_json(text):
        return " It looks like base64: store the JSON itself."
    other = next((one for one in _LOOKS if one is not format_ and _looks_like(text, one)), None)
    return "" if other is None else f" It looks like {other}: set format: {other}."


def _looks_like(text: str, format_: Format) -> bool:
    first = _COMMENTS.match(text)
    return first is not None and _LOOKS[format_].match(text, first.end()) is not None


def _is_base64_of_json(text: str) -> bool:
    try:
        decoded = decode_base64(text)
    except ValueError:
        return False
    return decoded.lstrip().startswith((b"{", b"["))
