"""One small face for every client of Key Vault, so that one suite runs for all of them; tests nothing itself.

The libraries name things alike, and their twins for threads and for asyncio differ in little more than `await`: two
adapters are enough for four clients. A call of a client for threads blocks the event loop, which harms nobody here.
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


class Refused(Exception):
    """The vault said no, whatever the client makes of it."""

    def __init__(self, status: int | None, code: str | None, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


async def refusal(call: Awaitable[object]) -> tuple[int | None, str | None]:
    """What the vault said to a call that it must refuse: status and code."""
    try:
        await call
    except Refused as refused:
        return refused.status, refused.code
    raise AssertionError("the vault did not refuse")


@dataclass(frozen=True)
class Seen:
    """A version of a secret, or in a list a secret, as a client shows it."""

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
class SeenDeleted:
    """A deleted secret as a client shows it."""

    secret: Seen
    deleted_on: datetime | None
    purged_on: datetime | None
    recovery_id: str | None


class Operation(Protocol):
    """A deletion or recovery that was started."""

    async def finish(self) -> None:
        """Ask the vault until it has ended."""


class Client(Protocol):
    """What the suite needs of a client. Every method raises `Refused` when the vault refuses."""

    async def set(self, name: str, value: str, **attributes: object) -> Seen: ...

    async def get(self, name: str, version: str | None = None) -> Seen: ...

    async def update(self, name: str, version: str | None = None, **attributes: object) -> Seen: ...

    async def listed(self) -> list[Seen]: ...

    def pages(self, size: int | None = None, continue_after: str | None = None) -> AsyncIterator[tuple[list[str], str]]:
        """Walk through the names page by page, each with what to continue after it with."""

    async def versions(self, name: str) -> list[Seen]: ...

    async def start_delete(self, name: str) -> Operation: ...

    async def start_recover(self, name: str) -> Operation: ...

    async def get_deleted(self, name: str) -> SeenDeleted: ...

    async def listed_deleted(self) -> list[SeenDeleted]: ...

    async def purge(self, name: str) -> None: ...

    async def backup(self, name: str) -> bytes: ...

    async def restore(self, backup: bytes) -> Seen: ...


class Kvsecrets:
    """kvsecrets, for threads or for asyncio."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - either twin
        self._client = client

    async def set(self, name: str, value: str, **attributes: object) -> Seen:
        return _secret(await _done(self._client.set_secret, name, value, **attributes))

    async def get(self, name: str, version: str | None = None) -> Seen:
        return _secret(await _done(self._client.get_secret, name, version))

    async def update(self, name: str, version: str | None = None, **attributes: object) -> Seen:
        return _seen(await _done(self._client.update_secret_properties, name, version, **attributes))

    async def listed(self) -> list[Seen]:
        return [_seen(each) async for each in _each(self._client.list_properties_of_secrets())]

    async def pages(
        self, size: int | None = None, continue_after: str | None = None
    ) -> AsyncIterator[tuple[list[str], str]]:
        pages = self._client.list_properties_of_secrets().by_page(continue_after, size)
        async for page in _each(pages):
            yield [each.name for each in page.items], page.continuation_token

    async def versions(self, name: str) -> list[Seen]:
        return [_seen(each) async for each in _each(self._client.list_properties_of_secret_versions(name))]

    async def start_delete(self, name: str) -> Operation:
        return _Waiting(await _done(self._client.begin_delete_secret, name))

    async def start_recover(self, name: str) -> Operation:
        return _Waiting(await _done(self._client.begin_recover_deleted_secret, name))

    async def get_deleted(self, name: str) -> SeenDeleted:
        return _deleted(await _done(self._client.get_deleted_secret, name))

    async def listed_deleted(self) -> list[SeenDeleted]:
        return [_deleted(each) async for each in _each(self._client.list_deleted_secrets())]

    async def purge(self, name: str) -> None:
        await _done(self._client.purge_deleted_secret, name)

    async def backup(self, name: str) -> bytes:
        backup: bytes = await _done(self._client.backup_secret, name)
        return backup

    async def restore(self, backup: bytes) -> Seen:
        return _seen(await _done(self._client.restore_secret_backup, backup))


class Vendors(Kvsecrets):
    """The vendor's azure-keyvault-secrets, for threads or for asyncio: what it does by other names."""

    async def pages(
        self, size: int | None = None, continue_after: str | None = None
    ) -> AsyncIterator[tuple[list[str], str]]:
        items = self._client.list_properties_of_secrets(max_page_size=size)
        pages = items.by_page(continue_after)
        async for page in _each(pages):
            names = [each.name async for each in _each(page)]
            yield names, pages.continuation_token

    async def start_delete(self, name: str) -> Operation:
        return await self._start("begin_delete_secret", "delete_secret", name)

    async def start_recover(self, name: str) -> Operation:
        return await self._start("begin_recover_deleted_secret", "recover_deleted_secret", name)

    async def _start(self, begin: str, whole: str, name: str) -> Operation:
        """Begin it; the client for asyncio has but one call for the whole of it, which runs on beside us."""
        if hasattr(self._client, begin):
            return _Waiting(await _done(getattr(self._client, begin), name, _polling_interval=POLL_SECONDS))
        answered = asyncio.Event()
        operation = _Running(
            asyncio.ensure_future(
                getattr(self._client, whole)(
                    name, _polling_interval=POLL_SECONDS, raw_response_hook=lambda _: answered.set()
                )
            )
        )
        await answered.wait()
        return operation


class _Waiting:
    """An operation that asks the vault only when it is waited for."""

    def __init__(self, operation: Any) -> None:  # noqa: ANN401 - of either library
        self._operation = operation

    async def finish(self) -> None:
        wait = self._operation.wait
        paced = {"poll_interval": POLL_SECONDS} if "poll_interval" in inspect.signature(wait).parameters else {}
        await _done(wait, **paced)


class _Running:
    """An operation that runs in a task of its own."""

    def __init__(self, task: "asyncio.Future[Any]") -> None:
        self._task = task

    async def finish(self) -> None:
        with _refusals():
            await self._task


async def _done(call: Any, /, *arguments: object, **options: object) -> Any:  # noqa: ANN401 - of either twin
    with _refusals():
        result = call(*arguments, **options)
        return await result if inspect.isawaitable(result) else result


async def _each(items: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - of either twin
    with _refusals():
        if hasattr(items, "__aiter__"):
            async for item in items:
                yield item
        else:
            for item in items:
                yield item


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ResponseError as error:
        raise Refused(error.status, error.code, str(error)) from error
    except HttpResponseError as error:
        raise Refused(error.status_code, error.error.code if error.error else None, str(error)) from error


def _secret(secret: Any) -> Seen:  # noqa: ANN401 - of either library
    value = secret.value if isinstance(secret.value, str) else secret.value.reveal()
    return _seen(secret.properties, value)


def _seen(properties: Any, value: str | None = None) -> Seen:  # noqa: ANN401 - of either library
    return Seen(
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


def _deleted(deleted: Any) -> SeenDeleted:  # noqa: ANN401 - of either library
    ours = hasattr(deleted, "deleted_on")
    return SeenDeleted(
        secret=_seen(deleted.properties),
        deleted_on=deleted.deleted_on if ours else deleted.deleted_date,
        purged_on=deleted.scheduled_purge_on if ours else deleted.scheduled_purge_date,
        recovery_id=deleted.recovery_id,
    )
