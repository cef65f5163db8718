"""Computes the cost of opening a protected key from its DER, without opening it; decodes nothing else.

The author of such a file chooses how many rounds of key derivation its password goes through, and how long the key is.
Libraries comply, for minutes if the file requires it. Encrypted parts are not visible: a crafted file can hide a high
cost there, which only the limits of the process end.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

MAX_DEPTH: Final = 64
"""Levels of elements; certificates and keys have fewer than 20."""

_INTEGER: Final = 0x02
_OCTET_STRING: Final = 0x04
_OBJECT_ID: Final = 0x06
_CONSTRUCTED: Final = 0x20
_EXPLICIT: Final = 0xA0
_LONG_TAG: Final = 0x1F
_LONG_LENGTH: Final = 0x80
_MAX_LENGTH_BYTES: Final = 4
_SCRYPT_NUMBERS: Final = 3
_PKCS7_DATA: Final = bytes.fromhex("2a864886f70d010701")


class TooDeepError(ValueError):
    """Elements nest deeper than `MAX_DEPTH`."""


@dataclass(frozen=True, slots=True)
class KdfCost:
    """What opening the file would cost."""

    rounds: int
    """Rounds of key derivation, the sum over all parts."""
    longest_number: int
    """In bytes. In a plain RSA key, no number is longer than the modulus."""
    longest_secret: int
    """In bytes: the longest octet string that is not DER. An encrypted key is one of these."""

    def __add__(self, other: "KdfCost") -> "KdfCost":
        return KdfCost(
            self.rounds + other.rounds,
            max(self.longest_number, other.longest_number),
            max(self.longest_secret, other.longest_secret),
        )


_NO_COST: Final = KdfCost(0, 0, 0)


def kdf_cost_of(der: bytes) -> KdfCost:
    """Return the cost of everything that is not encrypted, octet strings included, where PKCS#12 keeps its parts.

    The salt of a key derivation is an octet string, followed by its numbers: the rounds in PBKDF2
    (https://www.rfc-editor.org/rfc/rfc8018#appendix-A.2) and in PKCS#12 (https://www.rfc-editor.org/rfc/rfc7292), or
    the three whose product is scrypt's work (https://www.rfc-editor.org/rfc/rfc7914#section-7).

    Raises:
        TooDeepError: It nests too deeply.
        ValueError: It is not DER.
    """
    return _cost(list(_elements(der)), depth=0)


def check_depth(der: bytes, *, depth: int = 0) -> None:
    """Check how deeply elements nest, before a parser recurses into them; octet strings are not opened.

    Raises:
        TooDeepError: They nest deeper than `MAX_DEPTH`.
        ValueError: It is not DER.
    """
    if depth > MAX_DEPTH:
        raise TooDeepError
    for tag, content in _elements(der):
        if tag & _CONSTRUCTED:
            check_depth(content, depth=depth + 1)


def _cost(elements: list[tuple[int, bytes]], *, depth: int, must_be_der: bool = False) -> KdfCost:
    """Add up the elements; `must_be_der` is for octet strings among them that PKCS#12 announces as data."""
    if depth > MAX_DEPTH:
        raise TooDeepError
    total = KdfCost(_rounds(elements), 0, 0)
    announced = must_be_der
    for tag, content in elements:
        total += _element_cost(tag, content, depth=depth + 1, must_be_der=announced)
        announced = must_be_der or (tag, content) == (_OBJECT_ID, _PKCS7_DATA)
    return total


def _element_cost(tag: int, content: bytes, *, depth: int, must_be_der: bool) -> KdfCost:
    if tag & _CONSTRUCTED:
        return _cost(list(_elements(content)), depth=depth, must_be_der=must_be_der and tag == _EXPLICIT)
    if tag == _OCTET_STRING:
        try:
            return _cost(list(_elements(content)), depth=depth)
        except TooDeepError:
            raise
        except ValueError:
            if must_be_der:
                raise
            return KdfCost(0, 0, len(content))
    return KdfCost(0, len(content), 0) if tag == _INTEGER else _NO_COST


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
            numbers = _leading_integers(elements[index : index + _SCRYPT_NUMBERS])
            total += math.prod(numbers) if len(numbers) == _SCRYPT_NUMBERS else numbers[0]
    return total


def _leading_integers(elements: list[tuple[int, bytes]]) -> list[int]:
    numbers: list[int] = []
    for tag, content in elements:
        if tag != _INTEGER:
            break
        numbers.append(int.from_bytes(content))
    return numbers
