"""Key material that is work, as an attacker crafts it: no tool writes any of it."""

import base64
import os
from datetime import UTC, datetime
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.unit.vaultsync.render.authorities import key_in_pem

PASSWORD: Final = "0pen"

_NULL: Final = b"\x05\x00"
_AES_256_CBC: Final = "2.16.840.1.101.3.4.1.42"
_DATA: Final = "1.2.840.113549.1.7.1"
_DSA: Final = "1.2.840.10040.4.1"
_EC: Final = "1.2.840.10045.2.1"
_ENCRYPTED_DATA: Final = "1.2.840.113549.1.7.6"
_HMAC_SHA256: Final = "1.2.840.113549.2.9"
_PBES2: Final = "1.2.840.113549.1.5.13"
_PBKDF2: Final = "1.2.840.113549.1.5.12"
_PRIME_FIELD: Final = "1.2.840.10045.1.1"
_SAFE_CONTENTS_BAG: Final = "1.2.840.113549.1.12.10.1.6"
_SCRYPT: Final = "1.3.6.1.4.1.11591.4.11"
_SHROUDED_KEY_BAG: Final = "1.2.840.113549.1.12.10.1.2"


def element(tag: int, *parts: bytes) -> bytes:
    """One DER element, with a minimal length."""
    content = b"".join(parts)
    size = len(content).to_bytes(max(1, (len(content).bit_length() + 7) // 8))
    return bytes([tag]) + (size if len(content) < 0x80 else bytes([0x80 | len(size)]) + size) + content


def sequence(*parts: bytes) -> bytes:
    return element(0x30, *parts)


def octets(*parts: bytes) -> bytes:
    return element(0x04, *parts)


def number(value: int) -> bytes:
    return element(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    encoded = bytearray()
    for part in (40 * first + second, *rest):
        groups = [part & 0x7F]
        while part := part >> 7:
            groups.append(part & 0x7F | 0x80)
        encoded += bytes(reversed(groups))
    return element(0x06, bytes(encoded))


def pem(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n"


def _pbes2(kdf: bytes, iv: bytes) -> bytes:
    return sequence(oid(_PBES2), sequence(kdf, sequence(oid(_AES_256_CBC), octets(iv))))


def _pbkdf2(salt: bytes, rounds: int) -> bytes:
    return sequence(oid(_PBKDF2), sequence(octets(salt), number(rounds), sequence(oid(_HMAC_SHA256), _NULL)))


def slow_key(rounds: int) -> bytes:
    """A protected key in PKCS#8 that takes so many rounds before anybody can tell that its content is noise."""
    return sequence(_pbes2(_pbkdf2(os.urandom(8), rounds), os.urandom(16)), octets(os.urandom(48)))


def scrypt_key(*, cost: int, block: int) -> bytes:
    """A protected key whose scrypt takes 128 bytes of memory for each unit of cost and block."""
    kdf = sequence(oid(_SCRYPT), sequence(octets(os.urandom(8)), number(cost), number(block), number(1)))
    return sequence(_pbes2(kdf, os.urandom(16)), octets(os.urandom(48)))


def _encrypted(content: bytes) -> bytes:
    """The content of a PKCS#12 file's part that `PASSWORD` encrypts, with one round."""
    salt, iv = os.urandom(8), os.urandom(16)
    key = PBKDF2HMAC(SHA256(), 32, salt, 1).derive(PASSWORD.encode())
    padder, encryptor = PKCS7(128).padder(), Cipher(AES(key), CBC(iv)).encryptor()
    padded = padder.update(content) + padder.finalize()
    sealed = encryptor.update(padded) + encryptor.finalize()
    return sequence(number(0), sequence(oid(_DATA), _pbes2(_pbkdf2(salt, 1), iv), element(0x80, sealed)))


def _pkcs12(*parts: bytes) -> str:
    """A PKCS#12 file without a check sum, in base64."""
    safe = sequence(*parts)
    return base64.b64encode(sequence(number(3), sequence(oid(_DATA), element(0xA0, octets(safe))))).decode()


def _hidden(bags: bytes) -> bytes:
    return sequence(oid(_ENCRYPTED_DATA), element(0xA0, _encrypted(bags)))


def _shrouded(key: bytes) -> bytes:
    return sequence(oid(_SHROUDED_KEY_BAG), element(0xA0, key))


def pkcs12_with_hidden_rounds(rounds: int) -> str:
    """A key that takes so many rounds, in the encrypted part: the file itself shows one round."""
    return _pkcs12(_hidden(sequence(_shrouded(slow_key(rounds)))))


def pkcs12_with_hidden_nesting(levels: int) -> str:
    """Bags in bags in the encrypted part."""
    bags = sequence(_shrouded(slow_key(1)))
    for _ in range(levels):
        bags = sequence(sequence(oid(_SAFE_CONTENTS_BAG), element(0xA0, bags)))
    return _pkcs12(_hidden(bags))


def dsa_key(bits: int) -> str:
    """A DSA key whose public key takes an exponentiation of numbers of that length."""
    modulus, base = (1 << bits) - 1, (1 << (bits - 1)) + 1
    parameters = sequence(number(modulus), number(modulus - 2), number(base))
    return pem("PRIVATE KEY", sequence(number(0), sequence(oid(_DSA), parameters), octets(number(modulus - 4))))


def ec_key_with_its_own_curve() -> str:
    """An EC key on a curve that the file describes: it may have any size and no structure."""
    prime = (1 << 4096) - 1
    curve = sequence(octets(b"\x01" * 512), octets(b"\x02" * 512))
    field = sequence(oid(_PRIME_FIELD), number(prime))
    parameters = sequence(number(1), field, curve, octets(b"\x04" + b"\x03" * 1024), number(prime - 2), number(1))
    private = octets(sequence(number(1), octets(b"\x05" * 512)))
    return pem("PRIVATE KEY", sequence(number(0), sequence(oid(_EC), parameters), private))


def key_with_a_decoy(rounds: int) -> str:
    """A protected key of that cost, and a cheap one in a header of the same block.

    The header has a carriage return, at which only some parsers see the end of a line.
    """
    cheap = slow_key(1)
    while not base64.b64encode(cheap).endswith(b"="):
        cheap += element(0)  # Lenient decoders stop at the padding, and never see the body.
    decoy = base64.b64encode(cheap).decode()
    body = base64.encodebytes(slow_key(rounds)).decode()
    label = "ENCRYPTED PRIVATE KEY"
    return f"-----BEGIN {label}-----\nX: y\r{decoy}\n\n{body}-----END {label}-----\n"


@cache
def chain_of_one_name(count: int) -> str:
    """A key and so many certificates, each issued by the next, of which all have the same name."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(count + 1)]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    certificates = [
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(keys[place].public_key())
        .serial_number(place + 1)
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .sign(keys[place + 1], SHA256())
        for place in range(count)
    ]
    return key_in_pem(keys[0]) + "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)
