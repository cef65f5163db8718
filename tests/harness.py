"""The operator as `manager` builds it, between an API server and a FakeVault, on a clock that the test moves.

State, queue, reconciler, informer, pollers, resync and the handlers of events are the real ones. The test replaces
kopf, whose events `observe` delivers, and polls the vault by `poll`, unless the pollers run by themselves. Subclasses
choose the API server.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from kvsecrets.testing import FakeVault
from tests.builders import ACCESS, EVERYTHING, KEY, VAULT, a_grant
from tests.clocks import Clock, settle, skip
from tests.contract.other_client import OtherClient
from tests.fakes import FakeCredentials, FakeKube
from tests.manifests import ENTRY, Spec, manifest, spec
from tests.rendering import LocalCertificates
from tests.vault_faults import FaultyTransport, VaultFaults
from vaultsync.adapters.keyvault import Budget, VaultClients
from vaultsync.api import ObjectKey
from vaultsync.api.grants import VaultGrant
from vaultsync.api.v1alpha1 import Condition, StatusRestart, VaultSecretMeta, VaultSecretStatus, WorkloadKind
from vaultsync.controller.queue import WorkQueue
from vaultsync.controller.turns import Priority
from vaultsync.errors import Reason, SyncError
from vaultsync.interfaces import KubeApi
from vaultsync.manager.clock import Clock as ManagerClock
from vaultsync.manager.controller import Controller, build_controller
from vaultsync.policy.requeue import Jitter, Result, Work
from vaultsync.settings import Settings
from vaultsync.sources.poller import Poller
from vaultsync.state.grants import GrantView, grant_from
from vaultsync.state.shards import Shards
from vaultsync.state.snapshots import ClusterKind
from vaultsync.state.stores import State
from vaultsync.status.outcome import Outcome

SKEW: Final = timedelta(seconds=2)
"""The vault's clock is ahead of ours."""

RECHECK: Final = timedelta(days=1)
NOTICE: Final = timedelta(days=14)

OTHER_VAULT: Final = "https://other.vault.azure.net"

DB: Final = KEY
"""The VaultSecret of most tests, and its target."""

UNAVAILABLE: Final = SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer.")

Line = dict[str, Any]


def entry(key: str = "password", name: str = "db-password", **more: object) -> Line:
    """Return a line of a VaultSecret's data, as a user writes it."""
    return {"key": key, "secretName": name, **more}


def key_of(name: str) -> ObjectKey:
    """Return the key of a VaultSecret, or of a Secret, of that name."""
    return ObjectKey(KEY.namespace, name)


def shortest(low: float, _: float) -> float:
    """Use no jitter: every retry is as early as possible."""
    return low


def longest(_: float, high: float) -> float:
    """Use no jitter: every retry is as late as possible."""
    return high


def record_woken(queue: WorkQueue) -> list[tuple[str, Priority]]:
    """Return a list to which each key that is added to the queue from now on is appended, by its name."""
    woken: list[tuple[str, Priority]] = []
    add = queue.add

    def record(key: ObjectKey, priority: Priority) -> None:
        woken.append((key.name, priority))
        add(key, priority)

    queue.add = record  # type: ignore[method-assign]  # the queue reports only how long a key waited
    return woken


class RecordedEvents:
    """Records what the operator would count, log and trace."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.read_reasons: list[str | None] = []
        self.errors: list[BaseException] = []
        self.failed_reports: list[SyncError] = []
        self.written_reports = 0
        self.polls: list[SyncError | None] = []
        self.poll_calls: list[tuple[str, int]] = []
        """Mode and number of calls of each poll."""
        self.transitions: list[int] = []
        """How many shards were gained each time; lost ones are negative."""
        self.vaults: set[str] = set()
        """The vaults by which something was recorded."""

    def reconciled(
        self,
        vault_secret: VaultSecretMeta,
        outcome: Outcome,
        *,
        after: VaultSecretStatus,
        seconds: float,
        read_reason: str | None,
    ) -> None:
        self.outcomes.append(outcome)
        self.read_reasons.append(read_reason)

    def reconcile_error(self, key: ObjectKey, error: BaseException) -> None:
        self.errors.append(error)

    def status_updated(self) -> None:
        self.written_reports += 1

    def status_update_failed(self, vault_secret: VaultSecretMeta, error: SyncError) -> None:
        self.failed_reports.append(error)

    def workload_restarted(self, vault_secret: VaultSecretMeta, entry: StatusRestart) -> None:
        """Restarts are seen by the workloads."""

    def vault_call(self, vault_url: str, operation: str, status: str, seconds: float) -> None:
        self.vaults.add(vault_url)

    def polled(self, vault_url: str, *, mode: str, calls: int, seconds: float, failure: SyncError | None) -> None:
        self.vaults.add(vault_url)
        self.polls.append(failure)
        self.poll_calls.append((mode, calls))

    def forget_vaults_except(self, used: Collection[str]) -> None:
        self.vaults.intersection_update(used)

    def poll_error(self, vault_url: str, error: BaseException) -> None:
        self.errors.append(error)

    def shards_gained(self, number: int) -> None:
        self.transitions.append(number)

    def shards_lost(self, number: int) -> None:
        self.transitions.append(-number)

    def queue_waited(self, seconds: float) -> None:
        """The queue's own tests measure it."""


