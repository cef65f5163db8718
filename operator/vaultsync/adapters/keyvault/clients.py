"""Reads and lists vaults through kvsecrets: a client per vault and grant, a call in flight per secret; decides nothing.

Concurrent reads of a secret share one call. Its result is cached for two seconds, so that many VaultSecrets with the
same secret cost one call, and never longer: values are not kept. A poll of the secret invalidates the cached result,
since it may have observed a newer version.
"""

import asyncio
import itertools
import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol, TypeVar

import httpx

from kvsecrets import (
    AsyncSecretClient,
    AsyncSupportsTokenInfo,
    KeyVaultError,
    KeyVaultSecret,
    ResponseError,
    ResponseInfo,
    RetryPolicy,
    SecretProperties,
)
from vaultsync import __version__
from vaultsync.adapters.keyvault.absences import Absences, Times
from vaultsync.adapters.keyvault.errors import log_fields, sync_error
from vaultsync.adapters.keyvault.rate_limit import Budget, RateLimiter
from vaultsync.adapters.keyvault.readings import (
    bounded_tags,
    inactive_reading,
    pending_version,
    reading_of,
    tag_characters,
    unlistable,
)
from vaultsync.adapters.keyvault.versions import (
    activation,
    active_time,
    active_version,
    is_pending,
    next_version,
    unusable,
    version_before,
)
from vaultsync.errors import ListingTooLong, Reason, SecretNotFound, SyncError
from vaultsync.slots import Slots
from vaultsync.state.access import Access, Identity, TokenClaims
from vaultsync.state.listings import ListingPage, SecretMetadata
from vaultsync.state.moments import Moment
from vaultsync.state.secrets import InactiveReading, SecretRef, VaultReading
from vaultsync.state.vaults import Missing

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

CACHE_TTL = 2.0
"""Seconds for which the result of a read is cached."""

TIMEOUT = 10.0
"""Seconds within which a vault must respond."""

MAX_LISTING = 32 * 1024 * 1024
"""Upper bound of one listing, in bytes by a rough count: a vault decides how long it is, or whether it ends at all."""

PAGE_WEIGHT = 8192
_SECRET_WEIGHT = 256

MAX_CALLS = 64
"""Concurrent calls of a vault. In kvsecrets, more would wait in the time within which the vault must respond."""

_NAMESPACE: Final[ContextVar[str]] = ContextVar("namespace", default="")
"""The namespace for which a vault is called, whose turn comes among others; empty for polls, which are for all."""

_NO_RETRIES = RetryPolicy(attempts=1)
"""The work queue retries, for all calls of a VaultSecret together and without blocking other VaultSecrets."""


CountCall = Callable[[str, str, str, float], None]
"""Counts a call: the vault's URL, the operation, the HTTP status or the kind of failure, and the seconds it took."""


class VaultCredential(AsyncSupportsTokenInfo, Protocol):
    """The credential of an identity for one vault."""

    @property
    def verifies_resource(self) -> bool:
        """Whether a token may only be for the vault's own domain."""
        ...

    @property
    def claims(self) -> TokenClaims:
        """Whom its last token names."""
        ...

    async def aclose(self) -> None:
        """Close it."""
        ...


class Credentials(Protocol):
    """The credentials of all identities."""

    def of(self, identity: Identity, vault_url: str) -> VaultCredential:
        """Return the credential of an identity for one vault."""
        ...


@dataclass(frozen=True, slots=True)
class _Read:
    """A read of one secret, and when it began on the monotonic clock."""

    task: asyncio.Task[VaultReading]
    began: float


@dataclass(slots=True)
class _Vault:
    """The client of one vault for one grant, and what belongs to it."""

    access: Access
    client: AsyncSecretClient
    credential: VaultCredential
    rate_limiter: RateLimiter
    absences: Absences
    cached: dict[SecretRef, "_Read"] = field(default_factory=dict)
    """Reads in flight, and those that ended within `CACHE_TTL`."""
    in_flight: set[asyncio.Task[VaultReading]] = field(default_factory=set)
    slots: Slots = field(default_factory=lambda: Slots(MAX_CALLS))
    time: datetime | None = None
    """The vault's clock at its last response; None while it sends none."""
    is_closed: bool = False

    @property
    def url(self) -> str:
        """The URL of the vault."""
        return self.access.vault_url

    def observe_clock(self, response: ResponseInfo) -> None:
        """Learn the vault's clock from a response, whatever its status."""
        if response.date is not None:
            self.time = response.date

    def invalidate(self, names: Iterable[str]) -> None:
        """Drop the cached reads of secrets, as they began before a poll observed the secrets."""
        for name in names:
            self.cached.pop(SecretRef(name), None)
            self.cached.pop(SecretRef(name, previous=True), None)

    async def aclose(self) -> None:
        """Cancel all reads in flight, wait until they have ended, and close client and credential."""
        for task in self.in_flight:
            task.cancel()
        await asyncio.gather(*self.in_flight, return_exceptions=True)
        await self.client.aclose()
        await self.credential.aclose()


