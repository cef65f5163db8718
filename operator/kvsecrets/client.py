"""The two clients side by side, a line per operation; what an operation asks is in the flows."""

import asyncio
import random
import time
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import httpx

from kvsecrets import _limits
from kvsecrets import _operations as ask
from kvsecrets._auth import Access
from kvsecrets._credentials import AnyCredential, AsyncLogins, Logins, SyncCredential, is_async
from kvsecrets._drivers import AsyncDriver, Driver, ResponseHook, Surroundings
from kvsecrets._operations import Clear, Listing, Page, Vault
from kvsecrets._retry import RetryPolicy
from kvsecrets._tracing import find_tracer
from kvsecrets._wire import API_VERSION
from kvsecrets.models import DeletedSecret, KeyVaultSecret, SecretProperties, SecretValue
from kvsecrets.paging import AsyncPaged, Paged

__all__ = ["AsyncSecretClient", "SecretClient"]

T = TypeVar("T")
TIMEOUT = 30.0
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=30)
PATIENT = RetryPolicy()


class SecretClient:
    """Reads and writes the secrets of one vault; threads may share it.

    Args:
        vault_url: The vault, as in `https://shop.vault.azure.net`.
        credential: Any credential of azure-identity, or an object with azure-core's `get_token` or `get_token_info`.
        api_version: The service's API version; one that this library has never heard of is passed on as it is.
        retry: How often and how patiently a request is tried.
        timeout: Seconds that one attempt may take.
        http_client: Your own httpx client, with its proxies, certificates and limits; closing it stays your business.
        transport: An httpx transport for the client that is made here, such as one of `kvsecrets.testing`.
        verify_challenge_resource: Whether a token is asked for only if it is for the vault's own domain. Switch it off
            only for an emulator that you trust.

    Raises:
        ValueError: The vault's URL is not https, or has more in it than a host.
    """

    def __init__(
        self,
        vault_url: str,
        credential: SyncCredential,
        *,
        api_version: str = API_VERSION,
        retry: RetryPolicy = PATIENT,
        timeout: float = TIMEOUT,
        http_client: httpx.Client | None = None,
        transport: httpx.BaseTransport | None = None,
        verify_challenge_resource: bool = True,
    ) -> None:
        if is_async(credential):
            raise TypeError(
                "this credential is one for asyncio: use AsyncSecretClient, or the credential's twin for threads"
            )
        self._vault = _vault(vault_url, api_version, retry, verify_challenge_resource)
        self._owned = None if http_client else httpx.Client(transport=transport, limits=LIMITS, timeout=timeout)
        _either(http_client, transport)
        http = http_client or self._owned
        assert http is not None
        self._driver = Driver(http, Logins(credential, _wall_clock), _surroundings(self._vault, timeout), time.sleep)

    @property
    def vault_url(self) -> str:
        """The vault that this client talks to."""
        return self._vault.url

    def get_secret(
        self, name: str, version: str | None = None, *, raw_response_hook: ResponseHook | None = None
    ) -> KeyVaultSecret:
        """Read a secret, its newest version or an exact one. Needs the permission secrets/get.

        A secret outside of its dates (`not_before`, `expires_on`) is returned all the same.

        Raises:
            SecretNotFound: There is none, or it is deleted.
            SecretDisabled: The version is disabled.
        """
        return self._driver.run(ask.get_secret(self._vault, name, version), raw_response_hook)

    def set_secret(
        self,
        name: str,
        value: SecretValue | str,
        *,
        content_type: str | None = None,
        tags: Mapping[str, str] | None = None,
        enabled: bool | None = None,
        not_before: datetime | None = None,
        expires_on: datetime | None = None,
        raw_response_hook: ResponseHook | None = None,
    ) -> KeyVaultSecret:
        """Write a secret; a name that exists gets a new version. Needs the permission secrets/set.

        Nothing of the version before is taken over: what is not given here is not set.

        Raises:
            Conflict: The name belongs to a deleted secret: recover or purge that first.
            ValueError: A rule of Key Vault is broken; nothing was sent.
        """
        flow = ask.set_secret(
            self._vault,
            name,
            value,
            content_type=content_type,
            tags=tags,
            enabled=enabled,
            not_before=not_before,
            expires_on=expires_on,
        )
        return self._driver.run(flow, raw_response_hook)

    def update_secret_properties(
        self,
        name: str,
        version: str | None = None,
        *,
        content_type: str | Clear | None = None,
        tags: Mapping[str, str] | Clear | None = None,
        enabled: bool | None = None,
        not_before: datetime | Clear | None = None,
        expires_on: datetime | Clear | None = None,
        raw_response_hook: ResponseHook | None = None,
    ) -> SecretProperties:
        """Change properties of a version, by default the newest; the value stays. Needs the permission secrets/set.

        What is not given keeps its value; `CLEAR` empties a field. Tags are replaced as a whole.

        Raises:
            SecretNotFound: There is none, or it is deleted.
            ValueError: A rule of Key Vault is broken; nothing was sent.
        """
        flow = ask.update_secret_properties(
            self._vault,
            name,
            version,
            content_type=content_type,
            tags=tags,
            enabled=enabled,
            not_before=not_before,
            expires_on=expires_on,
        )
        return self._driver.run(flow, raw_response_hook)

    def get_deleted_secret(self, name: str, *, raw_response_hook: ResponseHook | None = None) -> DeletedSecret:
        """Read what is known of a deleted secret. Needs the permission secrets/get.

        Raises:
            SecretNotFound: There is none, or its deletion is still under way.
        """
        return self._driver.run(ask.get_deleted_secret(self._vault, name), raw_response_hook)

    def list_properties_of_secrets(self, *, raw_response_hook: ResponseHook | None = None) -> Paged[SecretProperties]:
        """List the properties of all secrets, disabled ones included, without values. Needs secrets/list.

        They are those of each secret's newest version, whose id the list does not tell.
        """
        return self._paged(ask.secrets_listing(), raw_response_hook)

    def list_properties_of_secret_versions(
        self, name: str, *, raw_response_hook: ResponseHook | None = None
    ) -> Paged[SecretProperties]:
        """List the properties of a secret's versions, without values. Needs secrets/list.

        They come in the order of their ids, which is not that of time; a secret that does not exist has none.
        """
        return self._paged(ask.versions_listing(name), raw_response_hook)

    def close(self) -> None:
        """Close the connections; closing twice does no harm."""
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _paged(self, listing: Listing[T], hook: ResponseHook | None) -> Paged[T]:
        def fetch(token: str | None, size: int | None) -> Page[T]:
            return self._driver.run(ask.list_page(self._vault, listing, token, size), hook)

        return Paged(fetch)