class RecordedResults:
    """Takes the place of tracing, and keeps the result of each reconcile."""

    def __init__(self) -> None:
        self.results: list[tuple[ObjectKey, Result]] = []
        self.polled: list[str] = []

    def work(self, work: Work) -> Work:
        async def recorded(key: ObjectKey, failures: int) -> Result:
            result = await work(key, failures)
            self.results.append((key, result))
            return result

        return recorded

    def poll(self, vault_url: str) -> AbstractContextManager[None]:
        self.polled.append(vault_url)
        return nullcontext()

    def note(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        """Notes are tested with the recorder."""


class Harness(ABC):
    """Everything but the API server. `names` are those of the VaultSecrets."""

    def __init__(
        self,
        *,
        kube: KubeApi,
        users: OtherClient,
        namespace: str,
        watched: Sequence[str],
        clock: Clock,
        jitter: Jitter = shortest,
        shards: Shards | None = None,
    ) -> None:
        """Build an operator that does not run yet.

        Args:
            kube: The API server as the operator calls it.
            users: What other clients do to the API server, and see of it.
            namespace: Where the VaultSecrets are.
            watched: The namespaces that the operator watches; all of them if none is named.
            clock: The clock of the operator.
            jitter: Spreads its retries.
            shards: The shards that it holds, which it serves from the beginning; all if None.
        """
        self.kube_api = kube
        self.users = users
        self.namespace = namespace
        self.watched = tuple(watched)
        self.clock = clock
        self.jitter = jitter
        self.vault = FakeVault(VAULT, clock=self.vault_time)
        self.faults = VaultFaults(self.vault_time)
        self.http = httpx.AsyncClient(transport=self.vault_transport())
        self.certificates = LocalCertificates()
        self.grants: list[VaultGrant] = [
            a_grant("shop", **EVERYTHING),
            a_grant("other", vaultUrl=OTHER_VAULT, **EVERYTHING),
        ]
        self.shards = Shards.all() if shards is None else shards
        self.names: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._build()

    def _build(self) -> None:
        self.recorded = RecordedEvents()
        self.traced = RecordedResults()
        self.vaults = VaultClients(
            FakeCredentials(),
            http=self.http,
            budget=Budget(),
            count_call=self.recorded.vault_call,
            now=self.clock,
            clock=self.clock.seconds,
        )
        self.controller: Controller = build_controller(
            Settings(watch_namespaces=self.watched, recheck_interval=RECHECK, expiry_notice=NOTICE),
            kube=self.kube_api,
            vaults=self.vaults,
            certificates=self.certificates,
            recorder=self.recorded,
            clock=ManagerClock(self.clock, self.clock.seconds, self.jitter),
            tracing=self.traced,
            shards=self.shards,
        )
        self.state.served.update(self.shards.held)
        self.poller: Poller = self.controller.pollers.poller_for(ACCESS)
        self.state.vaultsecrets.has_synced = True
        self.state.grants.view = GrantView({one.metadata.name: one for one in self.grants})

    def grant(self, vault_url: str) -> None:
        """Allow everything with a vault in all namespaces; nothing is decided again."""
        if all(one.spec.vault_url != vault_url for one in self.grants):
            self.grants.append(a_grant(f"grant-{len(self.grants)}", vaultUrl=vault_url, **EVERYTHING))
            self.state.grants.view = GrantView({one.metadata.name: one for one in self.grants})

    def vault_transport(self) -> httpx.AsyncBaseTransport:
        """Return what requests to the vault are sent by."""
        return FaultyTransport(self.vault.async_transport(), self.faults)

    @property
    def state(self) -> State:
        return self.controller.state

    @property
    def is_idle(self) -> bool:
        """Whether nothing is reconciled, and nothing waits for its turn."""
        return not self.controller.queue.depth and not self.controller.queue.running

    def run_beside(self, part: Coroutine[Any, Any, None]) -> None:
        """Run a part of the operator until it stops."""
        self._tasks.append(asyncio.get_running_loop().create_task(part))

    async def start(self, observed: Sequence[str]) -> None:
        """Start an operator whose state is that of the API server, and that has observed these VaultSecrets."""
        for name in observed:
            self.observe(name)
        self.run_beside(self.controller.targets.run())
        await self.settle()
        self.run_beside(self.controller.events.run())
        self.run_beside(self.controller.queue.run())
        await self.settle()

    def observe(self, name: str) -> None:
        """Deliver the event by which the watch reports a VaultSecret."""
        self.controller.source.handle_changed(self.body(name))

    def observe_deletion(self, name: str, body: Mapping[str, Any]) -> None:
        """Deliver the event by which the watch reports that a VaultSecret was deleted."""
        self.controller.source.handle_deleted(body)

    def body(self, name: str) -> Mapping[str, Any]:
        """Return a VaultSecret as the watch reports it."""
        return self.users.vault_secret_body(self.key_of(name))

    async def settle(self) -> None:
        """Run all tasks that wait neither for time nor for the test."""
        await settle()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.vaults.aclose()

    async def aclose(self) -> None:
        """Stop all tasks and close all clients."""
        await self.stop()
        await self.http.aclose()

    async def restart(self, observed: Sequence[str] | None = None) -> None:
        """Restart the operator, which observes all VaultSecrets at once, or only these at first."""
        await self.stop()
        self._build()
        await self.start(self.names if observed is None else observed)

    def key_of(self, name: str) -> ObjectKey:
        return ObjectKey(self.namespace, name)

    # what users do

    def vault_time(self) -> datetime:
        return self.clock.now + SKEW

    def apply(
        self,
        *lines: Spec,
        name: str = "db",
        annotations: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        **changes: object,
    ) -> None:
        """Apply a VaultSecret's manifest, as `kubectl apply` does."""
        self.clock.turn(1)
        applied = manifest(spec(**{"data": list(lines) or [ENTRY], **changes}), name=name)
        written = {"annotations": dict(annotations or {}), "labels": dict(labels or {})}
        applied["metadata"] |= {"namespace": self.namespace, **written}
        self.users.put_vault_secret(applied)
        if name not in self.names:
            self.names.append(name)
        self.observe(name)

    def remove(self, name: str = "db", *, observed: bool = True) -> None:
        """Delete a VaultSecret; the watch may not report it yet."""
        body = self.body(name)
        self.users.delete_vault_secret(self.key_of(name))
        self.names.remove(name)
        if observed:
            self.observe_deletion(name, body)

    # what the operator does

    async def pass_time(self, seconds: float = 60) -> None:
        """Advance the clock by that time; keys that are due by then are reconciled."""
        self.clock.turn(seconds)
        await skip(seconds)

    async def drain(self) -> list[Result]:
        """Reconcile until the queue is empty; return the results."""
        before = len(self.traced.results)
        await self.settle()
        while not self.is_idle:
            await self.settle()
        return [result for _, result in self.traced.results[before:]]

    async def poll(self, seconds: float = 60) -> None:
        """Advance the clock by that time, poll the vault and reconcile what is due."""
        await self.pass_time(seconds)
        await self.poller.poll()
        await self.drain()

    async def reconcile(self, name: str = "db") -> Result:
        """Reconcile one VaultSecret, for whatever reason."""
        await self.drain()
        key = self.key_of(name)
        self.wake(name)
        await self.drain()
        return next(result for reconciled, result in reversed(self.traced.results) if reconciled == key)

    def wake(self, name: str = "db") -> None:
        """Add a VaultSecret to the queue."""
        self.controller.queue.add(self.key_of(name), Priority.URGENT)

    @property
    def poll_requested(self) -> bool:
        """Whether a poll is requested that would begin now."""
        requests = self.state.vaults.requests(ACCESS)
        return requests.is_pending_after(self.state.vaults.view(ACCESS).polls)

    @property
    def resync_requested(self) -> bool:
        return self.state.vaultsecrets.resync_requested.is_set()

    # what can be seen

    def values(self, name: str = "db") -> dict[str, str] | None:
        """Return what pods read from the target."""
        return self.users.values(self.key_of(name))

    def status(self, name: str = "db") -> VaultSecretStatus:
        return self.users.vault_secret(self.key_of(name)).status

    def ready(self, name: str = "db") -> Condition:
        return self.condition("Ready", name)

    def condition(self, kind: str, name: str = "db") -> Condition:
        (found,) = (one for one in self.status(name).conditions if one.type == kind)
        return found

    @property
    def reads(self) -> int:
        """The number of reads of secrets from the vault since the last reset."""
        return self.vault.calls["get"] + self.vault.calls["get_deleted"]

    @property
    @abstractmethod
    def events(self) -> list[tuple[str, str]]:
        """Type and reason of each event since the last reset."""

    @property
    @abstractmethod
    def writes(self) -> dict[str, int]:
        """What was written to the API server since the last reset."""

    def reset_counts(self) -> None:
        self.vault.forget_calls()
        self.recorded.outcomes.clear()

    # what else happens to a cluster

    @abstractmethod
    def make_workload(self, name: str) -> None:
        """Make a Deployment."""

    @abstractmethod
    def collect_garbage(self) -> None:
        """Delete what has owners of which none exists, or wait until that has been done."""

    @abstractmethod
    def cut_off(self, *, away: bool) -> None:
        """Make the API server unavailable to the operator, or available again."""

    @abstractmethod
    def lose_answer(self) -> None:
        """Lose the answer to the next write, although it is carried out."""

    @abstractmethod
    def mend_cluster(self) -> None:
        """Deliver all responses."""


class MemoryHarness(Harness):
    """With an API server in memory, and `db-password` in the vault."""

    def __init__(
        self,
        *,
        kube: Callable[..., FakeKube] = FakeKube,
        watched: Sequence[str] = (),
        jitter: Jitter = shortest,
        clock: Clock | None = None,
        shards: Shards | None = None,
    ) -> None:
        clock = clock or Clock()
        self.kube = kube(now=lambda: clock.now)
        super().__init__(
            kube=self.kube,
            users=self.kube,
            namespace=KEY.namespace,
            watched=watched,
            clock=clock,
            jitter=jitter,
            shards=shards,
        )
        for grant in self.grants:
            self.kube.put_grant(grant.metadata.name, grant.spec.to_wire())
        self.vault.set("db-password", "first")

    async def set_grants(self, *grants: VaultGrant) -> None:
        """Replace all grants, which the watch reports."""
        for name in {one.metadata.name for one in self.grants} - {one.metadata.name for one in grants}:
            self.kube.delete_cluster(ClusterKind.GRANTS, name)
        self.grants = list(grants)
        for one in grants:
            self.kube.put_grant(one.metadata.name, one.spec.to_wire())
        labels = self.state.grants.view.labels
        listed = (await self.kube.list_cluster(ClusterKind.GRANTS)).objects
        stored = {name: grant for name, body in listed.items() if (grant := grant_from(body)) is not None}
        await self.controller.source.handle_grants(GrantView(stored, labels))

    async def rotate(self, value: str = "second", name: str = "db-password") -> str:
        """Set a new version of a secret, a minute later; return its id."""
        await self.pass_time()
        return self.vault.set(name, value)

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(event.kind, event.reason) for event in self.kube.events]

    @property
    def writes(self) -> dict[str, int]:
        return dict(+Counter(self.kube.writes))

    def reset_counts(self) -> None:
        super().reset_counts()
        self.kube.writes.clear()
        self.kube.calls.clear()
        self.kube.events.clear()

    async def assert_idle(self) -> None:
        """Assert that nothing is left to do: another poll and reconcile of all read, write and report nothing."""
        self.reset_counts()
        await self.poll()
        for name in self.names:
            await self.reconcile(name)
        assert (self.reads, self.writes, self.events) == (0, {}, [])
        assert self.recorded.errors == []

    def make_workload(self, name: str) -> None:
        self.kube.make_workload(WorkloadKind.DEPLOYMENT, self.key_of(name))

    def collect_garbage(self) -> None:
        self.kube.collect_garbage()

    def cut_off(self, *, away: bool) -> None:
        self.kube.fail(UNAVAILABLE if away else None)

    def lose_answer(self) -> None:
        self.kube.lost_answers = 1

    def mend_cluster(self) -> None:
        self.kube.fail(None)
        self.kube.lost_answers = 0


@asynccontextmanager
async def running_harness() -> AsyncIterator[MemoryHarness]:
    """Yield a harness whose operator runs; there is no VaultSecret yet."""
    harness = MemoryHarness()
    await harness.start([])
    try:
        yield harness
    finally:
        await harness.aclose()
