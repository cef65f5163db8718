"""How much work it would be to open a protected key, told from its DER without opening it; decodes nothing else.

Whoever writes such a file chooses how often a password is hashed before it opens anything, and how long the key is.
Libraries obey, for minutes if told to, and hold up everything else meanwhile. What is encrypted is not seen: a file
made for the purpose can hide its worst there, but no tool writes such files.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_INTEGER: Final = 0x02
_OCTET_STRING: Final = 0x04
_OBJECT_ID: Final = 0x06
_CONSTRUCTED: Final = 0x20
_EXPLICIT: Final = 0xA0
_LONG_TAG: Final = 0x1F
_LONG_LENGTH: Final = 0x80
_MAX_LENGTH_BYTES: Final = 4
_DEEPEST: Final = 64
_SCRYPT_NUMBERS: Final = 3
_PKCS7_DATA: Final = bytes.fromhex("2a864886f70d010701")


@dataclass(frozen=True, slots=True)
class Burden:
    """What opening the file would take."""

    rounds: int
    """How often a password would be hashed, for all parts together."""
    longest_number: int
    """Its length in bytes: a bare RSA key has none longer than its modulus."""
    longest_secret: int
    """The length in bytes of the longest octet string that is no DER: if a key is encrypted, it is one of them."""

    def __add__(self, other: "Burden") -> "Burden":
        return Burden(
            self.rounds + other.rounds,
            max(self.longest_number, other.longest_number),
            max(self.longest_secret, other.longest_secret),
        )


_NONE: Final = Burden(0, 0, 0)


def burden_of(der: bytes) -> Burden:
    """Look through all that is not encrypted, into octet strings too, where PKCS#12 keeps its parts.

    The salt of a key derivation is an octet string, and right after it come its numbers: the rounds in PBKDF2
    (https://www.rfc-editor.org/rfc/rfc8018#appendix-A.2) and in PKCS#12 (https://www.rfc-editor.org/rfc/rfc7292), or
    the three whose product is scrypt's work (https://www.rfc-editor.org/rfc/rfc7914#section-7).

    Raises:
        ValueError: It is no DER.
    """
    return _burden(list(_elements(der)), depth=0)


def _burden(elements: list[tuple[int, bytes]], *, depth: int, certain: bool = False) -> Burden:
    """Add up the elements; `certain` says that an octet string among them must be DER, since PKCS#12 announced it."""
    if depth > _DEEPEST:
        raise ValueError("elements that nest too deeply")
    total = Burden(_rounds(elements), 0, 0)
    announced = certain
    for tag, content in elements:
        total += _weighed(tag, content, depth=depth + 1, certain=announced)
        announced = certain or (tag, content) == (_OBJECT_ID, _PKCS7_DATA)
    return total


def _weighed(tag: int, content: bytes, *, depth: int, certain: bool) -> Burden:
    if tag & _CONSTRUCTED:
        return _burden(list(_elements(content)), depth=depth, certain=certain and tag == _EXPLICIT)
    if tag == _OCTET_STRING:
        try:
            return _burden(list(_elements(content)), depth=depth)
        except ValueError:
            if certain:
                raise
            return Burden(0, 0, len(content))
    return Burden(0, len(content), 0) if tag == _INTEGER else _NONE


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Split bytes into elements, each a tag and its content."""
    at = 0
    while at < len(der):
        tag, length = der[at], int.from_bytes(der[at + 1 : at + 2])
        at += 2
        if length >= _LONG_LENGTH:
            count = length - _LONG_LENGTH
            if not 0 < count <= _MAX_LENGTH_BYTES:
                raise ValueError("a length that DER does not have")
            length = int.from_bytes(der[at : at + count])
            at += count
        if tag & _LONG_TAG == _LONG_TAG or at + length > len(der):
            raise ValueError("an element that does not fit")
        yield tag, der[at : at + length]
        at += length


def _rounds(elements: list[tuple[int, bytes]]) -> int:
    total = 0
    for index, ((tag, _), (following, _)) in enumerate(pairwise(elements), start=1):
        if (tag, following) == (_OCTET_STRING, _INTEGER):
            numbers = _integers(elements[index : index + _SCRYPT_NUMBERS])
            total += math.prod(numbers) if len(numbers) == _SCRYPT_NUMBERS else numbers[0]
    return total


def _integers(elements: list[tuple[int, bytes]]) -> list[int]:
    """Read the numbers that come first."""
    numbers: list[int] = []
    for tag, content in elements:
        if tag != _INTEGER:
            break
        numbers.append(int.from_bytes(content))
    return numbers
