"""Keys and certificates read from PEM and PKCS#12: what is taken, and what is said of the rest."""

import base64
import subprocess
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import needs
from tests.unit.vaultsync.render.authorities import (
    KINDS,
    a_bogus_rsa_key,
    a_line,
    a_party,
    in_pem,
    in_pkcs12,
    key_in_pem,
    the_key,
)
from vaultsync.render.private_keys import (
    Unusable,
    belong_together,
    blocks_of,
    certificates_in,
    checked,
    open_pkcs12,
    private_key_in,
)

PASSWORD: Final = "s3cret"


def the_key_in(pem: str, password: bytes | None = None) -> object:
    """What is read, or the trouble with it."""
    try:
        return private_key_in(blocks_of(pem.encode()), password)
    except Unusable as trouble:
        return str(trouble)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("password", [None, PASSWORD], ids=["plain", "protected"])
def test_a_key_of_each_kind_is_read(kind: str, password: str | None) -> None:
    key = the_key(kind, "somebody")

    read = private_key_in(blocks_of(key_in_pem(key, password).encode()), password.encode() if password else None)

    assert read.public_key() == key.public_key()


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_openssls_older_layout_is_read(kind: str) -> None:
    key = the_key(kind, "somebody")
    pem = key_in_pem(key, layout=PrivateFormat.TraditionalOpenSSL)

    assert "PRIVATE KEY-----" in pem
    assert private_key_in(blocks_of(pem.encode())).public_key() == key.public_key()


def test_openssls_older_protection_is_opened() -> None:
    key = the_key("ec", "somebody")
    pem = key_in_pem(key, PASSWORD, PrivateFormat.TraditionalOpenSSL)

    assert "Proc-Type: 4,ENCRYPTED" in pem
    assert private_key_in(blocks_of(pem.encode()), PASSWORD.encode()).public_key() == key.public_key()
    assert the_key_in(pem) == "holds a private key that is protected by a password, and none is given"


def test_a_password_that_is_not_needed_is_ignored() -> None:
    key = the_key("ec", "somebody")

    assert private_key_in(blocks_of(key_in_pem(key).encode()), b"any").public_key() == key.public_key()


def test_what_stands_around_the_blocks_says_nothing() -> None:
    leaf, root = a_line(between=0)
    pem = f"Bag Attributes\n  friendlyName: x\n{in_pem([leaf.certificate])}# root\n{in_pem([root.certificate])}end"

    assert certificates_in(blocks_of(pem.encode())) == [leaf.certificate, root.certificate]


def _in_broken_pem() -> dict[str, tuple[str, str]]:
    """What is wrong, with a PEM text of that kind and what is said of it."""
    key = key_in_pem(the_key("ec", "somebody"))
    agreement = x25519.X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    lines = key.splitlines(keepends=True)
    return {
        "nothing": ("", "holds no private key"),
        "no key": (in_pem([a_party("somebody").certificate]), "holds no private key"),
        "two keys": (key + key, "holds 2 private keys instead of one"),
        "half a key": (lines[0] + lines[-1], "holds a private key that cannot be read"),
        "no end": (lines[0] + lines[1], "holds a PEM block that does not end"),
        "another end": (key.replace("END PRIVATE", "END PUBLIC"), "holds a PEM block that does not end"),
        "a key that signs nothing": (
            agreement.decode(),
            "holds a private key of a kind that TLS does not use; RSA, EC and Ed25519 are fine",
        ),
        "a protected key": (
            key_in_pem(the_key("ec", "somebody"), PASSWORD),
            "holds a private key that is protected by a password, and none is given",
        ),
    }


BROKEN: Final = _in_broken_pem()


@pytest.mark.parametrize("trouble", BROKEN)
def test_a_key_is_refused_for(trouble: str) -> None:
    pem, told = BROKEN[trouble]

    assert the_key_in(pem) == told


def test_a_wrong_password_is_said_to_be_one() -> None:
    pem = key_in_pem(the_key("ec", "somebody"), PASSWORD)

    assert the_key_in(pem, b"wrong") == "holds a private key that cannot be read, or the password does not open it"


def test_a_broken_certificate_is_refused() -> None:
    pem = in_pem([a_party("somebody").certificate]).replace("M", "N")

    with pytest.raises(Unusable, match="holds a certificate that cannot be read"):
        certificates_in(blocks_of(pem.encode()))


def test_blocks_are_found_in_time_however_many_do_not_end() -> None:
    pem = b"-----BEGIN CERTIFICATE-----\n" * 100_000

    with pytest.raises(Unusable, match="does not end"):
        blocks_of(pem)


@given(pem=st.lists(st.sampled_from([b"-----BEGIN ", b"-----END ", b"-----", b"A KEY", b"\n", b"AA=="])).map(b"".join))
def test_any_text_gives_blocks_or_is_refused(pem: bytes) -> None:
    try:
        blocks = blocks_of(pem)
    except Unusable:
        return

    assert all(block.text.startswith(b"-----BEGIN ") and block.text.endswith(b"-----") for block in blocks)


def test_an_rsa_key_with_sound_numbers_passes_the_check() -> None:
    key = the_key("rsa", "somebody")

    assert checked(key).public_key() == key.public_key()


