"""No two replicas serve the same namespace, whatever is delayed, lost, stopped or restarted.

The real election runs, and stops at each request, on its way to the API server and on its way back: the test decides
what goes on next, and how much time passes. The clocks of the replicas differ, and the time that they write goes back.
"""

import itertools
from collections.abc import Coroutine, Generator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.builders import START
from tests.fakes.leases import FakeLeases, LeaseStore
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.leases import Installation
from vaultsync.sources.election import Election
from vaultsync.state.positions import Position
from vaultsync.state.shards import Shards

NAMESPACES = ("shop", "billing")
FIRST, RESHARDED = Installation("first"), Installation("first", shards=2)
LAPTOP = Installation("laptop", namespaces=frozenset({"shop", "web"}))
BILLING = Installation("billing", namespaces=frozenset({"billing"}))
SCENES = (
    (FIRST, FIRST),
    (FIRST, LAPTOP),
    (FIRST, RESHARDED),
    (LAPTOP, BILLING, BILLING),
    (RESHARDED, RESHARDED, RESHARDED),
    (RESHARDED, FIRST, LAPTOP),
)
LOST = SyncError(Reason.CLUSTER_UNAVAILABLE, "The response is lost.")


@coroutine
def pause() -> Generator[None, None, None]:
    """Let the test decide when it goes on."""
    yield


class Server:
    """Serves nothing; to drain takes until the test goes on."""

    def gained(self, shards: AbstractSet[int], position: Position | None) -> None: ...

    def lost(self, shards: AbstractSet[int]) -> None: ...

    async def drain(self, shards: AbstractSet[int]) -> None:
        await pause()


@dataclass
class Replica:
    installation: Installation
    election: Election
    shards: Shards
    running: list[Coroutine[Any, Any, object]] = field(default_factory=list)

    def serves(self, namespace: str) -> bool:
        watched = self.installation.namespaces
        return (not watched or namespace in watched) and self.shards.may_write(namespace)


class ElectionMachine(RuleBasedStateMachine):
    """Replicas of several installations, and the Leases in one namespace."""

    numbers = st.integers(0, 2)
    waits = st.sampled_from((0.1, 2.0, 4.5, 7.0, 9.0, 12.5))

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.store, self.members = LeaseStore(), LeaseStore()
        self.names = itertools.count()
        self.replicas: list[Replica] = []

    @initialize(scene=st.sampled_from(SCENES))
    def begin(self, scene: tuple[Installation, ...]) -> None:
        self.replicas = [self._replica(number, ours) for number, ours in enumerate(scene)]

    def _chosen(self, number: int) -> Replica:
        return self.replicas[number % len(self.replicas)]

    def _replica(self, number: int, ours: Installation) -> Replica:
        identity = f"replica-{next(self.names)}"
        shards = Shards(ours.shards, clock=lambda: self.time + 1000 * number)
        election = Election(
            ours,
            identity,
            shards,
            Server(),
            FakeLeases(self.store, ours, identity, pause),
            FakeLeases(self.members, ours, identity, pause),
            now=lambda: START - timedelta(seconds=self.time * number),  # it goes backwards
            clock=lambda: self.time + 1000 * number,
            jitter=lambda low, _: low,
        )
        return Replica(ours, election, shards)

    @rule(number=numbers, steps=st.integers(0, 12))
    def look(self, number: int, steps: int) -> None:
        self._begin(number, self._chosen(number).election.look(), steps)

    @rule(number=numbers, shard=st.integers(0, 1), steps=st.integers(0, 12))
    def renew(self, number: int, shard: int, steps: int) -> None:
        self._begin(number, self._chosen(number).election.renew(shard), steps)

    @rule(number=numbers, shard=st.integers(0, 1), steps=st.integers(0, 12))
    def give_up(self, number: int, shard: int, steps: int) -> None:
        if shard in self._chosen(number).shards.held:
            self._begin(number, self._chosen(number).election.give_up({shard}), steps)

    def _begin(self, number: int, work: Coroutine[Any, Any, object], steps: int) -> None:
        running = self._chosen(number).running
        running.insert(0, work)
        self.go_on(number, 0, steps)
        if len(running) > 3:
            running.pop().close()

    @rule(number=numbers, which=st.integers(0, 1), steps=st.integers(1, 12))
    def go_on(self, number: int, which: int, steps: int) -> None:
        running = self._chosen(number).running
        if which < len(running):
            work = running[which]
            for _ in range(steps):
                if work in running:
                    self._resume(running, work, None)

    @rule(number=numbers, which=st.integers(0, 1))
    def lose_response(self, number: int, which: int) -> None:
        running = self._chosen(number).running
        if which < len(running) and getattr(running[which], "cr_await", None) is not None:
            self._resume(running, running[which], LOST)

    @staticmethod
    def _resume(
        running: list[Coroutine[Any, Any, object]], work: Coroutine[Any, Any, object], error: SyncError | None
    ) -> None:
        try:
            work.send(None) if error is None else work.throw(error)
        except (StopIteration, SyncError):
            running.remove(work)

    @rule(seconds=waits)
    def wait(self, seconds: float) -> None:
        self.time += seconds

    @rule(number=numbers)
    def notice_deadlines(self, number: int) -> None:
        self._chosen(number).election.expire()

    @rule(number=numbers)
    def crash(self, number: int) -> None:
        before = self._chosen(number)
        for one in before.running:
            one.close()
        place = self.replicas.index(before)
        self.replicas[place] = self._replica(place, before.installation)

    @rule(number=numbers)
    @precondition(lambda self: self.store.leases)
    def change_a_label(self, number: int) -> None:
        leases = list(self.store.leases.values())
        self.store.put(leases[number % len(leases)])

    @rule(number=numbers)
    @precondition(lambda self: self.store.leases)
    def write_nonsense_of_the_future(self, number: int) -> None:
        leases = list(self.store.leases.values())
        self.store.put(replace(leases[number % len(leases)], renewed="9999-12-31T23:59:59.999999Z", transitions=2**31))

    @invariant()
    def no_namespace_is_served_twice(self) -> None:
        for namespace in NAMESPACES:
            serving = [replica.installation.name for replica in self.replicas if replica.serves(namespace)]
            assert len(serving) <= 1, (namespace, serving)

    def teardown(self) -> None:
        for replica in self.replicas:
            for one in replica.running:
                one.close()


TestElection = pytest.mark.slow(ElectionMachine.TestCase)
TestElection.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
