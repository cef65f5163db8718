"""The client for asyncio. Each method runs a flow: what is sent and how a response is parsed is in `_requests.py`.

`client.py` has the same client for threads; a test compares their operations, signatures and docstrings.
"""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import httpx

from kvsecrets import _requests
from kvsecrets._drivers import TIMEOUT, AsyncDriver, ResponseHook, Runtime, wall_clock
from kvsecrets._limits import Cancellation
from kvsecrets._lro import (
    Progress,
    deletion_id,
    poll_deletion,
    poll_recovery,
    recovery_id,
    resume_deletion,
    resume_recovery,
)
from kvsecrets._protocol import Flow
from kvsecrets._requests import API_VERSION, Clear, Listing, PropertyChanges, Vault
from kvsecrets._retry import RetryPolicy
from kvsecrets._tokens import AnyCredential, AsyncTokenProvider, check_credential
from kvsecrets._transport import open_async_connections
from kvsecrets.models import DeletedSecret, KeyVaultSecret, ResponseInfo, SecretBackup, SecretProperties, SecretValue
from kvsecrets.operations import AsyncDeleteSecretOperation, AsyncRecoverDeletedSecretOperation
from kvsecrets.paging import AsyncPaged, Page

__all__ = ["AsyncSecretClient"]

T = TypeVar("T")


