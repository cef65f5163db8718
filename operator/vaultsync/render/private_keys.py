"""Loads certificates and private keys from PEM text and PKCS#12 files, within bounds; does not order a chain.

What the bounds cannot foresee is bounded by the process that this runs in: see `adapters.certificates`.
"""

from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
    load_ssh_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from vaultsync.render.kdf_cost import KdfCost, TooDeepError, kdf_cost_of
from vaultsync.render.pem import KeyDataError, PemBlock, too_deep

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey

UNREADABLE: Final = (InternalError, TypeError, UnsupportedAlgorithm, ValueError, x509.InvalidVersion)
"""What the library raises for keys and certificates that it cannot read."""

NO_EXTENSION: Final = (ValueError, x509.DuplicateExtension, x509.ExtensionNotFound, x509.UnsupportedGeneralNameType)
"""What the library raises for an extension that is not there, or cannot be read."""

MAX_ROUNDS: Final = 3_000_000
"""About a second of key derivation; today's tools write less than a hundredth of that."""

MAX_CERTIFICATES: Final = 256
"""As many as 32 chains of eight."""

MAX_SIGNATURES: Final = 4 * MAX_CERTIFICATES
"""A chain is ordered with two or three for each of its certificates, unless many have the same name."""

MAX_RSA: Final = 4096
"""In bits: the longest key that Key Vault makes. Checking one of 8192 bits takes ten seconds.

https://learn.microsoft.com/azure/key-vault/keys/about-keys-details
"""

_MAX_MODULUS: Final = MAX_RSA // 8 + 1
_MAX_NUMBER: Final = 16384 // 8 + 1
"""In bytes: the longest numbers that OpenSSL uses for RSA. The public key of DSA is computed from such numbers."""

_OPENSSH_MAGIC: Final = b"openssh-key-v1\0"
_NUMBER: Final = 4
"""The bytes of a number in the format of OpenSSH, which may be the length of what follows."""

_OPENSSH_PARTS: Final = (None, None, None, _NUMBER, None, None)
"""Cipher, key derivation, its options, the number of keys, which is one, public key, private key; lengths, if fixed."""

_MAX_ENCRYPTED: Final = 2560
"""In bytes: an RSA key of 4096 bits as PKCS#8 has 2,380, and its encryption may add a block."""


NO_KEY: Final = (
    "holds no private key; the policy of a certificate in the vault must make its key exportable, and the certificate "
    "needs a new version then"
)
"""Key Vault leaves the key out of the secret of a certificate whose key is not exportable.

https://learn.microsoft.com/azure/key-vault/certificates/about-certificates#exportable-or-nonexportable-key
"""


class KeyBudget:
    """What may still be spent, for all certificates and keys of one VaultSecret together."""

    def __init__(self) -> None:
        self._rounds = MAX_ROUNDS
        self._certificates = MAX_CERTIFICATES
        self._signatures = MAX_SIGNATURES

    def charge_rounds(self, rounds: int) -> None:
        """Charge for rounds of key derivation, before they are computed.

        Raises:
            KeyDataError: They are more than are left.
        """
        self._rounds -= rounds
        if self._rounds < 0:
            raise KeyDataError(
                f"requires {rounds} rounds of key derivation; {MAX_ROUNDS} are allowed for all certificates of a "
                "VaultSecret together; export it again with fewer"
            )

    def charge_certificates(self, count: int) -> None:
        """Charge for certificates.

        Raises:
            KeyDataError: They are more than are left.
        """
        self._certificates -= count
        if self._certificates < 0:
            raise KeyDataError(
                f"holds {count} certificates; {MAX_CERTIFICATES} are allowed for a VaultSecret; leave out those that "
                "are not in its chain"
            )

    def charge_signature(self) -> None:
        """Charge for one verification of a signature, before it is computed.

        Raises:
            KeyDataError: None is left.
        """
        self._signatures -= 1
        if self._signatures < 0:
            raise KeyDataError(
                "holds too many certificates of the same name to find their order; leave out those that are not in "
                "its chain"
            )


def load_certificates(blocks: Iterable[PemBlock], budget: KeyBudget | None = None) -> list[x509.Certificate]:
    """Return the certificates among the blocks, in their order.

    Raises:
        KeyDataError: One cannot be read, or there are too many.
    """
    found = [block for block in blocks if block.is_certificate]
    (budget or KeyBudget()).charge_certificates(len(found))
    return [_load_certificate(block) for block in found]


def _load_certificate(block: PemBlock) -> x509.Certificate:
    block.check_depth("certificate")
    try:
        return x509.load_der_x509_certificate(block.der)
    except UNREADABLE:
        pass
    raise KeyDataError("holds a certificate that cannot be read")


