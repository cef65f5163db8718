"""A harness with a real API server and a real garbage collector; vault, clock and the watch of VaultSecrets are not.

Its clock begins at the present, since the API server dates what is created. The watch of targets is the real one too:
before the operator acts, the test waits for it.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.clocks import Clock, settle
from tests.convergence.cluster_client import ClusterClient
from tests.convergence.converged import check_target
from tests.convergence.machine import Convergence, data, sources
from tests.convergence.scenario import TAMPERINGS
from tests.e2e.kubernetes import KubernetesApi
from tests.harness import Harness
from vaultsync.adapters.kube import KubeApi
from vaultsync.adapters.kube.connection import Connection, configuration_from
from vaultsync.adapters.kube.requests import Request
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.requeue import Result

CAUGHT_UP_WITHIN: Final = 300.0
"""Seconds in which a watch must have reported what has happened."""

NEVER: Final = 1e9
"""Seconds that a watch may have no event: longer than the time that a scenario skips."""

_WRITES: Final = frozenset({"PATCH", "DELETE"})


class FaultyConnection(Connection):
    """The connection of the operator, which can be cut off, or lose the response to a write that is executed.

    A watch that is under way goes on.
    """

    away = False
    answers_to_lose = 0
    under_way = 0
    """The calls that wait for their responses."""

    async def send(self, request: Request) -> Mapping[str, Any]:
        if self.away:
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer.")
        self.under_way += 1
        try:
            answer = await super().send(request)
        finally:
            self.under_way -= 1
        if self.answers_to_lose and request.method in _WRITES:
            self.answers_to_lose -= 1
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer in time.")
        return answer


class RealHarness(Harness):
    """In a separate namespace, which is deleted at the end."""

    def __init__(self, connection: FaultyConnection, api: KubernetesApi, clock: Clock) -> None:
        self._connection = connection
        self._api = api
        self._kube = KubeApi(connection)
        self._client = ClusterClient(api)
        namespace = f"test-{uuid.uuid4().hex[:8]}"
        self._client.make_namespace(namespace)
        super().__init__(kube=self._kube, users=self._client, namespace=namespace, watched=[namespace], clock=clock)
        self._versions: dict[str, str] = {}
        self._events: dict[tuple[str, str], tuple[str, str]] = {}

    @classmethod
    async def make(cls, kubeconfig: Path) -> Self:
        configuration = await configuration_from({"KUBECONFIG": str(kubeconfig)})
        connection = FaultyConnection(configuration, user_agent="vaultsync", connections=8, watch_timeout=NEVER)
        now = datetime.now(UTC).replace(microsecond=0)
        return cls(connection, KubernetesApi(kubeconfig), Clock(now))

    async def aclose(self) -> None:
        await super().aclose()
        await self._kube.aclose()
        self._client.begin_deleting_namespace(self.namespace)
        self._api.close()

    async def settle(self) -> None:
        """Wait until the watch of targets has caught up with the API server; one that is cut off does not."""
        await settle()
        deadline = time.monotonic() + CAUGHT_UP_WITHIN
        while not self._connection.away and not self._is_caught_up():
            assert time.monotonic() < deadline, "the watch of targets fell behind"
            await asyncio.sleep(0.005)

    async def drain(self) -> list[Result]:
        """Reconcile until the queue is empty, and wait for the events about it; return the results.

        The API server is not part of the test's time: what is under way while this is turned ends by its timeout.
        """
        results = await super().drain()
        await settle()
        while self._connection.under_way:
            await asyncio.sleep(0.005)
            await settle()
        return results

    def _is_caught_up(self) -> bool:
        targets = self.state.targets.within(self.namespace)
        known = {key: target.resource_version for key, target in targets.items()}
        return self.controller.targets.has_synced.is_set() and known == self._client.targets(self.namespace)

    # what can be observed

    @property
    def events(self) -> list[tuple[str, str]]:
        """Type and reason of each event since the last reset, those that were repeated included."""
        return [what for event, what in self._client.events(self.namespace).items() if event not in self._events]

    @property
    def writes(self) -> dict[str, int]:
        """The objects that were changed, created or deleted since the last reset."""
        before, after = self._versions, self._client.versions(self.namespace)
        return {path: 1 for path in before.keys() | after.keys() if before.get(path) != after.get(path)}

    def reset_counts(self) -> None:
        super().reset_counts()
        self._versions = self._client.versions(self.namespace)
        self._events = self._client.events(self.namespace)

    # what else happens in a cluster

    def make_workload(self, name: str) -> None:
        self._client.make_deployment(self.key_of(name))

    def collect_garbage(self) -> None:
        self._client.await_collection(self.namespace)

    def cut_off(self, *, away: bool) -> None:
        self._connection.away = away

    def lose_answer(self) -> None:
        self._connection.answers_to_lose = 1

    def mend_cluster(self) -> None:
        self._connection.away = False
        self._connection.answers_to_lose = 0


class RealConvergence(Convergence):
    """The same scenarios, without watches that end; they are few, so each starts with tampering of every kind."""

    kubeconfig: Path

    async def make_harness(self) -> RealHarness:
        harness = await RealHarness.make(self.kubeconfig)
        await harness.start([])
        return harness

    @initialize(data=data, sources=sources, deletes=st.booleans())
    def begin(self, data: str, sources: str, deletes: bool) -> None:
        super().begin(data, sources, deletes)
        for how in TAMPERINGS:
            self.scenario.tamper(how)
            self.advance(60)
            check_target(self.scenario)
