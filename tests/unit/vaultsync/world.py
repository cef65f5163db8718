"""The operator without its queue, between a cluster in memory and a FakeVault, on a clock that the test turns."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.builders import KEY
from tests.clocks import Clock
from tests.fakes import FakeKube
from tests.fakes.workloads import FakeWorkloads
from tests.stage import NOTICE, RECHECK, SKEW, Stage
from vaultsync.api import ObjectKey
from vaultsync.api.restarts import WorkloadKind
from vaultsync.errors import Reason, SyncError

__all__ = ["AWAY", "DB", "NOTICE", "RECHECK", "SKEW", "Line", "World", "a_world", "entry", "key_of"]

DB: Final = KEY
"""The VaultSecret of most stories, and its target."""

AWAY: Final = SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer.")

Line = dict[str, Any]


def entry(key: str = "password", name: str = "db-password", **more: object) -> Line:
    """A line of a VaultSecret's data, as a user writes it."""
    return {"key": key, "secretName": name, **more}


def key_of(name: str) -> ObjectKey:
    """The key of a VaultSecret, or of a Secret, of that name."""
    return ObjectKey(KEY.namespace, name)


class World(Stage):
    """Everything there is, the cluster in memory."""

    def __init__(self) -> None:
        clock = Clock()
        self.cluster = FakeKube(now=clock)
        self.workloads = FakeWorkloads(now=clock)
        super().__init__(
            edge=self.cluster,
            workloads=self.workloads,
            hands=self.cluster,
            namespace=KEY.namespace,
            watched=[],
            clock=clock,
        )
        self.vault.set("db-password", "first")

    async def rotate(self, value: str = "second", name: str = "db-password") -> str:
        """Set a secret anew, a minute later."""
        await self.later()
        return self.vault.set(name, value)

    @property
    def events(self) -> list[tuple[str, str]]:
        """Kind and reason of each event since the last count."""
        return [(event.kind, event.reason) for event in self.cluster.events]

    @property
    def writes(self) -> dict[str, int]:
        """What was written to the cluster since the last count."""
        return dict(+Counter(self.cluster.writes))

    def count_anew(self) -> None:
        super().count_anew()
        self.cluster.writes.clear()
        self.cluster.calls.clear()
        self.cluster.events.clear()

    async def rests(self) -> None:
        """Assert that there is nothing left to be done: another poll and reconcile read, write and tell nothing."""
        self.count_anew()
        await self.poll()
        for name in self.names:
            await self.reconcile(name)
        assert (self.reads, self.writes, self.events) == (0, {}, [])
        assert self.notes.bugs == []

    # what else happens to a cluster

    def make_workload(self, name: str) -> None:
        self.workloads.make(WorkloadKind.DEPLOYMENT, self.key_of(name))

    def collect_garbage(self) -> None:
        self.cluster.collect_garbage()

    def cut_off(self, *, away: bool) -> None:
        self.cluster.fail(AWAY if away else None)

    def lose_answer(self) -> None:
        self.cluster.lost_answers = 1

    def mend_cluster(self) -> None:
        self.cluster.fail(None)
        self.cluster.lost_answers = 0


@asynccontextmanager
async def a_world() -> AsyncIterator[World]:
    """A world whose operator runs; there is no VaultSecret yet."""
    world = World()
    await world.start([])
    try:
        yield world
    finally:
        await world.aclose()
