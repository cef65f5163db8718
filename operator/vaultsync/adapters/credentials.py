"""Who the operator is to Azure: azure-identity's credentials, and how often they are asked; knows no vault.

https://learn.microsoft.com/python/api/azure-identity/azure.identity.aio.defaultazurecredential
"""

from typing import Protocol

from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.credentials_async import AsyncSupportsTokenInfo
from azure.identity.aio import DefaultAzureCredential


class Counted(Protocol):
    """Where logins are counted."""

    def __call__(self, *, issued: bool) -> None:
        """Count one that ended with a token, or without."""
        ...


def own_identity() -> DefaultAzureCredential:
    """The operator's own identity, found by the environment: workload identity, managed identity or a client secret.

    Ways that ask a person or a developer's tools are left out: in a cluster they could only fail, slowly.
    """
    return DefaultAzureCredential(
        exclude_developer_cli_credential=True,
        exclude_cli_credential=True,
        exclude_powershell_credential=True,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
    )


class InstrumentedCredential:
    """A credential that counts how often it is asked; only the one within knows how to log in."""

    def __init__(self, credential: AsyncSupportsTokenInfo, *, count: Counted) -> None:
        self._credential = credential
        self._count = count

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Ask for a token; raises whatever the credential raises."""
        try:
            token = await self._credential.get_token_info(*scopes, options=options)
        except Exception:
            self._count(issued=False)
            raise
        self._count(issued=True)
        return token
