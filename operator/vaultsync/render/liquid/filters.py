"""The filters that a template may use, each a pure function of texts; they refuse what is not text.

Those of standard Liquid do what its reference says: https://shopify.github.io/liquid. Their differences, and those that
are left out, are in docs/templates.md.
"""

import html
from collections.abc import Callable, Mapping
from typing import Final

from vaultsync.render.liquid.dates import date
from vaultsync.render.liquid.encodings import (
    b64decode,
    b64encode,
    json_encode,
    sha256,
    url_decode,
    url_encode,
    yaml_encode,
)
from vaultsync.render.liquid.htpasswd import htpasswd
from vaultsync.render.liquid.pem import pem_certificate, pem_chain, pem_private_key
from vaultsync.render.liquid.values import (
    MAX_PARTS,
    ValueFreeError,
    check_length,
    list_of,
    text_of,
    whole_number,
)

MAX_INDENT: Final = 64
"""Spaces before each line."""

_LINE_END: Final = "\n"


def _default(value: object, fallback: object = "", *, allow_false: object = False) -> object:
    """Return the fallback for a missing or empty value; the engine passes None for a missing name."""
    if value is False and allow_false is True:
        return value
    return fallback if value is None or value is False or value in ("", [], {}) else value


def _append(value: object, ending: object) -> str:
    return text_of(value) + text_of(ending)


def _prepend(value: object, beginning: object) -> str:
    return text_of(beginning) + text_of(value)


def _upcase(value: object) -> str:
    return text_of(value).upper()


def _downcase(value: object) -> str:
    return text_of(value).lower()


def _capitalize(value: object) -> str:
    return text_of(value).capitalize()


def _strip(value: object) -> str:
    return text_of(value).strip()


def _lstrip(value: object) -> str:
    return text_of(value).lstrip()


def _rstrip(value: object) -> str:
    return text_of(value).rstrip()


def _strip_newlines(value: object) -> str:
    return text_of(value).replace("\r\n", "").replace(_LINE_END, "")


def _indent(value: object, spaces: object) -> str:
    """Indent each line that is not empty, the first one too."""
    text, count = text_of(value), whole_number(spaces)
    if not 0 <= count <= MAX_INDENT:
        raise ValueFreeError(f"indent accepts 0 to {MAX_INDENT} spaces")
    check_length(len(text) + (text.count(_LINE_END) + 1) * count)
    return _LINE_END.join(" " * count + line if line else line for line in text.split(_LINE_END))


def _escape(value: object) -> str:
    text = html.escape(text_of(value)).replace("&#x27;", "&#39;")
    check_length(len(text))
    return text


def _truncate(value: object, length: object = 50, ending: object = "...") -> str:
    text, most, end = text_of(value), whole_number(length), text_of(ending)
    return text if len(text) <= most else text[: max(most - len(end), 0)] + end


def _replace(value: object, old: object, new: object = "") -> str:
    text, before, after = text_of(value), text_of(old), text_of(new)
    check_length(len(text) + text.count(before) * (len(after) - len(before)))
    return text.replace(before, after)


def _replace_first(value: object, old: object, new: object = "") -> str:
    return text_of(value).replace(text_of(old), text_of(new), 1)


def _replace_last(value: object, old: object, new: object = "") -> str:
    text, before, after = text_of(value), text_of(old), text_of(new)
    at = text.rfind(before)
    return text if at == -1 else text[:at] + after + text[at + len(before) :]


def _remove(value: object, part: object) -> str:
    return _replace(value, part)


def _remove_first(value: object, part: object) -> str:
    return _replace_first(value, part)


def _remove_last(value: object, part: object) -> str:
    return _replace_last(value, part)


def _slice(value: object, start: object, length: object = 1) -> object:
    """Return some characters or items; a negative start counts from the end."""
    whole: str | list[object] = value if isinstance(value, list) else text_of(value)
    begin, count = whole_number(start), whole_number(length)
    begin += len(whole) if begin < 0 else 0
    return whole[begin : begin + count] if begin >= 0 and count > 0 else whole[:0]


def _size(value: object) -> int:
    return len(value) if isinstance(value, list | Mapping) else len(text_of(value))


def _split(value: object, separator: object) -> list[str]:
    """Split a text as the reference does: without empty parts at its end; a space stands for any white space."""
    text, between = text_of(value), text_of(separator)
    count = len(text) if not between else text.count(between) + 1
    if count > MAX_PARTS:
        raise ValueFreeError(f"split may return {MAX_PARTS} parts, and this would be more")
    if not between:
        return list(text)
    parts = text.split(None if between == " " else between)
    while parts and not parts[-1]:
        parts.pop()
    return parts


