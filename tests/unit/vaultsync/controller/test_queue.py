"""The work queue, driven with reconciles that finish when the test says so."""

import asyncio
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.api import ObjectKey
from vaultsync.controller.queue import Concurrency, Priority, WorkQueue
from vaultsync.policy.requeue import Result


def key(name: str) -> ObjectKey:
    return ObjectKey("shop", name)


class Desk:
    """Reconciles that the test finishes by hand; `started` is their order."""

    def __init__(self, *, total: int = 4, partition: int = 4, partitions: dict[ObjectKey, str] | None = None) -> None:
        self.started: list[ObjectKey] = []
        self.failures: list[int] = []
        self.waits: list[float] = []
        self.time = 0.0
        self._gates: defaultdict[ObjectKey, asyncio.Queue[Result | Exception]] = defaultdict(asyncio.Queue)
        self.queue = WorkQueue(
            self._work,
            partition_of=lambda key: (partitions or {}).get(key, "one"),
            width=Concurrency(total, partition),
            clock=lambda: self.time,
            waited=self.waits.append,
        )

    async def _work(self, key: ObjectKey, failures: int) -> Result:
        self.started.append(key)
        self.failures.append(failures)
        answer = await self._gates[key].get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def finish(self, key: ObjectKey, answer: Result | None = None) -> None:
        self._gates[key].put_nowait(answer or Result(None))
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_nothing_starts_before_the_queue_is_opened() -> None:
    desk = Desk()
    desk.queue.add(key("a"), Priority.URGENT)
    await settle()
    assert desk.started == []

    desk.queue.open()
    await settle()

    assert desk.started == [key("a")]
    await desk.finish(key("a"))


async def test_a_key_is_never_worked_on_twice_at_once_but_runs_again_afterwards() -> None:
    desk = Desk()
    desk.queue.open()
    desk.queue.add(key("a"), Priority.ROUTINE)
    await settle()

    desk.queue.add(key("a"), Priority.ROUTINE)
    desk.queue.add(key("a"), Priority.URGENT)
    await settle()
    assert desk.started == [key("a")]
    await desk.finish(key("a"))

    assert desk.started == [key("a"), key("a")]
    await desk.finish(key("a"))
    assert desk.started == [key("a"), key("a")]


async def test_urgent_keys_go_before_routine_ones_that_came_earlier() -> None:
    desk = Desk(total=1)
    desk.queue.open()
    desk.queue.add(key("busy"), Priority.ROUTINE)
    for name in ("r1", "r2"):
        desk.queue.add(key(name), Priority.ROUTINE)
    desk.queue.add(key("u"), Priority.URGENT)
    desk.queue.add(key("r2"), Priority.URGENT)
    await settle()

    for name in ("busy", "u", "r2", "r1"):
        await desk.finish(key(name))

    assert desk.started == [key("busy"), key("u"), key("r2"), key("r1")]


async def test_a_full_lane_leaves_room_for_the_others() -> None:
    partitions = {key("slow1"): "slow", key("slow2"): "slow", key("quick"): "quick"}
    desk = Desk(total=4, partition=1, partitions=partitions)
    desk.queue.open()

    for name in ("slow1", "slow2", "quick"):
        desk.queue.add(key(name), Priority.ROUTINE)
    await settle()

    assert desk.started == [key("slow1"), key("quick")]
    for name in ("slow1", "slow2", "quick"):
        await desk.finish(key(name))


async def test_failures_in_a_row_are_counted_until_one_succeeds() -> None:
    desk = Desk()
    desk.queue.open()
    for answer in (Result(None, failed=True), Result(None, failed=True), Result(None), Result(None)):
        desk.queue.add(key("a"), Priority.ROUTINE)
        await settle()
        await desk.finish(key("a"), answer)

    assert desk.failures == [0, 1, 2, 0]


async def test_a_key_comes_back_when_its_reconcile_said_so() -> None:
    desk = Desk()
    desk.queue.open()
    desk.queue.add(key("a"), Priority.ROUTINE)
    await settle()

    await desk.finish(key("a"), Result(0.0))

    async with asyncio.timeout(5):
        while len(desk.started) < 2:
            await settle()
    await desk.finish(key("a"))


async def test_a_forgotten_key_does_not_come_back() -> None:
    desk = Desk(total=1)
    desk.queue.open()
    desk.queue.add(key("busy"), Priority.ROUTINE)
    desk.queue.add(key("a"), Priority.ROUTINE)
    desk.queue.add_later(key("b"), 0.0)

    for name in ("a", "b"):
        desk.queue.forget(key(name))
    await settle()
    await desk.finish(key("busy"))

    assert desk.started == [key("busy")]
    assert desk.queue.depth == 0


async def test_depth_and_oldest_tell_of_those_who_wait() -> None:
    desk = Desk(total=1)
    desk.queue.open()
    desk.queue.add(key("busy"), Priority.ROUTINE)
    desk.queue.add(key("a"), Priority.ROUTINE)
    desk.time = 7.0
    desk.queue.add(key("b"), Priority.ROUTINE)
    await settle()

    assert (desk.queue.depth, desk.queue.oldest) == (2, 7.0)

    await desk.finish(key("busy"))
    assert desk.waits == [0.0, 7.0]
    await desk.finish(key("a"))
    await desk.finish(key("b"))


async def test_closing_waits_for_what_has_begun_and_begins_nothing_more() -> None:
    desk = Desk(total=1)
    desk.queue.open()
    desk.queue.add(key("a"), Priority.ROUTINE)
    desk.queue.add(key("b"), Priority.ROUTINE)
    await settle()

    closing = asyncio.create_task(desk.queue.close())
    await settle()
    assert not closing.done()
    await desk.finish(key("a"), Result(0.0))
    await closing

    assert desk.started == [key("a")]


@pytest.mark.parametrize("total", [1, 3])
@given(names=st.lists(st.sampled_from("abcdefgh"), max_size=30))
def test_every_key_that_is_added_runs_once_whatever_the_order(total: int, names: list[str]) -> None:
    async def story() -> list[ObjectKey]:
        ran: list[ObjectKey] = []
        all_ran = asyncio.Event()

        async def work(key: ObjectKey, _: int) -> Result:
            ran.append(key)
            if len(ran) == len(set(names)):
                all_ran.set()
            return Result(None)

        queue = WorkQueue(
            work,
            partition_of=lambda key: key.name[0],
            width=Concurrency(total, 1),
            clock=lambda: 0.0,
            waited=lambda _: None,
        )
        for index, name in enumerate(names):
            queue.add(key(name), Priority(index % 2))
        queue.open()
        if names:
            await all_ran.wait()
        await queue.close()
        return ran

    assert sorted(asyncio.run(story())) == sorted({key(name) for name in names})
