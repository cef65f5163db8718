"""Slots of polls of vaults that do not respond: turns of namespaces, cancelled polls, and how often a slot is used."""

import asyncio

import pytest

from tests.clocks import freeze, settle, skip
from vaultsync.sources.poll_slots import PollSlots
from vaultsync.sources.poller import MAX_RETRIES, RETRY_SECONDS

MANY = 1000


class Bench:
    """Polls that take a slot, and keep it until the test ends them."""

    def __init__(self, slots: int, seconds: float = 0.0) -> None:
        self.slots = PollSlots(slots, seconds=seconds)
        self.running: list[str] = []
        """The vaults whose polls have begun, in order."""
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def poll(self, vault: str, *namespaces: str) -> None:
        """Begin a poll, as soon as it has a slot."""
        self._ends[vault] = asyncio.Event()
        self._tasks[vault] = asyncio.create_task(self._poll(vault, namespaces))
        await asyncio.sleep(0)

    async def end(self, vault: str) -> None:
        """End a running poll."""
        self._ends[vault].set()
        await settle()

    async def cancel(self, *vaults: str) -> None:
        """Cancel polls, at the same moment."""
        for vault in vaults:
            self._tasks[vault].cancel()
        await settle()

    async def _poll(self, vault: str, namespaces: tuple[str, ...]) -> None:
        async with self.slots.take(namespaces):
            self.running.append(vault)
            await self._ends[vault].wait()


async def test_a_namespace_waits_for_one_poll_of_each_other_however_many_vaults_they_have() -> None:
    bench = Bench(slots=1)
    for number in range(MANY):
        await bench.poll(f"dead-{number}", "noisy")
    await bench.poll("away", "quiet")

    await bench.end("dead-0")
    await bench.end(bench.running[-1])

    assert "away" in bench.running
    assert len(bench.running) <= 3


async def test_a_vault_of_several_namespaces_waits_where_the_fewest_wait() -> None:
    bench = Bench(slots=1)
    for number in range(MANY):
        await bench.poll(f"dead-{number}", "noisy")
    await bench.poll("away", "noisy", "quiet")

    await bench.end("dead-0")
    await bench.end(bench.running[-1])

    assert "away" in bench.running


async def test_polls_of_one_namespace_keep_their_order() -> None:
    bench = Bench(slots=2)
    for vault in ("a", "b", "c", "d"):
        await bench.poll(vault, "shop")
    await bench.end("a")
    await bench.end("b")

    assert bench.running == ["a", "b", "c", "d"]


@pytest.mark.parametrize("cancelled", [("b",), ("a",), ("a", "b")], ids=["it waits", "it runs", "as it gets its turn"])
async def test_a_cancelled_poll_leaves_its_slot_to_another(cancelled: tuple[str, ...]) -> None:
    bench = Bench(slots=1)
    for vault in ("a", "b", "c"):
        await bench.poll(vault, "shop")
    await bench.cancel(*cancelled)
    for vault in ("a", "b"):
        await bench.end(vault)

    assert bench.running[-1] == "c"


async def test_a_cancelled_poll_that_was_given_a_slot_gives_it_back() -> None:
    bench = Bench(slots=1)
    for vault in ("a", "b", "c"):
        await bench.poll(vault, "shop")
    bench._ends["a"].set()
    await asyncio.sleep(0)  # the poll of a has ended, and that of b has its slot and does not know it yet
    await bench.cancel("b")

    assert bench.running == ["a", "c"]


async def test_a_slot_is_taken_for_a_minimum_time() -> None:
    bench = Bench(slots=1, seconds=4.0)
    await freeze()
    await bench.poll("a", "shop")
    await bench.poll("b", "shop")
    await bench.end("a")
    await skip(3.9)
    before = list(bench.running)
    await skip(0.2)

    assert (before, bench.running) == (["a"], ["a", "b"])


async def test_vaults_that_fail_at_once_are_tried_240_times_a_minute() -> None:
    slots, begun = PollSlots(MAX_RETRIES, seconds=RETRY_SECONDS), 0
    await freeze()

    async def fail() -> None:
        nonlocal begun
        while True:
            async with slots.take({"shop"}):
                begun += 1

    tasks = [asyncio.create_task(fail()) for _ in range(MANY)]
    await settle()
    assert begun == MAX_RETRIES
    for _ in range(60):
        await skip(1)

    assert begun == MAX_RETRIES + 240
    for task in tasks:
        task.cancel()
