"""The filters that a template may use, each a pure function of texts; whatever is not text is refused, and said so."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from liquid.exceptions import FilterArgumentError
from liquid.token import Token

MAX_TEXT: Final = 1024 * 1024
"""In characters, of what a filter may make: no more than a Secret could hold."""

MAX_PARTS: Final = 10_000
"""Into how many parts a text may be split."""


class Refusal(FilterArgumentError):
    """Why a template cannot go on, in words of ours, which hold nothing of any value."""

    def __init__(self, trouble: str, *, token: Token | None = None) -> None:
        super().__init__(trouble, token=token)
        self.trouble = trouble


class Binary:
    """Bytes that are no text: nothing can be made of them but base64."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __len__(self) -> int:
        return len(self.content)

    def __str__(self) -> str:
        raise Refusal("a value that is not text can only be taken by b64encode")


def text_or_binary(content: bytes) -> str | Binary:
    """Read bytes as UTF-8 where they are."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return Binary(content)


def text_of(value: object) -> str:
    """Give the text of a text, a number or a truth.

    Raises:
        Refusal: It is something else.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | Binary():
            return str(value)
        case _:
            raise Refusal("text is needed here, and this is a list, all entries or nothing")


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
        raise Refusal("b64decode got something that is no base64")
    return text_or_binary(content)


def _url_encode(value: object) -> str:
    """Encode all but letters, digits and -._~, a space as %20: right in every part of a URL."""
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
    """Take another value where there is none, or an empty one; the engine lets a missing name come here as None."""
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
    text, sought, other = text_of(value), text_of(old), text_of(new)
    if not sought:
        raise Refusal("replace needs a text to look for")
    _refuse_long(len(text) + text.count(sought) * (len(other) - len(sought)))
    return text.replace(sought, other)


def _split(value: object, separator: object) -> list[str]:
    text, between = text_of(value), text_of(separator)
    if not between:
        raise Refusal("split needs a separator")
    if text.count(between) >= MAX_PARTS:
        raise Refusal(f"split may make {MAX_PARTS} parts, and would make more")
    return text.split(between)


def _join(value: object, separator: object = " ") -> str:
    parts, between = [text_of(part) for part in _list(value)], text_of(separator)
    _refuse_long(sum(map(len, parts)) + len(parts) * len(between))
    return between.join(parts)


def _first(value: object) -> str:
    return text_of(_list(value)[0])


def _last(value: object) -> str:
    return text_of(_list(value)[-1])


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise Refusal("a list is needed here, as split makes it")
    return value


def _refuse_long(length: int) -> None:
    if length > MAX_TEXT:
        raise Refusal(f"a text may have {MAX_TEXT} characters, and this one would have more")


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
"""By the name that a template uses."""
