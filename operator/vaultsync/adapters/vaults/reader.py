"""Reads and lists vaults through kvsecrets: one client per vault, one call in flight per secret; decides nothing.

The same secret asked by many at once is read once. Its answer is remembered for two seconds, so that a fan-out to many
VaultSecrets costs one call, and never longer: values are not kept.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

import httpx
from vaultsync.api.v1alpha1 import Entry

from kvsecrets import (
    AsyncSecretClient,
    AsyncTokenCredential,
    KeyVaultError,
    KeyVaultSecret,
    ResponseError,
    RetryPolicy,
    SecretProperties,
)
from vaultsync.adapters.vaults.failures import sync_error
from vaultsync.adapters.vaults.governor import Budget, Governor
from vaultsync.rules.changes import Listed, Sighting
from vaultsync.rules.desired import Reading
from vaultsync.rules.outcome import Reason, SyncError

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

MEMORY = 2.0
"""Seconds for which an answer is remembered."""

_NO_RETRIES = RetryPolicy(attempts=1)
"""The work queue tries again, for all calls of a VaultSecret together and without holding up others."""


class Counted(Protocol):
    """Where calls are counted; `status` is an HTTP status, or a word when there was none."""

    def vault_call(self, vault_url: str, *, operation: str, status: str, seconds: float) -> None:
        """Count one call."""
        ...


class _Question(NamedTuple):
    vault_url: str
    name: str
    version: str | None


@dataclass(frozen=True, slots=True)
class _Vault:
    client: AsyncSecretClient
    governor: Governor


class Vaults:
    """All vaults that the operator speaks to, with one identity. Close it with `aclose`."""

    def __init__(
        self,
        credential: AsyncTokenCredential,
        *,
        http: httpx.AsyncClient,
        budget: Budget,
        record: Counted,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        """`now` tells the time where a vault's answer does not; `clock` counts seconds from anywhere."""
        self._credential = credential
        self._http = http
        self._budget = budget
        self._record = record
        self._now = now
        self._clock = clock
        self._vaults: dict[str, _Vault] = {}
        self._flights: dict[_Question, asyncio.Task[Reading]] = {}

    async def read(self, vault_url: str, entry: Entry, *, newer_than: datetime | None) -> Reading:
        """Read the secret that an entry names; a remembered answer will do if it is newer than that moment.

        Raises `SyncError` with the reason of the failure.
        """
        question = _Question(vault_url, entry.secret_name, entry.version)
        flight = self._flights.get(question)
        if flight is not None:
            reading = await asyncio.shield(flight)
            if newer_than is None or reading.read_at > newer_than:
                return reading
        return await asyncio.shield(self._depart(question))

    async def pages(self, vault_url: str) -> AsyncIterator[Listed]:
        """List all secrets of the vault, a call a page; no values. Raises `SyncError`."""
        pages = self._vault(vault_url).client.list_properties_of_secrets().by_page()
        while True:
            try:
                page = await self._call(vault_url, None, "list_secrets", lambda: anext(pages))
            except StopAsyncIteration:
                return
            seen_at = page.response.date or self._now()
            yield Listed({item.name.lower(): _sighting(item, seen_at) for item in page.items}, seen_at)

    async def sight(self, vault_url: str, name: str) -> Sighting | None:
        """Look at one secret by reading it, and drop the value; None if there is none. Raises `SyncError`."""
        try:
            secret = await self._get(_Question(vault_url, name, None))
        except SyncError as error:
            if error.reason is Reason.SECRET_NOT_FOUND:
                return None
            if error.reason in {Reason.SECRET_DISABLED, Reason.ACCESS_DENIED}:
                return Sighting(readable=False, updated=None, expires=None, seen_at=self._now())
            raise
        return _sighting(secret.properties, secret.response.date or self._now())

    async def aclose(self) -> None:
        """Close the connections to all vaults."""
        for vault in self._vaults.values():
            await vault.client.aclose()
        self._vaults.clear()

    def _depart(self, question: _Question) -> asyncio.Task[Reading]:
        flight = self._flights[question] = asyncio.create_task(self._fly(question))
        flight.add_done_callback(lambda _: self._land(question, flight))
        return flight

    def _land(self, question: _Question, flight: asyncio.Task[Reading]) -> None:
        """Forget a failure at once, an answer after a short while."""
        failed = flight.cancelled() or flight.exception() is not None
        asyncio.get_running_loop().call_later(0.0 if failed else MEMORY, self._forget, question, flight)

    def _forget(self, question: _Question, flight: asyncio.Task[Reading]) -> None:
        if self._flights.get(question) is flight:
            del self._flights[question]

    async def _fly(self, question: _Question) -> Reading:
        try:
            secret = await self._get(question)
        except SyncError as error:
            if error.reason is not Reason.SECRET_NOT_FOUND:
                raise
            raise (await self._soft_deleted(question) or error) from None
        properties = secret.properties
        return Reading(
            value=secret.value,
            version=properties.version or "",
            updated=properties.updated_on,
            expires=properties.expires_on,
            read_at=secret.response.date or self._now(),
        )

    async def _soft_deleted(self, question: _Question) -> SyncError | None:
        """Say that the secret was deleted and can be recovered; None if it was not, or if we may not look."""
        vault_url, name, _ = question
        client = self._vault(vault_url).client
        try:
            deleted = await self._call(vault_url, name, "get_deleted_secret", lambda: client.get_deleted_secret(name))
        except SyncError:
            return None
        until = f" until {deleted.scheduled_purge_on:%Y-%m-%d}" if deleted.scheduled_purge_on else ""
        return SyncError(
            Reason.SECRET_SOFT_DELETED,
            f"Secret {name} of vault {vault_url} was deleted; recover it there{until}, or remove the entry.",
        )

    async def _get(self, question: _Question) -> KeyVaultSecret:
        vault_url, name, version = question
        client = self._vault(vault_url).client
        return await self._call(vault_url, name, "get_secret", lambda: client.get_secret(name, version))

    async def _call(
        self, vault_url: str, name: str | None, operation: str, call: Callable[[], Awaitable[_Result]]
    ) -> _Result:
        """Make one call when its turn comes; count it, and turn its failure into a reason."""
        async with self._vault(vault_url).governor.turn():
            started, status = self._clock(), "200"
            try:
                return await call()
            except KeyVaultError as error:
                status = _status_of(error)
                failure = sync_error(error, vault_url=vault_url, secret=name)
                logger.info(
                    "vault call failed", extra={"vault": vault_url, "operation": operation, "error": str(error)}
                )
                # The cause is dropped: what people may see of it is in the message, the rest in the log line above.
                raise failure from None
            finally:
                self._record.vault_call(vault_url, operation=operation, status=status, seconds=self._clock() - started)

    def _vault(self, vault_url: str) -> _Vault:
        vault = self._vaults.get(vault_url)
        if vault is None:
            client = AsyncSecretClient(vault_url, self._credential, retry=_NO_RETRIES, http_client=self._http)
            vault = self._vaults[vault_url] = _Vault(client, Governor(self._budget, clock=self._clock))
        return vault


def _sighting(properties: SecretProperties, seen_at: datetime) -> Sighting:
    return Sighting(
        readable=properties.enabled,
        updated=properties.updated_on,
        expires=properties.expires_on,
        seen_at=seen_at,
        version=properties.version,
    )


def _status_of(error: KeyVaultError) -> str:
    return str(error.status) if isinstance(error, ResponseError) else type(error).__name__
