"""Decodes base64 as Go, OpenSSL and Python since 3.13 do: older versions ignore padding after complete groups."""

import base64
import re
from typing import Final

_BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def decode_base64(text: str | bytes) -> bytes:
    """Decode base64 in which whitespace means nothing; ValueError if it is not base64."""
    encoded = "".join(text.split()).encode(errors="replace") if isinstance(text, str) else b"".join(text.split())
    if not _BASE64.fullmatch(encoded):
        raise ValueError("not base64")
    return base64.b64decode(encoded)
