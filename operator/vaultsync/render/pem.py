"""Splits PEM text into its blocks, as leniently as is safe, and writes blocks as every reader accepts them.

Readers differ: Go finds no block after a byte order mark or an indentation, OpenSSL refuses long lines, OpenSSH
requires the last line end. What is between the lines of dashes is base64, so line ends and indentation mean nothing,
and a block that has lost them is still the same block. https://www.rfc-editor.org/rfc/rfc7468#section-3
"""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from vaultsync.render.kdf_cost import MAX_DEPTH, TooDeepError, check_depth
from vaultsync.render.strict_base64 import decode_base64

BEGIN: Final = b"-----BEGIN "
_END: Final = b"-----END "
_DASHES: Final = b"-----"
_LINE: Final = 64
"""Characters of base64 in a line: https://www.rfc-editor.org/rfc/rfc7468#section-2."""

_OPENSSH_LINE: Final = 70
"""As ssh-keygen writes it."""

_CERTIFICATE: Final = b"CERTIFICATE"
_SYNONYMS: Final = {b"X509 CERTIFICATE": _CERTIFICATE}
"""Labels that OpenSSL reads and Go does not."""

CERTIFICATE_MARKS: Final = tuple(BEGIN + label + _DASHES for label in (_CERTIFICATE, *_SYNONYMS))
"""How a certificate in PEM begins."""

_ENCRYPTED: Final = b"ENCRYPTED PRIVATE KEY"
_KEY: Final = b"PRIVATE KEY"
_PKCS8: Final = frozenset({_KEY, _ENCRYPTED})
_OLD_ENCRYPTED: Final = b"Proc-Type: 4,ENCRYPTED"
_OPENSSH: Final = b"OPENSSH PRIVATE KEY"
_IN_HEADERS: Final = b":"

_STRICT: Final = re.compile(
    rb"^-----BEGIN ([^\n:]*?)-----\n(?:Proc-Type: 4,ENCRYPTED\nDEK-Info: [\w,-]+\n\n)?"
    rb"(?:[A-Za-z0-9+/=]{1,76}\n)+-----END \1-----\n",
    re.MULTILINE,
)
"""A block that every reader accepts. OpenSSL allows no other headers than these. Its time is linear."""


class KeyDataError(Exception):
    """What is wrong with keys or certificates: the text continues a sentence that names them, and holds no value."""


@dataclass(frozen=True, slots=True)
class PemBlock:
    """One `-----BEGIN … -----END …` of a PEM text; `repr` hides the text."""

    label: bytes
    text: bytes = field(repr=False)

    @property
    def der(self) -> bytes:
        """The bytes between the lines of dashes, without headers; ValueError if they are not base64."""
        _, body = self._parts()
        return decode_base64(b"".join(body))

    @property
    def canonical(self) -> bytes:
        """The block as every reader accepts it; ValueError if it is not base64.

        It has nothing but `der`, since two parsers that read the same text may decode different parts of it. Headers
        are left out unless they say how the key is encrypted.
        """
        headers, _ = self._parts()
        kept = b"".join(line.strip() + b"\n" for line in (*headers, b"")) if self.is_old_encrypted else b""
        text, width = base64.b64encode(self.der), _OPENSSH_LINE if self.is_openssh else _LINE
        lines = b"".join(text[at : at + width] + b"\n" for at in range(0, len(text), width))
        dashed = self.label + _DASHES + b"\n"
        return BEGIN + dashed + kept + lines + _END + dashed

    @property
    def is_certificate(self) -> bool:
        """Whether it is labelled as a certificate."""
        return self.label == _CERTIFICATE

    @property
    def is_private_key(self) -> bool:
        """Whether it is labelled as a private key, by the rule of Go's crypto/tls."""
        return self.label == _KEY or self.label.endswith(b" " + _KEY)

    @property
    def is_encrypted_pkcs8(self) -> bool:
        """Whether it is PKCS#8 that a password encrypts."""
        return self.label == _ENCRYPTED

    @property
    def is_openssh(self) -> bool:
        """Whether it is in the format of OpenSSH, which is not DER."""
        return self.label == _OPENSSH

    @property
    def is_old_encrypted(self) -> bool:
        """Whether it is encrypted as openssl did before PKCS#8, by one round: its DER is not visible."""
        return self.is_private_key and self.label not in _PKCS8 and _OLD_ENCRYPTED in self.text

    @property
    def is_protected(self) -> bool:
        """Whether a password encrypts it, as far as is visible from outside."""
        return self.is_encrypted_pkcs8 or self.is_old_encrypted

    @property
    def has_visible_der(self) -> bool:
        """Whether its bytes are DER."""
        return not (self.is_openssh or self.is_old_encrypted)

    def _parts(self) -> tuple[list[bytes], list[bytes]]:
        """Return the lines of headers, which end with an empty line, if there are any, and the lines after them."""
        first = self.text.find(_DASHES, len(BEGIN)) + len(_DASHES)
        lines = self.text[first : self.text.rfind(_END)].strip().splitlines()
        if not lines or _IN_HEADERS not in lines[0]:
            return [], lines
        end = next((number for number, line in enumerate(lines) if not line.strip()), len(lines))
        return lines[:end], lines[end:]

    def check_depth(self, kind: str) -> None:
        """Check how deeply its DER nests, where it is visible and the format is DER; `kind` is for the message.

        Raises:
            KeyDataError: It nests too deeply, or is not DER.
        """
        if not self.has_visible_der:
            return
        try:
            check_depth(self.der)
        except TooDeepError:
            problem = too_deep(kind)
        except ValueError:
            problem = f"holds a {kind} that cannot be read"
        else:
            return
        # Not inside the handlers: the decoder's error would be the context, and it may hold the value.
        raise KeyDataError(problem)


def too_deep(kind: str) -> str:
    """Return the problem with ASN.1 that nests too deeply."""
    return f"holds a {kind} whose ASN.1 nests deeper than {MAX_DEPTH} levels; export it again, for example with openssl"


def pem_blocks(pem: bytes) -> tuple[PemBlock, ...]:
    r"""Return the blocks of a PEM text in their order; text between them is ignored.

    Line ends that were written as the two characters `\n`, as in JSON, are read as such.

    Raises:
        KeyDataError: A block does not end.
    """
    return tuple(_blocks(pem))


def _blocks(pem: bytes) -> Iterator[PemBlock]:
    at = pem.find(BEGIN)
    while at != -1:
        label = pem[at + len(BEGIN) : pem.find(_DASHES, at + len(BEGIN))]
        ending = _END + label + _DASHES
        end = pem.find(ending, at)
        if end == -1:
            raise KeyDataError("holds a PEM block that does not end")
        text = pem[at : end + len(ending)].replace(rb"\r", b"").replace(rb"\n", b"\n")
        yield PemBlock(_SYNONYMS.get(label, label), text)
        at = pem.find(BEGIN, end)


def is_readable_by_all(pem: bytes, blocks: Sequence[PemBlock]) -> bool:
    """Return whether every reader finds the same blocks in a text."""
    strict = [(found[1], found[0]) for found in _STRICT.finditer(pem)]
    return strict == [(block.label, block.text + b"\n") for block in blocks] and all(map(_is_base64, blocks))


def _is_base64(block: PemBlock) -> bool:
    try:
        return bool(block.der)
    except ValueError:
        return False
