"""Uses every public signature, for type checkers alone: mypy strict and pyright strict find nothing; it never runs."""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import assert_type

import httpx
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from azure.identity.aio import DefaultAzureCredential as AsyncDefaultAzureCredential
from azure.identity.aio import WorkloadIdentityCredential as AsyncWorkloadIdentityCredential

from kvsecrets import (
    CLEAR,
    AsyncDeleteSecretOperation,
    AsyncPaged,
    AsyncRecoverDeletedSecretOperation,
    AsyncSecretClient,
    CallCancelled,
    Cancellation,
    CertificateProblem,
    ConnectionFailed,
    ConnectionProblem,
    DeadlineExceeded,
    DeletedSecret,
    DeleteSecretOperation,
    KeyVaultError,
    KeyVaultSecret,
    Page,
    Paged,
    RecoverDeletedSecretOperation,
    ResponseError,
    ResponseInfo,
    RetryPolicy,
    SecretBackup,
    SecretClient,
    SecretId,
    SecretProperties,
    SecretValue,
    UnexpectedAnswer,
)
from kvsecrets.testing import AsyncFakeCredential, FakeCredential, FakeVault

URL = "https://shop.vault.azure.net"


class Token:
    """A token of the user's own."""

    token = "t"
    expires_on = 0


class Credential:
    """A credential of the user's own, for threads."""

    def get_token(self, *scopes: str, **options: object) -> Token:
        """Return a token."""
        return Token()


class AsyncCredential:
    """A credential of the user's own, for asyncio."""

    async def get_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **more: object
    ) -> Token:
        """Return a token."""
        return Token()


def hook(info: ResponseInfo) -> None:
    """Use every field of a response."""
    assert_type(info.date, datetime | None)
    assert_type(info.request_id, str | None)


def clients() -> Iterator[SecretClient]:
    """Make clients in every way."""
    yield SecretClient(URL, DefaultAzureCredential())
    yield SecretClient(URL, ManagedIdentityCredential(), api_version="7.6", timeout=5)
    yield SecretClient(URL, Credential(), retry=RetryPolicy(attempts=2, base_delay=0.5, cap=5))
    yield SecretClient(URL, FakeCredential(), http_client=httpx.Client(), verify_challenge_resource=False)
    yield SecretClient(FakeVault().url, FakeCredential(), transport=FakeVault().transport())
    yield SecretClient(URL, Credential(), ssl_context=ssl.create_default_context())


def async_clients() -> Iterator[AsyncSecretClient]:
    """Make clients for asyncio in every way."""
    yield AsyncSecretClient(URL, AsyncDefaultAzureCredential())
    yield AsyncSecretClient(URL, AsyncWorkloadIdentityCredential(), api_version="7.6", timeout=5)
    yield AsyncSecretClient(URL, DefaultAzureCredential())
    yield AsyncSecretClient(URL, AsyncCredential(), retry=RetryPolicy(attempts=1))
    yield AsyncSecretClient(URL, AsyncFakeCredential(), http_client=httpx.AsyncClient())
    yield AsyncSecretClient(FakeVault().url, AsyncFakeCredential(), transport=FakeVault().async_transport())
    yield AsyncSecretClient(URL, AsyncCredential(), ssl_context=ssl.create_default_context())


def threads(client: SecretClient, moment: datetime) -> None:
    """Call every operation, for threads."""
    with client as same:
        assert_type(same, SecretClient)
    secret = client.get_secret("db", None, raw_response_hook=hook)
    assert_type(secret, KeyVaultSecret)
    assert_type(secret.value, SecretValue)
    assert_type(secret.value.reveal(), str)
    assert_type(secret.id, SecretId)
    assert_type(secret.response, ResponseInfo)
    assert_type(client.set_secret("db", SecretValue("x"), tags={"a": "b"}, enabled=True), KeyVaultSecret)
    assert_type(client.set_secret("db", "x", content_type="a", not_before=moment, expires_on=moment), KeyVaultSecret)
    properties = client.update_secret_properties(
        "db", content_type=CLEAR, tags=CLEAR, expires_on=CLEAR, not_before=CLEAR
    )
    assert_type(properties, SecretProperties)
    assert_type(client.replace_secret_properties(properties), SecretProperties)
    assert_type(client.list_properties_of_secrets(), Paged[SecretProperties])
    assert_type(client.list_properties_of_secret_versions("db"), Paged[SecretProperties])
    assert_type(client.list_deleted_secrets(), Paged[DeletedSecret])
    for page in client.list_deleted_secrets().by_page(None, max_page_size=5):
        assert_type(page, Page[DeletedSecret])
        assert_type(page.continuation_token, str | None)
    assert_type([item.expires_on for item in client.list_properties_of_secrets()], list[datetime | None])
    deletion = client.begin_delete_secret("db")
    assert_type(deletion, DeleteSecretOperation)
    assert_type(deletion.wait(timeout=5, poll_interval=1), DeletedSecret)
    assert_type(client.resume_delete_secret(deletion.id).update_status(), bool)
    recovery = client.begin_recover_deleted_secret("db")
    assert_type(recovery, RecoverDeletedSecretOperation)
    assert_type(recovery.value, SecretProperties)
    assert_type(client.resume_recover_deleted_secret(recovery.id).has_completed, bool)
    assert_type(client.purge_deleted_secret("db").request_id, str | None)
    assert_type(client.get_deleted_secret("db"), DeletedSecret)
    assert_type(client.backup_secret("db"), SecretBackup)
    assert_type(client.restore_secret_backup(client.backup_secret("db")), SecretProperties)
    client.close()


