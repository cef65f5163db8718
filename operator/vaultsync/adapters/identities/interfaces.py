"""What a credential is, and what credentials get what they log in with from. Imports nothing of azure-identity."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from kvsecrets import SecretValue
from vaultsync.api import ObjectKey

if TYPE_CHECKING:
    from azure.core.credentials import AccessTokenInfo, TokenRequestOptions

CountLogin = Callable[[str], None]
"""Counts a token request by its result: issued, refused."""


class Credential(Protocol):
    """A credential of azure-identity, or one of the same shape."""

    async def get_token_info(self, *scopes: str, options: "TokenRequestOptions | None" = None) -> "AccessTokenInfo":
        """Request a token."""
        ...

    async def close(self) -> None:
        """Close what it has open."""
        ...


class ClientCredentials(Protocol):
    """What identities log in with, from the API server. Every method raises `SyncError`."""

    async def request_token(self, account: ObjectKey, *, audience: str) -> SecretValue:
        """Request a token of a ServiceAccount."""
        ...

    async def read_key(self, secret: ObjectKey, name: str) -> SecretValue:
        """Read one key of a Secret."""
        ...
