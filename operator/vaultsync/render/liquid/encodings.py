"""The filters that encode: base64, JSON, YAML, URLs, and a hash."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from vaultsync.render.liquid.values import (
    Binary,
    ValueFreeError,
    bytes_of,
    check_length,
    text_of,
    text_or_binary,
)
from vaultsync.render.strict_base64 import decode_base64

_UNPRINTABLE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON allows in a string and some reader of YAML does not: https://yaml.org/spec/1.2.2/#51-character-set"""


def b64encode(value: object) -> str:
    """Encode a value, which need not be text, as base64 in one line."""
    return base64.b64encode(bytes_of(value)).decode()


def b64decode(value: object) -> str | Binary:
    """Decode base64, whatever white space it has."""
    text = text_of(value)
    try:
        content = decode_base64(text)
    except ValueError:
        content = None
    if content is None:
        raise ValueFreeError("the input of b64decode is not base64")
    return text_or_binary(content)


def url_encode(value: object) -> str:
    """Encode everything except letters, digits and -._~, a space as %20: safe in every part of a URL."""
    return quote(text_of(value), safe="")


def url_decode(value: object) -> str | Binary:
    """Decode percent-encoded text, in which + is a space."""
    return text_or_binary(unquote_to_bytes(text_of(value).replace("+", " ")))


def sha256(value: object) -> str:
    """Return the SHA-256 hash in hexadecimal digits."""
    return hashlib.sha256(bytes_of(value)).hexdigest()


def json_encode(value: object) -> str:
    """Return the value as JSON."""
    return json.dumps(_for_json(value), ensure_ascii=False, allow_nan=False)


def _for_json(value: object) -> object:
    match value:
        case Mapping():
            return {name: _for_json(part) for name, part in value.items()}
        case list():
            return [_plain(part) for part in value]
        case _:
            return _plain(value)


def _plain(value: object) -> object:
    """Return what JSON and YAML write without quotes as it is, and a text for anything else."""
    return value if isinstance(value, bool | int | float | None) else text_of(value)


def yaml_encode(value: object) -> str:
    """Return the value as YAML: a scalar, or a line for each part.

    Texts are quoted, so that each is read as the text that it is: none becomes a number, a date, a boolean or null, and
    line ends and white space stay.
    """
    match value:
        case Mapping():
            lines = [f"{_scalar(name)}: {_scalar(part)}" for name, part in value.items()]
            text = "\n".join(lines) or "{}"
        case list():
            text = "\n".join(f"- {_scalar(part)}" for part in value) or "[]"
        case _:
            text = _scalar(value)
    check_length(len(text))
    return text


def _scalar(value: object) -> str:
    """Return YAML that is JSON too, and has only what all readers allow."""
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
