"""Values are decoded as an entry, or a tag of the Azure CLI, says; no error holds anything of the value."""

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK, attempt, visible_text
from vaultsync.api.v1alpha1 import Encoding
from vaultsync.errors import Reason, SyncError
from vaultsync.render.encodings import as_text, decoded, decoded_by_tag, tagged_encoding

ORIGIN = "Secret file of vault v"


@pytest.mark.parametrize(
    ("encoding", "text", "content"),
    [
        (Encoding.UTF8, "aGk=", b"aGk="),
        (Encoding.UTF8, "grüß\n", "grüß\n".encode()),
        (Encoding.BASE64, "aGk=", b"hi"),
        (Encoding.BASE64, " aG\r\nk=\n", b"hi"),
        (Encoding.HEX, "00fF", b"\x00\xff"),
        (Encoding.HEX, "00 ff\n", b"\x00\xff"),
        (Encoding.BASE64, "", b""),
    ],
)
def test_a_text_is_decoded(encoding: Encoding, text: str, content: bytes) -> None:
    assert decoded(text, encoding, origin=ORIGIN) == content


@pytest.mark.parametrize(
    ("tags", "encoding"),
    [
        ({}, Encoding.UTF8),
        ({"file-encoding": "base64"}, Encoding.BASE64),
        ({"file-encoding": "hex"}, Encoding.HEX),
        ({"file-encoding": " BASE64"}, Encoding.BASE64),
        ({"file-encoding": "utf-8"}, Encoding.UTF8),
        ({"file-encoding": "utf-16le"}, Encoding.UTF8),
        ({"file-encoding": "ascii"}, Encoding.UTF8),
        ({"file-encoding": "rot13"}, Encoding.UTF8),
        ({"encoding": "base64"}, Encoding.UTF8),
    ],
    ids=str,
)
def test_a_tag_of_the_azure_cli_names_an_encoding(tags: dict[str, str], encoding: Encoding) -> None:
    assert tagged_encoding(tags) is encoding


@given(content=st.binary())
def test_a_file_is_what_it_was_before_the_azure_cli_encoded_it(content: bytes) -> None:
    """By base64 in lines of 76 characters, or by hex."""
    by_base64 = decoded_by_tag(base64.encodebytes(content).decode(), {"file-encoding": "base64"}, origin=ORIGIN)
    by_hex = decoded_by_tag(binascii.b2a_hex(content).decode(), {"file-encoding": "hex"}, origin=ORIGIN)

    assert (by_base64, by_hex) == (content, content)


@given(text=st.text(st.characters(codec="utf-8")), encoding=st.sampled_from(["utf-8", "utf-16be", "ascii", ""]))
def test_a_text_file_is_its_text(text: str, encoding: str) -> None:
    assert decoded_by_tag(text, {"file-encoding": encoding}, origin=ORIGIN).decode() == text


def test_base64_means_the_same_on_each_version_of_python() -> None:
    error = attempt(lambda: decoded("aGkh=", Encoding.BASE64, origin=ORIGIN))

    assert isinstance(error, SyncError)
    assert error.reason is Reason.ENCODING_INVALID


@pytest.mark.parametrize("encoding", ["Base64", "Hex"])
def test_a_text_that_is_not_encoded_is_an_error_that_says_why(encoding: str) -> None:
    text = f"{MARK}!"
    errors = [
        attempt(lambda: decoded(text, Encoding(encoding), origin=ORIGIN)),
        attempt(lambda: decoded_by_tag(text, {"file-encoding": encoding.lower()}, origin=ORIGIN)),
        attempt(lambda: as_text(b"\xff" + MARK.encode(), origin=ORIGIN)),
    ]

    messages = [error.message for error in errors if isinstance(error, SyncError)]

    assert f"is not valid {encoding.lower()}, but its entry has encoding: {encoding}" in messages[0]
    assert f"is not valid {encoding.lower()}, but its tag file-encoding is {encoding.lower()}" in messages[1]
    assert "is not text once it is decoded" in messages[2]
    assert {error.reason for error in errors if isinstance(error, SyncError)} == {Reason.ENCODING_INVALID}
    assert MARK not in "".join(visible_text(error) for error in errors if isinstance(error, SyncError))
