"""A backup is one text that holds all versions of a secret."""

import base64

import pytest

from kvsecrets._fake.backups import pack, unpack
from kvsecrets._fake.refusals import VaultRefused
from kvsecrets._fake.rows import SecretVersion, StoredSecret

HEADER = b")AzureKeyVaultSecretBackupV1.microsoft.com"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_all_versions_come_back_in_their_order() -> None:
    versions = [
        SecretVersion(id="2", value="old", created=1, updated=2),
        SecretVersion(id="1", value="new", tags={"a": "b"}, expires=9, enabled=False, created=3, updated=4),
    ]
    secret = StoredSecret("db", {version.id: version for version in versions})

    restored = unpack(pack(secret))

    assert restored == secret
    assert list(restored.versions) == ["2", "1"]


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        pytest.param("ä", "Backup blob is corrupt.", id="no base64"),
        pytest.param(encoded(b"text"), "Backup blob contains invalid or corrupt version.", id="no backup"),
        pytest.param(encoded(HEADER + b"{"), "Backup blob is corrupt.", id="cut off"),
        pytest.param(encoded(HEADER + b"[]"), "Backup blob is corrupt.", id="of another shape"),
        pytest.param(encoded(HEADER + b'{"name":"a","versions":[]}'), "Backup blob is corrupt.", id="without versions"),
    ],
)
def test_what_is_no_backup_is_refused(blob: str, message: str) -> None:
    with pytest.raises(VaultRefused) as refused:
        unpack(blob)

    assert (refused.value.status, refused.value.code, refused.value.message) == (400, "Malformed backup blob", message)