def load_private_key(
    blocks: Iterable[PemBlock], password: bytes | None = None, budget: KeyBudget | None = None
) -> PrivateKey:
    """Return the one private key among the blocks; a password that it does not need is ignored.

    The numbers of an RSA key are not checked: see `check_rsa_numbers`.

    Raises:
        KeyDataError: There is none, or more than one, or it cannot be read.
    """
    keys = [block for block in blocks if block.is_private_key]
    if len(keys) != 1:
        raise KeyDataError(f"holds {len(keys)} private keys instead of one" if keys else NO_KEY)
    (block,) = keys
    is_protected = block.is_protected
    if is_protected and password is None:
        raise KeyDataError("holds a private key that is protected by a password; set passwordKey")
    block.check_depth("private key")
    try:
        if block.is_encrypted_pkcs8:
            charge_kdf_cost(kdf_cost_of(block.der), budget or KeyBudget())
        key = load_key(block, password if is_protected else None)
    except UNREADABLE:
        key = None
    if key is None:
        wrong = ", or the password does not open it" if is_protected else ""
        raise KeyDataError(f"holds a private key that cannot be read{wrong}")
    return _supported(key)


def load_key(block: PemBlock, password: bytes | None) -> PrivateKeyTypes:
    """Return the private key of a block, without a check of an RSA key's numbers.

    The label says little, as for Go: many tools write PKCS#8 under the label of another format.

    Raises:
        KeyDataError: A number in it is too long.
        TypeError: It is protected and no password is given, or the other way round.
        UnsupportedAlgorithm: It is a kind of key that is not known.
        ValueError: It cannot be read.
    """
    if block.is_openssh:
        return load_ssh_private_key(block.canonical, password, unsafe_skip_rsa_key_validation=True)
    if block.is_old_encrypted:
        return load_pem_private_key(block.canonical, password, unsafe_skip_rsa_key_validation=True)
    if kdf_cost_of(block.der).longest_number > _MAX_NUMBER:
        raise KeyDataError("holds a private key that is too long")
    return load_der_private_key(block.der, password, unsafe_skip_rsa_key_validation=True)


def is_whole_openssh_key(content: bytes) -> bool:
    """Return whether the parts of a key in the format of OpenSSH fit, whatever kind and cipher they name.

    https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key
    """
    if not content.startswith(_OPENSSH_MAGIC):
        return False
    at = len(_OPENSSH_MAGIC)
    for length in _OPENSSH_PARTS:
        at += length or _NUMBER + int.from_bytes(content[at : at + _NUMBER])
    return at <= len(content)


def check_rsa_numbers(key: PrivateKey) -> PrivateKey:
    """Return the key after a check of an RSA key's numbers, which takes up to half a second.

    Other kinds of keys are checked as they are loaded.

    Raises:
        KeyDataError: The numbers do not fit together, or the key is too long.
    """
    if not isinstance(key, RSAPrivateKey):
        return key
    if key.key_size > MAX_RSA:
        raise KeyDataError(f"holds an RSA key of {key.key_size} bits; the longest allowed is {MAX_RSA}")
    try:
        return key.private_numbers().private_key()
    except ValueError:
        pass
    raise KeyDataError("holds an RSA key whose numbers do not fit together")


def open_pkcs12(
    der: bytes, password: bytes | None, budget: KeyBudget | None = None
) -> tuple[PrivateKey, list[x509.Certificate]]:
    """Return the private key, checked, and all certificates of a PKCS#12 file, also known as PFX.

    Raises:
        KeyDataError: It has no private key, or cannot be read.
    """
    budget = budget or KeyBudget()
    try:
        cost = kdf_cost_of(der)
    except TooDeepError:
        problem = too_deep("PKCS#12 file")
    except ValueError:
        problem = "is not a PKCS#12 file, or one in BER instead of DER; export it again, for example with openssl"
    else:
        charge_kdf_cost(cost, budget)
        if _is_certificate(der):
            raise KeyDataError(NO_KEY)
        key, certificates = _load_pkcs12(der, password)
        budget.charge_certificates(len(certificates))
        return key, certificates
    raise KeyDataError(problem)


def _is_certificate(der: bytes) -> bool:
    """Return whether it is a certificate alone."""
    try:
        x509.load_der_x509_certificate(der)
    except UNREADABLE:
        return False
    return True


def _load_pkcs12(der: bytes, password: bytes | None) -> tuple[PrivateKey, list[x509.Certificate]]:
    try:
        store = load_pkcs12(der, password)
    except UNREADABLE:
        store = None
    if store is None:
        given = "the password given does not open it" if password is not None else "it needs a password, by passwordKey"
        raise KeyDataError(f"cannot be opened as PKCS#12: {given}, or it is damaged")
    if store.key is None:
        raise KeyDataError(NO_KEY)
    found = [store.cert] if store.cert is not None else []
    return _supported(store.key), [item.certificate for item in (*found, *store.additional_certs)]


def charge_kdf_cost(cost: KdfCost, budget: KeyBudget) -> None:
    """Charge for a file before it is opened.

    Raises:
        KeyDataError: It cannot be opened in reasonable time.
    """
    budget.charge_rounds(cost.rounds)
    if cost.longest_number > _MAX_MODULUS or cost.longest_secret > _MAX_ENCRYPTED:
        raise KeyDataError(f"holds a key that is too long; for RSA, at most {MAX_RSA} bits are allowed")


def _supported(key: object) -> PrivateKey:
    if isinstance(key, PrivateKey):
        return key
    raise KeyDataError("holds a private key of a kind that TLS does not use; use RSA, EC or Ed25519")


def key_matches(key: PrivateKey, certificate: x509.Certificate) -> bool:
    """Return whether the certificate is for this key."""
    try:
        return key.public_key() == certificate.public_key()
    except UNREADABLE:
        return False
