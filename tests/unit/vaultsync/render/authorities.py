"""Keys, certificates and chains for tests, in the formats of a vault; valid for this century and for strict clients."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import PBES, serialize_key_and_certificates
from cryptography.x509.oid import NameOID

from vaultsync.render.private_keys import PrivateKey

BEGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
END: Final = datetime(2100, 1, 1, tzinfo=UTC)
HOST: Final = "localhost"
KINDS: Final = ("rsa", "ec", "ed25519", "ed448")


def a_key(kind: str) -> PrivateKey:
    """A new key."""
    match kind:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "ec":
            return ec.generate_private_key(ec.SECP256R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return ed448.Ed448PrivateKey.generate()


@cache
def the_key(kind: str, owner: str) -> PrivateKey:
    """The same key for the same owner."""
    return a_key(kind)


def a_bogus_rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """An RSA key of that length whose numbers do not fit together; creating it is quick."""
    half = 1 << (bits // 2)
    p, q = half - 1, half - 3
    n = p * q
    numbers = rsa.RSAPrivateNumbers(p, q, n - 2, p - 2, q - 2, q - 4, rsa.RSAPublicNumbers(65537, n))
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


@dataclass(frozen=True, slots=True)
class Party:
    """The owner of a key, and the certificate for it."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def name(self) -> str:
        """The common name."""
        (attribute,) = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(attribute.value)


def a_party(
    name: str,
    *,
    by: Party | None = None,
    key: PrivateKey | None = None,
    begin: datetime = BEGIN,
    end: datetime = END,
    ca: bool = True,
    strict: bool = True,
) -> Party:
    """A party whose certificate is issued by another, or by itself.

    A strict certificate has all that RFC 5280 asks of a CA or a server, as clients with VERIFY_X509_STRICT check it,
    which is the default since Python 3.13 (https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1). One that is not
    strict has only a name to verify.
    """
    own = key or the_key("ec", name)
    issuer_name, issuer_key = (by.certificate.subject, by.key) if by else (_called(name), own)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_called(name))
        .issuer_name(issuer_name)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    )
    if strict:
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
            .add_extension(_key_usage(ca=ca), critical=True)
        )
    elif ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
    is_edwards = isinstance(issuer_key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return Party(own, builder.sign(issuer_key, None if is_edwards else SHA256()))


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def a_line(kind: str = "ec", *, between: int = 1, strict: bool = True) -> list[Party]:
    """A leaf, so many intermediates, and a root, in this order; `kind` is that of the leaf's key."""
    line = [a_party("root", strict=strict)]
    for number in range(between):
        line.append(a_party(f"intermediate {number}", by=line[-1], strict=strict))
    line.append(a_party("leaf", by=line[-1], key=the_key(kind, "leaf"), ca=False, strict=strict))
    return line[::-1]


def in_pem(certificates: Iterable[x509.Certificate]) -> str:
    """Certificates in PEM, in the given order."""
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def key_in_pem(key: PrivateKey, password: str | None = None, layout: PrivateFormat = PrivateFormat.PKCS8) -> str:
    """A private key in PEM."""
    protection = BestAvailableEncryption(password.encode()) if password is not None else NoEncryption()
    return key.private_bytes(Encoding.PEM, layout, protection).decode()


def in_pkcs12(
    key: PrivateKey | None,
    certificates: Iterable[x509.Certificate],
    password: str | None = None,
    *,
    rounds: int = 1,
) -> str:
    """PKCS#12 in base64, as the vault returns it, with the certificates in this order."""
    store = serialize_key_and_certificates(None, key, None, list(certificates), _protection(password, rounds))
    return base64.b64encode(store).decode()


def _protection(password: str | None, rounds: int) -> KeySerializationEncryption:
    if password is None:
        return NoEncryption()
    builder = PrivateFormat.PKCS12.encryption_builder().key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC)
    return builder.kdf_rounds(rounds).hmac_hash(SHA256()).build(password.encode())
