"""What the data of a Secret must be for its type."""

import base64
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK, attempt, needs
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
from tests.unit.vaultsync.render.wild_files import PAIRS_IN_THE_WILD, READABLE_PAIRS, SSH_KEYS_IN_THE_WILD
from vaultsync.errors import Reason, SyncError
from vaultsync.render.type_checks import lacks_issuers, normalized_data

TLS: Final = "kubernetes.io/tls"
DOCKER: Final = "kubernetes.io/dockerconfigjson"
OLD_DOCKER: Final = "kubernetes.io/dockercfg"
SSH: Final = "kubernetes.io/ssh-auth"

WINDOWS: Final = b"\xef\xbb\xbf"
"""The byte order mark that editors of Windows write."""


def error_of(kind: str, contents: Mapping[str, bytes]) -> SyncError | None:
    """The error for this data, or None."""
    result = attempt(lambda: normalized_data(kind, contents, target="shop/web"))
    return result if isinstance(result, SyncError) else None


def normalized(kind: str, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    return normalized_data(kind, contents, target="shop/web")


def pair(crt: str, key: str) -> dict[str, bytes]:
    return {"tls.crt": crt.encode(), "tls.key": key.encode()}


def ssh_key(text: str) -> dict[str, bytes]:
    return {"ssh-privatekey": text.encode()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_with_its_key_and_chain_is_valid(kind: str) -> None:
    line = a_line(kind, between=1)

    assert error_of(TLS, pair(in_pem(party.certificate for party in line), key_in_pem(line[0].key))) is None


def _pairs() -> dict[str, tuple[dict[str, bytes], str]]:
    """Pairs and their errors, by what is wrong."""
    leaf, root = a_line(between=0)
    crt, key = in_pem([leaf.certificate]), key_in_pem(leaf.key)
    return {
        "a chain that begins with the root": (
            pair(in_pem([root.certificate]) + crt, key),
            "Key tls.crt does not begin with the certificate for tls.key; put it first",
        ),
        "the certificate of another key": (
            pair(in_pem([root.certificate]), key),
            "Key tls.crt holds no certificate for tls.key",
        ),
        "no certificate": (pair(key, key), "Key tls.crt holds no certificate in PEM"),
        "certificate and key swapped": (pair(key, crt), "Key tls.key holds no private key"),
        "a password": (pair(MARK, MARK), "Key tls.key holds no private key"),
        "nothing": ({}, "Key tls.key holds no private key"),
        "a protected key": (
            pair(crt, key_in_pem(leaf.key, MARK)),
            "Key tls.key holds a private key that is protected by a password, for which a server would wait",
        ),
        "a key for OpenSSH": (
            pair(crt, key_in_pem(leaf.key, layout=PrivateFormat.OpenSSH)),
            "Key tls.key holds a private key in the format of OpenSSH; convert it with ssh-keygen -p -m PKCS8 -f FILE",
        ),
        "half a certificate": (pair(crt[:100], key), "Key tls.crt holds a PEM block that does not end"),
        "a lost line": (
            pair("".join(crt.splitlines(keepends=True)[:3] + crt.splitlines(keepends=True)[4:]), key),
            "Key tls.crt holds a certificate that cannot be read",
        ),
        "padding after a complete group": (
            pair(crt.replace("=\n-----END", "\n-----END").replace("\n-----END", "====\n-----END"), key),
            "Key tls.crt holds a certificate that cannot be read",
        ),
        "an empty block": (
            pair("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", key),
            "Key tls.crt holds a certificate that cannot be read",
        ),
        "a broken block for clients": (
            pair(crt, key) | {"ca.crt": b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"},
            "Key ca.crt holds PEM that is not base64; set it again in the vault, from a file",
        ),
        "the base64 of PEM": (
            pair(base64.encodebytes(crt.encode()).decode(), key),
            "Key tls.crt holds no certificate in PEM, but the base64 of a PEM file; set encoding: Base64 on its entry",
        ),
        "the base64 of a key": (
            pair(crt, base64.b64encode(key.encode()).decode()),
            "Key tls.key holds no private key, but the base64 of a PEM file; set encoding: Base64 on its entry",
        ),
        "PKCS#12": (
            pair(in_pkcs12(leaf.key, [leaf.certificate]), in_pkcs12(leaf.key, [leaf.certificate])),
            "Key tls.key holds no private key, but the base64 of a binary file; read PKCS#12 by dataFrom.certificate",
        ),
        "PKCS#7": (
            pair("-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n", key),
            "Key tls.crt holds no certificate in PEM, but a PKCS#7 file; convert it with openssl pkcs7 -print_certs",
        ),
    }


PAIRS: Final = _pairs()


@pytest.mark.parametrize("problem", PAIRS)
def test_a_pair_is_invalid_with(problem: str) -> None:
    contents, message = PAIRS[problem]

    error = error_of(TLS, contents)

    assert error is not None
    assert error.reason is Reason.TARGET_INVALID
    assert error.message == f"{message}. Secret shop/web of type kubernetes.io/tls would be unusable."


def test_the_length_of_a_key_is_not_checked() -> None:
    key = a_bogus_rsa_key(8192)

    error = error_of(TLS, pair(in_pem([a_party("leaf").certificate]), key_in_pem(key)))

    assert error is not None
    assert "tls.crt holds no certificate for tls.key" in error.message


@pytest.mark.parametrize("layout", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_private_key_for_ssh_is_valid(layout: PrivateFormat, kind: str) -> None:
    assert error_of(SSH, ssh_key(key_in_pem(the_key(kind, "owner"), layout=layout))) is None


@pytest.mark.slow
@needs("ssh-keygen")
@pytest.mark.parametrize("arguments", [["-t", "ed25519"], ["-t", "rsa", "-m", "PEM"]], ids=["new", "old"])
def test_a_private_key_for_ssh_may_have_a_passphrase(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", *arguments, "-N", "s3cret", "-f", str(path)], check=True)

    assert error_of(SSH, ssh_key(path.read_text())) is None


def _ssh_keys() -> dict[str, tuple[dict[str, bytes], str]]:
    """Keys and their errors, by what is wrong."""
    key = key_in_pem(the_key("ec", "owner"), layout=PrivateFormat.OpenSSH)
    lines = key.splitlines(keepends=True)
    old = key_in_pem(the_key("ec", "owner"), "s3cret", PrivateFormat.TraditionalOpenSSL)
    return {
        "the public key": (ssh_key("ssh-ed25519 AAAA"), "holds no private key"),
        "a key for PuTTY": (
            ssh_key("PuTTY-User-Key-File-3: ssh-ed25519\n"),
            "holds a key in the format of PuTTY; convert it with puttygen -O private-openssh",
        ),
        "the base64 of a key": (
            ssh_key(base64.encodebytes(key.encode()).decode()),
            "holds no private key, but the base64 of a PEM file; set encoding: Base64 on its entry",
        ),
        "nothing": ({}, "holds no private key"),
        "a lost line": (ssh_key("".join(lines[:2] + lines[3:])), "holds a private key that cannot be read"),
        "lost line ends of headers": (
            ssh_key(old.replace("\n", " ")),
            "holds a private key that cannot be read",
        ),
        "a lost end": (ssh_key(key[:-20]), "holds a PEM block that does not end"),
    }


SSH_KEYS: Final = _ssh_keys()


@pytest.mark.parametrize("problem", SSH_KEYS)
def test_a_private_key_for_ssh_is_invalid_with(problem: str) -> None:
    contents, message = SSH_KEYS[problem]

    error = error_of(SSH, contents)

    assert error is not None
    assert error.message.startswith(f"Key ssh-privatekey {message}. Secret shop/web ")


@pytest.mark.parametrize("name", [*PAIRS_IN_THE_WILD, *READABLE_PAIRS])
def test_a_pair_is_written_as_openssl_reads_it(name: str, tmp_path: Path) -> None:
    data = normalized(TLS, (PAIRS_IN_THE_WILD | READABLE_PAIRS)[name])

    crt, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    crt.write_bytes(data["tls.crt"])
    key.write_bytes(data["tls.key"])
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(crt, key)
    assert normalized(TLS, data) == data


@pytest.mark.parametrize("name", PAIRS_IN_THE_WILD)
def test_a_chain_of_authorities_is_repaired_with_the_pair(name: str) -> None:
    pair = PAIRS_IN_THE_WILD[name]

    data = normalized(TLS, pair | {"ca.crt": pair["tls.crt"]})

    assert data["ca.crt"] == data["tls.crt"]


@pytest.mark.parametrize("name", READABLE_PAIRS)
def test_a_pair_that_all_readers_accept_stays_as_it_is(name: str) -> None:
    assert normalized(TLS, READABLE_PAIRS[name]) == READABLE_PAIRS[name]


def test_of_a_file_that_must_be_repaired_the_key_alone_is_written() -> None:
    leaf = a_party("leaf")
    crt, key = in_pem([leaf.certificate]), key_in_pem(leaf.key)

    data = normalized(TLS, pair(crt, f"\ufeff{crt}{key}-----BEGIN X-----\n=A\n-----END X-----\n"))

    assert data["tls.key"] == key.encode()


@pytest.mark.slow
@needs("openssl")
@pytest.mark.filterwarnings("ignore:Parsed a serial number:cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize(
    ("key", "certificate"),
    [
        (["genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"], ["-sigopt", "rsa_padding_mode:pss"]),
        (["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["-md5"]),
        (["ecparam", "-name", "prime256v1", "-param_enc", "explicit", "-genkey"], []),
        (["ecparam", "-name", "secp256k1", "-genkey", "-noout"], []),
        (["ecparam", "-name", "prime239v1", "-genkey", "-noout"], []),
        (["genpkey", "-algorithm", "ED448"], []),
        (["ecparam", "-name", "prime256v1", "-genkey"], ["-set_serial", "-5"]),
    ],
    ids=[
        "RSA for PSS only",
        "a signature with MD5",
        "a curve by its parameters",
        "a curve that Go does not know",
        "a curve that the library does not know",
        "a kind that Go does not know",
        "a negative serial number",
    ],
)
def test_what_openssl_makes_is_not_refused(key: list[str], certificate: list[str], tmp_path: Path) -> None:
    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    run(*key, "-out", "tls.key")
    run("req", "-x509", "-key", "tls.key", "-subj", "/CN=web", "-out", "tls.crt", *certificate)
    data = {name: (tmp_path / name).read_bytes() for name in ("tls.crt", "tls.key")}

    assert normalized(TLS, data) == data


def test_a_key_under_the_label_of_another_format_is_not_refused() -> None:
    leaf = a_party("leaf", key=the_key("rsa", "leaf"))
    key = key_in_pem(leaf.key, layout=PrivateFormat.TraditionalOpenSSL).replace("RSA PRIVATE KEY", "PRIVATE KEY")
    data = pair(in_pem([leaf.certificate]), key)

    assert normalized(TLS, data) == data


@pytest.mark.parametrize(
    ("secret_type", "crt", "ca", "is_lacking"),
    [
        (TLS, [0], [], True),
        (TLS, [0], [2], True),
        (TLS, [0], [1], False),
        (TLS, [0, 1], [], False),
        (TLS, [2], [], False),
        (SSH, [0], [], False),
    ],
    ids=["alone", "another authority", "its authority", "a chain", "self-signed", "another type"],
)
def test_a_certificate_alone_lacks_its_issuer(
    secret_type: str, crt: list[int], ca: list[int], *, is_lacking: bool
) -> None:
    line = a_line(between=1)
    files = {"tls.crt": crt, "ca.crt": ca}
    data = {name: in_pem(line[place].certificate for place in places).encode() for name, places in files.items()}

    assert lacks_issuers(secret_type, data) is is_lacking


@pytest.mark.parametrize("content", [b"", b"no PEM", b"\xff"])
def test_a_ca_crt_without_pem_stays_as_it_is(content: bytes) -> None:
    leaf = a_party("leaf")
    data = pair(in_pem([leaf.certificate]), key_in_pem(leaf.key)) | {"ca.crt": content}

    assert normalized(TLS, data) == data


@needs("ssh-keygen")
@pytest.mark.parametrize("name", SSH_KEYS_IN_THE_WILD)
def test_a_key_is_written_as_openssh_reads_it(name: str, tmp_path: Path) -> None:
    data = normalized(SSH, SSH_KEYS_IN_THE_WILD[name])

    path = tmp_path / "key"
    path.write_bytes(data["ssh-privatekey"])
    path.chmod(0o600)
    shown = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", str(path)], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert normalized(SSH, data) == data


@pytest.mark.slow
@needs("ssh-keygen")
@pytest.mark.parametrize("cipher", ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "3des-cbc"])
def test_a_passphrase_may_use_a_cipher_that_only_openssh_knows(cipher: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-Z", cipher, "-N", "s3cret", "-f", str(path)], check=True)

    assert normalized(SSH, {"ssh-privatekey": path.read_bytes()[:-1]}) == {"ssh-privatekey": path.read_bytes()}


@pytest.mark.parametrize("kind", [DOCKER, OLD_DOCKER])
def test_a_byte_order_mark_of_a_docker_configuration_is_removed(kind: str) -> None:
    key = kind.replace("kubernetes.io/", ".")

    assert normalized(kind, {key: WINDOWS + b"{}"}) == {key: b"{}"}


@pytest.mark.parametrize("kind", ["Opaque", "example.com/own", "kubernetes.io/basic-auth"])
def test_data_of_other_types_stays_as_it_is(kind: str) -> None:
    data = {"anything": b"\xff", "tls.crt": WINDOWS, "username": b"DOMAIN:user", "password": b" x\r\n"}

    assert normalized(kind, data) == data


@given(
    kind=st.sampled_from([TLS, DOCKER, OLD_DOCKER, SSH]),
    contents=st.dictionaries(
        st.sampled_from(["tls.crt", "tls.key", ".dockerconfigjson", ".dockercfg", "username", "ssh-privatekey"]),
        st.binary() | st.text().map(str.encode) | st.sampled_from([key_in_pem(the_key("ec", "owner")).encode()]),
    ),
)
def test_any_data_is_valid_or_an_error_that_names_the_key(kind: str, contents: dict[str, bytes]) -> None:
    error = error_of(kind, contents)

    assert error is None or (error.reason is Reason.TARGET_INVALID and error.message.startswith("Key "))
