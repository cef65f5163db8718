"""A certificate as the vault keeps it, in PKCS#12 or PEM, becomes what a TLS server reads; makes no stores for Java.

Key Vault gives the secret of a certificate as base64 of PKCS#12 or as PEM, and says which by the content type; the
order of the certificates in it depends on how they came there.
https://learn.microsoft.com/azure/key-vault/certificates/about-certificates#composition-of-a-certificate
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kvsecrets import SecretValue
from vaultsync.errors import Reason, SyncError
from vaultsync.render.private_keys import (
    PrivateKey,
    Unusable,
    belong_together,
    blocks_of,
    certificates_in,
    checked,
    open_pkcs12,
    private_key_in,
)

PKCS12_TYPE: Final = "application/x-pkcs12"
PEM_TYPE: Final = "application/x-pem-file"

_BEGIN: Final = "-----BEGIN "


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """A private key and the certificates that vouch for it, checked against each other; its text form hides the key.

    A certificate that is not on the way from the leaf to its root is left out, for it would serve nobody.
    """

    origin: str
    """What a message calls the value that it came from."""
    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]
    """The leaf first, each followed by its issuer, as TLS sends them. The root is not sent: whoever does not have it
    would not trust it either (https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2). A self-signed leaf stays."""
    root: x509.Certificate | None
    """The self-signed certificate at the end of the chain, if the value holds it."""

    @property
    def not_valid_after(self) -> datetime:
        """Until when the leaf is valid, in UTC."""
        return self.chain[0].not_valid_after_utc

    @property
    def tls_crt(self) -> bytes:
        """The chain in PEM."""
        return b"".join(map(_pem, self.chain))

    @property
    def tls_key(self) -> bytes:
        """The private key in PEM, as PKCS#8 without a password."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def ca_crt(self) -> bytes:
        """The root in PEM.

        Raises:
            SyncError: CertificateInvalid, if the value does not hold it.
        """
        return _pem(self.anchor)

    @property
    def anchor(self) -> x509.Certificate:
        """The root, or CertificateInvalid if the value does not hold it."""
        if self.root is None:
            raise SyncError(
                Reason.CERTIFICATE_INVALID,
                f"{self.origin} holds no root certificate at the end of its chain, so that there is none to trust.",
            )
        return self.root


def certified_key(
    text: str, *, origin: str, content_type: str | None = None, password: SecretValue | None = None
) -> CertifiedKey:
    """Read a certificate with its private key; `password` opens what is protected by one.

    Of several certificates about the key, the newest is the leaf. A content type that is neither of the two says
    nothing: then the text itself tells.

    Raises:
        SyncError: CertificateInvalid, with a message that says what is wrong.
    """
    try:
        key, certificates = _opened(text, content_type, password)
        chain, root = _ordered(_leaf_of(key, certificates), certificates)
    except Unusable as error:
        trouble = str(error)
    except (ValueError, UnsupportedAlgorithm):
        trouble = "holds a certificate that cannot be read"
    else:
        return CertifiedKey(origin, key, chain, root)
    # Not inside the handlers: the libraries' errors would come along as context, and may know the value.
    raise SyncError(Reason.CERTIFICATE_INVALID, f"{origin} {trouble}.")


def _opened(
    text: str, content_type: str | None, password: SecretValue | None
) -> tuple[PrivateKey, list[x509.Certificate]]:
    secret = password.reveal().encode() if password is not None else None
    if content_type == PEM_TYPE or (content_type != PKCS12_TYPE and _BEGIN in text):
        blocks = blocks_of(text.encode())
        return checked(private_key_in(blocks, secret)), certificates_in(blocks)
    try:
        der = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        der = None
    if der is None:
        raise Unusable("is neither PEM nor the base64 of PKCS#12")
    return open_pkcs12(der, secret)


def _leaf_of(key: PrivateKey, certificates: Iterable[x509.Certificate]) -> x509.Certificate:
    found = list(certificates)
    if not found:
        raise Unusable("holds no certificate")
    fitting = [certificate for certificate in found if belong_together(key, certificate)]
    if not fitting:
        count = f"none of its {len(found)} certificates is" if len(found) > 1 else "its certificate is not"
        raise Unusable(f"does not fit together: {count} about its private key")
    return max(fitting, key=lambda one: (one.not_valid_before_utc, _der(one)))


def _ordered(
    leaf: x509.Certificate, certificates: Iterable[x509.Certificate]
) -> tuple[tuple[x509.Certificate, ...], x509.Certificate | None]:
    """Follow the issuers from the leaf to the root, if it is there.

    Of several issuers, take a root, else the one that is valid longest. A circle of certificates that vouch for each
    other ends where it would begin again.
    """
    chain = [leaf]
    left = set(certificates) - {leaf}
    while not _vouches_for(chain[-1], chain[-1]):
        issuers = [one for one in left if _vouches_for(one, chain[-1])]
        if not issuers:
            return tuple(chain), None
        issuer = max(issuers, key=lambda one: (_vouches_for(one, one), one.not_valid_after_utc, _der(one)))
        left.remove(issuer)
        chain.append(issuer)
    root = chain[-1]
    return tuple(chain[:-1]) or (leaf,), root


def _vouches_for(issuer: x509.Certificate, subject: x509.Certificate) -> bool:
    """Tell whether the names fit and the signature is the issuer's."""
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
