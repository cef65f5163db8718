"""Long-running operations: a deletion or recovery that was started, how far it is, and waiting for its end.

Each can be left and taken up again, in another process too: keep its `id` and give it to the client's `resume_…`.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from kvsecrets._flow import Flow
from kvsecrets._waiting import Progress, wait_for_completion
from kvsecrets.models import DeletedSecret, SecretProperties

__all__ = [
    "AsyncDeleteSecretOperation",
    "AsyncRecoverDeletedSecretOperation",
    "DeleteSecretOperation",
    "RecoverDeletedSecretOperation",
]

POLL_INTERVAL = 2.0
"""Seconds between two looks. Key Vault takes one to five seconds; the vendor's clients look every two as well."""

T = TypeVar("T")
R = TypeVar("R")


class _Run(Protocol):
    """Runs a flow for threads."""

    def __call__(self, flow: Flow[R], /) -> R: ...


class _AsyncRun(Protocol):
    """Runs a flow for asyncio."""

    def __call__(self, flow: Flow[R], /) -> Awaitable[R]: ...


class _Operation(Generic[T]):
    """What both twins know of an operation."""

    def __init__(self, operation_id: str, start: Progress[T]) -> None:
        self._id = operation_id
        self._progress = start

    @property
    def id(self) -> str:
        """By which the operation can be taken up again."""
        return self._id

    @property
    def has_completed(self) -> bool:
        """Whether it had come to its end when the vault was last asked; asks nothing."""
        return self._progress.done

    @property
    def value(self) -> T:
        """What the vault said when the operation was started, or when it had ended.

        Raises:
            LookupError: The operation was resumed and the vault has not shown it: `wait()` first. Nor does it to those
                who may not read it (secrets/get).
        """
        if self._progress.value is None:
            reason = "to read it is forbidden" if self._progress.done else "wait for its end first"
            raise LookupError(f"the vault has not shown this operation's result: {reason}")
        return self._progress.value

    def _saw(self, progress: Progress[T]) -> bool:
        value = self._progress.value if progress.value is None else progress.value
        self._progress = Progress(progress.done, value)
        return progress.done


class _SyncOperation(_Operation[T]):
    """An operation, for threads."""

    def __init__(self, operation_id: str, start: Progress[T], look: Callable[[], Flow[Progress[T]]], run: _Run) -> None:
        super().__init__(operation_id, start)
        self._look = look
        self._run = run

    def update_status(self) -> bool:
        """Ask the vault once, and return whether the operation has come to its end."""
        return self.has_completed or self._saw(self._run(self._look()))

    def wait(self, *, timeout: float | None = None, poll_interval: float = POLL_INTERVAL) -> T:
        """Wait for the end of the operation and return its value.

        Args:
            timeout: Seconds to wait at most; None waits as long as it takes.
            poll_interval: Seconds between two looks.

        Raises:
            TimeoutError: It has not ended in that time; the vault goes on with it all the same.
            LookupError: It has ended, but was resumed by somebody who may not read its result (secrets/get).
        """
        if not self.has_completed:
            self._saw(self._run(wait_for_completion(self._look, poll_interval, timeout)))
        return self.value


class _AsyncOperation(_Operation[T]):
    """An operation, for asyncio."""

    def __init__(
        self, operation_id: str, start: Progress[T], look: Callable[[], Flow[Progress[T]]], run: _AsyncRun
    ) -> None:
        super().__init__(operation_id, start)
        self._look = look
        self._run = run

    async def update_status(self) -> bool:
        """Ask the vault once, and return whether the operation has come to its end."""
        return self.has_completed or self._saw(await self._run(self._look()))

    async def wait(self, *, timeout: float | None = None, poll_interval: float = POLL_INTERVAL) -> T:  # noqa: ASYNC109 - the twin's signature
        """Wait for the end of the operation and return its value.

        Args:
            timeout: Seconds to wait at most; None waits as long as it takes.
            poll_interval: Seconds between two looks.

        Raises:
            TimeoutError: It has not ended in that time; the vault goes on with it all the same.
            LookupError: It has ended, but was resumed by somebody who may not read its result (secrets/get).
        """
        if not self.has_completed:
            self._saw(await self._run(wait_for_completion(self._look, poll_interval, timeout)))
        return self.value


class DeleteSecretOperation(_SyncOperation[DeletedSecret]):
    """A deletion under way. Until it has ended, the secret can be neither recovered nor purged."""


class RecoverDeletedSecretOperation(_SyncOperation[SecretProperties]):
    """A recovery under way. Until it has ended, the secret can be neither read nor written."""


class AsyncDeleteSecretOperation(_AsyncOperation[DeletedSecret]):
    """A deletion under way. Until it has ended, the secret can be neither recovered nor purged."""


class AsyncRecoverDeletedSecretOperation(_AsyncOperation[SecretProperties]):
    """A recovery under way. Until it has ended, the secret can be neither read nor written."""
