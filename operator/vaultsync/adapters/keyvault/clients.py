"""Reads and lists vaults through kvsecrets: one client per vault, one call in flight per secret; decides nothing.

The same secret asked by many at once is read once. Its answer is remembered for two seconds, so that a fan-out to many
VaultSecrets costs one call, and never longer: values are not kept. A poll's look at the secret ends that memory, since
what it saw may be newer.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import httpx

from kvsecrets import (
    AsyncSecretClient,
    AsyncSupportsTokenInfo,
    AsyncTokenCredential,
    KeyVaultError,
    KeyVaultSecret,
    ResponseError,
    ResponseInfo,
    RetryPolicy,
    SecretProperties,
)
from vaultsync.adapters.keyvault.errors import sync_error
from vaultsync.adapters.keyvault.rate_limit import Budget, RateLimiter
from vaultsync.adapters.keyvault.versions import version_before
from vaultsync.errors import Reason, SecretNotFound, SyncError
from vaultsync.state.secrets import Reading, SecretRef
from vaultsync.state.vaults import ListingPage, Missing, SecretMetadata

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

CACHE_TTL = 2.0
"""Seconds for which an answer is remembered."""

TIMEOUT = 10.0
"""Seconds within which a vault must answer."""

_NO_RETRIES = RetryPolicy(attempts=1)
"""The work queue tries again, for all calls of a VaultSecret together and without holding up others."""


class Counted(Protocol):
    """Where calls are counted; `status` is an HTTP status, or a word when there was none."""

    def vault_call(self, vault_url: str, *, operation: str, status: str, seconds: float) -> None:
        """Count one call."""
        ...


@dataclass(slots=True)
class _Vault:
    """One vault: `ahead` is by how much its clock is ahead of ours, as far as its last answer told."""

    url: str
    client: AsyncSecretClient
    rate_limiter: RateLimiter
    now: Callable[[], datetime]
    flights: dict[SecretRef, asyncio.Task[Reading]] = field(default_factory=dict)
    ahead: timedelta = timedelta(0)

    def time(self) -> datetime:
        """Tell the time by the vault's clock."""
        return self.now() + self.ahead

    def hear(self, answer: ResponseInfo) -> None:
        """Learn the vault's clock from any answer, a refusal too."""
        if answer.date is not None:
            self.ahead = answer.date - self.now()

    def invalidate(self, names: Iterable[str]) -> None:
        """Let nobody get an answer any more that was asked for before a poll looked at these secrets."""
        for name in names:
            self.flights.pop(SecretRef(name), None)
            self.flights.pop(SecretRef(name, previous=True), None)


