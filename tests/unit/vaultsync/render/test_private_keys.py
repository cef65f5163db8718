"""Keys and certificates loaded from PEM and PKCS#12, and the errors for what cannot be loaded."""

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.attacks.hostile_keys import pem
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
from tests.unit.vaultsync.render.test_kdf_cost import nested
from vaultsync.render.pem import KeyDataError, pem_blocks
from vaultsync.render.private_keys import (
    NO_KEY,
    PrivateKey,
    check_rsa_numbers,
    key_matches,
    load_certificates,
    load_private_key,
    open_pkcs12,
)

PASSWORD: Final = "s3cret"
NO_PKCS12: Final = "is not a PKCS#12 file, or one in BER instead of DER; export it again, for example with openssl"


def the_key_in(pem: str, password: bytes | None = None) -> object:
    """The loaded key, or the text of the error."""
    try:
        return load_private_key(pem_blocks(pem.encode()), password)
    except KeyDataError as problem:
        return str(problem)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("password", [None, PASSWORD], ids=["plain", "protected"])
def test_a_key_of_each_kind_is_loaded(kind: str, password: str | None) -> None:
    key = the_key(kind, "owner")

    read = load_private_key(pem_blocks(key_in_pem(key, password).encode()), password.encode() if password else None)

    assert read.public_key() == key.public_key()


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_openssls_traditional_format_is_loaded(kind: str) -> None:
    key = the_key(kind, "owner")
    pem = key_in_pem(key, layout=PrivateFormat.TraditionalOpenSSL)

    assert "PRIVATE KEY-----" in pem
    assert load_private_key(pem_blocks(pem.encode())).public_key() == key.public_key()


def test_openssls_traditional_encryption_is_opened() -> None:
    key = the_key("ec", "owner")
    pem = key_in_pem(key, PASSWORD, PrivateFormat.TraditionalOpenSSL)

    assert "Proc-Type: 4,ENCRYPTED" in pem
    assert load_private_key(pem_blocks(pem.encode()), PASSWORD.encode()).public_key() == key.public_key()
    assert the_key_in(pem) == "holds a private key that is protected by a password; set passwordKey"


def test_a_password_that_is_not_needed_is_ignored() -> None:
    key = the_key("ec", "owner")

    assert load_private_key(pem_blocks(key_in_pem(key).encode()), b"any").public_key() == key.public_key()


def test_text_around_the_blocks_is_ignored() -> None:
    leaf, root = a_line(between=0)
    pem = f"Bag Attributes\n  friendlyName: x\n{in_pem([leaf.certificate])}# root\n{in_pem([root.certificate])}end"

    assert load_certificates(pem_blocks(pem.encode())) == [leaf.certificate, root.certificate]


@pytest.mark.parametrize(
    "layout",
    [
        "\n".join,
        "\r\n".join,
        lambda lines: lines[0] + "".join(lines[1:-1]) + lines[-1],
        lambda lines: "\n".join([lines[0], "Comment: x", "", *lines[1:]]),
    ],
    ids=["lines", "lines of Windows", "one line", "headers"],
)
def test_the_der_of_a_block_is_that_of_any_layout(layout: Callable[[list[str]], str]) -> None:
    certificate = a_party("leaf").certificate

    (block,) = pem_blocks(layout(in_pem([certificate]).splitlines()).encode())

    assert block.der == certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize("header", ["Proc-Type: 4,ENCRYPTED", "X: Proc-Type: 4,ENCRYPTED"])
