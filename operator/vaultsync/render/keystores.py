"""A certificate in the stores that Java reads, as PKCS#12; reads none, and makes no JKS.

Java takes PKCS#12 wherever it takes JKS: docs/decisions/ tells why there is nothing else. Salts are random, so that the
same certificate gives other bytes each time: whether to write is to be decided by versions, never by comparing stores.
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

from kvsecrets import SecretValue
from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificates import CertifiedKey

KEY_ALIAS: Final = "certificate"
"""The name of the key in a key store."""

ROOT_ALIAS: Final = "ca"
"""The name of the root in a trust store."""

_ROUNDS: Final = 10_000
"""As keytool writes it: https://docs.oracle.com/en/java/javase/17/docs/specs/man/keytool.html"""


def key_store(certified: CertifiedKey, password: SecretValue) -> bytes:
    """Make a store with the private key and its chain, under the name `certificate`.

    Raises:
        SyncError: CertificateInvalid, if Java would not take the password.
    """
    leaf, *issuers = certified.chain
    return serialize_key_and_certificates(
        KEY_ALIAS.encode(), certified.key, leaf, issuers, _protection(certified, password)
    )


def trust_store(certified: CertifiedKey, password: SecretValue) -> bytes:
    """Make a store with the root as a certificate to trust, under the name `ca`.

    Raises:
        SyncError: CertificateInvalid, if there is no root, or Java would not take the password.
    """
    trusted = PKCS12Certificate(certified.anchor, ROOT_ALIAS.encode())
    return serialize_java_truststore([trusted], _protection(certified, password))


def _protection(certified: CertifiedKey, password: SecretValue) -> KeySerializationEncryption:
    """Encrypt as Java has been able to read since 8u301 and 11.0.12, where its own keytool began to write so."""
    secret = password.reveal()
    if not (secret and secret.isascii() and secret.isprintable()):
        raise SyncError(
            Reason.CERTIFICATE_INVALID,
            f"{certified.origin} cannot go into a store with the password given: Java takes printable ASCII "
            "characters, at least one, and no line end.",
        )
    return (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_ROUNDS)
        .key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(SHA256())
        .build(secret.encode())
    )
