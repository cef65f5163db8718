"""Loads certificates and private keys from PEM text and PKCS#12 files, within bounds; does not order a chain.

What the bounds cannot foresee is bounded by the process that this runs in: see `adapters.certificates`.
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from vaultsync.render.kdf_cost import MAX_DEPTH, KdfCost, TooDeepError, check_depth, kdf_cost_of

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey

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

_MAX_ENCRYPTED: Final = 2560
"""In bytes: an RSA key of 4096 bits as PKCS#8 has 2,380, and its encryption may add a block."""

_BEGIN: Final = b"-----BEGIN "
_END: Final = b"-----END "
_DASHES: Final = b"-----"
_CERTIFICATES: Final = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE"})
_ENCRYPTED: Final = b"ENCRYPTED PRIVATE KEY"
_KEY: Final = b"PRIVATE KEY"
_PKCS8: Final = frozenset({_KEY, _ENCRYPTED})
_OLD_ENCRYPTED: Final = b"Proc-Type: 4,ENCRYPTED"
_OPENSSH: Final = b"OPENSSH PRIVATE KEY"
_IN_HEADERS: Final = b":"


class KeyDataError(Exception):
    """What is wrong with keys or certificates: the text continues a sentence that names them, and holds no value."""


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


@dataclass(frozen=True, slots=True)
class PemBlock:
    """One `-----BEGIN … -----END …` of a PEM text; `repr` hides the text."""

    label: bytes
    text: bytes = field(repr=False)

    @property
    def der(self) -> bytes:
        """The bytes between the lines of dashes, without headers; ValueError if they are not base64."""
        return base64.b64decode(b"".join(b"".join(self._lines()).split()), validate=True)

    @property
    def canonical(self) -> bytes:
        """The block with nothing but `der`: two parsers that read the same text may decode different parts of it."""
        dashed = self.label + _DASHES + b"\n"
        return _BEGIN + dashed + base64.encodebytes(self.der) + _END + dashed

    @property
    def is_protected(self) -> bool:
        """Whether a password encrypts it, as far as is visible from outside."""
        return self.label == _ENCRYPTED or self._is_old_encrypted

    @property
    def _is_old_encrypted(self) -> bool:
        """Whether it is encrypted as openssl did before PKCS#8, by one round: its DER is not visible."""
        return self.label.endswith(_KEY) and self.label not in _PKCS8 and _OLD_ENCRYPTED in self.text

    @property
    def has_visible_der(self) -> bool:
        """Whether its bytes are DER."""
        return self.label != _OPENSSH and not self._is_old_encrypted

    def _lines(self) -> list[bytes]:
        """Return the lines after the headers, which end with an empty line, if there are any."""
        first = len(_BEGIN) + len(self.label) + len(_DASHES)
        lines = self.text[first : self.text.rfind(_END)].strip().splitlines()
        if not lines or _IN_HEADERS not in lines[0]:
            return lines
        ends = (number for number, line in enumerate(lines) if not line.strip())
        return lines[next(ends, len(lines)) :]

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
            problem = _too_deep(kind)
        except ValueError:
            problem = f"holds a {kind} that cannot be read"
        else:
            return
        # Not inside the handlers: the decoder's error would be the context, and it may hold the value.
        raise KeyDataError(problem)

    def load_key(self, password: bytes | None) -> object:
        """Return the private key, without a check of an RSA key's numbers.

        Raises:
            KeyDataError: A number in it is too long.
            TypeError: It is protected and no password is given, or the other way round.
            UnsupportedAlgorithm: It is a kind of key that is not known.
            ValueError: It cannot be read.
        """
        if self.label == _OPENSSH:
            return load_ssh_private_key(self.canonical, password, unsafe_skip_rsa_key_validation=True)
        if self._is_old_encrypted:
            return load_pem_private_key(self.text, password, unsafe_skip_rsa_key_validation=True)
        if kdf_cost_of(self.der).longest_number > _MAX_NUMBER:
            raise KeyDataError("holds a private key that is too long")
        return load_pem_private_key(self.canonical, password, unsafe_skip_rsa_key_validation=True)


def _too_deep(kind: str) -> str:
    return f"holds a {kind} whose ASN.1 nests deeper than {MAX_DEPTH} levels; export it again, for example with openssl"


def pem_blocks(pem: bytes) -> tuple[PemBlock, ...]:
    """Return the blocks of a PEM text in their order; text between them is ignored.

    Raises:
        KeyDataError: A block does not end.
    """
    return tuple(_blocks(pem))


def _blocks(pem: bytes) -> Iterator[PemBlock]:
    at = pem.find(_BEGIN)
    while at != -1:
        label = pem[at + len(_BEGIN) : pem.find(_DASHES, at + len(_BEGIN))]
        ending = _END + label + _DASHES
        end = pem.find(ending, at)
        if end == -1:
            raise KeyDataError("holds a PEM block that does not end")
        yield PemBlock(label, pem[at : end + len(ending)])
        at = pem.find(_BEGIN, end)


def load_certificates(blocks: Iterable[PemBlock], budget: KeyBudget | None = None) -> list[x509.Certificate]:
    """Return the certificates among the blocks, in their order.

    Raises:
        KeyDataError: One cannot be read, or there are too many.
    """
    found = [block for block in blocks if block.label in _CERTIFICATES]
    (budget or KeyBudget()).charge_certificates(len(found))
    return [_load_certificate(block) for block in found]


def _load_certificate(block: PemBlock) -> x509.Certificate:
    block.check_depth("certificate")
    try:
        return x509.load_der_x509_certificate(block.der)
    except ValueError:
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
    keys = [block for block in blocks if block.label.endswith(_KEY)]
    if len(keys) != 1:
        raise KeyDataError(f"holds {len(keys)} private keys instead of one" if keys else "holds no private key")
    (block,) = keys
    is_protected = block.is_protected
    if is_protected and password is None:
        raise KeyDataError("holds a private key that is protected by a password, and none is given")
    block.check_depth("private key")
    try:
        if block.label == _ENCRYPTED:
            charge_kdf_cost(kdf_cost_of(block.der), budget or KeyBudget())
        key = block.load_key(password if is_protected else None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        key = None
    if key is None:
        wrong = ", or the password does not open it" if is_protected else ""
        raise KeyDataError(f"holds a private key that cannot be read{wrong}")
    return _supported(key)


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
        problem = _too_deep("PKCS#12 file")
    except ValueError:
        problem = "is not a PKCS#12 file, or one in BER instead of DER"
    else:
        charge_kdf_cost(cost, budget)
        key, certificates = _load_pkcs12(der, password)
        budget.charge_certificates(len(certificates))
        return key, certificates
    raise KeyDataError(problem)


def _load_pkcs12(der: bytes, password: bytes | None) -> tuple[PrivateKey, list[x509.Certificate]]:
    try:
        store = load_pkcs12(der, password)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        store = None
    if store is None:
        given = "the password given does not open it" if password is not None else "it needs a password"
        raise KeyDataError(f"cannot be opened as PKCS#12: {given}, or it is damaged")
    if store.key is None:
        raise KeyDataError("holds no private key")
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
    except (ValueError, UnsupportedAlgorithm):
        return False