@pytest.mark.parametrize("label", ["CERTIFICATE", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"])
def test_a_header_hides_nothing_from_the_check_of_depth(label: str, header: str) -> None:
    deep = base64.encodebytes(nested(65)).decode()
    (block,) = pem_blocks(f"-----BEGIN {label}-----\n{header}\n\n{deep}-----END {label}-----\n".encode())

    with pytest.raises(KeyDataError, match="nests deeper than 64 levels"):
        block.check_depth("key")


@pytest.mark.parametrize(
    ("inner", "is_read"),
    [
        ("X: y\rAAAA\n\n{}", True),
        ("X: y\n\nAA==\n{}", False),
        ("X: y\n{}", False),
        ("{}X: y\n", False),
        ("AAAA\n\nX: y\n{}", False),
        ("{}*\n", False),
    ],
    ids=["a return", "padding before", "no empty line", "at the end", "after another part", "another character"],
)
def test_what_only_some_parsers_take_for_a_header_is_no_part_of_a_key(inner: str, *, is_read: bool) -> None:
    key = the_key("ec", "owner")
    lines = "".join(key_in_pem(key).splitlines(keepends=True)[1:-1])

    found = the_key_in(f"-----BEGIN PRIVATE KEY-----\n{inner.format(lines)}-----END PRIVATE KEY-----\n")

    if is_read:
        assert isinstance(found, PrivateKey)
        assert found.public_key() == key.public_key()
    else:
        assert found == "holds a private key that cannot be read"


def _in_broken_pem() -> dict[str, tuple[str, str]]:
    """PEM texts and their errors, by what is wrong."""
    key = key_in_pem(the_key("ec", "owner"))
    agreement = x25519.X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    lines = key.splitlines(keepends=True)
    return {
        "nothing": ("", NO_KEY),
        "no key": (in_pem([a_party("owner").certificate]), NO_KEY),
        "two keys": (key + key, "holds 2 private keys instead of one"),
        "half a key": (lines[0] + lines[-1], "holds a private key that cannot be read"),
        "no end": (lines[0] + lines[1], "holds a PEM block that does not end"),
        "another end": (key.replace("END PRIVATE", "END PUBLIC"), "holds a PEM block that does not end"),
        "a key that cannot sign": (
            agreement.decode(),
            "holds a private key of a kind that TLS does not use; use RSA, EC or Ed25519",
        ),
        "a protected key": (
            key_in_pem(the_key("ec", "owner"), PASSWORD),
            "holds a private key that is protected by a password; set passwordKey",
        ),
    }


BROKEN: Final = _in_broken_pem()


@pytest.mark.parametrize("problem", BROKEN)
def test_load_private_key_fails_for(problem: str) -> None:
    pem, message = BROKEN[problem]

    assert the_key_in(pem) == message


def test_the_error_for_a_wrong_password_mentions_the_password() -> None:
    pem = key_in_pem(the_key("ec", "owner"), PASSWORD)

    assert the_key_in(pem, b"wrong") == "holds a private key that cannot be read, or the password does not open it"


def test_a_broken_certificate_is_an_error() -> None:
    pem = in_pem([a_party("owner").certificate]).replace("M", "N")

    with pytest.raises(KeyDataError, match="holds a certificate that cannot be read"):
        load_certificates(pem_blocks(pem.encode()))


def test_many_blocks_without_an_end_take_linear_time() -> None:
    pem = b"-----BEGIN CERTIFICATE-----\n" * 100_000

    with pytest.raises(KeyDataError, match="does not end"):
        pem_blocks(pem)


@given(pem=st.lists(st.sampled_from([b"-----BEGIN ", b"-----END ", b"-----", b"A KEY", b"\n", b"AA=="])).map(b"".join))
def test_any_text_gives_blocks_or_an_error(pem: bytes) -> None:
    try:
        blocks = pem_blocks(pem)
    except KeyDataError:
        return

    assert all(block.text.startswith(b"-----BEGIN ") and block.text.endswith(b"-----") for block in blocks)


def test_an_rsa_key_with_valid_numbers_passes_the_check() -> None:
    key = the_key("rsa", "owner")

    assert check_rsa_numbers(key).public_key() == key.public_key()


@pytest.mark.parametrize(
    ("bits", "problem"),
    [
        (2048, "holds an RSA key whose numbers do not fit together"),
        (8192, "holds an RSA key of 8192 bits; the longest allowed is 4096"),
    ],
)
def test_an_rsa_key_with_other_numbers_is_an_error(bits: int, problem: str) -> None:
    key = load_private_key(pem_blocks(key_in_pem(a_bogus_rsa_key(bits)).encode()))

    with pytest.raises(KeyDataError, match=problem):
        check_rsa_numbers(key)


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

    assert key_matches(key, certificates[0])


def _broken_pkcs12() -> dict[str, tuple[bytes, bytes | None, str]]:
    """Stores, passwords and their errors, by what is wrong."""
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
        "no password": (
            protected,
            None,
            "cannot be opened as PKCS#12: it needs a password, by passwordKey, or it is damaged",
        ),
        "no key": (keyless, None, NO_KEY),
        "other bytes": (b"s3cret", None, NO_PKCS12),
        "no bytes": (b"", None, "cannot be opened as PKCS#12: it needs a password, by passwordKey, or it is damaged"),
        "BER": (b"\x30\x80" + keyless[4:] + b"\0\0", None, NO_PKCS12),
        "a long key": (long, None, "holds a key that is too long; for RSA, at most 4096 bits are allowed"),
        "a long key, protected": (
            long_protected,
            PASSWORD.encode(),
            "holds a key that is too long; for RSA, at most 4096 bits are allowed",
        ),
    }


BROKEN_STORES: Final = _broken_pkcs12()


@pytest.mark.parametrize("problem", BROKEN_STORES)
def test_open_pkcs12_fails_for(problem: str) -> None:
    store, password, message = BROKEN_STORES[problem]

    with pytest.raises(KeyDataError) as raised:
        open_pkcs12(store, password)

    assert str(raised.value) == message


def test_pkcs12_with_a_high_kdf_cost_is_not_opened() -> None:
    leaf = a_party("leaf")
    store = base64.b64decode(in_pkcs12(leaf.key, [leaf.certificate], PASSWORD, rounds=1_500_000))

    with pytest.raises(KeyDataError, match=r"requires 300\d\d\d\d rounds of key derivation; 3000000 are allowed"):
        open_pkcs12(store, PASSWORD.encode())


@pytest.mark.slow
@needs("openssl")
def test_a_key_with_a_high_kdf_cost_is_not_opened(tmp_path: Path) -> None:
    plain = tmp_path / "key.pem"
    plain.write_text(key_in_pem(the_key("ec", "owner")))
    protect = ["openssl", "pkcs8", "-topk8", "-in", str(plain), "-iter", "3000001", "-passout", "pass:s3cret"]
    pem = subprocess.run(protect, check=True, capture_output=True, text=True).stdout

    assert str(the_key_in(pem, b"s3cret")).startswith("requires 3000001 rounds of key derivation; 3000000 are allowed")


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_key_matches_compares_public_keys(kind: str) -> None:
    key = the_key(kind, "leaf")

    assert key_matches(key, a_party("leaf", key=key).certificate)
    assert not key_matches(key, a_party("another").certificate)


def test_a_certificate_of_an_unknown_version_is_an_error() -> None:
    der = a_party("owner").certificate.public_bytes(Encoding.DER)
    version = bytes.fromhex("a003020102")
    assert version in der

    with pytest.raises(KeyDataError, match="holds a certificate that cannot be read"):
        load_certificates(pem_blocks(pem("CERTIFICATE", der.replace(version, bytes.fromhex("a003020130"))).encode()))
