"""One interface for every client of Key Vault, so that one suite runs for all of them; tests nothing itself.

Both libraries use the same names, and their forms for threads and for asyncio differ in little more than `await`: two
adapters are enough for four clients. A call of a client for threads blocks the event loop, which is acceptable here.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from azure.core.exceptions import HttpResponseError

from kvsecrets import ResponseError

POLL_SECONDS = 0.02


class VaultError(Exception):
    """An error response of the vault, from either library."""

    def __init__(self, status: int | None, code: str | None, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


async def error_of(call: Awaitable[object]) -> tuple[int | None, str | None]:
    """Return status and code of the error that a call must raise."""
    try:
        await call
    except VaultError as error:
        return error.status, error.code
    raise AssertionError("the call did not raise an error")


@dataclass(frozen=True)
class SecretInfo:
    """A version of a secret, or an item of a list, from either library."""

    name: str
    version: str | None
    value: str | None
    content_type: str | None
    tags: dict[str, str]
    enabled: bool
    not_before: datetime | None
    expires_on: datetime | None
    created_on: datetime
    updated_on: datetime
    managed: bool
    key_id: str | None
    recoverable_days: int
    recovery_level: str


@dataclass(frozen=True)
class DeletedInfo:
    """A deleted secret, from either library."""

    secret: SecretInfo
    deleted_on: datetime | None
    purged_on: datetime | None
    recovery_id: str | None


class Operation(Protocol):
    """A deletion or recovery in progress."""

    async def finish(self) -> None:
        """Poll the vault until it has completed."""


class Client(Protocol):
    """The methods of a client that the suite uses. Each raises `VaultError` for an error response."""

    async def set(self, name: str, value: str, **attributes: object) -> SecretInfo: ...

    async def get(self, name: str, version: str | None = None) -> SecretInfo: ...

    async def update(self, name: str, version: str | None = None, **attributes: object) -> SecretInfo: ...

    async def listed(self) -> list[SecretInfo]: ...

    def pages(self, size: int | None = None, continue_after: str | None = None) -> AsyncIterator[tuple[list[str], str]]:
        """Return the names page by page, each with its continuation token."""

    async def versions(self, name: str) -> list[SecretInfo]: ...

    async def start_delete(self, name: str) -> Operation: ...

    async def start_recover(self, name: str) -> Operation: ...

    async def get_deleted(self, name: str) -> DeletedInfo: ...

    async def listed_deleted(self) -> list[DeletedInfo]: ...

    async def purge(self, name: str) -> None: ...

    async def backup(self, name: str) -> bytes: ...

    async def restore(self, backup: bytes) -> SecretInfo: ...


class Kvsecrets:
    """kvsecrets, for threads or for asyncio."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - either form
        self._client = client

    async def set(self, name: str, value: str, **attributes: object) -> SecretInfo:
        return _secret(await _result(self._client.set_secret, name, value, **attributes))

    async def get(self, name: str, version: str | None = None) -> SecretInfo:
        return _secret(await _result(self._client.get_secret, name, version))

    async def update(self, name: str, version: str | None = None, **attributes: object) -> SecretInfo:
        return _info(await _result(self._client.update_secret_properties, name, version, **attributes))

    async def listed(self) -> list[SecretInfo]:
        return [_info(each) async for each in _items(self._client.list_properties_of_secrets())]

    async def pages(
        self, size: int | None = None, continue_after: str | None = None
    ) -> AsyncIterator[tuple[list[str], str]]:
        pages = self._client.list_properties_of_secrets().by_page(continue_after, size)
        async for page in _items(pages):
            yield [each.name for each in page.items], page.continuation_token

    async def versions(self, name: str) -> list[SecretInfo]:
        return [_info(each) async for each in _items(self._client.list_properties_of_secret_versions(name))]

    async def start_delete(self, name: str) -> Operation:
        return _Waiting(await _result(self._client.begin_delete_secret, name))

    async def start_recover(self, name: str) -> Operation:
        return _Waiting(await _result(self._client.begin_recover_deleted_secret, name))

    async def get_deleted(self, name: str) -> DeletedInfo:
        return _deleted(await _result(self._client.get_deleted_secret, name))

    async def listed_deleted(self) -> list[DeletedInfo]:
        return [_deleted(each) async for each in _items(self._client.list_deleted_secrets())]

    async def purge(self, name: str) -> None:
        await _result(self._client.purge_deleted_secret, name)

    async def backup(self, name: str) -> bytes:
        backup: bytes = await _result(self._client.backup_secret, name)
        return backup

    async def restore(self, backup: bytes) -> SecretInfo:
        return _info(await _result(self._client.restore_secret_backup, backup))


