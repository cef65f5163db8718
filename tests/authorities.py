"""Certificate authorities as clusters, companies and proxies have them, which do not follow RFC 5280 in all points."""

import datetime as dt
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority, and how its certificates are made."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    has_key_ids: bool

    @classmethod
    def make(cls, *, has_key_ids: bool, critical: bool, name: str = "an authority") -> Self:
        """Make an authority with key identifiers or without, and Basic Constraints that are critical or not.

        EKS and MicroK8s make theirs without identifiers, and older scripts with constraints that are not critical.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(name, name, key).add_extension(constraints, critical)
        if has_key_ids:
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return cls(builder.sign(key, hashes.SHA256()), key, has_key_ids)

    @property
    def pem(self) -> str:
        """The certificate of the authority."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, *hosts: str, days: int = 10) -> tuple[str, str]:
        """Return a certificate of a server with these names, which expires in so many days, and its key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(map(_name_of, hosts))
        certificate = self._signed(_builder(hosts[0], self._name, key, days=days).add_extension(names, critical=False))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return certificate.public_bytes(Encoding.PEM).decode(), private

    def issue_authority(self, name: str) -> Self:
        """Return an authority whose certificate is of this one, with key identifiers if this one has them."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, self._name, key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        if self.has_key_ids:
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return replace(self, certificate=self._signed(builder), key=key)

    def server_tls(self, *hosts: str, days: int = 10) -> ssl.SSLContext:
        """Return the TLS context of a server with these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            cert, key = Path(folder) / "tls.crt", Path(folder) / "tls.key"
            for file, text in zip((cert, key), self.issue(*hosts, days=days), strict=True):
                file.write_text(text)
            context.load_cert_chain(cert, key)
        return context

    @property
    def _name(self) -> str:
        return self.certificate.subject.rfc4514_string().removeprefix("CN=")

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        if self.has_key_ids:
            ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            builder = builder.add_extension(ours, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, *, days: int = 10) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=30))
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _name_of(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
