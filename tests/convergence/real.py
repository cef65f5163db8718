"""A world whose cluster is a real API server and a real garbage collector; vault, clock and queue are the test's.

Its clock begins at the present, since the API server dates what is made there. The watch of targets is the real one
too: before the operator acts, it is waited for.
"""

import asyncio
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from hypothesis.stateful import initialize

from tests.clocks import Clock, settle
from tests.convergence.hands import ApiHands
from tests.convergence.machine import Convergence
from tests.convergence.peace import check_target
from tests.convergence.story import TAMPERINGS
from tests.e2e.kubernetes import KubernetesApi
from tests.stage import Stage
from vaultsync.adapters.kube import KubeApi
from vaultsync.adapters.kube.connection import Answer, Connection, configuration_from
from vaultsync.adapters.kube.requests import Request
from vaultsync.errors import Reason, SyncError

CAUGHT_UP_WITHIN: Final = 10.0
"""Seconds in which a watch must have told what has happened."""

FOR_EVER: Final = 1e9
"""Seconds that a watch may be silent: the time that the story lets go by is no silence."""

_WRITES: Final = frozenset({"PATCH", "DELETE"})


class UnsteadyConnection(Connection):
    """The connection of the operator, which can be cut off, or lose the answer to a write that is carried out.

    A watch that is under way goes on.
    """

    away = False
    answers_to_lose = 0

    async def send(self, request: Request) -> Answer:
        if self.away:
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer.")
        answer = await super().send(request)
        if self.answers_to_lose and request.method in _WRITES:
            self.answers_to_lose -= 1
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer in time.")
        return answer


class RealWorld(Stage):
    """Everything there is, in a namespace of its own, which is deleted at the end."""

    def __init__(self, connection: UnsteadyConnection, api: KubernetesApi, clock: Clock) -> None:
        self._connection = connection
        self._api = api
        self._cluster = KubeApi(connection, now=clock)
        self._hands = ApiHands(api)
        namespace = f"test-{uuid.uuid4().hex[:8]}"
        self._hands.make_namespace(namespace)
        super().__init__(
            edge=self._cluster,
            workloads=self._cluster.workloads,
            hands=self._hands,
            namespace=namespace,
            watched=[namespace],
            clock=clock,
        )
        self._versions: dict[str, str] = {}
        self._events: dict[tuple[str, str], tuple[str, str]] = {}

    @classmethod
    async def make(cls, kubeconfig: Path) -> Self:
        configuration = await configuration_from({"KUBECONFIG": str(kubeconfig)})
        connection = UnsteadyConnection(configuration, user_agent="vaultsync", connections=8, news_within=FOR_EVER)
        now = datetime.now(UTC).replace(microsecond=0)
        return cls(connection, KubernetesApi(kubeconfig), Clock(now))

    async def aclose(self) -> None:
        await super().aclose()
        await self._cluster.aclose()
        self._hands.begin_deleting_namespace(self.namespace)
        self._api.close()

    async def settle(self) -> None:
        """Let the watch come to where the cluster is; of one that is cut off nothing is heard."""
        await settle()
        deadline = time.monotonic() + CAUGHT_UP_WITHIN
        while not self._connection.away and not self._is_caught_up():
            assert time.monotonic() < deadline, "the watch of targets fell behind"
            await asyncio.sleep(0.005)

    def _is_caught_up(self) -> bool:
        known = {key: target.resource_version for key, target in self.targets.known(self.namespace).items()}
        return self.targets.synced.is_set() and known == self._hands.targets(self.namespace)

    # what can be seen

    @property
    def events(self) -> list[tuple[str, str]]:
        """Kind and reason of each event since the last count, those that came again included."""
        return [what for event, what in self._hands.events(self.namespace).items() if event not in self._events]

    @property
    def writes(self) -> dict[str, int]:
        """What has another resource version since the last count, is new or is gone."""
        before, after = self._versions, self._hands.versions(self.namespace)
        return {path: 1 for path in before.keys() | after.keys() if before.get(path) != after.get(path)}

    def count_anew(self) -> None:
        super().count_anew()
        self._versions = self._hands.versions(self.namespace)
        self._events = self._hands.events(self.namespace)

    # what else happens to a cluster

    def make_workload(self, name: str) -> None:
        self._hands.make_deployment(self.key_of(name))

    def collect_garbage(self) -> None:
        self._hands.await_collection(self.namespace)

    def cut_off(self, *, away: bool) -> None:
        self._connection.away = away

    def lose_answer(self) -> None:
        self._connection.answers_to_lose = 1

    def mend_cluster(self) -> None:
        self._connection.away = False
        self._connection.answers_to_lose = 0


class RealConvergence(Convergence):
    """The same stories, but for watches that end; they begin with tampering of every kind, since a few are told."""

    kubeconfig: Path

    async def make_world(self) -> RealWorld:
        world = await RealWorld.make(self.kubeconfig)
        await world.start([])
        return world

    @initialize()
    def begin(self) -> None:
        super().begin()
        for how in TAMPERINGS:
            self.story.tamper(how)
            self.live(self.story.operator(self.story.world.poll()))
            check_target(self.story)
