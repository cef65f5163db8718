"""The client for threads: a line per operation. What an operation asks, and how its answer is read, is in the flows.

`aio.py` is its twin for asyncio; a test holds the two to the same operations, signatures and words.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import httpx

from kvsecrets import _operations as ask
from kvsecrets._changes import Changes, Clear
from kvsecrets._connections import sync_connections
from kvsecrets._credentials import SyncCredential, check, is_async
from kvsecrets._drivers import TIMEOUT, Driver, ResponseHook, Surroundings, wall_clock
from kvsecrets._flow import Flow
from kvsecrets._logins import Logins
from kvsecrets._operations import Listing, Page, Vault
from kvsecrets._retry import RetryPolicy
from kvsecrets._waiting import (
    Progress,
    deletion_id,
    deletion_progress,
    recovery_id,
    recovery_progress,
    resumed_deletion,
    resumed_recovery,
)
from kvsecrets._wire import API_VERSION
from kvsecrets.models import DeletedSecret, KeyVaultSecret, SecretProperties, SecretValue
from kvsecrets.operations import DeleteSecretOperation, RecoverDeletedSecretOperation
from kvsecrets.paging import Paged

__all__ = ["SecretClient"]

T = TypeVar("T")


class SecretClient:
    """Reads and writes the secrets of one vault, for threads, which may share it; `AsyncSecretClient` is its twin.

    Args:
        vault_url: The vault, as in `https://shop.vault.azure.net`.
        credential: Any credential of azure-identity, or an object with azure-core's `get_token` or `get_token_info`.
        api_version: The service's API version; one that this library has never heard of is passed on as it is.
        retry: How often and how patiently a request is tried; by default 4 times within some seconds.
        timeout: Seconds that one attempt may take.
        http_client: Your own httpx client, with its proxies, certificates and limits; closing it stays your business.
        transport: An httpx transport, such as one of `kvsecrets.testing`; not together with `http_client`.
        verify_challenge_resource: Whether a token is asked for only if it is for the vault's own domain. Switch it off
            only for an emulator that you trust.

    Every call takes a `raw_response_hook`, which is called with each answer of that call, and raises `KeyVaultError`
    when it fails. What breaks a rule of Key Vault raises `ValueError`, and what is of a wrong type `TypeError`, before
    anything is sent.
    """

    def __init__(
        self,
        vault_url: str,
        credential: SyncCredential,
        *,
        api_version: str = API_VERSION,
        retry: RetryPolicy | None = None,
        timeout: float = TIMEOUT,
        http_client: httpx.Client | None = None,
        transport: httpx.BaseTransport | None = None,
        verify_challenge_resource: bool = True,
    ) -> None:
        check(credential)
        if is_async(credential):
            raise TypeError(
                "this credential is for asyncio: use AsyncSecretClient, or the credential's twin for threads"
            )
        self._vault = Vault.at(vault_url, api_version, retry, verify_resource=verify_challenge_resource)
        surroundings = Surroundings.real(self._vault.access.host, timeout)
        connection, self._close = sync_connections(http_client, transport, timeout)
        self._driver = Driver(connection, Logins(credential, wall_clock), surroundings, time.sleep)

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
        """
        properties = Changes(
            content_type=content_type, tags=tags, enabled=enabled, not_before=not_before, expires_on=expires_on
        )
        return self._driver.run(ask.set_secret(self._vault, name, value, properties), raw_response_hook)

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

        What is not given (None) stays as it is; `CLEAR` empties a field. Tags are replaced as a whole.

        Raises:
            SecretNotFound: There is none, or it is deleted.
        """
        changes = Changes(
            content_type=content_type, tags=tags, enabled=enabled, not_before=not_before, expires_on=expires_on
        )
        return self._driver.run(ask.update_secret_properties(self._vault, name, version, changes), raw_response_hook)

    def replace_secret_properties(
        self, properties: SecretProperties, *, raw_response_hook: ResponseHook | None = None
    ) -> SecretProperties:
        """Make a version's properties exactly these: a field that is None becomes empty. Needs secrets/set.

        The version is the one in `properties.id`, or the newest if it has none. Written are content type, tags,
        enabled, `not_before` and `expires_on`; `dataclasses.replace` makes the value from one that was read.

        Raises:
            SecretNotFound: There is none, or it is deleted.
        """
        where, changes = properties.id, Changes.to(properties)
        return self._driver.run(
            ask.update_secret_properties(self._vault, where.name, where.version, changes), raw_response_hook
        )

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

    def begin_delete_secret(self, name: str, *, raw_response_hook: ResponseHook | None = None) -> DeleteSecretOperation:
        """Delete a secret with all its versions. Needs the permission secrets/delete.

        It can be recovered or purged once the operation has completed. On a vault without soft-delete the deletion is
        final, and the operation completed at once.

        Raises:
            SecretNotFound: There is none, or it is deleted already.
        """
        deleted = self._driver.run(ask.delete_secret(self._vault, name), raw_response_hook)
        start = Progress(done=deleted.recovery_id is None, value=deleted)
        return self._deletion(name, deletion_id(self._vault, deleted), start, raw_response_hook)

    def resume_delete_secret(
        self, operation_id: str, *, raw_response_hook: ResponseHook | None = None
    ) -> DeleteSecretOperation:
        """Take up a deletion again by its `id`; asks the vault for nothing yet."""
        name, start = resumed_deletion(self._vault, operation_id)
        return self._deletion(name, operation_id, start, raw_response_hook)

    def begin_recover_deleted_secret(
        self, name: str, *, raw_response_hook: ResponseHook | None = None
    ) -> RecoverDeletedSecretOperation:
        """Bring a deleted secret back, with all its versions. Needs the permission secrets/recover.

        It can be read again once the operation has completed.

        Raises:
            SecretNotFound: No such secret is deleted.
            Conflict: Its deletion is still under way.
        """
        properties = self._driver.run(ask.recover_deleted_secret(self._vault, name), raw_response_hook)
        start = Progress(done=False, value=properties)
        return self._recovery(name, recovery_id(self._vault, properties), start, raw_response_hook)

    def resume_recover_deleted_secret(
        self, operation_id: str, *, raw_response_hook: ResponseHook | None = None
    ) -> RecoverDeletedSecretOperation:
        """Take up a recovery again by its `id`; asks the vault for nothing yet."""
        name = resumed_recovery(self._vault, operation_id)
        return self._recovery(name, operation_id, Progress(done=False), raw_response_hook)

    def purge_deleted_secret(self, name: str, *, raw_response_hook: ResponseHook | None = None) -> None:
        """Destroy a deleted secret for good. Needs the permission secrets/purge.

        The name is free again some seconds later.

        Raises:
            PurgeProtected: The vault lets nobody purge; the secret goes when its retention period ends.
            Conflict: Its deletion is still under way.
            SecretNotFound: No such secret is deleted.
        """
        self._driver.run(ask.purge_deleted_secret(self._vault, name), raw_response_hook)

    def get_deleted_secret(self, name: str, *, raw_response_hook: ResponseHook | None = None) -> DeletedSecret:
        """Read what is known of a deleted secret. Needs the permission secrets/get.

        Raises:
            SecretNotFound: There is none, or its deletion is still under way.
        """
        return self._driver.run(ask.get_deleted_secret(self._vault, name), raw_response_hook)

    def list_deleted_secrets(self, *, raw_response_hook: ResponseHook | None = None) -> Paged[DeletedSecret]:
        """List the deleted secrets that can still be recovered. Needs the permission secrets/list."""
        return self._paged(ask.deleted_listing(), raw_response_hook)

    def backup_secret(self, name: str, *, raw_response_hook: ResponseHook | None = None) -> bytes:
        """Return a backup of a secret with all its versions. Needs the permission secrets/backup.

        Only Key Vault can read it, and restore it only within the same subscription and geography.

        Raises:
            SecretNotFound: There is none, or it is deleted.
        """
        return self._driver.run(ask.backup_secret(self._vault, name), raw_response_hook)

    def restore_secret_backup(
        self, backup: bytes, *, raw_response_hook: ResponseHook | None = None
    ) -> SecretProperties:
        """Bring back a secret with all its versions from a backup. Needs the permission secrets/restore.

        Raises:
            Conflict: The vault has a secret of that name, or one that is deleted.
            BadRequest: It is no backup.
        """
        return self._driver.run(ask.restore_secret_backup(self._vault, backup), raw_response_hook)

    def close(self) -> None:
        """Close the connections that this client made; closing twice does no harm."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _deletion(
        self, name: str, operation_id: str, start: Progress[DeletedSecret], hook: ResponseHook | None
    ) -> DeleteSecretOperation:
        look = partial(deletion_progress, self._vault, name)
        return DeleteSecretOperation(operation_id, start, look, partial(self._run, hook))

    def _recovery(
        self, name: str, operation_id: str, start: Progress[SecretProperties], hook: ResponseHook | None
    ) -> RecoverDeletedSecretOperation:
        look = partial(recovery_progress, self._vault, name)
        return RecoverDeletedSecretOperation(operation_id, start, look, partial(self._run, hook))

    def _paged(self, listing: Listing[T], hook: ResponseHook | None) -> Paged[T]:
        def fetch(token: str | None, size: int | None) -> Page[T]:
            return self._driver.run(ask.list_page(self._vault, listing, token, size), hook)

        return Paged(fetch)

    def _run(self, hook: ResponseHook | None, flow: Flow[T], /) -> T:
        return self._driver.run(flow, hook)