class Vaults:
    """All vaults that the operator speaks to, with one identity. Close it with `aclose`."""

    def __init__(
        self,
        credential: AsyncTokenCredential | AsyncSupportsTokenInfo,
        *,
        budget: Budget,
        record: Counted,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """`now` tells the time where a vault's answer does not; `clock` counts seconds from anywhere.

        Without `http` each vault has connections of its own, which kvsecrets handles at half the price of httpx's pool.
        """
        self._credential = credential
        self._http = http
        self._budget = budget
        self._record = record
        self._now = now
        self._clock = clock
        self._vaults: dict[str, _Vault] = {}
        self._airborne: set[asyncio.Task[Reading]] = set()

    async def read(self, vault_url: str, ref: SecretRef) -> Reading:
        """Read a secret; the answer is newer than what polls have seen of it by now.

        Raises `SyncError` with the reason of the failure, of the kind `NotThere` if there is no such secret.
        """
        return await self._read(self._vault(vault_url), ref)

    async def pages(self, vault_url: str) -> AsyncGenerator[ListingPage, None]:
        """List all secrets of the vault, a call a page; no values. Raises `SyncError`."""
        vault = self._vault(vault_url)
        pages = vault.client.list_properties_of_secrets(raw_response_hook=vault.hear).by_page()
        more = True
        while more:
            page = await self._call(vault, None, "list_secrets", lambda: anext(pages))
            more = page.continuation_token is not None
            observed_at = page.response.date or vault.time()
            secrets = {item.name.lower(): _metadata(item, observed_at) for item in page.items}
            if more:
                vault.invalidate(secrets)
            else:
                vault.flights.clear()  # the last page tells what is missing, too
            yield ListingPage(secrets, observed_at)

    async def sight(self, vault_url: str, name: str) -> SecretMetadata | Missing:
        """Look at one secret by reading it, and drop the value. Raises `SyncError`."""
        vault = self._vault(vault_url)
        try:
            secret = await self._get(vault, name, None)
        except SyncError as error:
            observed_at = vault.time()
            match error.reason:
                case Reason.SECRET_NOT_FOUND:
                    return Missing(observed_at)
                case Reason.SECRET_DISABLED | Reason.ACCESS_DENIED:
                    return SecretMetadata(readable=False, updated=None, expires=None, observed_at=observed_at)
            raise
        finally:
            vault.invalidate({name})
        return _metadata(secret.properties, secret.response.date or vault.time())

    def rate_limiter(self, vault_url: str) -> RateLimiter | None:
        """Who stands before that vault; None if it was never called."""
        vault = self._vaults.get(vault_url)
        return None if vault is None else vault.rate_limiter

    async def aclose(self) -> None:
        """Break off what is still being read, and close the connections to all vaults."""
        for flight in self._airborne:
            flight.cancel()
        await asyncio.gather(*self._airborne, return_exceptions=True)
        for vault in self._vaults.values():
            await vault.client.aclose()
        self._vaults.clear()

    async def _read(self, vault: _Vault, ref: SecretRef) -> Reading:
        """Ask once for all who ask."""
        flight = vault.flights.get(ref.identity) or self._depart(vault, ref)
        return await asyncio.shield(flight)

    def _depart(self, vault: _Vault, ref: SecretRef) -> asyncio.Task[Reading]:
        flight = vault.flights[ref.identity] = asyncio.create_task(self._fly(vault, ref))
        self._airborne.add(flight)
        flight.add_done_callback(lambda _: self._land(vault, ref.identity, flight))
        return flight

    def _land(self, vault: _Vault, ref: SecretRef, flight: asyncio.Task[Reading]) -> None:
        """Forget a failure at once, an answer after a short while."""
        self._airborne.discard(flight)

        def forget() -> None:
            if vault.flights.get(ref) is flight:
                del vault.flights[ref]

        if flight.cancelled() or flight.exception() is not None:
            forget()
        else:
            asyncio.get_running_loop().call_later(CACHE_TTL, forget)

    async def _fly(self, vault: _Vault, ref: SecretRef) -> Reading:
        version = await self._version_before_the_newest(vault, ref.name) if ref.previous else ref.version
        try:
            secret = await self._get(vault, ref.name, version)
        except SyncError as error:
            if error.reason is not Reason.SECRET_NOT_FOUND:
                raise
            raise await self._not_there(vault, ref.name, error) from None
        properties = secret.properties
        return Reading(
            value=secret.value,
            version=properties.version or "",
            updated=properties.updated_on,
            expires=properties.expires_on,
            read_at=secret.response.date or vault.time(),
            content_type=properties.content_type,
            not_before=properties.not_before,
        )

    async def _version_before_the_newest(self, vault: _Vault, name: str) -> str:
        newest = await self._read(vault, SecretRef(name))
        versions: list[SecretProperties] = []
        pages = vault.client.list_properties_of_secret_versions(name, raw_response_hook=vault.hear).by_page()
        more = True
        while more:
            page = await self._call(vault, name, "list_versions", lambda: anext(pages))
            more = page.continuation_token is not None
            versions += page.items
        if version := version_before(newest.version, versions):
            return version
        text = f"Secret {name} of vault {vault.url} has no enabled version before its newest."
        raise SecretNotFound(Reason.SECRET_NOT_FOUND, text, polled_at=vault.time())

    async def _not_there(self, vault: _Vault, name: str, error: SyncError) -> SecretNotFound:
        """Tell a secret that was deleted and can be recovered from one that never was, as far as we may look.

        A failure that passes is raised: the reason would change with it and back, and people be told each time.
        """
        polled_at = vault.time()
        client = vault.client
        try:
            deleted = await self._call(
                vault, name, "get_deleted_secret", lambda: client.get_deleted_secret(name, raw_response_hook=vault.hear)
            )
        except SyncError as refused:
            if refused.reason not in {Reason.SECRET_NOT_FOUND, Reason.ACCESS_DENIED}:
                raise
            return SecretNotFound(error.reason, error.message, polled_at=polled_at)
        until = f" until {deleted.scheduled_purge_on:%Y-%m-%d}" if deleted.scheduled_purge_on else ""
        return SecretNotFound(
            Reason.SECRET_SOFT_DELETED,
            f"Secret {name} of vault {vault.url} was deleted; recover it there{until}, or remove the entry.",
            polled_at=polled_at,
        )

    async def _get(self, vault: _Vault, name: str, version: str | None) -> KeyVaultSecret:
        client = vault.client
        return await self._call(
            vault, name, "get_secret", lambda: client.get_secret(name, version, raw_response_hook=vault.hear)
        )

    async def _call(
        self, vault: _Vault, name: str | None, operation: str, call: Callable[[], Awaitable[_Result]]
    ) -> _Result:
        """Make one call when its turn comes; count it, and turn its failure into a reason."""
        async with vault.rate_limiter.turn():
            started, status = self._clock(), "interrupted"
            try:
                result = await call()
            except KeyVaultError as error:
                status = _status_of(error)
                failure = sync_error(error, vault_url=vault.url, secret=name)
                fields = {"vault": vault.url, "operation": operation, "detail": str(error), **_request_ids(error)}
                logger.info("vault call failed", extra=fields)
                # The cause is dropped: what people may see of it is in the message, the rest in the log line above.
                raise failure from None
            else:
                status = "200"
                return result
            finally:
                self._record.vault_call(vault.url, operation=operation, status=status, seconds=self._clock() - started)

    def _vault(self, vault_url: str) -> _Vault:
        vault = self._vaults.get(vault_url)
        if vault is None:
            client = AsyncSecretClient(
                vault_url, self._credential, retry=_NO_RETRIES, timeout=TIMEOUT, http_client=self._http
            )
            rate_limiter = RateLimiter(self._budget, clock=self._clock)
            vault = self._vaults[vault_url] = _Vault(vault_url, client, rate_limiter, self._now)
        return vault


def _metadata(properties: SecretProperties, observed_at: datetime) -> SecretMetadata:
    return SecretMetadata(
        readable=properties.enabled,
        updated=properties.updated_on,
        expires=properties.expires_on,
        observed_at=observed_at,
        version=properties.version,
        name=properties.name,
        tags=properties.tags,
    )


def _request_ids(error: KeyVaultError) -> dict[str, str]:
    """By what the vault's support, and our own debug log, find the call."""
    ids = {name: getattr(error, name, None) for name in ("request_id", "client_request_id")}
    return {name: text for name, text in ids.items() if text}


def _status_of(error: KeyVaultError) -> str:
    return str(error.status) if isinstance(error, ResponseError) else type(error).__name__
