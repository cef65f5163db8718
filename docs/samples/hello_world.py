"""Set, read, update and delete a secret.

    python hello_world.py https://shop.vault.azure.net

runs it against your vault, with an identity that azure-identity finds; it changes only secrets named `sample-…`.
"""

import sys
from datetime import UTC, datetime, timedelta

from azure.identity import DefaultAzureCredential

from kvsecrets import CLEAR, SecretClient


def run(client: SecretClient) -> None:
    """Create, read, update and delete one secret."""
    secret = client.set_secret("sample-password", "correct horse", tags={"team": "shop"})
    print(f"set      {secret.name}, version {secret.properties.version}")
    print(f"         its value prints as {secret.value!s}, and is {len(secret.value.reveal())} characters long")

    secret = client.get_secret("sample-password")
    print(f"got      {secret.name}, set at {secret.properties.created_on:%H:%M}")

    in_a_year = datetime.now(UTC) + timedelta(days=365)
    properties = client.update_secret_properties("sample-password", content_type="text/plain", expires_on=in_a_year)
    print(f"updated  {properties.name}: {properties.content_type}, tags {properties.tags}")
    print(f"         it expires in {properties.expires_on:%Y}")

    properties = client.update_secret_properties("sample-password", expires_on=CLEAR)
    print(f"cleared  its expiry: {properties.expires_on}")

    newer = client.set_secret("sample-password", "battery staple")
    versions = list(client.list_properties_of_secret_versions("sample-password"))
    print(f"set      a newer version: there are {len(versions)} now, the newest is {newer.properties.version}")

    operation = client.begin_delete_secret("sample-password")
    deleted = operation.wait(timeout=60)
    print(f"deleted  {deleted.name}; it can be recovered until {deleted.scheduled_purge_on:%Y-%m-%d}")


def main() -> None:
    """Run it against the vault at the given URL."""
    with DefaultAzureCredential() as credential, SecretClient(sys.argv[1], credential) as client:
        run(client)


if __name__ == "__main__":
    main()
