"""The work queue: which key is reconciled next, and when it is requeued; does not know what a reconcile does.

A key never has two reconciles at once; one that is added during its reconcile is reconciled again afterwards. One that
is added all the time has to pause. See `Turns` for the order and the limits of what waits, and `Pace` for the pauses.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from vaultsync.api import ObjectKey
from vaultsync.controller.pace import Pace
from vaultsync.controller.turns import Concurrency, Partition, Priority, Turns
from vaultsync.policy.requeue import Jitter, Result, Work, backoff


@dataclass(frozen=True, slots=True)
class Observers:
    """Callbacks for how long a key waited, in seconds, and for unexpected exceptions of reconciles."""

    waited: Callable[[float], None]
    error: Callable[[ObjectKey, BaseException], None]


class WorkQueue:
    """Keys that wait, run, or are requeued later. Use it within one event loop."""

    def __init__(
        self,
        work: Work,
        *,
        partition_of: Callable[[ObjectKey], Partition],
        concurrency: Concurrency,
        clock: Callable[[], float],
        jitter: Jitter,
        observers: Observers,
    ) -> None:
        """Reconcile nothing yet.

        Args:
            work: Reconciles a key. An exception counts as a failed reconcile.
            partition_of: Returns the partition of a key, which may change over time.
            concurrency: The limits of concurrent reconciles.
            clock: A monotonic clock, in seconds.
            jitter: Spreads the retries after exceptions.
            observers: Called with waits and exceptions.
        """
        self._work = work
        self._clock = clock
        self._jitter = jitter
        self._observers = observers
        self._turns = Turns(partition_of, concurrency)
        self._pace = Pace(clock)
        self._pending: dict[ObjectKey, float] = {}
        """Since when each waiting key waits."""
        self._running: dict[ObjectKey, asyncio.Task[None]] = {}
        self._again: dict[ObjectKey, Priority] = {}
        self._again_if_due: dict[ObjectKey, Callable[[], bool]] = {}
        self._timers: dict[ObjectKey, asyncio.TimerHandle] = {}
        self._failures: dict[ObjectKey, int] = {}
        self._tasks: asyncio.TaskGroup | None = None
        """Where reconciles run; None while the queue is closed."""

    @property
    def depth(self) -> int:
        """The number of waiting keys."""
        return len(self._pending)

    @property
    def running(self) -> int:
        """The number of running reconciles."""
        return len(self._running)

    @property
    def oldest(self) -> float:
        """The seconds that the oldest waiting key has waited; 0 if none waits."""
        now = self._clock()
        return max((now - since for since in self._pending.values()), default=0.0)

    def add(self, key: ObjectKey, priority: Priority) -> None:
        """Queue a key; adding a waiting key again has no effect, except that it may get the higher priority."""
        self._cancel_timer(key)
        if key in self._running:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        pause = 0.0 if key in self._pending else self._pace.wait(key)
        if pause:
            self.add_later(key, pause)
            return
        self._pending.setdefault(key, self._clock())
        self._turns.put(key, priority)
        self._start_what_fits()

    def add_if_due(self, key: ObjectKey, is_due: Callable[[], bool]) -> None:
        """Queue a key for which `is_due` returns True, in its turn; if it runs, that is decided once this has ended.

        A reconcile handles most of what becomes due while it runs.
        """
        if key in self._running:
            self._again_if_due[key] = is_due
        elif is_due():
            self.add(key, Priority.ROUTINE)

    def add_later(self, key: ObjectKey, seconds: float) -> None:
        """Queue a key after that time, unless it is added before."""
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self.add, key, Priority.ROUTINE)

    def forget(self, key: ObjectKey) -> None:
        """Drop a key that does not exist any more, its timer and its failures; a running reconcile of it finishes."""
        self._cancel_timer(key)
        self._pending.pop(key, None)
        self._turns.discard(key)
        self._again.pop(key, None)
        self._again_if_due.pop(key, None)
        self._failures.pop(key, None)

    def drop(self, key: ObjectKey) -> None:
        """Forget a key, and cancel its running reconcile."""
        self.forget(key)
        running = self._running.get(key)
        if running is not None:
            running.cancel()

    def running_of(self, namespaces: Callable[[str], bool]) -> Mapping[ObjectKey, asyncio.Task[None]]:
        """Return the running reconciles of some namespaces."""
        return {key: task for key, task in self._running.items() if namespaces(key.namespace)}

    async def run(self) -> None:
        """Reconcile keys until cancelled; keys can be added before."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._start_what_fits()
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    async def drain(self) -> None:
        """Start no further reconciles, and wait for the running ones."""
        self._tasks = None
        for key in tuple(self._timers):
            self._cancel_timer(key)
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _start_what_fits(self) -> None:
        while self._tasks is not None and (key := self._turns.take()) is not None:
            self._observers.waited(self._clock() - self._pending.pop(key))
            self._pace.spend(key)
            task = self._running[key] = self._tasks.create_task(self._run(key))
            # Not by `finally`: a task that is cancelled before its first step runs none.
            task.add_done_callback(partial(self._ended, key))

    async def _run(self, key: ObjectKey) -> None:
        self._settle(key, await self._result(key))

    def _ended(self, key: ObjectKey, _: asyncio.Task[None]) -> None:
        del self._running[key]
        self._turns.release(key)
        again, is_due = self._again.pop(key, None), self._again_if_due.pop(key, None)
        if again is None and is_due is not None and _holds(is_due):
            again = Priority.ROUTINE
        if again is not None:
            self.add(key, again)
        else:
            self._start_what_fits()

    async def _result(self, key: ObjectKey) -> Result:
        failures = self._failures.get(key, 0)
        try:
            return await self._work(key, failures)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            # It is reported, and the key is requeued. Something that the reconcile awaited may have been cancelled.
            self._observers.error(key, error)
            return Result(backoff(failures + 1, jitter=self._jitter), failed=True)

    def _settle(self, key: ObjectKey, result: Result) -> None:
        if result.failed:
            self._failures[key] = self._failures.get(key, 0) + 1
        elif not result.waiting:
            self._failures.pop(key, None)
        if result.requeue_after is not None and self._tasks is not None:
            self.add_later(key, result.requeue_after)

    def _cancel_timer(self, key: ObjectKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()


def _holds(is_due: Callable[[], bool]) -> bool:
    try:
        return is_due()
    except Exception:  # noqa: BLE001  the reconcile decides by the same state, and reports why it fails
        return True


def is_cancelled() -> bool:
    """Return whether the cancellation of the current task was requested, and not that of what it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