class AsyncSecretClient:
    """Reads and writes the secrets of one vault; tasks of one event loop may share it.

    Args:
        vault_url: The vault, as in `https://shop.vault.azure.net`.
        credential: Any credential of azure-identity, or an object with azure-core's `get_token` or `get_token_info`;
            one for threads is asked in a thread.
        api_version: The service's API version; one that this library has never heard of is passed on as it is.
        retry: How often and how patiently a request is tried.
        timeout: Seconds that one attempt may take.
        http_client: Your own httpx client, with its proxies, certificates and limits; closing it stays your business.
        transport: An httpx transport for the client that is made here, such as one of `kvsecrets.testing`.
        verify_challenge_resource: Whether a token is asked for only if it is for the vault's own domain. Switch it off
            only for an emulator that you trust.

    Raises:
        ValueError: The vault's URL is not https, or has more in it than a host.
    """

    def __init__(
        self,
        vault_url: str,
        credential: AnyCredential,
        *,
        api_version: str = API_VERSION,
        retry: RetryPolicy = PATIENT,
        timeout: float = TIMEOUT,
        http_client: httpx.AsyncClient | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        verify_challenge_resource: bool = True,
    ) -> None:
        self._vault = _vault(vault_url, api_version, retry, verify_challenge_resource)
        self._owned = None if http_client else httpx.AsyncClient(transport=transport, limits=LIMITS, timeout=timeout)
        _either(http_client, transport)
        http = http_client or self._owned
        assert http is not None
        self._logins = AsyncLogins(credential, _wall_clock)
        self._driver = AsyncDriver(http, self._logins, _surroundings(self._vault, timeout), asyncio.sleep)

    @property
    def vault_url(self) -> str:
        """The vault that this client talks to."""
        return self._vault.url

    async def get_secret(
        self, name: str, version: str | None = None, *, raw_response_hook: ResponseHook | None = None
    ) -> KeyVaultSecret:
        """Read a secret, its newest version or an exact one. Needs the permission secrets/get.

        A secret outside of its dates (`not_before`, `expires_on`) is returned all the same.

        Raises:
            SecretNotFound: There is none, or it is deleted.
            SecretDisabled: The version is disabled.
        """
        return await self._driver.run(ask.get_secret(self._vault, name, version), raw_response_hook)

    async def set_secret(
        self,
        name: str,
        value: SecretValue | str,
        *,
        content_type: str | None = None,
        tags: Mapping[str, str] | None = None,
        enabled: bool | None = None,
        not_before: datetime | None = None,
        expires_on: datetime | None = None,
        raw_response_hook: ResponseHook | None = None,
    ) -> KeyVaultSecret:
        """Write a secret; a name that exists gets a new version. Needs the permission secrets/set.

        Nothing of the version before is taken over: what is not given here is not set.

        Raises:
            Conflict: The name belongs to a deleted secret: recover or purge that first.
            ValueError: A rule of Key Vault is broken; nothing was sent.
        """
        flow = ask.set_secret(
            self._vault,
            name,
            value,
            content_type=content_type,
            tags=tags,
            enabled=enabled,
            not_before=not_before,
            expires_on=expires_on,
        )
        return await self._driver.run(flow, raw_response_hook)

    async def update_secret_properties(
        self,
        name: str,
        version: str | None = None,
        *,
        content_type: str | Clear | None = None,
        tags: Mapping[str, str] | Clear | None = None,
        enabled: bool | None = None,
        not_before: datetime | Clear | None = None,
        expires_on: datetime | Clear | None = None,
        raw_response_hook: ResponseHook | None = None,
    ) -> SecretProperties:
        """Change properties of a version, by default the newest; the value stays. Needs the permission secrets/set.

        What is not given keeps its value; `CLEAR` empties a field. Tags are replaced as a whole.

        Raises:
            SecretNotFound: There is none, or it is deleted.
            ValueError: A rule of Key Vault is broken; nothing was sent.
        """
        flow = ask.update_secret_properties(
            self._vault,
            name,
            version,
            content_type=content_type,
            tags=tags,
            enabled=enabled,
            not_before=not_before,
            expires_on=expires_on,
        )
        return await self._driver.run(flow, raw_response_hook)

    async def get_deleted_secret(self, name: str, *, raw_response_hook: ResponseHook | None = None) -> DeletedSecret:
        """Read what is known of a deleted secret. Needs the permission secrets/get.

        Raises:
            SecretNotFound: There is none, or its deletion is still under way.
        """
        return await self._driver.run(ask.get_deleted_secret(self._vault, name), raw_response_hook)

    def list_properties_of_secrets(
        self, *, raw_response_hook: ResponseHook | None = None
    ) -> AsyncPaged[SecretProperties]:
        """List the properties of all secrets, disabled ones included, without values. Needs secrets/list.

        They are those of each secret's newest version, whose id the list does not tell.
        """
        return self._paged(ask.secrets_listing(), raw_response_hook)

    def list_properties_of_secret_versions(
        self, name: str, *, raw_response_hook: ResponseHook | None = None
    ) -> AsyncPaged[SecretProperties]:
        """List the properties of a secret's versions, without values. Needs secrets/list.

        They come in the order of their ids, which is not that of time; a secret that does not exist has none.
        """
        return self._paged(ask.versions_listing(name), raw_response_hook)

    async def aclose(self) -> None:
        """Close the connections; closing twice does no harm."""
        await self._logins.close()
        if self._owned is not None:
            await self._owned.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _paged(self, listing: Listing[T], hook: ResponseHook | None) -> AsyncPaged[T]:
        async def fetch(token: str | None, size: int | None) -> Page[T]:
            return await self._driver.run(ask.list_page(self._vault, listing, token, size), hook)

        return AsyncPaged(fetch)


def _vault(url: str, api_version: str, retry: RetryPolicy, verify: bool) -> Vault:  # noqa: FBT001 - passed on by name
    url = _limits.vault_url(url)
    access = Access(urlsplit(url).hostname or "", retry, verify_resource=verify)
    return Vault(url, _limits.api_version(api_version), access)


def _surroundings(vault: Vault, timeout: float) -> Surroundings:
    return Surroundings(vault.access.host, timeout, time.monotonic, random.uniform, find_tracer())


def _wall_clock() -> float:
    return time.time()  # noqa: TID251 - tokens end on the wall clock, and this is where the library gets it from


def _either(http_client: object, transport: object) -> None:
    if http_client is not None and transport is not None:
        raise ValueError("http_client and transport: give one of them, a client has its transport already")
