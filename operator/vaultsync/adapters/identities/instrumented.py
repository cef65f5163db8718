"""Wrappers of credentials: one opens its own at the first token request, one shares, limits and counts the requests."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from vaultsync.adapters.identities.failures import remembered
from vaultsync.adapters.identities.interfaces import CountLogin, Credential

if TYPE_CHECKING:
    from azure.core.credentials import AccessTokenInfo, TokenRequestOptions

LOGIN_SECONDS: Final = 20.0
"""The time limit of a token request. azure-core waits 300 seconds for a response, and tries ten more times."""


class PostponedCredential:
    """A credential that is opened for its first token request."""

    def __init__(self, open_: Callable[[], Awaitable[Credential]]) -> None:
        self._open = open_
        self._credential: Credential | None = None
        self._lock = asyncio.Lock()

    async def get_token_info(self, *scopes: str, options: "TokenRequestOptions | None" = None) -> "AccessTokenInfo":
        """Request a token; raises what the credential raises, and what opening it does."""
        async with self._lock:
            if self._credential is None:
                self._credential = await self._open()
        return await self._credential.get_token_info(*scopes, options=options)

    async def close(self) -> None:
        """Close the credential if it was opened."""
        if self._credential is not None:
            await self._credential.close()


class InstrumentedCredential:
    """Wraps a credential, limits the time of its token requests, and counts them.

    Equal requests at the same time share one: the credential would return a token to each, and cache the last. When all
    are revoked, a vault would first get another revoked one in exchange for its own.
    """

    def __init__(self, credential: Credential, *, count: CountLogin, seconds: float = LOGIN_SECONDS) -> None:
        self._credential = credential
        self._count = count
        self._seconds = seconds
        self._in_flight: dict[object, asyncio.Task[AccessTokenInfo]] = {}

    async def get_token_info(self, *scopes: str, options: "TokenRequestOptions | None" = None) -> "AccessTokenInfo":
        """Request a token.

        Raises what the credential raises, `TimeoutError` at the time limit, and `NoResponse` if a host did not respond.
        """
        key = (scopes, tuple(sorted((options or {}).items())))
        task = self._in_flight.get(key)
        if task is None:
            task = self._in_flight[key] = asyncio.create_task(self._request(*scopes, options=options))
            task.add_done_callback(lambda done: self._on_done(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End the requests in flight, and close the credential."""
        for task in tuple(self._in_flight.values()):
            task.cancel()
        await self._credential.close()

    def _on_done(self, key: object, task: "asyncio.Task[AccessTokenInfo]") -> None:
        self._in_flight.pop(key, None)
        if not task.cancelled():
            task.exception()  # it is retrieved, also if no caller waits for it any more

    async def _request(self, *scopes: str, options: "TokenRequestOptions | None") -> "AccessTokenInfo":
        with remembered() as failures:
            try:
                async with asyncio.timeout(self._seconds):
                    token = await self._credential.get_token_info(*scopes, options=options)
            except Exception as error:
                self._count("refused")
                if failures:
                    raise failures[-1] from error
                raise
        self._count("issued")
        return token
