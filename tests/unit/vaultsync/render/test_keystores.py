"""Stores for Java: opened by openssl, by Java's keytool if it is installed, and by cryptography."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from tests.unit.vaultsync.render.attempts import MARK, attempt, needs, visible_text
from tests.unit.vaultsync.render.authorities import KINDS, Party, a_line, in_pem, key_in_pem
from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificates import CertifiedKey, load_certified_key
from vaultsync.render.keystores import key_store, trust_store

PASSWORD: Final = "chang3 it!"


def certified(line: list[Party]) -> CertifiedKey:
    pem = key_in_pem(line[0].key) + in_pem(party.certificate for party in line)
    return load_certified_key(pem, origin="Secret shop-tls of vault v")


def keytool_list(store: Path, password: str, kind: str) -> str:
    """What Java's keytool finds in a store."""
    listed = subprocess.run(
        [
            "keytool",
            "-J-Duser.language=en",
            "-list",
            "-v",
            "-storetype",
            kind,
            "-keystore",
            store,
            "-storepass",
            password,
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert listed.returncode == 0, listed.stdout
    return listed.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_store_holds_the_key_and_its_chain(kind: str) -> None:
    line = a_line(kind, between=2)

    store = load_pkcs12(key_store(certified(line), PASSWORD), PASSWORD.encode())

    assert isinstance(store.key, type(line[0].key))
    assert store.key.public_key() == line[0].key.public_key()
    assert store.cert is not None
    assert (store.cert.certificate, store.cert.friendly_name) == (line[0].certificate, b"certificate")
    assert [item.certificate for item in store.additional_certs] == [party.certificate for party in line[1:-1]]


@needs("openssl")
def test_openssl_opens_a_key_store(tmp_path: Path) -> None:
    line = a_line("rsa", between=1)
    store = tmp_path / "keystore.p12"
    store.write_bytes(key_store(certified(line), PASSWORD))

    arguments = ["-in", str(store), "-passin", f"pass:{PASSWORD}", "-nodes"]
    opened = subprocess.run(["openssl", "pkcs12", *arguments], check=True, capture_output=True, text=True).stdout

    found = load_certified_key(opened, origin="what openssl says")
    assert found.chain == tuple(party.certificate for party in line[:-1])


@pytest.mark.slow
@needs("keytool")
@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("store_type", ["PKCS12", "JKS"])
def test_java_opens_a_key_store_as_pkcs12_and_as_jks(kind: str, store_type: str, tmp_path: Path) -> None:
    store = tmp_path / "keystore"
    store.write_bytes(key_store(certified(a_line(kind, between=1)), PASSWORD))

    listed = keytool_list(store, PASSWORD, store_type)

    assert "Alias name: certificate" in listed
    assert "Entry type: PrivateKeyEntry" in listed
    assert "Certificate chain length: 2" in listed
    assert "Owner: CN=leaf" in listed


@pytest.mark.slow
@needs("keytool")
@pytest.mark.parametrize("store_type", ["PKCS12", "JKS"])
def test_java_opens_a_trust_store_as_pkcs12_and_as_jks(store_type: str, tmp_path: Path) -> None:
    store = tmp_path / "truststore"
    store.write_bytes(trust_store(certified(a_line()), PASSWORD))

    listed = keytool_list(store, PASSWORD, store_type)

    assert "Alias name: ca" in listed
    assert "Entry type: trustedCertEntry" in listed
    assert "Owner: CN=root" in listed


def test_a_trust_store_needs_a_root() -> None:
    with pytest.raises(SyncError, match="holds no root certificate") as raised:
        trust_store(certified(a_line()[:-1]), PASSWORD)

    assert raised.value.reason is Reason.CERTIFICATE_INVALID


@pytest.mark.parametrize(
    "password", ["", f"{MARK}\n", f"{MARK} grüß"], ids=["an empty one", "one with a line end", "one that is not ASCII"]
)
@pytest.mark.parametrize("make", [key_store, trust_store])
def test_a_password_that_java_does_not_accept_is_an_error(
    make: Callable[[CertifiedKey, str], bytes], password: str
) -> None:
    error = attempt(lambda: make(certified(a_line()), password))

    assert isinstance(error, SyncError)
    assert error.reason is Reason.CERTIFICATE_INVALID
    assert "cannot be written into a store with the given password" in error.message
    assert MARK not in visible_text(error)