def _join(value: object, separator: object = " ") -> str:
    parts = [text_of(part) for part in value] if isinstance(value, list) else [text_of(value)]
    between = text_of(separator)
    check_length(sum(map(len, parts)) + len(parts) * len(between))
    return between.join(parts)


def _first(value: object) -> object:
    return next(iter(list_of(value)), None)


def _last(value: object) -> object:
    return next(reversed(list_of(value)), None)


def _reverse(value: object) -> list[object]:
    return list_of(value)[::-1]


def _sort(value: object) -> list[object]:
    return sorted(list_of(value), key=text_of)


def _sort_natural(value: object) -> list[object]:
    return sorted(list_of(value), key=lambda part: text_of(part).casefold())


def _uniq(value: object) -> list[object]:
    return list(dict.fromkeys(map(text_of, list_of(value))))


def _concat(value: object, more: object) -> list[object]:
    both = list_of(value) + list_of(more)
    if len(both) > MAX_PARTS:
        raise ValueFreeError(f"concat may return {MAX_PARTS} parts, and this would be more")
    return both


def _plus(value: object, other: object) -> int:
    return whole_number(whole_number(value) + whole_number(other))


def _minus(value: object, other: object) -> int:
    return whole_number(whole_number(value) - whole_number(other))


def _times(value: object, other: object) -> int:
    return whole_number(whole_number(value) * whole_number(other))


def _divided_by(value: object, other: object) -> int:
    return whole_number(value) // _divisor(other)


def _modulo(value: object, other: object) -> int:
    return whole_number(value) % _divisor(other)


def _divisor(value: object) -> int:
    number = whole_number(value)
    if number == 0:
        raise ValueFreeError("a number cannot be divided by 0")
    return number


def _abs(value: object) -> int:
    return abs(whole_number(value))


def _at_least(value: object, least: object) -> int:
    return max(whole_number(value), whole_number(least))


def _at_most(value: object, most: object) -> int:
    return min(whole_number(value), whole_number(most))


FILTERS: Final[Mapping[str, Callable[..., object]]] = {
    "abs": _abs,
    "append": _append,
    "at_least": _at_least,
    "at_most": _at_most,
    "b64decode": b64decode,
    "b64encode": b64encode,
    "capitalize": _capitalize,
    "concat": _concat,
    "date": date,
    "default": _default,
    "divided_by": _divided_by,
    "downcase": _downcase,
    "escape": _escape,
    "first": _first,
    "htpasswd": htpasswd,
    "indent": _indent,
    "join": _join,
    "json": json_encode,
    "last": _last,
    "lstrip": _lstrip,
    "minus": _minus,
    "modulo": _modulo,
    "pem_certificate": pem_certificate,
    "pem_chain": pem_chain,
    "pem_private_key": pem_private_key,
    "plus": _plus,
    "prepend": _prepend,
    "remove": _remove,
    "remove_first": _remove_first,
    "remove_last": _remove_last,
    "replace": _replace,
    "replace_first": _replace_first,
    "replace_last": _replace_last,
    "reverse": _reverse,
    "rstrip": _rstrip,
    "sha256": sha256,
    "size": _size,
    "slice": _slice,
    "sort": _sort,
    "sort_natural": _sort_natural,
    "split": _split,
    "strip": _strip,
    "strip_newlines": _strip_newlines,
    "times": _times,
    "trim": _strip,
    "truncate": _truncate,
    "uniq": _uniq,
    "upcase": _upcase,
    "url_decode": url_decode,
    "url_encode": url_encode,
    "yaml": yaml_encode,
}
"""By their names in templates."""

BINARY_FILTERS: Final = frozenset({"b64encode", "default", "sha256"})
"""Those that accept a value that is not text."""

OTHER_NAMES: Final[Mapping[str, str]] = {
    "b64enc": "b64encode",
    "b64dec": "b64decode",
    "base64_encode": "b64encode",
    "base64_decode": "b64decode",
    "lower": "downcase",
    "nindent": "indent",
    "quote": "json",
    "sha256sum": "sha256",
    "toJson": "json",
    "toYaml": "yaml",
    "tojson": "json",
    "upper": "upcase",
    "urlquery": "url_encode",
}
"""What filters are called in other languages of templates."""
