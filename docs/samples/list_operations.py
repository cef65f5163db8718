"""List secrets, their versions and deleted secrets, by item and by page; find what expires soon.

    python list_operations.py https://shop.vault.azure.net

runs it against a vault of yours, with a login that azure-identity finds; it touches secrets named `sample-…` alone.
"""

import sys
from datetime import UTC, datetime, timedelta

from azure.identity import DefaultAzureCredential

from kvsecrets import SecretClient


def run(client: SecretClient) -> None:
    """Look at everything in a vault without reading a single value."""
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

    # Versions come in the order of their ids, which is random; two of one second cannot be told apart by their dates.
    versions = sorted(
        client.list_properties_of_secret_versions("sample-password"), key=lambda each: each.created_on or soon
    )
    print(f"sample-password has {len(versions)} versions, the first of {versions[0].created_on:%Y-%m-%d}")

    # A page may be short or empty and still have others after it; its token leads on, tomorrow and elsewhere too.
    pages = client.list_properties_of_secrets().by_page(max_page_size=1)
    first = next(pages)
    print(f"the first page holds {[properties.name for properties in first.items]}")
    rest = client.list_properties_of_secrets().by_page(first.continuation_token)
    print(f"the others hold {[properties.name for page in rest for properties in page.items]}")

    client.begin_delete_secret("sample-key").wait(timeout=60)
    for deleted in client.list_deleted_secrets():
        print(f"{deleted.name} is deleted, and gone for good on {deleted.scheduled_purge_on:%Y-%m-%d}")


def main() -> None:
    """Run it against the vault whose URL is given."""
    with DefaultAzureCredential() as credential, SecretClient(sys.argv[1], credential) as client:
        run(client)


if __name__ == "__main__":
    main()
