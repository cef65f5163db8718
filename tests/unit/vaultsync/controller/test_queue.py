"""The work queue, driven with reconciles that finish when the test says so."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clocks import settle, skip
from tests.harness import longest
from vaultsync.api import ObjectKey
from vaultsync.controller.pace import BURST, SECONDS
from vaultsync.controller.queue import Observers, WorkQueue
from vaultsync.controller.turns import Concurrency, Limits, Partition, Priority
from vaultsync.policy.requeue import Result


def key(name: str) -> ObjectKey:
    return ObjectKey("shop", name)


class ManualWork:
    """A queue whose reconciles finish by `finish`, on a clock that stands still; nothing runs yet."""

    def __init__(
        self, *, total: int = 4, partition: int = 4, partitions: Mapping[ObjectKey, str] | None = None
    ) -> None:
        self.started: list[ObjectKey] = []
        self.failures: list[int] = []
        self.cancelled: list[ObjectKey] = []
        self.waits: list[float] = []
        self.errors: list[tuple[ObjectKey, BaseException]] = []
        self.time = 0.0
        self._gates: defaultdict[ObjectKey, asyncio.Queue[Result | BaseException]] = defaultdict(asyncio.Queue)
        self.queue = WorkQueue(
            self._work,
            partition_of=lambda key: Partition((partitions or {}).get(key, "one")),
            concurrency=Concurrency(Limits(total, partition), Limits(total, partition)),
            clock=lambda: self.time,
            jitter=longest,
            observers=Observers(self.waits.append, lambda key, error: self.errors.append((key, error))),
        )

    async def _work(self, key: ObjectKey, failures: int) -> Result:
        self.started.append(key)
        self.failures.append(failures)
        try:
            answer = await self._gates[key].get()
        except asyncio.CancelledError:
            self.cancelled.append(key)
            raise
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def add(self, *names: str, priority: Priority = Priority.ROUTINE) -> None:
        for name in names:
            self.queue.add(key(name), priority)
        await settle()

    async def finish(self, name: str, answer: Result | BaseException | None = None) -> None:
        self._gates[key(name)].put_nowait(answer or Result.done())
        await settle()


@asynccontextmanager
async def running(
    *, total: int = 4, partition: int = 4, partitions: Mapping[ObjectKey, str] | None = None
) -> AsyncIterator[ManualWork]:
    """Yield a queue that runs."""
    work = ManualWork(total=total, partition=partition, partitions=partitions)
    task = asyncio.create_task(work.queue.run())
    await settle()
    try:
        yield work
    finally:
        task.cancel()
        await asyncio.wait({task})


def remembered(queue: WorkQueue) -> list[object]:
    """Return what the queue keeps in memory of keys and partitions."""
    turns = queue._turns
    keys = [queue._pending, queue._running, queue._again, queue._again_if_due, queue._timers, queue._failures]
    slots = [turns._waiting, turns._running, *(pool.lanes for pool in turns._pools.values())]
    return [kept for kept in (*keys, *slots) if kept]


async def test_nothing_starts_before_the_queue_runs() -> None:
    work = ManualWork()
    await work.add("a", priority=Priority.URGENT)
    assert work.started == []

    task = asyncio.create_task(work.queue.run())
    await settle()

    assert work.started == [key("a")]
    task.cancel()
    await asyncio.wait({task})


def broken() -> bool:
    raise ValueError


@pytest.mark.parametrize(
    ("is_due", "runs"), [(lambda: True, 2), (lambda: False, 1), (broken, 2)], ids=["due", "not due", "not known"]
)
async def test_what_becomes_due_while_a_key_runs_counts_only_if_it_still_is_afterwards(
    is_due: Callable[[], bool], runs: int
) -> None:
    decided = False

    def decide() -> bool:
        nonlocal decided
        decided = True
        return is_due()

    async with running() as work:
        await work.add("a")
        work.queue.add_if_due(key("a"), decide)
        assert not decided
        await work.finish("a")

        assert work.started == [key("a")] * runs
        if runs > 1:
            await work.finish("a")
        assert not remembered(work.queue)


async def test_a_key_that_is_added_anyway_runs_again_whether_or_not_it_is_due() -> None:
    async with running() as work:
        await work.add("a")
        await work.add("a")
        work.queue.add_if_due(key("a"), lambda: False)
        await work.finish("a")

        assert work.started == [key("a")] * 2


async def test_what_is_due_later_is_so_whether_or_not_anything_was_due_before() -> None:
    async with running() as work:
        await work.add("a")
        work.queue.add_if_due(key("a"), lambda: False)
        await work.finish("a", Result(60.0))

        assert work.queue._timers.keys() == {key("a")}


async def test_a_key_that_does_not_run_is_added_if_it_is_due() -> None:
    async with running() as work:
        work.queue.add_if_due(key("a"), lambda: False)
        work.queue.add_if_due(key("b"), lambda: True)
        await settle()

        assert work.started == [key("b")]


async def test_a_key_is_never_worked_on_twice_at_once_but_runs_again_afterwards() -> None:
    async with running() as work:
        await work.add("a")
        await work.add("a")
        await work.add("a", priority=Priority.URGENT)
        assert work.started == [key("a")]

        await work.finish("a")
        assert work.started == [key("a"), key("a")]
        await work.finish("a")

        assert work.started == [key("a"), key("a")]


async def test_urgent_keys_go_before_routine_ones_that_came_earlier() -> None:
    async with running(total=1) as work:
        await work.add("busy", "r1", "r2")
        await work.add("u", "r2", priority=Priority.URGENT)

        for name in ("busy", "u", "r2", "r1"):
            await work.finish(name)

        assert work.started == [key("busy"), key("u"), key("r2"), key("r1")]


async def test_a_full_partition_leaves_room_for_the_others() -> None:
    partitions = {key("slow1"): "slow", key("slow2"): "slow", key("quick"): "quick"}
    async with running(partition=1, partitions=partitions) as work:
        await work.add("slow1", "slow2", "quick")

        assert work.started == [key("slow1"), key("quick")]


async def test_a_pending_key_whose_vault_changed_moves_to_the_new_partition() -> None:
    partitions = {key("busy"): "slow", key("moved"): "slow"}
    async with running(partition=1, partitions=partitions) as work:
        await work.add("busy", "moved")
        assert work.started == [key("busy")]

        partitions[key("moved")] = "quick"
        await work.add("moved")
        assert work.started == [key("busy"), key("moved")]
        await work.finish("moved")
        await work.finish("busy")

        assert work.started == [key("busy"), key("moved")]
        assert remembered(work.queue) == []


async def test_a_key_that_moved_to_a_full_partition_does_not_start_in_the_old_one() -> None:
    partitions = {key("slow"): "slow", key("quick"): "quick", key("moved"): "slow"}
    async with running(partition=1, partitions=partitions) as work:
        await work.add("slow", "quick", "moved")
        partitions[key("moved")] = "quick"
        await work.add("moved")

        await work.finish("slow")
        assert work.started == [key("slow"), key("quick")]
        await work.finish("quick")

        assert work.started == [key("slow"), key("quick"), key("moved")]


async def test_a_key_that_moves_keeps_its_priority_and_the_time_since_it_waits() -> None:
    partitions = {key("busy"): "slow", key("moved"): "slow"}
    async with running(total=1, partitions=partitions) as work:
        await work.add("busy")
        await work.add("moved", priority=Priority.URGENT)
        await work.add("routine")
        work.time = 5.0

        partitions[key("moved")] = "quick"
        await work.add("moved", priority=Priority.ROUTINE)
        assert (work.queue.depth, work.queue.oldest) == (2, 5.0)
        await work.finish("busy")

        assert work.started == [key("busy"), key("moved")]


async def test_failures_in_a_row_are_counted_until_one_succeeds() -> None:
    async with running() as work:
        for answer in (Result(None, failed=True), Result(None, failed=True), Result.done(), Result.done()):
            await work.add("a")
            await work.finish("a", answer)

        assert work.failures == [0, 1, 2, 0]


async def test_a_reconcile_that_waits_leaves_the_number_of_failures_as_it_is() -> None:
    async with running() as work:
        for answer in (Result(None, failed=True), Result(None, waiting=True), Result.done(), Result.done()):
            await work.add("a")
            await work.finish("a", answer)

        assert work.failures == [0, 1, 1, 0]


async def test_an_exception_is_a_failed_reconcile_that_is_reported_and_comes_back_after_a_growing_time() -> None:
    error = KeyError("broken")
    async with running() as work:
        await work.add("a", "b")

        await work.finish("a", error)
        assert work.errors == [(key("a"), error)]
        await skip(1.9)
        assert work.started == [key("a"), key("b")]
        await skip(0.2)
        assert work.started == [key("a"), key("b"), key("a")]
        await work.finish("a", error)
        await skip(3.9)
        assert len(work.started) == 3
        await skip(0.2)

        assert work.started[3:] == [key("a")]
        assert work.failures == [0, 0, 1, 2]
        await work.finish("b")
        assert work.queue.running == 1


async def test_a_reconcile_that_awaits_what_is_cancelled_is_a_failed_one() -> None:
    async with running() as work:
        await work.add("a")

        await work.finish("a", asyncio.CancelledError())
        assert [(failed, type(error)) for failed, error in work.errors] == [(key("a"), asyncio.CancelledError)]
        await skip(2.1)

        assert (work.started, work.failures) == ([key("a"), key("a")], [0, 1])


async def test_a_key_comes_back_when_its_reconcile_said_so() -> None:
    async with running() as work:
        await work.add("a")

        await work.finish("a", Result(60.0))
        await skip(59.0)
        assert work.started == [key("a")]
        await skip(2.0)

        assert work.started == [key("a"), key("a")]


async def test_a_key_that_is_added_before_its_time_does_not_come_back_once_more() -> None:
    async with running() as work:
        await work.add("a")
        await work.finish("a", Result(60.0))

        await work.add("a")
        await work.finish("a")
        await skip(61.0)

        assert work.started == [key("a"), key("a")]


async def test_a_forgotten_key_does_not_come_back() -> None:
    async with running(total=1) as work:
        await work.add("busy", "a")
        work.queue.add_later(key("b"), 1.0)

        for name in ("a", "b"):
            work.queue.forget(key(name))
        await skip(2.0)
        await work.finish("busy")

        assert work.started == [key("busy")]
        assert work.queue.depth == 0
        assert remembered(work.queue) == []


async def test_depth_and_oldest_describe_what_waits() -> None:
    async with running(total=1) as work:
        await work.add("busy", "a")
        work.time = 7.0
        await work.add("b")

        assert (work.queue.depth, work.queue.oldest) == (2, 7.0)

        await work.finish("busy")
        assert work.waits == [0.0, 7.0]


async def test_nothing_is_kept_of_keys_and_partitions_once_the_queue_is_empty() -> None:
    names = [f"db-{number}" for number in range(20)]
    partitions = {key(name): f"vault-{name}" for name in names}
    async with running(total=3, partition=1, partitions=partitions) as work:
        await work.add(*names)
        await work.add(*reversed(names), priority=Priority.URGENT)
        assert remembered(work.queue) != []

        while work.queue.depth or work.queue.running:
            for name in names:
                await work.finish(name)

        assert remembered(work.queue) == []


async def test_draining_waits_for_what_was_started_and_starts_nothing_more() -> None:
    async with running(total=1) as work:
        await work.add("a", "b")

        draining = asyncio.create_task(work.queue.drain())
        await settle()
        assert not draining.done()
        await work.finish("a", Result(1.0))
        await draining
        await skip(2.0)

        assert work.started == [key("a")]


async def test_reconciles_are_cancelled_with_the_queue() -> None:
    work = ManualWork()
    task = asyncio.create_task(work.queue.run())
    await settle()
    await work.add("a", "b")

    task.cancel()
    await asyncio.wait({task})

    assert sorted(work.cancelled) == [key("a"), key("b")]
    assert (work.queue.running, asyncio.all_tasks()) == (0, {asyncio.current_task()})


@pytest.mark.parametrize("total", [1, 3])
@given(names=st.lists(st.sampled_from("abcdefgh"), max_size=30))
def test_every_key_that_is_added_runs_once_in_any_order(total: int, names: list[str]) -> None:
    async def run() -> list[ObjectKey]:
        ran: list[ObjectKey] = []
        all_ran = asyncio.Event()

        async def work(key: ObjectKey, _: int) -> Result:
            ran.append(key)
            if len(ran) == len(set(names)):
                all_ran.set()
            return Result.done()

        errors: list[BaseException] = []
        queue = WorkQueue(
            work,
            partition_of=lambda key: Partition(key.name[0]),
            concurrency=Concurrency(Limits(total, 1), Limits(total, 1)),
            clock=lambda: 0.0,
            jitter=longest,
            observers=Observers(lambda _: None, lambda _, error: errors.append(error)),
        )
        for index, name in enumerate(names):
            queue.add(key(name), Priority(index % 2))
        running = asyncio.create_task(queue.run())
        if names:
            await all_ran.wait()
        await settle()
        running.cancel()
        await asyncio.wait({running})
        assert errors == []
        assert remembered(queue) == []
        return ran

    assert sorted(asyncio.run(run())) == sorted({key(name) for name in names})


async def test_a_key_that_is_added_in_a_loop_has_to_pause_and_then_comes_back_once() -> None:
    async with running() as work:
        for _ in range(BURST):
            await work.add("looping", priority=Priority.URGENT)
            await work.finish("looping")
        assert len(work.started) == BURST

        for _ in range(3):
            await work.add("looping", priority=Priority.URGENT)
        await work.add("other", priority=Priority.URGENT)
        assert work.started[BURST:] == [key("other")]
        work.time += SECONDS
        await skip(SECONDS)

        assert work.started[BURST:] == [key("other"), key("looping")]


async def test_a_key_that_is_deleted_and_created_in_a_loop_has_to_pause_too() -> None:
    async with running() as work:
        for _ in range(BURST + 3):
            await work.add("looping", priority=Priority.URGENT)
            await work.finish("looping")
            work.queue.forget(key("looping"))

        assert len(work.started) == BURST


async def test_a_dropped_key_is_cancelled_and_leaves_its_place_to_others_also_before_its_first_step() -> None:
    async with running(total=2, partition=2) as work:
        await work.add("runs")
        work.queue.add(key("runs"), Priority.ROUTINE)
        work.queue.add(key("begins"), Priority.ROUTINE)
        work.queue.add(key("waits"), Priority.ROUTINE)

        for name in ("runs", "begins", "waits"):
            work.queue.drop(key(name))
        await work.add("one", "two")

        assert work.started == [key("runs"), key("one"), key("two")]
        assert work.cancelled == [key("runs")]
        assert (work.queue.running, work.queue.depth, work.errors) == (2, 0, [])
