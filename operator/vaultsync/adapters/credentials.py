"""The operator's Azure identity: the credential of azure-identity, and a count of its token requests; knows no vault.

https://learn.microsoft.com/python/api/azure-identity/azure.identity.aio.defaultazurecredential
"""

from collections.abc import Callable

from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.credentials_async import AsyncSupportsTokenInfo
from azure.identity.aio import DefaultAzureCredential

CountLogin = Callable[[str], None]
"""Counts a token request by its result: issued, refused."""


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
    """Wraps a credential and counts its token requests."""

    def __init__(self, credential: AsyncSupportsTokenInfo, *, count: CountLogin) -> None:
        self._credential = credential
        self._count = count

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Request a token; raises what the credential raises."""
        try:
            token = await self._credential.get_token_info(*scopes, options=options)
        except Exception:
            self._count("refused")
            raise
        self._count("issued")
        return token
