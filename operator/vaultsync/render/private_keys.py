"""Certificates and private keys out of PEM text and PKCS#12 files; says what is wrong, and puts nothing in order."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from vaultsync.render.kdf_cost import Burden, burden_of

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey

MAX_ROUNDS: Final = 3_000_000
"""Half a second of hashing; what today's tools write asks for less than a hundredth of that."""

MAX_RSA: Final = 4096
"""In bits: the longest that Key Vault makes. To check one of 8192 bits would hold up everything for ten seconds.

https://learn.microsoft.com/azure/key-vault/keys/about-keys-details
"""

_MAX_MODULUS: Final = MAX_RSA // 8 + 1
_MAX_ENCRYPTED: Final = 2560
"""In bytes: an RSA key of 4096 bits as PKCS#8 has 2,380, and its encryption may add a block."""

_BEGIN: Final = b"-----BEGIN "
_DASHES: Final = b"-----"
_CERTIFICATES: Final = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE"})
_ENCRYPTED: Final = b"ENCRYPTED PRIVATE KEY"
_OLD_ENCRYPTED: Final = b"Proc-Type: 4,ENCRYPTED"


class Unusable(Exception):
    """What is wrong with a content: the text continues a sentence that names it, and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Block:
    """One `-----BEGIN … -----END …` of a PEM text."""

    label: bytes
    text: bytes

    @property
    def body(self) -> bytes:
        """The bytes that it carries; ValueError if they are not well written."""
        lines = self.text.splitlines()[1:-1]
        return base64.b64decode(b"".join(lines))


def blocks_of(pem: bytes) -> tuple[Block, ...]:
    """Find the blocks of a PEM text; what stands between them says nothing.

    Raises:
        Unusable: One does not end.
    """
    return tuple(_blocks(pem))


def _blocks(pem: bytes) -> Iterator[Block]:
    at = pem.find(_BEGIN)
    while at != -1:
        label = pem[at + len(_BEGIN) : pem.find(_DASHES, at + len(_BEGIN))]
        ending = b"-----END " + label + _DASHES
        end = pem.find(ending, at)
        if end == -1:
            raise Unusable("holds a PEM block that does not end")
        yield Block(label, pem[at : end + len(ending)])
        at = pem.find(_BEGIN, end)


def certificates_in(blocks: Iterable[Block]) -> list[x509.Certificate]:
    """Read the certificates, in their order.

    Raises:
        Unusable: One cannot be read.
    """
    return [_certificate(block) for block in blocks if block.label in _CERTIFICATES]


def _certificate(block: Block) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(block.text)
    except ValueError:
        pass
    raise Unusable("holds a certificate that cannot be read")


def private_key_in(blocks: Iterable[Block], password: bytes | None = None) -> PrivateKey:
    """Read the one private key, without a check of an RSA key's numbers; a password that it does not need is ignored.

    Raises:
        Unusable: There is none, or more than one, or it cannot be read.
    """
    keys = [block for block in blocks if block.label.endswith(b"PRIVATE KEY")]
    if len(keys) != 1:
        raise Unusable(f"holds {len(keys)} private keys instead of one" if keys else "holds no private key")
    (block,) = keys
    is_protected = block.label == _ENCRYPTED or _OLD_ENCRYPTED in block.text
    if is_protected and password is None:
        raise Unusable("holds a private key that is protected by a password, and none is given")
    try:
        if block.label == _ENCRYPTED:
            _refuse_toil(burden_of(block.body))
        key = load_pem_private_key(block.text, password if is_protected else None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if key is None:
        wrong = ", or the password does not open it" if is_protected else ""
        raise Unusable(f"holds a private key that cannot be read{wrong}")
    return _of_a_known_kind(key)


def checked(key: PrivateKey) -> PrivateKey:
    """Check the numbers of an RSA key, which takes up to half a second; other keys were checked as they were read.

    Raises:
        Unusable: They do not fit together, or it is too long.
    """
    if not isinstance(key, RSAPrivateKey):
        return key
    if key.key_size > MAX_RSA:
        raise Unusable(f"holds an RSA key of {key.key_size} bits; the longest allowed is {MAX_RSA}")
    try:
        return key.private_numbers().private_key()
    except ValueError:
        pass
    raise Unusable("holds an RSA key whose numbers do not fit together")


def open_pkcs12(der: bytes, password: bytes | None) -> tuple[PrivateKey, list[x509.Certificate]]:
    """Read the private key, checked, and all certificates of a PKCS#12 file, also known as PFX.

    Raises:
        Unusable: It has no private key, or cannot be read.
    """
    try:
        burden = burden_of(der)
    except ValueError:
        burden = None
    if burden is None:
        raise Unusable("is no PKCS#12 file, or one in BER instead of DER")
    _refuse_toil(burden)
    try:
        store = load_pkcs12(der, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        store = None
    if store is None:
        given = "the password given does not open it" if password is not None else "it needs a password"
        raise Unusable(f"cannot be opened as PKCS#12: {given}, or it is damaged")
    if store.key is None:
        raise Unusable("holds no private key")
    found = [store.cert] if store.cert is not None else []
    return _of_a_known_kind(store.key), [latched.certificate for latched in (*found, *store.additional_certs)]


def _refuse_toil(burden: Burden) -> None:
    if burden.rounds > MAX_ROUNDS:
        raise Unusable(f"asks for {burden.rounds} rounds of hashing to be opened; {MAX_ROUNDS} are allowed")
    if burden.longest_number > _MAX_MODULUS or burden.longest_secret > _MAX_ENCRYPTED:
        raise Unusable(f"holds a key that is too long; for RSA, {MAX_RSA} bits are the most")


def _of_a_known_kind(key: object) -> PrivateKey:
    if isinstance(key, PrivateKey):
        return key
    raise Unusable("holds a private key of a kind that TLS does not use; RSA, EC and Ed25519 are fine")


def belong_together(key: PrivateKey, certificate: x509.Certificate) -> bool:
    """Tell whether the certificate is about this very key."""
    try:
        return key.public_key() == certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