class AsyncSecretClient:
    """Reads and writes the secrets of one vault, for asyncio. The tasks of one event loop may share a client.

    Args:
        vault_url: The vault, such as `https://shop.vault.azure.net`.
        credential: A credential of azure-identity, or any object with azure-core's `get_token` or `get_token_info`;
            a synchronous one is called in a thread.
        api_version: The service's API version; it is passed on unchecked.
        retry: The number of attempts and the waits between them; by default 4 attempts within some seconds.
        timeout: Upper bound of one attempt, in seconds.
        http_client: Your own httpx client, with its proxies, certificates and limits; you close it.
        transport: An httpx transport, such as that of `kvsecrets.testing`; not together with `http_client`.
        ssl_context: The TLS context of the connections; by default one that all such clients of the process share. Not
            together with `http_client` or `transport`.
        verify_challenge_resource: Whether a token is requested only for the vault's own domain. Disable it only for a
            vault that you trust with tokens of the credential, such as an emulator, or a vault behind a domain of its
            own. Its ids may then name any host, and the links of its lists are followed on the host of `vault_url`.
        application_id: Your application's name, the beginning of the user agent: at most 24 characters, such as
            `shop/1.2`. The vault's logs have it.

    Raises:
        ValueError: An argument breaks a rule, such as a vault URL without https.
        TypeError: An argument has a wrong type, such as a credential without `get_token`.
        ImportError: aiohttp is not installed, and neither `http_client` nor `transport` is given.

    Each method takes a `raw_response_hook`, which is called with the `ResponseInfo` of each response of that call, and
    raises `KeyVaultError` if the call fails. Its `timeout` in seconds bounds the call as a whole: attempts, waits and
    logins (`DeadlineExceeded`); for a list it bounds each page, and for an operation its start. Its `cancel` is a
    `Cancellation`, by which another thread ends it (`CallCancelled`), and so the `wait()` of an operation. An argument
    that breaks a rule of Key Vault raises `ValueError`, and one of a wrong type `TypeError`, before anything is sent.
    """

    def __init__(
        self,
        vault_url: str,
        credential: AnyCredential,
        *,
        api_version: str = API_VERSION,
        retry: RetryPolicy | None = None,
        timeout: float = TIMEOUT,
        http_client: httpx.AsyncClient | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        ssl_context: ssl.SSLContext | None = None,
        verify_challenge_resource: bool = True,
        application_id: str | None = None,
    ) -> None:
        check_credential(credential)
        self._vault = Vault.create(vault_url, api_version, retry, verify_resource=verify_challenge_resource)
        runtime = Runtime.system(self._vault.auth.host, timeout, application_id)
        exchange, self._close = open_async_connections(
            self._vault.auth.host, http_client, transport, ssl_context, timeout
        )
        self._tokens = AsyncTokenProvider(credential, wall_clock)
        self._driver = AsyncDriver(exchange, self._tokens, runtime, asyncio.sleep)

    @property
    def vault_url(self) -> str:
        """The URL of the vault, without a trailing slash."""
        return self._vault.url

    async def get_secret(
        self,
        name: str,
        version: str | None = None,
        *,
        out_content_type: str | None = None,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> KeyVaultSecret:
        """Read a secret, its newest version or an exact one. Requires the permission secrets/get.

        `out_content_type` converts the secret of a certificate: `application/x-pem-file` returns one that is kept as
        PKCS #12 in PEM. It requires an `api_version` of the client from 2025-07-01.
        https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret

        Returns:
            The secret with its value, even outside of its `not_before` and `expires_on`.

        Raises:
            SecretNotFound: It does not exist, or it is deleted.
            SecretDisabled: The version is disabled.
        """
        return await self._driver.run(
            _requests.get_secret(self._vault, name, version, out_content_type), raw_response_hook, timeout, cancel
        )

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
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> KeyVaultSecret:
        """Write a secret; an existing name gets a new version. Requires the permission secrets/set.

        The new version inherits nothing: properties that are not passed are not set.
        https://learn.microsoft.com/rest/api/keyvault/secrets/set-secret/set-secret

        Returns:
            The new version with its value.

        Raises:
            Conflict: A deleted secret has this name: recover or purge it first.
        """
        properties = PropertyChanges(
            content_type=content_type, tags=tags, enabled=enabled, not_before=not_before, expires_on=expires_on
        )
        return await self._driver.run(
            _requests.set_secret(self._vault, name, value, properties), raw_response_hook, timeout, cancel
        )

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
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> SecretProperties:
        """Change properties of a version, by default the newest. Requires the permission secrets/set.

        None leaves a field unchanged, `CLEAR` empties it. Tags are replaced as a whole. The value does not change.
        https://learn.microsoft.com/rest/api/keyvault/secrets/update-secret/update-secret

        Returns:
            The properties after the change.

        Raises:
            SecretNotFound: The secret or version does not exist, or it is deleted.
        """
        changes = PropertyChanges(
            content_type=content_type, tags=tags, enabled=enabled, not_before=not_before, expires_on=expires_on
        )
        return await self._driver.run(
            _requests.update_secret_properties(self._vault, name, version, changes), raw_response_hook, timeout, cancel
        )

    async def replace_secret_properties(
        self,
        properties: SecretProperties,
        *,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> SecretProperties:
        """Replace the properties of a version; a field that is None becomes empty. Requires secrets/set.

        The version is that of `properties.id`, or the newest if it has none. Content type, tags, enabled, `not_before`
        and `expires_on` are written; use `dataclasses.replace` on properties that were read.
        https://learn.microsoft.com/rest/api/keyvault/secrets/update-secret/update-secret

        Returns:
            The properties after the change.

        Raises:
            SecretNotFound: The secret or version does not exist, or it is deleted.
        """
        secret_id, changes = properties.id, PropertyChanges.replacing_all(properties)
        return await self._driver.run(
            _requests.update_secret_properties(self._vault, secret_id.name, secret_id.version, changes),
            raw_response_hook,
            timeout,
            cancel,
        )

    def list_properties_of_secrets(
        self,
        *,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> AsyncPaged[SecretProperties]:
        """List the properties of all secrets, including disabled ones. Requires secrets/list.

        https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets

        Returns:
            The properties of each secret's newest version, without its version id; read while iterating.
        """
        return self._paged(_requests.SECRETS, raw_response_hook, timeout, cancel)

    def list_properties_of_secret_versions(
        self,
        name: str,
        *,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> AsyncPaged[SecretProperties]:
        """List the properties of a secret's versions. Requires secrets/list.

        https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret-versions/get-secret-versions

        Returns:
            The properties of each version, ordered by version id, which is random; read while iterating. Empty if the
            secret does not exist.
        """
        return self._paged(_requests.versions_of(name), raw_response_hook, timeout, cancel)

    async def begin_delete_secret(
        self,
        name: str,
        *,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> AsyncDeleteSecretOperation:
        """Delete a secret with all its versions. Requires the permission secrets/delete.

        https://learn.microsoft.com/rest/api/keyvault/secrets/delete-secret/delete-secret

        Returns:
            The operation. Once it has completed, the secret can be recovered or purged. On a vault without soft-delete
            it has completed already, and the deletion is final.

        Raises:
            SecretNotFound: The secret does not exist, or it is deleted already.
        """
        deleted = await self._driver.run(_requests.delete_secret(self._vault, name), raw_response_hook, timeout, cancel)
        start = Progress(done=deleted.recovery_id is None, value=deleted)
        return self._deletion(name, deletion_id(self._vault, deleted), start, raw_response_hook, cancel)

    def resume_delete_secret(
        self,
        operation_id: str,
        *,
        raw_response_hook: ResponseHook | None = None,
        cancel: Cancellation | None = None,
    ) -> AsyncDeleteSecretOperation:
        """Resume a deletion by its `id`; sends no request.

        Returns:
            The operation, without a value until it has completed.

        Raises:
            ValueError: It is not the id of a deletion in this vault.
        """
        name, start = resume_deletion(self._vault, operation_id)
        return self._deletion(name, operation_id, start, raw_response_hook, cancel)

    async def begin_recover_deleted_secret(
        self,
        name: str,
        *,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> AsyncRecoverDeletedSecretOperation:
        """Recover a deleted secret with all its versions. Requires the permission secrets/recover.

        https://learn.microsoft.com/rest/api/keyvault/secrets/recover-deleted-secret/recover-deleted-secret

        Returns:
            The operation. Once it has completed, the secret can be read.

        Raises:
            SecretNotFound: There is no deleted secret of this name.
            Conflict: Its deletion is still in progress.
        """
        properties = await self._driver.run(
            _requests.recover_deleted_secret(self._vault, name), raw_response_hook, timeout, cancel
        )
        start = Progress(done=False, value=properties)
        return self._recovery(name, recovery_id(self._vault, properties), start, raw_response_hook, cancel)

    def resume_recover_deleted_secret(
        self,
        operation_id: str,
        *,
        raw_response_hook: ResponseHook | None = None,
        cancel: Cancellation | None = None,
    ) -> AsyncRecoverDeletedSecretOperation:
        """Resume a recovery by its `id`; sends no request.

        Returns:
            The operation, without a value until it has completed.

        Raises:
            ValueError: It is not the id of a recovery in this vault.
        """
        name = resume_recovery(self._vault, operation_id)
        return self._recovery(name, operation_id, Progress(done=False), raw_response_hook, cancel)

    async def purge_deleted_secret(
        self,
        name: str,
        *,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> ResponseInfo:
        """Permanently delete a deleted secret. Requires the permission secrets/purge.

        The name can be used again some seconds later.
        https://learn.microsoft.com/rest/api/keyvault/secrets/purge-deleted-secret/purge-deleted-secret

        Returns:
            Status and headers of the response, which has nothing else.

        Raises:
            PurgeProtected: The vault has purge protection; the secret is purged when its retention period ends.
            Conflict: Its deletion is still in progress.
            SecretNotFound: There is no deleted secret of this name.
        """
        return await self._driver.run(
            _requests.purge_deleted_secret(self._vault, name), raw_response_hook, timeout, cancel
        )

    async def get_deleted_secret(
        self,
        name: str,
        *,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> DeletedSecret:
        """Read a deleted secret. Requires the permission secrets/get.

        https://learn.microsoft.com/rest/api/keyvault/secrets/get-deleted-secret/get-deleted-secret

        Returns:
            Its properties, without its value, and the dates of its deletion and purge.

        Raises:
            SecretNotFound: There is no deleted secret of this name, or its deletion is still in progress.
        """
        return await self._driver.run(
            _requests.get_deleted_secret(self._vault, name), raw_response_hook, timeout, cancel
        )

    def list_deleted_secrets(
        self,
        *,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> AsyncPaged[DeletedSecret]:
        """List the deleted secrets that can be recovered. Requires the permission secrets/list.

        https://learn.microsoft.com/rest/api/keyvault/secrets/get-deleted-secrets/get-deleted-secrets

        Returns:
            The deleted secrets, without values; read while iterating.
        """
        return self._paged(_requests.DELETED_SECRETS, raw_response_hook, timeout, cancel)

    async def backup_secret(
        self,
        name: str,
        *,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> SecretBackup:
        """Back up a secret with all its versions. Requires the permission secrets/backup.

        https://learn.microsoft.com/rest/api/keyvault/secrets/backup-secret/backup-secret

        Returns:
            Encrypted bytes, which Key Vault can restore within the same subscription and geography.

        Raises:
            SecretNotFound: The secret does not exist, or it is deleted.
        """
        return await self._driver.run(_requests.backup_secret(self._vault, name), raw_response_hook, timeout, cancel)

    async def restore_secret_backup(
        self,
        backup: bytes,
        *,
        raw_response_hook: ResponseHook | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> SecretProperties:
        """Restore a secret with all its versions from a backup. Requires the permission secrets/restore.

        https://learn.microsoft.com/rest/api/keyvault/secrets/restore-secret/restore-secret

        Returns:
            The properties of the newest version.

        Raises:
            Conflict: The vault has a secret of that name, or a deleted one.
            BadRequest: It is not a backup.
        """
        return await self._driver.run(
            _requests.restore_secret_backup(self._vault, backup), raw_response_hook, timeout, cancel
        )

    async def aclose(self) -> None:
        """Refuse further calls, and close the library's own connections; calling it again does nothing."""
        self._driver.close()
        await self._tokens.close()
        await self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    def _deletion(
        self,
        name: str,
        operation_id: str,
        start: Progress[DeletedSecret],
        hook: ResponseHook | None,
        cancel: Cancellation | None,
    ) -> AsyncDeleteSecretOperation:
        poll = partial(poll_deletion, self._vault, name)
        return AsyncDeleteSecretOperation(operation_id, start, poll, partial(self._run, hook, cancel))

    def _recovery(
        self,
        name: str,
        operation_id: str,
        start: Progress[SecretProperties],
        hook: ResponseHook | None,
        cancel: Cancellation | None,
    ) -> AsyncRecoverDeletedSecretOperation:
        poll = partial(poll_recovery, self._vault, name)
        return AsyncRecoverDeletedSecretOperation(operation_id, start, poll, partial(self._run, hook, cancel))

    def _paged(
        self, listing: Listing[T], hook: ResponseHook | None, timeout: float | None, cancel: Cancellation | None
    ) -> AsyncPaged[T]:
        async def fetch(token: str | None, size: int | None) -> Page[T]:
            return await self._driver.run(_requests.list_page(self._vault, listing, token, size), hook, timeout, cancel)

        return AsyncPaged(fetch)

    async def _run(self, hook: ResponseHook | None, cancel: Cancellation | None, flow: Flow[T], /) -> T:
        return await self._driver.run(flow, hook, None, cancel)
