"""Base64 is decoded alike by each version of Python."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.render.strict_base64 import decode_base64


@given(content=st.binary())
def test_what_is_encoded_is_decoded_with_and_without_lines(content: bytes) -> None:
    assert decode_base64(base64.b64encode(content)) == content
    assert decode_base64(base64.encodebytes(content)) == content
    assert decode_base64(base64.encodebytes(content).decode()) == content


@pytest.mark.parametrize(
    "text", [b"A", b"AA=", b"AAAA=", b"AAAA====", b"AA=A", b"AAA*", b"====", b"AA--", "AAAA=", "\udfff"]
)
def test_anything_else_is_an_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="not base64"):
        decode_base64(text)
