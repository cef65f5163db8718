"""A value becomes bytes of a key, or the files of a certificate; its refusals name places and hold no value."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from cryptography.x509 import load_pem_x509_certificates

from tests.builders import VAULT, a_reading, an_entry
from tests.unit.vaultsync.render.authorities import Party, a_party, in_pem, in_pkcs12, key_in_pem
from vaultsync.api.v1alpha1 import DataFrom
from vaultsync.errors import Reason, SyncError
from vaultsync.render.values import Material, certificate_keys, content_of
from vaultsync.state.secrets import SecretRef

MARK = "MARKED"
ROOT = a_party("root")
SERVER = a_party("server", by=ROOT)


def pem(*parties: Party) -> str:
    """The first one's key, and the certificates of all."""
    return key_in_pem(parties[0].key) + in_pem(party.certificate for party in parties)


def material(value: str, name: str = "db-password", content_type: str | None = None) -> Material:
    return Material(SecretRef(name), a_reading(value, content_type=content_type), VAULT)


def certificate(value: str, passwords: dict[str, bytes] | None = None, **source: Any) -> dict[str, bytes]:  # noqa: ANN401  fields of a source
    line = DataFrom.model_validate({"certificate": "tls", **source})
    return certificate_keys(line, material(value, "tls"), passwords or {})


@pytest.mark.parametrize(
    ("tweaks", "value", "content"),
    [
        ({}, "s3cret", b"s3cret"),
        ({"encoding": "Base64"}, "aGk=", b"hi"),
        ({"property": "db.password"}, '{"db": {"password": "x"}}', b"x"),
        ({"property": "/db/0"}, '{"db": [1.10]}', b"1.10"),
        ({"property": "key", "encoding": "Base64"}, '{"key": "AP8="}', b"\x00\xff"),
    ],
    ids=["text", "base64", "a path", "a pointer", "base64 in a property"],
)
def test_an_entry_takes_what_it_asks_for(tweaks: dict[str, str], value: str, content: bytes) -> None:
    assert content_of(an_entry(**tweaks), "password", material(value)) == content


@pytest.mark.parametrize(
    ("tweaks", "value", "reason"),
    [
        ({"encoding": "Base64"}, f"{MARK}!", Reason.ENCODING_INVALID),
        ({"property": "a.b"}, MARK, Reason.PROPERTY_MISSING),
        ({"property": "a.b"}, f'{{"a": "{MARK}"}}', Reason.PROPERTY_MISSING),
        ({"property": "a", "encoding": "Base64"}, f'{{"a": "{MARK}!"}}', Reason.ENCODING_INVALID),
    ],
    ids=["no base64", "no JSON", "no such property", "a property that is no base64"],
)
def test_what_is_not_as_promised_is_refused_by_names(tweaks: dict[str, str], value: str, reason: Reason) -> None:
    with pytest.raises(SyncError) as refused:
        content_of(an_entry(**tweaks), "password", material(value))

    assert refused.value.reason is reason
    assert refused.value.message.startswith(f"Secret db-password of vault {VAULT}, for key password,")
    assert MARK not in refused.value.message


def test_a_certificate_becomes_chain_and_key() -> None:
    files = certificate(pem(SERVER, ROOT))

    assert files.keys() == {"tls.crt", "tls.key"}
    assert load_pem_x509_certificates(files["tls.crt"]) == [SERVER.certificate]
    key = load_pem_private_key(files["tls.key"], None)
    assert key.public_key() == SERVER.certificate.public_key()
    assert files["tls.key"].startswith(b"-----BEGIN PRIVATE KEY-----")


def test_a_certificate_comes_with_its_root_and_stores_where_they_are_wanted() -> None:
    files = certificate(
        pem(SERVER, ROOT),
        {"pw": b"changeit"},
        ca=True,
        key_store={"key": "key.p12", "password_key": "pw"},
        trust_store={"key": "trust.p12", "password_key": "pw"},
    )

    assert load_pem_x509_certificates(files["ca.crt"]) == [ROOT.certificate]
    store = load_pkcs12(files["key.p12"], b"changeit")
    assert store.cert is not None
    assert store.cert.certificate == SERVER.certificate
    trusted = load_pkcs12(files["trust.p12"], b"changeit")
    assert [one.certificate for one in trusted.additional_certs] == [ROOT.certificate]


def test_a_certificate_that_is_protected_opens_with_the_password_of_an_entry() -> None:
    files = certificate(in_pkcs12(SERVER.key, [SERVER.certificate], "0pen"), {"pw": b"0pen"}, password_key="pw")

    assert load_pem_x509_certificates(files["tls.crt"]) == [SERVER.certificate]


STORE = {"key": "tls.crt", "password_key": "pw"}


@pytest.mark.parametrize(
    ("source", "passwords", "reason", "told"),
    [
        ({"key_store": STORE | {"key": "a"}}, {}, Reason.INVALID_SPEC, "passwordKey pw is no key that an entry"),
        ({"key_store": STORE | {"key": "a"}}, {"pw": b"\xff"}, Reason.CERTIFICATE_INVALID, "Key pw holds no text"),
        ({"key_store": STORE}, {"pw": b"x"}, Reason.INVALID_SPEC, "fills a key twice"),
        ({"ca": True}, {}, Reason.CERTIFICATE_INVALID, "holds no root certificate"),
    ],
    ids=["no password", "a password of bytes", "a store in the place of the chain", "no root"],
)
def test_a_certificate_that_cannot_be_as_wanted_is_refused(
    source: dict[str, Any], passwords: dict[str, bytes], reason: Reason, told: str
) -> None:
    with pytest.raises(SyncError, match=told) as refused:
        certificate(pem(SERVER), passwords, **source)

    assert refused.value.reason is reason
    assert refused.value.__context__ is None


def test_what_is_no_certificate_is_refused_by_the_secrets_name() -> None:
    with pytest.raises(SyncError) as refused:
        certificate(base64.b64encode(MARK.encode()).decode())

    assert refused.value.reason is Reason.CERTIFICATE_INVALID
    assert refused.value.message.startswith(f"Secret tls of vault {VAULT} ")
    assert MARK not in refused.value.message
