"""The whole operator, with API server and vault in memory; the test controls time and calls."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import httpx

from tests.builders import ACCESS
from tests.clocks import FrozenLoop, until_idle
from tests.convergence.gate import Gate, GatedTransport
from tests.convergence.gated_kube import GatedKube, VaultSecretWatch
from tests.harness import MemoryHarness
from vaultsync.policy.requeue import Result
from vaultsync.supervisor import Supervisor


class Order(NamedTuple):
    """How many held calls are released, in which order, and before which call it ends early."""

    calls: int = 0
    seed: int = 0
    """Of the order; the oldest first if it is 0."""
    until: str | None = None


NONE: Final = Order()


class GatedHarness(MemoryHarness):
    """Pollers, resync, informer, queue and watch run by themselves; it needs a `FrozenLoop`.

    While the gate is closed, calls, answers and events wait for the test to release them.
    """

    kube: GatedKube

    def __init__(self) -> None:
        self.gate = Gate()
        super().__init__(kube=partial(GatedKube, gate=self.gate))

    def vault_transport(self) -> httpx.AsyncBaseTransport:
        return GatedTransport(super().vault_transport(), self.gate)

    def _build(self) -> None:
        super()._build()
        self.state.vaultsecrets.has_synced = False
        self.watch = VaultSecretWatch(self.kube, self.gate)

    async def start(self, observed: Sequence[str]) -> None:
        """Start the operator, as the manager does; `observed` is all that there is, since it lists them."""
        self.run_beside(self._run())
        await self.settle()

    async def _run(self) -> None:
        async with Supervisor() as parts:
            await self.controller.wait_until_granted(parts)
            parts.start("watch of VaultSecrets", self.watch.run(self.controller.source))
            await self.controller.sync(parts)
            self.controller.start(parts)
            await asyncio.Event().wait()

    async def restart(self, observed: Sequence[str] | None = None) -> None:
        assert self.recorded.errors == []
        await super().restart(observed)

    def observe(self, name: str) -> None:
        """The watch brings it."""

    def observe_deletion(self, name: str, body: Mapping[str, Any]) -> None:
        """The watch brings it."""

    def remove(self, name: str = "db", *, observed: bool = True) -> None:
        self.watch.is_broken = not observed
        super().remove(name, observed=observed)
        self.watch.is_broken = False

    def lose_answer_and(self, meanwhile: Callable[[], None], *, resends: bool) -> None:
        """Lose the answer to the next write, after which another client acts; the connection may send it again."""
        self.kube.meanwhile, self.kube.resends = meanwhile, resends
        self.lose_answer()

    def mend_cluster(self) -> None:
        super().mend_cluster()
        self.kube.meanwhile, self.kube.resends = lambda: None, False

    @property
    def is_idle(self) -> bool:
        return self.gate.is_open and super().is_idle and self.watch.is_idle

    async def settle(self) -> None:
        """Run all tasks that wait neither for time nor for the gate."""
        assert isinstance(asyncio.get_running_loop(), FrozenLoop)
        await until_idle()
        assert not [task for task in self._tasks if task.done()], "the operator has ended"

    async def drain(self) -> list[Result]:
        """Run all tasks; while the gate is closed, or the API server is unavailable, keys may stay queued."""
        before = len(self.traced.results)
        await self.settle()
        return [result for _, result in self.traced.results[before:]]

    async def poll(self, seconds: float = 60) -> None:
        """Advance the time, request a poll, and reconcile what is due."""
        self.state.vaults.request_poll(ACCESS, after=self.state.vaults.view(ACCESS).polls)
        await self.pass_time(seconds)
        await self.drain()

    async def release(self, order: Order) -> None:
        """Release held calls one by one, as far as there are some, each after what the one before has led to."""
        draw = random.Random(order.seed)  # noqa: S311
        for _ in range(order.calls):
            held = self.gate.held
            if not held or order.until in held:
                return
            self.gate.release(draw.randrange(len(held)) if order.seed else 0)
            await self.settle()

    async def release_until(self, condition: Callable[[], bool], *, only: Callable[[str], bool]) -> None:
        """Release the held calls that a test selects, the oldest first, until its condition holds."""
        await self.settle()
        while not condition():
            wanted = [number for number, what in enumerate(self.gate.held) if only(what)]
            assert wanted, f"nothing to release; held: {self.gate.held}"
            self.gate.release(wanted[0])
            await self.settle()

    async def open_gate(self) -> None:
        """Release everything, with all effects."""
        self.gate.open()
        await self.drain()


def run_frozen(test: Callable[[GatedHarness], Awaitable[None]]) -> None:
    """Run a test with a harness whose operator runs, in its own event loop."""

    async def main() -> None:
        harness = GatedHarness()
        await harness.start([])
        try:
            await test(harness)
        finally:
            await harness.aclose()

    with asyncio.Runner(loop_factory=FrozenLoop) as runner:
        runner.run(main())
