"""The cost of opening a protected file, read from its DER alone."""

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import needs
from tests.unit.vaultsync.render.authorities import a_line, in_pkcs12, key_in_pem
from vaultsync.render.kdf_cost import KdfCost, TooDeepError, check_depth, kdf_cost_of

SALT: Final = b"\xff" * 8
"""Bytes that are not DER."""


def element(tag: int, *parts: bytes) -> bytes:
    """One DER element, with a length of four bytes where it is long."""
    content = b"".join(parts)
    length = bytes([len(content)]) if len(content) < 0x80 else b"\x84" + len(content).to_bytes(4)
    return bytes([tag]) + length + content


def number(value: int) -> bytes:
    """A DER INTEGER."""
    return element(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def octets(*parts: bytes) -> bytes:
    """A DER OCTET STRING."""
    return element(0x04, *parts)


def sequence(*parts: bytes) -> bytes:
    """A DER SEQUENCE."""
    return element(0x30, *parts)


@pytest.mark.parametrize(
    ("der", "rounds"),
    [
        (sequence(octets(SALT), number(2048)), 2048),
        (sequence(octets(SALT), number(2048), number(32)), 2048),
        (sequence(octets(SALT), number(16384), number(8), number(2)), 16384 * 16),
        (sequence(sequence(octets(SALT)), octets(SALT), number(7)), 7),
        (sequence(octets(sequence(octets(SALT), number(5))), sequence(octets(SALT), number(6))), 11),
        (sequence(number(9), octets(SALT)), 0),
        (sequence(octets(SALT), sequence(number(9))), 0),
        (octets(), 0),
        (b"", 0),
    ],
    ids=[
        "the number after a salt",
        "only that number if a key length follows",
        "the product of three, for scrypt",
        "the number after a digest and a salt",
        "the sum of all parts, those in octet strings too",
        "none for a number before a salt",
        "none for a number elsewhere",
        "none for an empty string",
        "none for no bytes",
    ],
)
def test_the_rounds_are(der: bytes, rounds: int) -> None:
    assert kdf_cost_of(der).rounds == rounds


@pytest.mark.parametrize(
    ("der", "number", "secret"),
    [
        (sequence(number(1), number(1 << 4096)), 513, 0),
        (sequence(octets(SALT * 400)), 0, 3200),
        (sequence(octets(sequence(octets(SALT * 5)))), 0, 40),
        (element(0x80, SALT * 400), 0, 0),
    ],
    ids=["a long number", "a long ciphertext", "what is inside of what can be read", "nothing but those"],
)
def test_the_longest_parts_are(der: bytes, number: int, secret: int) -> None:
    cost = kdf_cost_of(der)

    assert (cost.longest_number, cost.longest_secret) == (number, secret)


@pytest.mark.parametrize(
    "der",
    [b"\x30", b"\x30\x02\x01", b"\x30\x80\x00\x00", b"\x30\x85\x00\x00\x00\x00\x00", b"\x3f\x01\x00", b"\x30\x84\x01"],
    ids=["no length", "too short", "BER", "a length of five bytes", "a tag of several bytes", "half a length"],
)
def test_bytes_that_are_not_der_are_a_value_error(der: bytes) -> None:
    with pytest.raises(ValueError, match=r"element|length"):
        kdf_cost_of(der)


@given(der=st.binary(max_size=200))
def test_any_bytes_give_a_cost_or_a_value_error(der: bytes) -> None:
    try:
        cost = kdf_cost_of(der)
    except ValueError:
        return

    assert 0 <= max(cost.longest_number, cost.longest_secret) <= len(der)


def nested(depth: int, tag: int = 0x30) -> bytes:
    der = b""
    for _ in range(depth):
        der = element(tag, der)
    return der


@pytest.mark.parametrize("measure", [check_depth, kdf_cost_of])
def test_elements_may_nest_64_levels_deep(measure: Callable[[bytes], object]) -> None:
    measure(nested(64))

    for depth in (65, 5000):
        with pytest.raises(TooDeepError):
            measure(nested(depth))


def test_octet_strings_may_nest_64_levels_deep_where_pkcs12_opens_them() -> None:
    kdf_cost_of(nested(64, tag=0x04))
    check_depth(nested(5000, tag=0x04))

    with pytest.raises(TooDeepError):
        kdf_cost_of(nested(65, tag=0x04))


def test_an_octet_string_that_is_only_partly_der_counts_as_a_secret() -> None:
    der = sequence(octets(sequence(b"\xff\xff"), b""))

    assert kdf_cost_of(der) == KdfCost(0, 0, 4)


def test_pkcs12_data_must_be_der_so_it_cannot_hide_a_cost() -> None:
    announced = element(0x06, bytes.fromhex("2a864886f70d010701"))
    in_ber = b"\x30\x80" + sequence(octets(SALT), number(1 << 30)) + b"\0\0"

    with pytest.raises(ValueError, match="length"):
        kdf_cost_of(sequence(announced, element(0xA0, octets(in_ber))))


def test_rounds_are_found_in_pkcs12_written_by_cryptography() -> None:
    leaf, root = a_line(between=0)
    store = base64.b64decode(in_pkcs12(leaf.key, [leaf.certificate, root.certificate], "s3cret", rounds=1234))

    assert kdf_cost_of(store).rounds >= 2 * 1234


@needs("openssl")
@pytest.mark.parametrize(
    ("arguments", "rounds"),
    [
        (["-v2", "aes256", "-iter", "4321"], 4321),
        (["-v1", "PBE-SHA1-3DES", "-iter", "321"], 321),
        (["-scrypt", "-scrypt_N", "1024", "-scrypt_r", "4", "-scrypt_p", "2"], 8192),
    ],
    ids=["PBES2", "PBES1", "scrypt"],
)
def test_rounds_are_found_in_a_key_written_by_openssl(arguments: list[str], rounds: int, tmp_path: Path) -> None:
    plain, protected = tmp_path / "plain.pem", tmp_path / "protected.der"
    plain.write_text(key_in_pem(a_line()[0].key))
    command = ["openssl", "pkcs8", "-topk8", "-in", str(plain), "-outform", "DER", "-out", str(protected)]
    subprocess.run([*command, *arguments, "-passout", "pass:s3cret"], check=True, capture_output=True)

    assert kdf_cost_of(protected.read_bytes()).rounds == rounds
