"""Chains of certificates that are signed with any algorithm, as openssl and old authorities make them."""

import subprocess
import warnings
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from tests.unit.vaultsync.render.attempts import needs
from tests.unit.vaultsync.render.authorities import KINDS, a_party, in_pem, the_key
from vaultsync.render.certificates import load_certified_key
from vaultsync.render.signatures import is_signed_by

BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
"""The roots that a system of Debian trusts."""

KNOWN: Final = ("sha1", "sha224", "sha256", "sha3-256")
UNKNOWN: Final = ("md5", "ripemd160")
"""Digests whose signatures the library does not verify."""


class Authority:
    """Certificates that openssl makes in a folder, signed with a digest; strict ones name the keys of their issuers."""

    def __init__(self, folder: Path, digest: str, *, names_keys: bool = True) -> None:
        self._folder = folder
        self._digest = digest
        identifiers = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n" if names_keys else ""
        self._write("ca.cnf", f"basicConstraints=CA:true\n{identifiers}")

    def _write(self, name: str, text: str) -> str:
        path = self._folder / name
        path.write_text(text)
        return str(path)

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)

    def issue(self, file: str, name: str, *, by: str | None, days: int = 9999) -> x509.Certificate:
        """Make a key and a certificate for it, in files of that name, issued by those of another or by itself."""
        self._run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", f"{file}.key")
        self._run("req", "-new", "-key", f"{file}.key", "-subj", f"/CN={name}", "-out", f"{file}.csr")
        signer = ("-CA", f"{by}.crt", "-CAkey", f"{by}.key", "-CAcreateserial") if by else ("-signkey", f"{file}.key")
        output = ("-out", f"{file}.crt", "-days", str(days), "-extfile", "ca.cnf", f"-{self._digest}")
        self._run("x509", "-req", "-in", f"{file}.csr", *signer, *output)
        return x509.load_pem_x509_certificate((self._folder / f"{file}.crt").read_bytes())

    def key(self, file: str) -> str:
        """The key in PEM."""
        return (self._folder / f"{file}.key").read_text()


def chain_of(key: str, certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The chain with its root, if the text holds it."""
    certified = load_certified_key(key + in_pem(certificates), origin="Secret web of vault v")
    return [*certified.chain, *([certified.root] if certified.root is not None else [])]


@pytest.mark.slow
@needs("openssl")
@pytest.mark.parametrize("digest", KNOWN + UNKNOWN)
def test_a_chain_is_in_order_whatever_signs_it(digest: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path, digest)
    root = authority.issue("root", "Old Corp Root", by=None)
    between = authority.issue("between", "Old Corp CA", by="root")
    leaf = authority.issue("leaf", "web.example.com", by="between")

    for shuffled in permutations([leaf, between, root]):
        assert chain_of(authority.key("leaf"), shuffled) == [leaf, between, root]


@pytest.mark.slow
@needs("openssl")
@pytest.mark.parametrize(("digest", "names_keys"), [("sha1", False), ("md5", True)])
def test_of_two_authorities_of_one_name_the_key_decides(digest: str, names_keys: bool, tmp_path: Path) -> None:
    authority = Authority(tmp_path, digest, names_keys=names_keys)
    root = authority.issue("root", "Old Corp Root", by=None)
    other = authority.issue("other", "Old Corp Root", by=None, days=19999)
    leaf = authority.issue("leaf", "web.example.com", by="root")

    assert chain_of(authority.key("leaf"), [other, root, leaf]) == [leaf, root]
    assert chain_of(authority.key("leaf"), [other, leaf]) == [leaf]


@pytest.mark.skipif(not BUNDLE.exists(), reason="the system has no such bundle")
def test_every_root_that_the_system_trusts_is_one() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", CryptographyDeprecationWarning
        )  # some have serial numbers that are no longer used
        roots = x509.load_pem_x509_certificates(BUNDLE.read_bytes())

    assert [root.subject for root in roots if root.issuer == root.subject and not is_signed_by(root, root)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_is_that_of_its_key_only(kind: str) -> None:
    issuer = a_party("root", key=the_key(kind, "root"))
    certificate = a_party("leaf", by=issuer).certificate

    assert is_signed_by(certificate, issuer.certificate)
    assert not any(
        is_signed_by(certificate, a_party("root", key=the_key(other, "impostor")).certificate) for other in KINDS
    )


@needs("openssl")
def test_a_signature_of_an_unknown_kind_is_not_decided(tmp_path: Path) -> None:
    certificate = Authority(tmp_path, "md5").issue("root", "Old Corp Root", by=None)

    with pytest.raises(UnsupportedAlgorithm):
        is_signed_by(certificate, certificate)


@pytest.mark.slow
@needs("openssl")
def test_identifiers_of_keys_that_cannot_be_read_decide_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "md5")
    root = authority.issue("root", "Old Corp Root", by=None)
    der = authority.issue("leaf", "web.example.com", by="root").public_bytes(Encoding.DER)
    basic_constraints, authority_key_identifier = bytes.fromhex("0603551d13"), bytes.fromhex("0603551d23")
    twice = x509.load_der_x509_certificate(der.replace(authority_key_identifier, basic_constraints))

    assert chain_of(authority.key("leaf"), [root, twice]) == [twice, root]
