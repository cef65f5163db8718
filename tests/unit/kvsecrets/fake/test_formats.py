"""The formats of responses, continuation tokens and backups."""

import base64
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._fake.errors import VaultRefused
from kvsecrets._fake.formats import (
    Bodies,
    decode_backup,
    decode_marker,
    encode_backup,
    encode_json,
    encode_marker,
    response_headers,
)
from kvsecrets._fake.store import SecretVersion, StoredSecret
from tests.unit.kvsecrets.fake.builders import START, config

PLAIN = SecretVersion(id="1", value="v", created=1, updated=2)
CERTIFICATE = SecretVersion(
    id="1", value="pfx", content_type="application/x-pkcs12", managed=True, created=1, updated=2
)


def stored(version: SecretVersion) -> StoredSecret:
    return StoredSecret("db", {version.id: version}, deleted_on=10, purge_on=20)


def test_the_secret_of_a_certificate_has_the_id_of_its_key() -> None:
    body = Bodies(config(), "7.4").secret(stored(CERTIFICATE), CERTIFICATE)

    assert list(body) == ["value", "contentType", "id", "managed", "attributes", "kid"]
    assert body["kid"] == "https://fake.vault.azure.net/keys/db/1"


@pytest.mark.parametrize(("api_version", "previous"), [("7.6", None), ("2025-07-01", "1"), ("2026-04-01", "1")])
def test_newer_api_versions_have_the_version_of_the_previous_certificate(
    api_version: str, previous: str | None
) -> None:
    renewed = replace(CERTIFICATE, id="2")
    secret = StoredSecret("db", {"1": CERTIFICATE, "2": renewed})

    body = Bodies(config(), api_version).secret(secret, renewed)

    assert body.get("previousVersion") == previous
    assert "previousVersion" not in Bodies(config(), api_version).secret(secret, CERTIFICATE)


def archive(key: ec.EllipticCurvePrivateKey) -> str:
    """A certificate with its key, as Key Vault keeps it: PKCS #12 in base64."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.example")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=30))
    certificate = builder.sign(key, hashes.SHA256())
    content = pkcs12.serialize_key_and_certificates(b"db", key, certificate, None, serialization.NoEncryption())
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(("api_version", "is_pem"), [("7.6", False), ("2025-07-01", True)])
def test_newer_api_versions_return_the_secret_of_a_certificate_as_pem(api_version: str, *, is_pem: bool) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    version = replace(CERTIFICATE, value=archive(key))

    body = Bodies(config(), api_version).secret(stored(version), version, "application/x-pem-file")

    text = str(body["value"])
    assert (text != version.value) is is_pem
    if is_pem:
        loaded = serialization.load_pem_private_key(text.encode(), None)
        assert loaded.public_key() == key.public_key()
        assert x509.load_pem_x509_certificate(text.encode()).public_key() == key.public_key()


@pytest.mark.parametrize("version", [PLAIN, CERTIFICATE], ids=["text", "no PKCS #12"])
def test_another_secret_is_not_converted(version: SecretVersion) -> None:
    with pytest.raises(VaultRefused, match="Only PFX to PEM transformation is supported"):
        Bodies(config(), "2025-07-01").secret(stored(version), version, "application/x-pem-file")


def test_an_item_of_a_list_is_managed_without_the_id_of_its_key() -> None:
    item = Bodies(config(), "7.4").properties(stored(CERTIFICATE), CERTIFICATE, with_version=False)

    assert list(item) == ["contentType", "id", "managed", "attributes"]
    assert item["id"] == "https://fake.vault.azure.net/secrets/db"


def test_a_deleted_secret_has_recovery_id_and_dates() -> None:
    body = Bodies(config(), "7.4").deleted(stored(PLAIN))

    assert list(body) == ["recoveryId", "deletedDate", "scheduledPurgeDate", "id", "attributes"]
    assert body["recoveryId"] == "https://fake.vault.azure.net/deletedsecrets/db"


def test_a_deleted_secret_without_soft_delete_has_neither() -> None:
    body = Bodies(config(soft_delete=False), "7.4").deleted(stored(PLAIN))

    assert list(body) == ["id", "attributes"]


@pytest.mark.parametrize(("api_version", "present"), [("7.0", False), ("7.1", True)])
def test_recoverable_days_are_present_since_7_1(api_version: str, *, present: bool) -> None:
    attributes = Bodies(config(), api_version).properties(stored(PLAIN), PLAIN)["attributes"]

    assert isinstance(attributes, dict)
    assert ("recoverableDays" in attributes) is present


def test_the_last_page_has_a_null_link() -> None:
    assert encode_json(Bodies(config(), "7.4").page("/secrets", [], None, None)) == b'{"value":[],"nextLink":null}'


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/"))
def test_a_marker_is_decoded_from_its_token(marker: str) -> None:
    assert decode_marker(encode_marker(marker)) == marker


@pytest.mark.slow
@given(st.text())
def test_any_text_is_decoded_or_rejected(token: str) -> None:
    with suppress(VaultRefused):
        assert isinstance(decode_marker(token), str)


def test_the_clients_request_id_is_returned_and_the_services_is_new() -> None:
    request_headers = {"x-ms-client-request-id": "mine"}

    first, second = (response_headers(request_headers, 200, b"{}", START, rbac=False) for _ in range(2))

    assert first["x-ms-client-request-id"] == second["x-ms-client-request-id"] == "mine"
    assert first["x-ms-request-id"] != second["x-ms-request-id"]


def test_the_date_is_the_vaults_clock() -> None:
    assert response_headers({}, 200, b"{}", START, rbac=False)["date"] == "Sun, 01 Mar 2026 12:00:00 GMT"


def test_an_empty_body_has_no_type_and_no_length() -> None:
    headers = response_headers({}, 204, b"", START, rbac=False)

    assert not {"content-type", "content-length"} & headers.keys()


def test_rbac_headers_are_on_authorized_responses_only() -> None:
    authorized, challenged = (response_headers({}, status, b"{}", START, rbac=True) for status in (404, 401))

    assert "x-ms-keyvault-rbac-assignment-id" in authorized
    assert "x-ms-keyvault-rbac-assignment-id" not in challenged


PREFIX = b")AzureKeyVaultSecretBackupV1.microsoft.com"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_backup_has_all_versions_in_their_order() -> None:
    versions = [
        SecretVersion(id="2", value="old", created=1, updated=2),
        SecretVersion(id="1", value="new", tags={"a": "b"}, expires=9, enabled=False, created=3, updated=4),
    ]
    secret = StoredSecret("db", {version.id: version for version in versions})

    restored = decode_backup(encode_backup(secret))

    assert restored == secret
    assert list(restored.versions) == ["2", "1"]


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        pytest.param("ä", "Backup blob is corrupt.", id="not base64"),
        pytest.param(encoded(b"text"), "Backup blob contains invalid or corrupt version.", id="not a backup"),
        pytest.param(encoded(PREFIX + b"{"), "Backup blob is corrupt.", id="truncated"),
        pytest.param(encoded(PREFIX + b"[]"), "Backup blob is corrupt.", id="not an object"),
        pytest.param(encoded(PREFIX + b"[" * 100_000), "Backup blob is corrupt.", id="nested too deep"),
        pytest.param(encoded(PREFIX + b'{"name":"a","versions":[]}'), "Backup blob is corrupt.", id="without versions"),
    ],
)
def test_an_invalid_backup_is_rejected(blob: str, message: str) -> None:
    with pytest.raises(VaultRefused) as caught:
        decode_backup(blob)

    assert (caught.value.status, caught.value.code, caught.value.message) == (400, "Malformed backup blob", message)
