"""With asyncio: read many secrets concurrently with one client and one login.

    python async_client.py https://shop.vault.azure.net

runs it against your vault, with an identity that azure-identity finds; it changes only secrets named `sample-…`.
"""

import asyncio
import sys

from azure.identity.aio import DefaultAzureCredential

from kvsecrets import AsyncSecretClient


async def run(client: AsyncSecretClient) -> None:
    """Write some secrets, and read them concurrently."""
    names = [f"sample-{number}" for number in range(5)]
    await asyncio.gather(*[client.set_secret(name, f"value of {name}") for name in names])

    secrets = await asyncio.gather(*[client.get_secret(name) for name in names])
    print(f"read {len(secrets)} secrets at once: {[secret.name for secret in secrets]}")

    operations = await asyncio.gather(*[client.begin_delete_secret(name) for name in names])
    await asyncio.gather(*[operation.wait(timeout=60) for operation in operations])
    left = [properties.name async for properties in client.list_properties_of_secrets() if properties.name in names]
    print(f"deleted them; {len(left)} are left")


async def main() -> None:
    """Run it against the vault at the given URL."""
    url = sys.argv[1]
    async with DefaultAzureCredential() as credential, AsyncSecretClient(url, credential) as client:
        await run(client)


if __name__ == "__main__":
    asyncio.run(main())