class VaultClients:
    """The clients of all vaults, one for each grant that uses it, with one TLS context. Close them with `aclose`."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        budget: Budget,
        count_call: CountCall,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        http: httpx.AsyncClient | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Open no connection yet.

        Args:
            credentials: The credentials of all identities.
            budget: How many calls each vault gets.
            count_call: Counts calls.
            now: The operator's clock, which dates readings.
            clock: A monotonic clock in seconds, which orders what reads and polls observe.
            http: An HTTP client for all vaults, which stays open; by default each vault has connections of its own,
                over one TLS context.
            tls: That context; without it and without `http`, each vault has one of its own.
        """
        self._credentials = credentials
        self._http = http
        self._budget = budget
        self._count_call = count_call
        self._now = now
        self._clock = clock
        self._numbers = itertools.count(1)
        self._tls = tls
        self._vaults: dict[Access, _Vault] = {}
        self._shares: Mapping[str, float] = {}

    async def get(
        self, access: Access, ref: SecretRef, *, namespace: str = "", since: float | None = None
    ) -> VaultReading:
        """Read a secret.

        One that the last read found missing is not read again for two seconds after a poll that missed it, too.

        Args:
            access: The vault, and for which grant.
            ref: The secret.
            namespace: That of the VaultSecret: namespaces take turns.
            since: The read begins later than this, on the monotonic clock, and is made although the secret is known
                to be missing. By default, a cached result will do.

        Returns:
            A reading that began after the last poll that observed the secret: of the version that is active now, or
            the one before it. InactiveReading if no version is active, or the pinned one is not.

        Raises:
            SecretNotFound: There is no such secret, or no such version.
            SyncError: The call failed, or `close_vault` interrupted it.
        """
        vault = self._vault(access)
        missing = None if since is not None else vault.absences.current(ref.identity)
        if missing is not None:
            raise missing
        token = _NAMESPACE.set(namespace)
        try:
            return await self._read(vault, ref, since)
        finally:
            _NAMESPACE.reset(token)

    def moment(self) -> Moment:
        """Return the present moment, later than all before."""
        return Moment(self._clock(), next(self._numbers))

    async def list_pages(self, access: Access) -> AsyncGenerator[ListingPage, None]:
        """List the metadata of all secrets of a vault, one call per page; no values are transferred.

        Raises:
            ListingTooLong: It is longer than `MAX_LISTING`.
            SyncError: A call failed, or followed `close_vault`.
        """
        vault = self._vault(access)
        pages = vault.client.list_properties_of_secrets(raw_response_hook=vault.observe_clock).by_page()
        length = _Length(f"vault {vault.url}")
        more = True
        while more:
            page = await self._call(vault, None, "list_secrets", lambda: anext(pages))
            length.add(page.items)
            more = page.continuation_token is not None
            observed_at = self.moment()
            secrets = {item.name.lower(): _metadata(item, observed_at) for item in page.items}
            vault.absences.on_observed(secrets)
            if more:
                vault.invalidate(secrets)
            else:
                # The last page shows which secrets are missing, too.
                vault.cached.clear()
                vault.absences.on_unobserved(Times(self._now(), vault.time), CACHE_TTL)
            yield ListingPage(secrets)

    async def head(self, access: Access, name: str) -> SecretMetadata | Missing:
        """Get the metadata of a secret: Key Vault has no such operation, so it is read and its value dropped.

        Raises:
            SyncError: The call failed.
        """
        vault, began = self._vault(access), self.moment()
        try:
            secret = await self._get(vault, name, None)
        except SyncError as error:
            match error.reason:
                case Reason.SECRET_NOT_FOUND:
                    vault.absences.on_unobserved(Times(self._now(), vault.time), CACHE_TTL, name=name.lower())
                    return Missing(began)
                case Reason.SECRET_DISABLED | Reason.ACCESS_DENIED:
                    return SecretMetadata(readable=False, updated=None, expires=None, observed_at=self.moment())
            raise
        finally:
            vault.invalidate({name})
        vault.absences.on_observed({name.lower()})
        return _metadata(secret.properties, self.moment())

    async def probe(self, access: Access) -> TokenClaims:
        """List one secret, to see whether the vault answers this identity; returns whom its token names.

        Raises:
            SyncError: The call failed.
        """
        vault = self._vault(access)
        pages = vault.client.list_properties_of_secrets(raw_response_hook=vault.observe_clock).by_page(max_page_size=1)
        await self._call(vault, None, "probe", lambda: anext(pages))
        return vault.credential.claims

    def rate_limiter(self, access: Access) -> RateLimiter | None:
        """Return the rate limiter of a vault; None if the vault was not called since it was closed last."""
        vault = self._vaults.get(access)
        return None if vault is None else vault.rate_limiter

    def divide_budgets(self, shares: Mapping[str, float]) -> None:
        """Use these parts of the budgets of vaults, by URL, and the whole budget of the others."""
        self._shares = shares
        for access, vault in self._vaults.items():
            vault.rate_limiter.share = shares.get(access.vault_url, 1.0)

    def responds(self, access: Access) -> bool:
        """Return whether the vault has responded to the last call; False if it was not called yet."""
        rate_limiter = self.rate_limiter(access)
        return rate_limiter is not None and rate_limiter.responds

    def has_responded(self, access: Access) -> bool:
        """Return whether the vault has responded to any call since it was closed last."""
        rate_limiter = self.rate_limiter(access)
        return rate_limiter is not None and rate_limiter.has_responded

    def opened(self) -> AbstractSet[Access]:
        """Return the vaults that were called since they were closed last."""
        return self._vaults.keys()

    async def close_vault(self, access: Access) -> None:
        """Close the client of a vault that is not used any more; a later call opens another one.

        Reads in flight are interrupted: their readers get a `SyncError`. Stop the vault's poller before.
        """
        vault = self._vaults.pop(access, None)
        if vault is None:
            return
        vault.is_closed = True
        await vault.aclose()

    async def aclose(self) -> None:
        """Cancel all reads, and close the clients of all vaults."""
        vaults, self._vaults = self._vaults, {}
        for vault in vaults.values():
            await vault.aclose()

    async def _read(self, vault: _Vault, ref: SecretRef, since: float | None) -> VaultReading:
        """Join the read of that secret that is in flight or cached, unless it began too early, or start one."""
        read = vault.cached.get(ref.identity)
        if read is None or (since is not None and read.began <= since) or _is_outdated(read, self._now()):
            read = self._start(vault, ref, since)
        try:
            return await asyncio.shield(read.task)
        except asyncio.CancelledError:
            reader = asyncio.current_task()
            if not vault.is_closed or (reader is not None and reader.cancelling()):
                raise
        raise _closed(vault)

    def _start(self, vault: _Vault, ref: SecretRef, since: float | None) -> _Read:
        task = asyncio.create_task(self._fetch(vault, ref, since))
        read = vault.cached[ref.identity] = _Read(task, began=self._clock())
        vault.in_flight.add(task)
        task.add_done_callback(lambda _: self._on_done(vault, ref.identity, task))
        return read

    def _on_done(self, vault: _Vault, ref: SecretRef, task: asyncio.Task[VaultReading]) -> None:
        """Drop a failure at once, and a result after `CACHE_TTL`."""
        vault.in_flight.discard(task)

        def drop() -> None:
            read = vault.cached.get(ref)
            if read is not None and read.task is task:
                del vault.cached[ref]

        if task.cancelled() or task.exception() is not None:
            drop()
        else:
            asyncio.get_running_loop().call_later(CACHE_TTL, drop)

    async def _fetch(self, vault: _Vault, ref: SecretRef, since: float | None) -> VaultReading:
        """Read a secret, and remember whether it is missing."""
        try:
            reading = await self._fetch_version(vault, ref, since)
        except SecretNotFound as error:
            raise vault.absences.on_missing(ref.identity, error) from None
        vault.absences.on_found(ref.identity)
        return reading

    async def _fetch_version(self, vault: _Vault, ref: SecretRef, since: float | None) -> VaultReading:
        began = self.moment()
        if ref.previous:
            return await self._fetch_previous(vault, ref.name, since, began)
        try:
            secret = await self._get(vault, ref.name, ref.version)
        except SyncError as error:
            if error.reason is not Reason.SECRET_NOT_FOUND:
                raise
            raise await self._not_found(vault, ref.name, error) from None
        read_at = self._now()
        now = active_time(read_at, secret.response.date, secret.properties.updated_on)
        if not is_pending(secret.properties, now):
            return reading_of(secret, began, read_at)
        if ref.version is not None:
            return inactive_reading(secret, began, read_at)
        return await self._fetch_active(vault, secret, began, read_at, now)

    async def _fetch_active(
        self, vault: _Vault, newest: KeyVaultSecret, began: Moment, read_at: datetime, now: datetime
    ) -> VaultReading:
        """Return the version that is active while the newest is not."""
        name = newest.properties.name
        try:
            versions = await self._list_versions(vault, name)
        except SyncError as error:
            if error.reason is not Reason.ACCESS_DENIED:
                raise
            raise unlistable(vault.url, newest, read_at, error) from None
        if all(one.version != newest.properties.version for one in versions):
            text = f"Vault {vault.url} does not list the newest version of secret {name} yet."
            raise SyncError(Reason.VAULT_FAILED, text)
        active = active_version(versions, now)
        following = next_version(versions, active, now) or newest.properties
        if active is None:
            return replace(inactive_reading(newest, began, read_at, following), unusable=unusable(versions, now))
        reading = reading_of(await self._get_listed(vault, name, active.version or ""), began, read_at)
        return replace(
            reading,
            vault_time=newest.response.date,
            pending=pending_version(newest, following, none_active=False),
            unusable=unusable(versions, now),
        )

    async def _fetch_previous(self, vault: _Vault, name: str, since: float | None, began: Moment) -> VaultReading:
        """Return the version before the one that is active."""
        current = await self._read(vault, SecretRef(name), since)
        if isinstance(current, InactiveReading):
            return replace(current, began=began)
        versions = await self._list_versions(vault, name)
        now = active_time(current.read_at, current.vault_time, current.newest.updated)
        moment = activation(current.version, versions, now)
        version = version_before(current.version, versions, moment)
        if version is None:
            text = f"Secret {name} of vault {vault.url} has no enabled version before the one that is used."
            raise SecretNotFound(Reason.SECRET_NOT_FOUND, text, observed_at=self._now(), vault_time=vault.time)
        secret = await self._get_listed(vault, name, version)
        return replace(reading_of(secret, began, self._now()), unusable=unusable(versions, moment))

    async def _list_versions(self, vault: _Vault, name: str) -> list[SecretProperties]:
        versions: list[SecretProperties] = []
        pages = vault.client.list_properties_of_secret_versions(name, raw_response_hook=vault.observe_clock).by_page()
        length = _Length(f"the versions of secret {name} of vault {vault.url}")
        more = True
        while more:
            page = await self._call(vault, name, "list_versions", lambda: anext(pages))
            length.add(page.items)
            more = page.continuation_token is not None
            versions += page.items
        return versions

    async def _get_listed(self, vault: _Vault, name: str, version: str) -> KeyVaultSecret:
        """Read a version that was listed."""
        try:
            return await self._get(vault, name, version)
        except SyncError as error:
            if error.reason is not Reason.SECRET_NOT_FOUND:
                raise
        text = f"Vault {vault.url} lists a version of secret {name} that it does not return."
        raise SyncError(Reason.VAULT_FAILED, text)

    async def _not_found(self, vault: _Vault, name: str, error: SyncError) -> SecretNotFound:
        """Distinguish a soft-deleted secret from one that never existed, if the identity may read deleted secrets.

        A transient failure is raised: otherwise the reason would change back and forth, with an event each time.
        """
        observed_at, vault_time = self._now(), vault.time
        client, hook = vault.client, vault.observe_clock
        try:
            deleted = await self._call(
                vault, name, "get_deleted_secret", lambda: client.get_deleted_secret(name, raw_response_hook=hook)
            )
        except SyncError as failure:
            if failure.reason not in {Reason.SECRET_NOT_FOUND, Reason.ACCESS_DENIED}:
                raise
            return SecretNotFound(error.reason, error.message, observed_at=observed_at, vault_time=vault_time)
        until = f" until {deleted.scheduled_purge_on:%Y-%m-%d}" if deleted.scheduled_purge_on else ""
        return SecretNotFound(
            Reason.SECRET_SOFT_DELETED,
            f"Secret {name} of vault {vault.url} was deleted; recover it there{until}, or remove the entry.",
            observed_at=observed_at,
            vault_time=vault_time,
        )

    async def _get(self, vault: _Vault, name: str, version: str | None) -> KeyVaultSecret:
        client, hook = vault.client, vault.observe_clock
        return await self._call(
            vault, name, "get_secret", lambda: client.get_secret(name, version, raw_response_hook=hook)
        )

    async def _call(
        self, vault: _Vault, name: str | None, operation: str, call: Callable[[], Awaitable[_Result]]
    ) -> _Result:
        """Make a call when the rate limiter allows it, count it, and translate its failure."""
        async with vault.slots.take(_NAMESPACE.get()), vault.rate_limiter.acquire(one_secret=name is not None):
            started, status = self._clock(), "interrupted"
            try:
                result = await call()
            except KeyVaultError as error:
                status = _status_of(error)
                failure = sync_error(error, vault_url=vault.url, secret=name, identity=vault.access.identity)
                fields = {"vault": vault.url, "operation": operation, **log_fields(error)}
                logger.info("vault call failed", extra=fields)
                # The cause is dropped: the message has what users may see of it, and the log line above the rest.
                raise failure from None
            except RuntimeError:
                if self._vaults.get(vault.access) is vault:
                    raise
                raise _closed(vault) from None  # a closed client of kvsecrets raises a RuntimeError
            else:
                status = "200"
                return result
            finally:
                self._count_call(vault.url, operation, status, self._clock() - started)

    def _vault(self, access: Access) -> _Vault:
        vault = self._vaults.get(access)
        if vault is None:
            vault = self._vaults[access] = self._open_vault(access)
        return vault

    def _open_vault(self, access: Access) -> _Vault:
        credential = self._credentials.of(access.identity, access.vault_url)
        client = AsyncSecretClient(
            access.vault_url,
            credential,
            retry=_NO_RETRIES,
            timeout=TIMEOUT,
            http_client=self._http,
            ssl_context=self._tls,
            verify_challenge_resource=credential.verifies_resource,
            application_id=f"vaultsync/{__version__}",
        )
        rate_limiter = RateLimiter(self._budget, clock=self._clock)
        rate_limiter.share = self._shares.get(access.vault_url, 1.0)
        return _Vault(access, client, credential, rate_limiter, Absences(self._clock))


