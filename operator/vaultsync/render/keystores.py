"""Writes a certificate into PKCS#12 stores that Java reads; reads none, and writes no JKS.

Java reads PKCS#12 wherever it reads JKS: `docs/decisions/` says why there is no other format. Salts are random, so the
same certificate produces different bytes each time: whether to write is decided by versions, not by comparing stores.
"""

from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import KeySerializationEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PBES,
    PKCS12Certificate,
    serialize_java_truststore,
    serialize_key_and_certificates,
)

from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificates import CertifiedKey

KEY_ALIAS: Final = "certificate"
"""The name of the key in a key store."""

ROOT_ALIAS: Final = "ca"
"""The name of the root in a trust store."""

_ROUNDS: Final = 10_000
"""As keytool writes it: https://docs.oracle.com/en/java/javase/17/docs/specs/man/keytool.html"""


def key_store(certified: CertifiedKey, password: str) -> bytes:
    """Return a store with the private key and its chain, under the alias `certificate`.

    Raises:
        SyncError: CertificateInvalid, if Java does not accept the password.
    """
    leaf, *issuers = certified.chain
    return serialize_key_and_certificates(
        KEY_ALIAS.encode(), certified.key, leaf, issuers, _encryption(certified, password)
    )


def trust_store(certified: CertifiedKey, password: str) -> bytes:
    """Return a store with the root as a trusted certificate, under the alias `ca`.

    Raises:
        SyncError: CertificateInvalid, if there is no root, or Java does not accept the password.
    """
    trusted = PKCS12Certificate(certified.required_root, ROOT_ALIAS.encode())
    return serialize_java_truststore([trusted], _encryption(certified, password))


def _encryption(certified: CertifiedKey, password: str) -> KeySerializationEncryption:
    """Choose the encryption that keytool writes, and Java reads, since 8u301 and 11.0.12."""
    if not (password and password.isascii() and password.isprintable()):
        raise SyncError(
            Reason.CERTIFICATE_INVALID,
            f"{certified.origin} cannot be written into a store with the given password: Java accepts only printable "
            "ASCII characters, at least one, and no line end; change the password.",
        )
    return (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_ROUNDS)
        .key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(SHA256())
        .build(password.encode())
    )
