"""Packs a secret with all its versions into one opaque text and back; keeps nothing.

The real blob is encrypted for the service alone. This one only looks alike: it is for tests, and hides nothing.
"""

import base64
import binascii
import json
from dataclasses import asdict

from kvsecrets._fake import refusals
from kvsecrets._fake.rows import SecretVersion, StoredSecret

_HEADER = b")AzureKeyVaultSecretBackupV1.microsoft.com"


def pack(secret: StoredSecret) -> str:
    """Write the blob: base64url without padding, as the service does."""
    content = {"name": secret.name, "versions": [asdict(version) for version in secret.versions.values()]}
    return base64.urlsafe_b64encode(_HEADER + json.dumps(content).encode()).rstrip(b"=").decode()


def unpack(blob: str) -> StoredSecret:
    """Read the blob.

    Raises:
        VaultRefused: the blob is malformed.
    """
    try:
        data = base64.urlsafe_b64decode(blob + "=" * (-len(blob) % 4))
    except (ValueError, binascii.Error):
        raise refusals.malformed_backup("Backup blob is corrupt.") from None
    if not data.startswith(_HEADER):
        raise refusals.malformed_backup("Backup blob contains invalid or corrupt version.")
    try:
        content = json.loads(data.removeprefix(_HEADER))
        versions = [SecretVersion(**fields) for fields in content["versions"]]
        backed_up = StoredSecret(content["name"], {version.id: version for version in versions})
    except (ValueError, TypeError, KeyError):
        raise refusals.malformed_backup("Backup blob is corrupt.") from None
    if not versions:
        raise refusals.malformed_backup("Backup blob is corrupt.")
    return backed_up
