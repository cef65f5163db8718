"""Long-running operations: a deletion or recovery that was started, its status, and waiting for its completion.

An operation can be resumed later, in another process too: keep its `id` and pass it to the client's `resume_…` method.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from kvsecrets._lro import Progress, poll_until_done
from kvsecrets._protocol import Flow
from kvsecrets.models import DeletedSecret, SecretProperties

__all__ = [
    "AsyncDeleteSecretOperation",
    "AsyncRecoverDeletedSecretOperation",
    "DeleteSecretOperation",
    "RecoverDeletedSecretOperation",
]

POLL_INTERVAL = 2.0
"""Default seconds between two polls. Key Vault takes one to five seconds; the vendor's clients use two as well."""

T = TypeVar("T")
R = TypeVar("R")


class _Run(Protocol):
    """Runs a flow in the calling thread."""

    def __call__(self, flow: Flow[R], /) -> R: ...


class _AsyncRun(Protocol):
    """Runs a flow in the calling task."""

    def __call__(self, flow: Flow[R], /) -> Awaitable[R]: ...


class _Operation(Generic[T]):
    """The state of an operation, for both of its forms."""

    def __init__(self, operation_id: str, start: Progress[T]) -> None:
        self._id = operation_id
        self._progress = start

    @property
    def id(self) -> str:
        """The id by which the operation can be resumed: a URL that begins with the vault's."""
        return self._id

    @property
    def has_completed(self) -> bool:
        """Whether the operation had completed at the last poll; sends no request."""
        return self._progress.done

    @property
    def value(self) -> T:
        """The result, as the vault returned it at the start of the operation or at its completion.

        Raises:
            LookupError: The operation was resumed and `wait()` has not returned, or the caller lacks the permission
                secrets/get.
        """
        if self._progress.value is None:
            reason = "the permission secrets/get is missing" if self._progress.done else "call wait() first"
            raise LookupError(f"the vault has not returned the result of this operation: {reason}")
        return self._progress.value

    def _update(self, progress: Progress[T]) -> bool:
        value = self._progress.value if progress.value is None else progress.value
        self._progress = Progress(progress.done, value)
        return progress.done


class _SyncOperation(_Operation[T]):
    """An operation, for threads."""

    def __init__(self, operation_id: str, start: Progress[T], poll: Callable[[], Flow[Progress[T]]], run: _Run) -> None:
        super().__init__(operation_id, start)
        self._poll = poll
        self._run = run

    def update_status(self) -> bool:
        """Poll the vault once.

        Returns:
            Whether the operation has completed.

        Raises:
            KeyVaultError: The status cannot be read.
        """
        return self.has_completed or self._update(self._run(self._poll()))

    def wait(self, *, timeout: float | None = None, poll_interval: float = POLL_INTERVAL) -> T:
        """Wait until the operation has completed.

        Args:
            timeout: Seconds after which the vault is polled for the last time; None waits as long as it takes.
            poll_interval: Seconds between two polls.

        Returns:
            The operation's `value`.

        Raises:
            TimeoutError: It has not completed in that time; the vault continues it.
            LookupError: It has completed, but was resumed by a caller without the permission secrets/get.
            KeyVaultError: The status cannot be read.
        """
        if not self.has_completed:
            self._update(self._run(poll_until_done(self._poll, poll_interval, timeout)))
        return self.value


class _AsyncOperation(_Operation[T]):
    """An operation, for asyncio."""

    def __init__(
        self, operation_id: str, start: Progress[T], poll: Callable[[], Flow[Progress[T]]], run: _AsyncRun
    ) -> None:
        super().__init__(operation_id, start)
        self._poll = poll
        self._run = run

    async def update_status(self) -> bool:
        """Poll the vault once.

        Returns:
            Whether the operation has completed.

        Raises:
            KeyVaultError: The status cannot be read.
        """
        return self.has_completed or self._update(await self._run(self._poll()))

    async def wait(self, *, timeout: float | None = None, poll_interval: float = POLL_INTERVAL) -> T:  # noqa: ASYNC109 - as in the form for threads
        """Wait until the operation has completed.

        Args:
            timeout: Seconds after which the vault is polled for the last time; None waits as long as it takes.
            poll_interval: Seconds between two polls.

        Returns:
            The operation's `value`.

        Raises:
            TimeoutError: It has not completed in that time; the vault continues it.
            LookupError: It has completed, but was resumed by a caller without the permission secrets/get.
            KeyVaultError: The status cannot be read.
        """
        if not self.has_completed:
            self._update(await self._run(poll_until_done(self._poll, poll_interval, timeout)))
        return self.value


class DeleteSecretOperation(_SyncOperation[DeletedSecret]):
    """A deletion in progress. Until it has completed, the secret can be neither recovered nor purged."""


class RecoverDeletedSecretOperation(_SyncOperation[SecretProperties]):
    """A recovery in progress. Until it has completed, the secret can be neither read nor written."""


class AsyncDeleteSecretOperation(_AsyncOperation[DeletedSecret]):
    """A deletion in progress. Until it has completed, the secret can be neither recovered nor purged."""


class AsyncRecoverDeletedSecretOperation(_AsyncOperation[SecretProperties]):
    """A recovery in progress. Until it has completed, the secret can be neither read nor written."""
