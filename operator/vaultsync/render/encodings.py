"""Decodes values as their entry says, or as the tag file-encoding of the secret does; finds no part of them.

`az keyvault secret set --file` encodes a file, and sets the tag to how: to base64 or hex, or to the encoding of a text,
which the vault has as text. https://learn.microsoft.com/cli/azure/keyvault/secret#az-keyvault-secret-set
"""

from collections.abc import Callable, Mapping
from typing import Final

from vaultsync.api.v1alpha1 import Encoding
from vaultsync.errors import Reason, SyncError
from vaultsync.render.strict_base64 import decode_base64

TAG: Final = "file-encoding"

_TAGGED: Final = {"base64": Encoding.BASE64, "hex": Encoding.HEX}

_DECODERS: Final[Mapping[Encoding, Callable[[str], bytes]]] = {
    Encoding.UTF8: str.encode,
    Encoding.BASE64: decode_base64,
    Encoding.HEX: bytes.fromhex,
}


def tagged_encoding(tags: Mapping[str, str]) -> Encoding:
    """Return the encoding of a value by the secret's tags; Utf8 if they name none that needs decoding."""
    return _TAGGED.get(tags.get(TAG, "").strip().lower(), Encoding.UTF8)


def decoded(text: str, encoding: Encoding, *, origin: str) -> bytes:
    """Return the bytes of a text whose entry has this encoding.

    Raises:
        SyncError: EncodingInvalid.
    """
    name = encoding.value.lower()
    remedy = f"its entry has encoding: {encoding.value}; store {name} in the vault, or set encoding: Utf8."
    return _decoded(text, encoding, origin, remedy)


def decoded_by_tag(text: str, tags: Mapping[str, str], *, origin: str) -> bytes:
    """Return the bytes of a text as the secret's tags say that it is encoded.

    Raises:
        SyncError: EncodingInvalid.
    """
    encoding = tagged_encoding(tags)
    remedy = f"its tag {TAG} is {encoding.value.lower()}; set the file again in the vault, or set encoding: Utf8."
    return _decoded(text, encoding, origin, remedy)


def as_text(content: bytes, *, origin: str) -> str:
    """Return the text that a decoded value is.

    Raises:
        SyncError: EncodingInvalid, if it is not UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError:
        pass
    # Not inside the handler: the codec's error would be the context, and it holds the content.
    raise SyncError(Reason.ENCODING_INVALID, f"{origin} is not text once it is decoded, so it has no parts.")


def _decoded(text: str, encoding: Encoding, origin: str, remedy: str) -> bytes:
    try:
        return _DECODERS[encoding](text)
    except ValueError:
        pass
    # Not inside the handler: the decoder's error would be the context, and it may hold the text.
    name = encoding.value.lower()
    raise SyncError(Reason.ENCODING_INVALID, f"{origin} is not valid {name}, but {remedy}")
