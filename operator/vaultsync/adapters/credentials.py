"""The operator's Azure identity: the credential of azure-identity, with a time limit and a count of its token requests.

Knows no vault.

https://learn.microsoft.com/python/api/azure-identity/azure.identity.aio.defaultazurecredential
"""

import asyncio
from collections.abc import Callable
from typing import Final

from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.credentials_async import AsyncSupportsTokenInfo
from azure.identity.aio import DefaultAzureCredential

CountLogin = Callable[[str], None]
"""Counts a token request by its result: issued, refused."""

LOGIN_SECONDS: Final = 20.0
"""The time limit of a token request. azure-core waits 300 seconds for a response, and tries ten more times."""


def own_identity() -> DefaultAzureCredential:
    """Return the credential that the environment configures: workload identity, managed identity or a client secret.

    Interactive credentials and those of developer tools are excluded: in a cluster they could only time out.
    """
    return DefaultAzureCredential(
        exclude_developer_cli_credential=True,
        exclude_cli_credential=True,
        exclude_powershell_credential=True,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
    )


class InstrumentedCredential:
    """Wraps a credential, limits the time of its token requests, and counts them."""

    def __init__(
        self, credential: AsyncSupportsTokenInfo, *, count: CountLogin, seconds: float = LOGIN_SECONDS
    ) -> None:
        self._credential = credential
        self._count = count
        self._seconds = seconds

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Request a token; raises what the credential raises, and `TimeoutError` at the time limit."""
        try:
            async with asyncio.timeout(self._seconds):
                token = await self._credential.get_token_info(*scopes, options=options)
        except Exception:
            self._count("refused")
            raise
        self._count("issued")
        return token
