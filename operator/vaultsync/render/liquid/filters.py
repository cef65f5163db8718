"""The filters that a template may use, each a pure function of texts; they refuse what is not text."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from liquid.exceptions import FilterArgumentError
from liquid.token import Token

MAX_TEXT: Final = 1024 * 1024
"""In characters, of a filter's result: no more than a Secret can hold."""

MAX_PARTS: Final = 10_000
"""Of a text that is split."""


class ValueFreeError(FilterArgumentError):
    """Why a template cannot be rendered, in a text that holds nothing of any value."""

    def __init__(self, problem: str, *, token: Token | None = None) -> None:
        super().__init__(problem, token=token)
        self.problem = problem


class Binary:
    """Bytes that are not UTF-8: only `b64encode` accepts them."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __len__(self) -> int:
        return len(self.content)

    def __str__(self) -> str:
        raise ValueFreeError("a value that is not text can only be used with b64encode")


def text_or_binary(content: bytes) -> str | Binary:
    """Return bytes as text if they are UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return Binary(content)


def text_of(value: object) -> str:
    """Return the text of a string, a number or a boolean.

    Raises:
        ValueFreeError: It is something else.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | Binary():
            return str(value)
        case _:
            raise ValueFreeError("text is needed here; this is a list, all entries or nothing")


def _b64encode(value: object) -> str:
    content = value.content if isinstance(value, Binary) else text_of(value).encode()
    return base64.b64encode(content).decode()


def _b64decode(value: object) -> str | Binary:
    text = "".join(text_of(value).split())
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        content = None
    if content is None:
        raise ValueFreeError("the input of b64decode is not base64")
    return text_or_binary(content)


def _url_encode(value: object) -> str:
    """Encode everything except letters, digits and -._~, a space as %20: safe in every part of a URL."""
    return quote(text_of(value), safe="")


def _json_encode(value: object) -> str:
    return json.dumps(_for_json(value), ensure_ascii=False, allow_nan=False)


def _for_json(value: object) -> object:
    match value:
        case Mapping():
            return {name: _for_json(part) for name, part in value.items()}
        case list():
            return [text_of(part) for part in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return text_of(value)


def _default(value: object, fallback: object = "") -> object:
    """Return the fallback for a missing or empty value; the engine passes None for a missing name."""
    return fallback if value is None or value is False or value in ("", []) else value


def _upcase(value: object) -> str:
    return text_of(value).upper()


def _downcase(value: object) -> str:
    return text_of(value).lower()


def _strip(value: object) -> str:
    return text_of(value).strip()


def _append(value: object, ending: object) -> str:
    return text_of(value) + text_of(ending)


def _prepend(value: object, beginning: object) -> str:
    return text_of(beginning) + text_of(value)


def _replace(value: object, old: object, new: object = "") -> str:
    text, before, after = text_of(value), text_of(old), text_of(new)
    if not before:
        raise ValueFreeError("replace needs a text to search for")
    _check_length(len(text) + text.count(before) * (len(after) - len(before)))
    return text.replace(before, after)


def _split(value: object, separator: object) -> list[str]:
    text, between = text_of(value), text_of(separator)
    if not between:
        raise ValueFreeError("split needs a separator")
    if text.count(between) >= MAX_PARTS:
        raise ValueFreeError(f"split may return {MAX_PARTS} parts, and this would be more")
    return text.split(between)


def _join(value: object, separator: object = " ") -> str:
    parts, between = [text_of(part) for part in _list(value)], text_of(separator)
    _check_length(sum(map(len, parts)) + len(parts) * len(between))
    return between.join(parts)


def _first(value: object) -> str:
    return text_of(_list(value)[0])


def _last(value: object) -> str:
    return text_of(_list(value)[-1])


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueFreeError("a list is needed here, as from split")
    return value


def _check_length(length: int) -> None:
    if length > MAX_TEXT:
        raise ValueFreeError(f"a text may have {MAX_TEXT} characters, and this would be more")


FILTERS: Final[Mapping[str, Callable[..., object]]] = {
    "append": _append,
    "b64decode": _b64decode,
    "b64encode": _b64encode,
    "default": _default,
    "downcase": _downcase,
    "first": _first,
    "join": _join,
    "json": _json_encode,
    "last": _last,
    "prepend": _prepend,
    "replace": _replace,
    "split": _split,
    "strip": _strip,
    "upcase": _upcase,
    "url_encode": _url_encode,
}
"""By their names in templates."""