def _is_outdated(read: _Read, now: datetime) -> bool:
    """Return whether another version has become active since a read ended."""
    if not read.task.done() or read.task.cancelled() or read.task.exception() is not None:
        return False
    pending = read.task.result().pending
    return pending is not None and pending.not_before <= now


def _closed(vault: _Vault) -> SyncError:
    text = f"The client of vault {vault.url} was closed, as no VaultSecret uses the vault."
    return SyncError(Reason.VAULT_UNREACHABLE, text)


class _Length:
    """How much of a listing was read.

    Args:
        subject: What is listed, for messages.
    """

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._left = MAX_LISTING

    def add(self, items: Iterable[SecretProperties]) -> None:
        """Count a page.

        Raises:
            ListingTooLong: The listing is longer than `MAX_LISTING`.
        """
        self._left -= PAGE_WEIGHT + sum(_SECRET_WEIGHT + tag_characters(item) for item in items)
        if self._left < 0:
            raise ListingTooLong(self._subject)


def _metadata(properties: SecretProperties, observed_at: Moment) -> SecretMetadata:
    return SecretMetadata(
        readable=properties.enabled,
        updated=properties.updated_on,
        expires=properties.expires_on,
        observed_at=observed_at,
        version=properties.version,
        name=properties.name,
        tags=bounded_tags(properties),
        managed=properties.managed,
    )


def _status_of(error: KeyVaultError) -> str:
    return str(error.status) if isinstance(error, ResponseError) else type(error).__name__
