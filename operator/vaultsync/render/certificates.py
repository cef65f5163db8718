"""Turns a certificate as the vault keeps it, PKCS#12 or PEM, into what a TLS server loads; makes no stores for Java.

Key Vault returns the secret of a certificate as base64 of PKCS#12 or as PEM. The content type says which, but that of a
plain secret is what its author made of it, so the text decides. The order of the certificates depends on how they were
imported.
https://learn.microsoft.com/azure/key-vault/certificates/about-certificates#composition-of-a-certificate
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vaultsync.errors import Reason, SyncError
from vaultsync.render.pem import BEGIN, KeyDataError, pem_blocks
from vaultsync.render.private_keys import (
    NO_EXTENSION,
    UNREADABLE,
    KeyBudget,
    PrivateKey,
    check_rsa_numbers,
    key_matches,
    load_certificates,
    load_private_key,
    open_pkcs12,
)
from vaultsync.render.signatures import is_signed_by
from vaultsync.render.strict_base64 import decode_base64


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """A private key and its certificate chain, checked against each other; `repr` hides the key.

    Certificates are written byte for byte as the vault holds them: no extension is added or checked. Certificates that
    are not on the path from the leaf to its root are left out.
    """

    origin: str
    """The name for messages of the value that it came from."""
    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]
    """The leaf first, each followed by its issuer, as TLS sends them. The root is not sent: a client without it would
    not trust it either (https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2). A self-signed leaf stays."""
    root: x509.Certificate | None
    """The self-signed certificate at the end of the chain, if the value holds it."""
    unused: int = 0
    """How many certificates of other keys the value holds that are not in its chain."""

    @property
    def lacks_issuers(self) -> bool:
        """Whether an intermediate may be missing; a root alone is usually left out, since clients have it.

        Only a leaf without any issuer, and a chain that ends although there are more certificates, look like that.
        """
        return self.root is None and (len(self.chain) == 1 or self.unused > 0)

    @property
    def not_valid_after(self) -> datetime:
        """When the leaf expires, in UTC."""
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
        return _pem(self.required_root)

    @property
    def required_root(self) -> x509.Certificate:
        """The root.

        Raises:
            SyncError: CertificateInvalid, if the value does not hold it.
        """
        if self.root is None:
            raise SyncError(
                Reason.CERTIFICATE_INVALID,
                f"{self.origin} holds no root certificate at the end of its chain; add the root to the certificate in "
                "the vault, or leave out ca and trustStore.",
            )
        return self.root


def load_certified_key(
    text: str,
    *,
    origin: str,
    password: str | None = None,
    budget: KeyBudget | None = None,
) -> CertifiedKey:
    """Load a certificate with its private key.

    Of several certificates for the key, the newest is the leaf.

    Args:
        text: The value of the secret.
        origin: Its name for messages.
        password: Opens what is protected by one.
        budget: What may be spent; that of one VaultSecret, unless it is given.

    Raises:
        SyncError: CertificateInvalid, with a message that says what is wrong and holds nothing of the value.
    """
    budget = budget or KeyBudget()
    try:
        key, certificates = _load(text, password, budget)
        chain, root = _Issuers(certificates, budget).chain_of(_leaf(key, certificates))
    except KeyDataError as error:
        problem = str(error)
    except UNREADABLE:
        problem = "holds a certificate that cannot be read"
    else:
        used = {*chain, root}
        unused = sum(one not in used and not key_matches(key, one) for one in certificates)
        return CertifiedKey(origin, key, chain, root, unused)
    # Not inside the handlers: the libraries' errors would be the context, and may hold the value.
    raise SyncError(Reason.CERTIFICATE_INVALID, f"{origin} {problem}.")


def _load(text: str, password: str | None, budget: KeyBudget) -> tuple[PrivateKey, list[x509.Certificate]]:
    secret = password.encode() if password is not None else None
    content = text.encode(errors="replace")
    if BEGIN not in content:
        content = _decoded(text)
    if BEGIN not in content:
        return open_pkcs12(content, secret, budget)
    blocks = pem_blocks(content)
    return check_rsa_numbers(load_private_key(blocks, secret, budget)), load_certificates(blocks, budget)


def _decoded(text: str) -> bytes:
    """Decode base64, of PKCS#12 or of a PEM file; raises `KeyDataError`."""
    try:
        return decode_base64(text.removeprefix("\ufeff").encode(errors="replace"))
    except ValueError:
        pass
    raise KeyDataError("is neither PEM nor the base64 of PKCS#12")


def _leaf(key: PrivateKey, certificates: Iterable[x509.Certificate]) -> x509.Certificate:
    found = list(certificates)
    if not found:
        raise KeyDataError("holds no certificate")
    matching = [certificate for certificate in found if key_matches(key, certificate)]
    if not matching:
        count = f"none of its {len(found)} certificates is" if len(found) > 1 else "its certificate is not"
        raise KeyDataError(f"does not fit together: {count} for its private key")
    return max(matching, key=lambda one: (one.not_valid_before_utc, _der(one)))


class _Issuers:
    """Finds issuers by name and key; each signature that is verified is charged to the budget."""

    def __init__(self, certificates: Iterable[x509.Certificate], budget: KeyBudget) -> None:
        self._budget = budget
        self._by_name: dict[x509.Name, dict[x509.Certificate, None]] = {}
        for one in certificates:
            self._by_name.setdefault(one.subject, {})[one] = None
        self._self_signed: dict[x509.Certificate, bool] = {}

    def chain_of(self, leaf: x509.Certificate) -> tuple[tuple[x509.Certificate, ...], x509.Certificate | None]:
        """Follow the issuers from the leaf to the root, if it is there.

        Of several issuers, a root is preferred, then the one that is valid longest. In a cycle of issuers, each is
        used once.
        """
        chain = [leaf]
        while not self._is_self_signed(chain[-1]):
            self._by_name[chain[-1].subject].pop(chain[-1], None)
            named = self._by_name.get(chain[-1].issuer, {})
            issuers = [one for one in named if self._issued(one, chain[-1])]
            if not issuers:
                return tuple(chain), None
            chain.append(max(issuers, key=lambda one: (self._is_self_signed(one), one.not_valid_after_utc, _der(one))))
        root = chain[-1]
        return tuple(chain[:-1]) or (leaf,), root

    def _is_self_signed(self, certificate: x509.Certificate) -> bool:
        if certificate not in self._self_signed:
            self._self_signed[certificate] = self._issued(certificate, certificate)
        return self._self_signed[certificate]

    def _issued(self, issuer: x509.Certificate, subject: x509.Certificate) -> bool:
        """Return whether the names match and the signature is by the issuer's key.

        It orders a chain and decides no trust: no algorithm is too weak. For one that is not known, the identifiers of
        the keys decide.
        """
        if issuer.subject != subject.issuer:
            return False
        self._budget.charge_signature()
        try:
            return is_signed_by(subject, issuer)
        except UnsupportedAlgorithm:
            return _may_be_key_of(issuer, subject)


def _may_be_key_of(issuer: x509.Certificate, subject: x509.Certificate) -> bool:
    """Return whether the issuer has the key that the subject names as its issuer's, or one of them names none."""
    own, named = _key_id(issuer), _authority_key_id(subject)
    return own is None or named is None or own == named


def _key_id(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except NO_EXTENSION:
        return None


def _authority_key_id(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except NO_EXTENSION:
        return None


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
