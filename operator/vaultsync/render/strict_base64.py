"""Decodes base64 as Go, OpenSSL and Python since 3.13 do: older versions ignore padding after complete groups."""

import base64
import re
from typing import Final

_BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def decode_base64(text: bytes) -> bytes:
    """Decode base64 in which whitespace means nothing; ValueError if it is not base64."""
    text = b"".join(text.split())
    if not _BASE64.fullmatch(text):
        raise ValueError("not base64")
    return base64.b64decode(text)
