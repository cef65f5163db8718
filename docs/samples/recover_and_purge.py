"""Recover a deleted secret, resume an operation later, and purge a secret permanently.

    python recover_and_purge.py https://shop.vault.azure.net

runs it against your vault, with an identity that azure-identity finds; it changes only secrets named `sample-…`.
"""

import sys

from azure.identity import DefaultAzureCredential

from kvsecrets import Conflict, PurgeProtected, SecretClient, SecretNotFound


def run(client: SecretClient) -> None:
    """Delete, recover, delete again and purge."""
    client.set_secret("sample-password", "correct horse")

    deletion = client.begin_delete_secret("sample-password")
    print(f"deleting {deletion.value.name}; its name remains reserved")
    note = deletion.id  # could be stored, and resumed by another program

    deletion = client.resume_delete_secret(note)
    deletion.wait(timeout=60)
    try:
        client.set_secret("sample-password", "battery staple")
    except Conflict as error:
        print(f"cannot set it while it is deleted: {error.inner_code}")

    recovery = client.begin_recover_deleted_secret("sample-password")
    recovery.wait(timeout=60)
    print(f"recovered it: {client.get_secret('sample-password').value.reveal()}")

    client.begin_delete_secret("sample-password").wait(timeout=60)
    try:
        client.purge_deleted_secret("sample-password")
        client.get_deleted_secret("sample-password")
    except PurgeProtected:
        print("this vault does not allow purging: the secret is removed when its retention period ends")
    except SecretNotFound:
        print("purged it for good")


def main() -> None:
    """Run it against the vault at the given URL."""
    with DefaultAzureCredential() as credential, SecretClient(sys.argv[1], credential) as client:
        run(client)


if __name__ == "__main__":
    main()