@pytest.mark.parametrize(
    ("bits", "trouble"),
    [
        (2048, "holds an RSA key whose numbers do not fit together"),
        (8192, "holds an RSA key of 8192 bits; the longest allowed is 4096"),
    ],
)
def test_an_rsa_key_is_refused_for_its_numbers(bits: int, trouble: str) -> None:
    key = private_key_in(blocks_of(key_in_pem(a_bogus_rsa_key(bits)).encode()))

    with pytest.raises(Unusable, match=trouble):
        checked(key)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("password", [None, "", PASSWORD], ids=["plain", "an empty password", "protected"])
def test_pkcs12_is_opened(kind: str, password: str | None) -> None:
    leaf, root = a_line(kind, between=0)
    store = base64.b64decode(in_pkcs12(leaf.key, [root.certificate, leaf.certificate], password or None))

    key, certificates = open_pkcs12(store, password.encode() if password is not None else None)

    assert key.public_key() == leaf.key.public_key()
    assert set(certificates) == {leaf.certificate, root.certificate}


@needs("openssl")
@pytest.mark.parametrize(
    "arguments",
    [["-passout", "pass:"], ["-passout", "pass:", "-legacy"], ["-passout", "pass:", "-keypbe", "NONE", "-nomac"]],
    ids=["as openssl writes it", "as Windows and Key Vault wrote it for years", "without any protection"],
)
@pytest.mark.parametrize("password", [None, b""], ids=["none given", "an empty one given"])
def test_pkcs12_without_a_password_is_opened(arguments: list[str], password: bytes | None, tmp_path: Path) -> None:
    leaf = a_party("leaf")
    plain, store = tmp_path / "leaf.pem", tmp_path / "leaf.pfx"
    plain.write_text(key_in_pem(leaf.key) + in_pem([leaf.certificate]))
    export = ["openssl", "pkcs12", "-export", "-in", str(plain), "-out", str(store), *arguments]
    subprocess.run(export, check=True, capture_output=True)

    key, certificates = open_pkcs12(store.read_bytes(), password)

    assert belong_together(key, certificates[0])


def _broken_pkcs12() -> dict[str, tuple[bytes, bytes | None, str]]:
    """What is wrong, with a store of that kind, a password, and what is said of it."""
    leaf = a_party("leaf")
    protected = base64.b64decode(in_pkcs12(leaf.key, [leaf.certificate], PASSWORD))
    keyless = base64.b64decode(in_pkcs12(None, [leaf.certificate]))
    long = base64.b64decode(in_pkcs12(a_bogus_rsa_key(8192), []))
    long_protected = base64.b64decode(in_pkcs12(a_bogus_rsa_key(8192), [], PASSWORD))
    return {
        "a wrong password": (
            protected,
            b"wrong",
            "cannot be opened as PKCS#12: the password given does not open it, or it is damaged",
        ),
        "no password": (protected, None, "cannot be opened as PKCS#12: it needs a password, or it is damaged"),
        "no key": (keyless, None, "holds no private key"),
        "other bytes": (b"s3cret", None, "is no PKCS#12 file, or one in BER instead of DER"),
        "no bytes": (b"", None, "cannot be opened as PKCS#12: it needs a password, or it is damaged"),
        "BER": (b"\x30\x80" + keyless[4:] + b"\0\0", None, "is no PKCS#12 file, or one in BER instead of DER"),
        "a long key": (long, None, "holds a key that is too long; for RSA, 4096 bits are the most"),
        "a long key, protected": (
            long_protected,
            PASSWORD.encode(),
            "holds a key that is too long; for RSA, 4096 bits are the most",
        ),
    }


BROKEN_STORES: Final = _broken_pkcs12()


@pytest.mark.parametrize("trouble", BROKEN_STORES)
def test_pkcs12_is_refused_for(trouble: str) -> None:
    store, password, told = BROKEN_STORES[trouble]

    with pytest.raises(Unusable) as refused:
        open_pkcs12(store, password)

    assert str(refused.value) == told


def test_pkcs12_that_would_take_long_to_open_is_refused_at_once() -> None:
    leaf = a_party("leaf")
    store = base64.b64decode(in_pkcs12(leaf.key, [leaf.certificate], PASSWORD, rounds=1_500_000))

    with pytest.raises(Unusable, match=r"asks for 300\d\d\d\d rounds of hashing to be opened; 3000000 are allowed"):
        open_pkcs12(store, PASSWORD.encode())


@needs("openssl")
def test_a_key_that_would_take_long_to_open_is_refused_at_once(tmp_path: Path) -> None:
    plain = tmp_path / "key.pem"
    plain.write_text(key_in_pem(the_key("ec", "somebody")))
    protect = ["openssl", "pkcs8", "-topk8", "-in", str(plain), "-iter", "3000001", "-passout", "pass:s3cret"]
    pem = subprocess.run(protect, check=True, capture_output=True, text=True).stdout

    assert the_key_in(pem, b"s3cret") == "asks for 3000001 rounds of hashing to be opened; 3000000 are allowed"


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_keys_and_certificates_belong_together_or_not(kind: str) -> None:
    key = the_key(kind, "leaf")

    assert belong_together(key, a_party("leaf", key=key).certificate)
    assert not belong_together(key, a_party("another").certificate)