class Vendors(Kvsecrets):
    """The vendor's azure-keyvault-secrets, for threads or for asyncio, where it differs from kvsecrets."""

    async def pages(
        self, size: int | None = None, continue_after: str | None = None
    ) -> AsyncIterator[tuple[list[str], str]]:
        items = self._client.list_properties_of_secrets(max_page_size=size)
        pages = items.by_page(continue_after)
        async for page in _items(pages):
            names = [each.name async for each in _items(page)]
            yield names, pages.continuation_token

    async def start_delete(self, name: str) -> Operation:
        return await self._start("begin_delete_secret", "delete_secret", name)

    async def start_recover(self, name: str) -> Operation:
        return await self._start("begin_recover_deleted_secret", "recover_deleted_secret", name)

    async def _start(self, begin: str, whole: str, name: str) -> Operation:
        """Start an operation; the client for asyncio has one call for the whole of it, which runs in a task here."""
        if hasattr(self._client, begin):
            return _Waiting(await _result(getattr(self._client, begin), name, _polling_interval=POLL_SECONDS))
        responded = asyncio.Event()
        operation = _Running(
            asyncio.ensure_future(
                getattr(self._client, whole)(
                    name, _polling_interval=POLL_SECONDS, raw_response_hook=lambda _: responded.set()
                )
            )
        )
        await responded.wait()
        return operation


class _Waiting:
    """An operation that polls the vault only while it is waited for."""

    def __init__(self, operation: Any) -> None:  # noqa: ANN401 - of either library
        self._operation = operation

    async def finish(self) -> None:
        wait = self._operation.wait
        options = {"poll_interval": POLL_SECONDS} if "poll_interval" in inspect.signature(wait).parameters else {}
        await _result(wait, **options)


class _Running:
    """An operation that runs in a task."""

    def __init__(self, task: "asyncio.Future[Any]") -> None:
        self._task = task

    async def finish(self) -> None:
        with _translated_errors():
            await self._task


async def _result(call: Any, /, *arguments: object, **options: object) -> Any:  # noqa: ANN401 - of either form
    with _translated_errors():
        result = call(*arguments, **options)
        return await result if inspect.isawaitable(result) else result


async def _items(items: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - of either form
    with _translated_errors():
        if hasattr(items, "__aiter__"):
            async for item in items:
                yield item
        else:
            for item in items:
                yield item


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except ResponseError as error:
        raise VaultError(error.status, error.code, str(error)) from error
    except HttpResponseError as error:
        raise VaultError(error.status_code, error.error.code if error.error else None, str(error)) from error


def _secret(secret: Any) -> SecretInfo:  # noqa: ANN401 - of either library
    value = secret.value if isinstance(secret.value, str) else secret.value.reveal()
    return _info(secret.properties, value)


def _info(properties: Any, value: str | None = None) -> SecretInfo:  # noqa: ANN401 - of either library
    return SecretInfo(
        name=properties.name,
        version=properties.version,
        value=value,
        content_type=properties.content_type,
        tags=dict(properties.tags or {}),
        enabled=properties.enabled,
        not_before=properties.not_before,
        expires_on=properties.expires_on,
        created_on=properties.created_on,
        updated_on=properties.updated_on,
        managed=bool(properties.managed),
        key_id=properties.key_id,
        recoverable_days=properties.recoverable_days,
        recovery_level=properties.recovery_level,
    )


def _deleted(deleted: Any) -> DeletedInfo:  # noqa: ANN401 - of either library
    is_kvsecrets = hasattr(deleted, "deleted_on")
    return DeletedInfo(
        secret=_info(deleted.properties),
        deleted_on=deleted.deleted_on if is_kvsecrets else deleted.deleted_date,
        purged_on=deleted.scheduled_purge_on if is_kvsecrets else deleted.scheduled_purge_date,
        recovery_id=deleted.recovery_id,
    )