def limits(client: SecretClient) -> None:
    """Limit a call, and cancel it."""
    cancellation = Cancellation()
    try:
        client.begin_delete_secret("db", timeout=5, cancel=cancellation)
        client.resume_delete_secret("id", cancel=cancellation)
        assert_type(client.list_deleted_secrets(timeout=0.5), Paged[DeletedSecret])
    except CallCancelled:
        assert_type(cancellation.is_cancelled, bool)
    except TimeoutError as error:
        assert_type(isinstance(error, DeadlineExceeded), bool)
    cancellation.cancel()


def certificates(client: SecretClient) -> None:
    """Read the secret of a certificate, and use the response of properties."""
    properties = client.get_secret("tls", out_content_type="application/x-pem-file").properties
    assert_type(properties.managed, bool)
    assert_type(properties.key_id, str | None)
    assert_type(properties.previous_version, str | None)
    assert_type(properties.response.request_id, str | None)


async def tasks(client: AsyncSecretClient, moment: datetime) -> AsyncIterator[SecretProperties]:
    """Call every operation, for asyncio."""
    async with client as same:
        assert_type(same, AsyncSecretClient)
    assert_type(await client.get_secret("db", "0" * 32, raw_response_hook=hook, timeout=5), KeyVaultSecret)
    assert_type(await client.set_secret("db", "x", not_before=moment, expires_on=moment), KeyVaultSecret)
    properties = await client.update_secret_properties("db", tags=CLEAR, enabled=False)
    assert_type(await client.replace_secret_properties(properties), SecretProperties)
    assert_type(client.list_properties_of_secrets(), AsyncPaged[SecretProperties])
    assert_type(client.list_deleted_secrets(), AsyncPaged[DeletedSecret])
    async for page in client.list_properties_of_secret_versions("db").by_page(max_page_size=5):
        assert_type(page, Page[SecretProperties])
    async for item in client.list_properties_of_secrets():
        yield item
    deletion = await client.begin_delete_secret("db")
    assert_type(deletion, AsyncDeleteSecretOperation)
    assert_type(await deletion.wait(timeout=5), DeletedSecret)
    assert_type(await client.resume_delete_secret(deletion.id).update_status(), bool)
    recovery = await client.begin_recover_deleted_secret("db")
    assert_type(recovery, AsyncRecoverDeletedSecretOperation)
    assert_type(client.resume_recover_deleted_secret(recovery.id).value, SecretProperties)
    assert_type(await client.purge_deleted_secret("db"), ResponseInfo)
    assert_type(await client.get_deleted_secret("db"), DeletedSecret)
    backup: bytes = await client.backup_secret("db")
    assert_type(await client.restore_secret_backup(backup), SecretProperties)
    await client.aclose()


def failures(error: KeyVaultError) -> None:
    """Use every field of an error."""
    if isinstance(error, ResponseError):
        assert_type(error.status, int)
        assert_type(error.code, str | None)
        assert_type(error.retry_after, float | None)
        assert_type(error.headers, Mapping[str, str])
    if isinstance(error, ConnectionFailed):
        assert_type(error.problem, ConnectionProblem)
        assert_type(error.unresolved, bool)
        assert_type(error.proxy, str | None)
        assert_type(error.certificate, CertificateProblem | None)
    if isinstance(error, UnexpectedAnswer):
        assert_type(error.status, int | None)


def models() -> Iterator[object]:
    """Construct every model."""
    where = SecretId.parse(f"{URL}/secrets/db")
    properties = SecretProperties(id=where, enabled=False, tags={"a": "b"})
    yield KeyVaultSecret(properties=properties, value=SecretValue("x"), response=ResponseInfo(200, {"date": ""}))
    yield DeletedSecret(properties=properties, deleted_on=None)
