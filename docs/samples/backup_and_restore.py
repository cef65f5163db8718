"""Back up a secret with all its versions, purge it, and restore it.

    python backup_and_restore.py https://shop.vault.azure.net

runs it against your vault, with an identity that azure-identity finds; it changes only secrets named `sample-…`. It
needs a vault without purge protection.
"""

import sys
import time
from pathlib import Path

from azure.identity import DefaultAzureCredential

from kvsecrets import Conflict, SecretClient, SecretProperties


def run(client: SecretClient, folder: Path) -> None:
    """Write a backup to a file and restore it from there."""
    client.set_secret("sample-password", "correct horse")
    client.set_secret("sample-password", "battery staple")

    file = folder / "sample-password.backup"
    file.write_bytes(client.backup_secret("sample-password"))
    print(f"backed it up into {file.name}, which only Key Vault can read")

    client.begin_delete_secret("sample-password").wait(timeout=60)
    client.purge_deleted_secret("sample-password")
    print("deleted and purged it")

    restored = restore(client, file.read_bytes())
    versions = list(client.list_properties_of_secret_versions("sample-password"))
    value = client.get_secret("sample-password").value
    print(f"restored {restored.name} with {len(versions)} versions, the newest is {value.reveal()!r}")


def restore(client: SecretClient, backup: bytes, patience: float = 60) -> SecretProperties:
    """Restore a backup; after a purge it takes some seconds until the name is available again."""
    give_up_at = time.monotonic() + patience
    while True:
        try:
            return client.restore_secret_backup(backup)
        except Conflict:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(2)


def main() -> None:
    """Run it against the vault at the given URL."""
    with DefaultAzureCredential() as credential, SecretClient(sys.argv[1], credential) as client:
        run(client, Path.cwd())


if __name__ == "__main__":
    main()
