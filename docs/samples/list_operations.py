"""List secrets, their versions and deleted secrets, by item and by page; find secrets that expire soon.

    python list_operations.py https://shop.vault.azure.net

runs it against your vault, with an identity that azure-identity finds; it changes only secrets named `sample-…`.
"""

import sys
from datetime import UTC, datetime, timedelta

from azure.identity import DefaultAzureCredential

from kvsecrets import SecretClient


def run(client: SecretClient) -> None:
    """List everything in a vault without reading a value."""
    soon = datetime.now(UTC) + timedelta(days=30)
    client.set_secret("sample-password", "correct horse", expires_on=soon - timedelta(days=10))
    client.set_secret("sample-password", "battery staple", expires_on=soon - timedelta(days=5))
    client.set_secret("sample-key", "an old one", enabled=False)

    for properties in client.list_properties_of_secrets():
        if not properties.name.startswith("sample-"):
            continue
        state = "enabled" if properties.enabled else "disabled"
        due = " and expires soon" if properties.expires_on and properties.expires_on < soon else ""
        print(f"{properties.name} is {state}{due}")

    # Versions are listed in the order of their ids, which is random; dates do not distinguish two of the same second.
    versions = sorted(
        client.list_properties_of_secret_versions("sample-password"), key=lambda each: each.created_on or soon
    )
    print(f"sample-password has {len(versions)} versions, the first of {versions[0].created_on:%Y-%m-%d}")

    # A page may be short or empty and not be the last; its token stays valid, also later and in another process.
    pages = client.list_properties_of_secrets().by_page(max_page_size=1)
    first = next(pages)
    print(f"the first page holds {[properties.name for properties in first.items]}")
    rest = client.list_properties_of_secrets().by_page(first.continuation_token)
    print(f"the others hold {[properties.name for page in rest for properties in page.items]}")

    client.begin_delete_secret("sample-key").wait(timeout=60)
    for deleted in client.list_deleted_secrets():
        print(f"{deleted.name} is deleted, and gone for good on {deleted.scheduled_purge_on:%Y-%m-%d}")


def main() -> None:
    """Run it against the vault at the given URL."""
    with DefaultAzureCredential() as credential, SecretClient(sys.argv[1], credential) as client:
        run(client)


if __name__ == "__main__":
    main()
