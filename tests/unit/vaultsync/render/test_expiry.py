"""When the certificates in the data of a Secret expire, whatever its type."""

import base64
from datetime import UTC, datetime
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.vaultsync.render.authorities import END, Party, a_line, a_party, in_pem, key_in_pem
from vaultsync.render.expiry import certificate_expiries
from vaultsync.render.private_keys import MAX_CERTIFICATES

SOON: Final = datetime(2027, 1, 1, tzinfo=UTC)
LATER: Final = datetime(2028, 1, 1, tzinfo=UTC)
ROOT: Final = a_party("root", end=SOON)
LEAF: Final = a_party("leaf", by=ROOT, ca=False, end=LATER)


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(der) + b"\n-----END CERTIFICATE-----\n"


def text(*parties: Party) -> bytes:
    return in_pem(one.certificate for one in parties).encode()


@pytest.mark.parametrize(
    ("content", "expires"),
    [
        (text(LEAF), LATER),
        (text(LEAF, ROOT), LATER),
        (text(ROOT, LEAF), LATER),
        (key_in_pem(LEAF.key).encode() + text(LEAF), LATER),
        (text(LEAF, a_party("other", ca=False, end=SOON)), SOON),
        (text(ROOT), SOON),
        (text(a_party("alone", ca=False, end=SOON)), SOON),
        (text(ROOT, a_party("other root")), None),
        (text(a_party("old root", strict=False, ca=False, end=SOON), LEAF), LATER),
        (b"\xef\xbb\xbf" + text(LEAF), LATER),
        (b"  " + text(LEAF).replace(b"\n", b"\r\n  "), LATER),
        (text(LEAF).replace(b"CERTIFICATE", b"X509 CERTIFICATE"), LATER),
        (text(LEAF)[:-40], None),
        (b"-----BEGIN CERTIFICATE-----\nMARKED\n-----END CERTIFICATE-----\n", None),
        (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", None),
        (pem(b"\x30\x80" * 10_000), None),
        (b"a password", None),
        (b"", None),
    ],
    ids=[
        "a leaf",
        "a chain: the leaf counts, although its root expires before",
        "a chain in another order",
        "a key with its certificate",
        "the first of several leaves",
        "an authority that is alone, as openssl makes it for servers",
        "a self-signed one",
        "a bundle of authorities has some that expire",
        "one that says nothing of itself and has issued itself is an authority",
        "a byte order mark",
        "indented, with other line ends",
        "OpenSSL's other label",
        "cut off",
        "no certificate",
        "no base64",
        "nested too deeply",
        "no PEM",
        "nothing",
    ],
)
def test_a_certificate_expires(content: bytes, expires: datetime | None) -> None:
    assert certificate_expiries({"key": content}) == ({} if expires is None else {"key": expires})


def test_each_key_has_its_own_date_and_what_cannot_be_read_has_none() -> None:
    leaf, _, _ = a_line()
    data = {"a": text(LEAF), "b": b"-----BEGIN CERTIFICATE-----", "c": text(leaf)}

    assert certificate_expiries(data) == {"a": LATER, "c": END}


def test_more_certificates_than_are_read_have_no_date() -> None:
    assert certificate_expiries({"a": text(*[LEAF] * (MAX_CERTIFICATES + 1)), "b": text(LEAF)}) == {"b": LATER}


def test_extensions_that_cannot_be_read_do_not_hide_a_date() -> None:
    authority_key_identifier, basic_constraints = bytes.fromhex("0603551d23"), bytes.fromhex("0603551d13")
    ders = [one.certificate.public_bytes(Encoding.DER) for one in a_line()]
    content = b"".join(pem(der.replace(authority_key_identifier, basic_constraints)) for der in ders)

    assert certificate_expiries({"tls.crt": content}) == {"tls.crt": END}
