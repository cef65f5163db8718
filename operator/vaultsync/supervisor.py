"""Runs the parts of the operator concurrently in one TaskGroup: a part that ends stops all; knows no part by name."""

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from vaultsync.errors import error_fields

logger = logging.getLogger("vaultsync")


class PartFailed(Exception):
    """A part of the operator has ended without a request to stop; it was logged already."""


class Supervisor:
    """An async context manager; leaving it cancels the parts that still run.

    Raises `PartFailed` from the block if a part ends before `stop` is called.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._parts: dict[str, asyncio.Task[None]] = {}
        self._is_stopping = False
        self._failed: str | None = None

    def is_alive(self) -> bool:
        """Return whether every part that should run does."""
        return self._failed is None

    def start(self, name: str, part: Coroutine[Any, Any, None]) -> None:
        """Run a part until it is cancelled. It must not end by itself before `stop` is called."""
        self._parts[name] = self._group.create_task(self._run(name, part), name=name)

    async def stop(self) -> None:
        """Cancel all parts and wait for them."""
        self._is_stopping = True
        for part in self._parts.values():
            part.cancel()
        if self._parts:
            await asyncio.wait(self._parts.values())

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._is_stopping = True
        for part in self._parts.values():
            part.cancel()
        try:
            await self._group.__aexit__(kind, error, where)
        except BaseExceptionGroup as errors:
            if self._failed is not None:
                raise PartFailed(self._failed) from None
            # The block itself failed, and no part did.
            (cause,) = errors.exceptions
            raise cause from None

    async def _run(self, name: str, part: Coroutine[Any, Any, None]) -> None:
        try:
            await part
        except Exception as error:  # noqa: BLE001  whatever it is, it ends the operator
            self._fail(name, error_fields(error))
            raise PartFailed(name) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something that the part awaited was cancelled, not the part itself: a TaskGroup ignores that.
        if not self._is_stopping:
            self._fail(name, {"error": "it ended"})
            raise PartFailed(name)

    def _fail(self, name: str, fields: dict[str, str]) -> None:
        if self._failed is None:
            self._failed = name
            logger.error("part of the operator failed", extra={"part": name, **fields})
