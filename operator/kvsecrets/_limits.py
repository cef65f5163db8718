"""The limits of one call: its deadline, and its cancellation from another thread or a signal handler."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kvsecrets import _validation
from kvsecrets._protocol import Response
from kvsecrets.errors import CallCancelled, ConnectionFailed, DeadlineExceeded, KeyVaultError


class Cancellation:
    """Cancels the calls that it is passed to as `cancel`. Threads and event loops may share it.

    It cannot be undone: a call that it is passed to later is cancelled before anything is sent.
    """

    # Without a lock: a signal handler may interrupt the thread that holds it, and would wait for it forever. The order
    # is enough: `notifying` adds before it looks, `cancel` is set before it copies; both may call a function.
    def __init__(self) -> None:
        self._is_cancelled = False
        self._callbacks: set[Callable[[], object]] = set()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel()` was called."""
        return self._is_cancelled

    def cancel(self) -> None:
        """Cancel all calls at once, from any thread or a signal handler: each raises `CallCancelled`."""
        self._is_cancelled = True
        for callback in self._callbacks.copy():
            callback()

    @contextmanager
    def notifying(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call a function when this is cancelled, within the context; at once if it is already."""
        self._callbacks.add(callback)
        try:
            if self._is_cancelled:
                callback()
            yield
        finally:
            self._callbacks.discard(callback)


class Limits:
    """The limits of one call, and what happened in it so far.

    Args:
        timeout: Seconds for the whole call; None for no limit.
        cancel: What cancels it from another thread.
        monotonic: The clock of the deadline.

    Raises:
        ValueError: The timeout is out of range.
        TypeError: An argument has a wrong type.
        CallCancelled: It is cancelled already.
    """

    __slots__ = ("_end", "_last", "_monotonic", "cancel", "is_abandoned", "timeout")

    def __init__(self, timeout: float | None, cancel: Cancellation | None, monotonic: Callable[[], float]) -> None:
        self.timeout = None if timeout is None else _validation.timeout(timeout)
        self.cancel = cancel
        self.is_abandoned = False
        """Whether its caller has stopped waiting."""
        self._last: Response | KeyVaultError | None = None
        self._monotonic = monotonic
        self._end = None if timeout is None else monotonic() + timeout
        if cancel is not None:
            _validation.check_type("cancel", cancel, Cancellation)
            if cancel.is_cancelled:
                raise CallCancelled("the call was cancelled before anything was sent")

    @property
    def are_set(self) -> bool:
        """Whether the call has any limit."""
        return self.timeout is not None or self.cancel is not None

    def attempt(self, timeout: float) -> float:
        """Return the seconds of an attempt that may otherwise take `timeout`.

        Raises:
            CallCancelled: Its caller has stopped waiting.
            DeadlineExceeded: No time is left.
        """
        if self.is_abandoned:
            raise self.ended()
        if self._end is None:
            return timeout
        left = self._end - self._monotonic()
        if left <= 0:
            raise self.ended()
        return min(timeout, left)

    def check_pause(self, seconds: float) -> None:
        """Raise now if the deadline passes during a pause, or its caller has stopped waiting."""
        if self.is_abandoned or (self._end is not None and self._monotonic() + seconds >= self._end):
            raise self.ended()

    def clock(self) -> float:
        """Return the time by its clock.

        Raises:
            TimeoutError: Its caller has stopped waiting.
        """
        if self.is_abandoned:
            raise TimeoutError
        return self._monotonic()

    def left(self) -> float | None:
        """Return the seconds that are left, 0 after the deadline; None without a deadline."""
        return None if self._end is None else max(0.0, self._end - self._monotonic())

    def note(self, outcome: Response | KeyVaultError) -> None:
        """Note the outcome of an attempt.

        Raises:
            DeadlineExceeded: It got no response because the deadline has passed.
        """
        self._last = outcome
        if isinstance(outcome, ConnectionFailed) and self._end is not None and self._monotonic() >= self._end:
            raise self.ended()

    def ended(self) -> CallCancelled | DeadlineExceeded:
        """Return the error of a call that has ended by its limits; the last failure is its cause."""
        last = self._last
        if isinstance(last, Response):
            detail = f"the last response had status {last.status}"
        else:
            detail = "there was no response" if last is None else f"the last attempt: {last}"
        error: CallCancelled | DeadlineExceeded
        if self.timeout is None or (self.cancel is not None and self.cancel.is_cancelled):
            error = CallCancelled(f"the call was cancelled; {detail}")
        else:
            error = DeadlineExceeded(f"no result within {self.timeout:g} s; {detail}")
        error.__cause__ = last if isinstance(last, KeyVaultError) else None
        return error
