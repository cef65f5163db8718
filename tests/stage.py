"""The operator without its queue, between a cluster and a FakeVault, on a clock that the test turns.

All its parts are the real ones but for kopf, whose part the test plays by `apply`. What would be queued is in `queued`.
Which cluster it has is the business of those that are built on it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import httpx

from kvsecrets.testing import AsyncFakeCredential, FakeVault
from tests.builders import VAULT
from tests.clocks import Clock, settle, skip
from tests.contract.hands import Hands
from tests.manifests import ENTRY, Spec, manifest, spec
from vaultsync.adapters.keyvault import Budget, Vaults
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import Condition, StatusRestart, VaultSecretMeta, VaultSecretStatus
from vaultsync.controller import apply as writing
from vaultsync.controller import reconcile
from vaultsync.controller import report as telling
from vaultsync.controller import rollout as restarting
from vaultsync.controller.apply import Writer
from vaultsync.controller.reconcile import Limits, Reconciler
from vaultsync.controller.report import Teller
from vaultsync.controller.rollout import Restarter
from vaultsync.errors import SyncError
from vaultsync.policy.requeue import Result
from vaultsync.sources import targets
from vaultsync.sources.poller import Mode, Poller, Trigger
from vaultsync.sources.targets import Targets
from vaultsync.state.vaultsecrets import VaultSecretCache
from vaultsync.status.outcome import Outcome

SKEW: Final = timedelta(minutes=7)
"""The vault's clock is ahead of ours."""

RECHECK: Final = timedelta(days=1)
NOTICE: Final = timedelta(days=14)


class Edge(reconcile.KubeApi, writing.KubeApi, telling.KubeApi, targets.KubeApi, Protocol):
    """What the operator asks of the cluster here."""


class Notes:
    """What the operator would count and log."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.bugs: list[Exception] = []
        self.told_nobody: list[SyncError] = []

    def outcome(
        self, vault_secret: VaultSecretMeta, outcome: Outcome, *, after: VaultSecretStatus, seconds: float
    ) -> None:
        self.outcomes.append(outcome)

    def bug(self, vault_secret: VaultSecretMeta, error: Exception) -> None:
        self.bugs.append(error)

    def untold(self, vault_secret: VaultSecretMeta, error: SyncError) -> None:
        self.told_nobody.append(error)

    def restarted(self, vault_secret: VaultSecretMeta, entry: StatusRestart) -> None:
        """Restarts are seen by the workloads."""

    def vault_call(self, vault_url: str, *, operation: str, status: str, seconds: float) -> None:
        """The vault counts its calls itself."""

    def poll(self, vault_url: str, *, mode: Mode, calls: int, seconds: float, failure: SyncError | None) -> None:
        """What polls find is seen by what they queue."""

    def broken(self, vault_url: str, error: Exception) -> None:
        self.bugs.append(error)


class Stage(ABC):
    """Everything there is but the cluster. `names` are those of the VaultSecrets.

    Args:
        edge: The cluster as the operator sees it.
        workloads: The workloads as the operator sees them.
        hands: The cluster in the hands of everybody else.
        namespace: Where the VaultSecrets are.
        watched: The namespaces that the operator watches; all of them if none is named.
        clock: The clock of the operator.
    """

    def __init__(
        self,
        *,
        edge: Edge,
        workloads: restarting.Workloads,
        hands: Hands,
        namespace: str,
        watched: Sequence[str],
        clock: Clock,
    ) -> None:
        self.edge = edge
        self.workloads_edge = workloads
        self.hands = hands
        self.namespace = namespace
        self.watched = watched
        self.clock = clock
        self.vault = FakeVault(VAULT, clock=self.vault_time)
        self.http = httpx.AsyncClient(transport=self.vault.async_transport())
        self.names: list[str] = []
        self.queued: set[ObjectKey] = set()
        self.timers: dict[ObjectKey, datetime] = {}
        self.forgotten: list[str] = []
        self.hurried = 0
        self._begin()

    def _begin(self) -> None:
        self.notes = Notes()
        self.vaultsecrets = VaultSecretCache()
        self.vaultsecrets.has_synced = True
        self.vaults = Vaults(
            AsyncFakeCredential(),
            http=self.http,
            budget=Budget(),
            record=self.notes,
            now=self.clock,
            clock=self.clock.seconds,
        )
        self.targets = Targets(
            self.edge, namespaces=self.watched, on_change=self._target_changed, jitter=lambda low, _: low
        )
        self.poller = Poller(
            VAULT,
            vaults=self.vaults,
            vaultsecrets=self.vaultsecrets,
            trigger=Trigger(lambda key, _: self.queued.add(key), lambda key: self.reconciler.is_due(key)),  # noqa: PLW0108  it comes to be below
            record=self.notes,
            clock=self.clock.seconds,
            now=self.clock,
            jitter=lambda low, _: low,
        )
        self.reconciler = Reconciler(
            vaultsecrets=self.vaultsecrets,
            vaults=self.vaults,
            cluster=self.edge,
            targets=self.targets,
            view=lambda _: self.poller.view,
            answered=lambda _: self.poller.answered(),
            forget=self._forget,
            list_now=self._list_now,
            writer=Writer(self.edge, self.targets),
            teller=Teller(self.edge, self.vaultsecrets, self.notes),
            restarter=Restarter(self.workloads_edge, self.notes, self.clock),
            record=self.notes,
            limits=Limits((".vault.azure.net",), RECHECK, NOTICE),
            now=self.clock,
            jitter=lambda low, _: low,
        )

    async def start(self, heard_of: Sequence[str]) -> None:
        """Start an operator that knows nothing but what the cluster tells it, and has heard of these VaultSecrets."""
        self.targets.start()
        await self.settle()
        for name in heard_of:
            self.hear_of(name)

    def hear_of(self, name: str) -> None:
        """Let the watch of VaultSecrets tell of one, and whoever wants its target, or wanted it too, get a turn."""
        vault_secret = self.hands.vault_secret(self.key_of(name))
        known = self.vaultsecrets.get(vault_secret.key)
        self.vaultsecrets.put(vault_secret)
        self.queued.add(vault_secret.key)
        if known is None or known.target_key != vault_secret.target_key:
            for target in {one.target_key for one in (known, vault_secret) if one is not None}:
                self.queued.update(self.vaultsecrets.keys_for_target(target))

    def _drop(self, key: ObjectKey) -> None:
        """Let the watch of VaultSecrets tell that one is gone."""
        known = self.vaultsecrets.get(key)
        self.vaultsecrets.drop(key)
        self.queued.discard(key)
        self.timers.pop(key, None)
        if known is not None:
            self.queued.update(self.vaultsecrets.keys_for_target(known.target_key))

    async def settle(self) -> None:
        """Let everything go on that does not wait for time or for the test."""
        await settle()

    async def stop(self) -> None:
        await self.targets.stop()
        await self.vaults.aclose()

    async def aclose(self) -> None:
        """End everything there is."""
        await self.stop()
        await self.http.aclose()

    async def restart(self, heard_of: Sequence[str] | None = None) -> None:
        """Restart the operator, which hears of all VaultSecrets at once, or of these alone at first."""
        await self.stop()
        self.queued.clear()
        self.timers.clear()
        self._begin()
        await self.start(self.names if heard_of is None else heard_of)

    def key_of(self, name: str) -> ObjectKey:
        return ObjectKey(self.namespace, name)

    # what others do

    def vault_time(self) -> datetime:
        return self.clock() + SKEW

    def apply(
        self, *lines: Spec, name: str = "db", annotations: Mapping[str, str] | None = None, **changes: object
    ) -> None:
        """Apply a VaultSecret's manifest, as `kubectl apply` does."""
        self.clock.turn(1)
        wanted = manifest(spec(**{"data": list(lines) or [ENTRY], **changes}), name=name)
        wanted["metadata"] |= {"namespace": self.namespace, "annotations": dict(annotations or {})}
        self.hands.put_vault_secret(wanted)
        if name not in self.names:
            self.names.append(name)
        self.hear_of(name)

    def remove(self, name: str = "db", *, heard: bool = True) -> None:
        """Delete a VaultSecret; the operator may not have heard of it yet."""
        self.hands.delete_vault_secret(self.key_of(name))
        self.names.remove(name)
        if heard:
            self._drop(self.key_of(name))

    # what the operator does

    async def later(self, seconds: float = 60) -> None:
        """Let that time go by; who was to come back by then is queued."""
        self.clock.turn(seconds)
        await skip(seconds)
        self.queued |= {key for key, due in self.timers.items() if due <= self.clock()}

    async def work(self) -> list[Result]:
        """Reconcile whatever is queued, as long as something is."""
        await self.settle()
        answers = []
        while self.queued:
            key = self.queued.pop()
            self.timers.pop(key, None)
            answers.append(await self.reconciler.work(key, 0))
            if (seconds := answers[-1].seconds) is not None:
                self.timers[key] = self.clock() + timedelta(seconds=seconds)
            await self.settle()
        return answers

    async def poll(self, seconds: float = 60) -> None:
        """Let that time go by, poll the vault and reconcile whatever is due."""
        await self.later(seconds)
        await self.poller.poll()
        await self.work()

    async def reconcile(self, name: str = "db") -> Result:
        """Reconcile one VaultSecret, for whatever reason."""
        self.queued.add(self.key_of(name))
        (*_, after) = await self.work()
        return after

    def _target_changed(self, target: ObjectKey) -> None:
        self.queued.update(self.vaultsecrets.keys_for_target(target))

    def _forget(self, head: VaultSecretMeta) -> None:
        self.forgotten.append(head.key.name)
        self._drop(head.key)

    def _list_now(self, _: str) -> None:
        """The poller would list at once; here it does when the test says so."""
        self.hurried += 1
        self.poller.hurry(now=True)

    # what can be seen

    def values(self, name: str = "db") -> dict[str, str] | None:
        """What pods read from the target."""
        return self.hands.values(self.key_of(name))

    def status(self, name: str = "db") -> VaultSecretStatus:
        return self.hands.vault_secret(self.key_of(name)).status

    def ready(self, name: str = "db") -> Condition:
        return self.condition("Ready", name)

    def condition(self, kind: str, name: str = "db") -> Condition:
        (found,) = (one for one in self.status(name).conditions if one.type == kind)
        return found

    @property
    def reads(self) -> int:
        """How often the vault was asked for secrets since the last count."""
        return self.vault.calls["get"] + self.vault.calls["get_deleted"]

    @property
    @abstractmethod
    def events(self) -> list[tuple[str, str]]:
        """Kind and reason of each event since the last count."""

    @property
    @abstractmethod
    def writes(self) -> dict[str, int]:
        """What was written to the cluster since the last count."""

    def count_anew(self) -> None:
        self.vault.forget_calls()
        self.notes.outcomes.clear()

    # what else happens to a cluster

    @abstractmethod
    def make_workload(self, name: str) -> None:
        """Make a Deployment."""

    @abstractmethod
    def collect_garbage(self) -> None:
        """Delete what has owners of which none is there, or wait until that has been done."""

    @abstractmethod
    def cut_off(self, *, away: bool) -> None:
        """Let the operator have no answer from the cluster any more, or have it again."""

    @abstractmethod
    def lose_answer(self) -> None:
        """Let the answer to the next write get lost, although it is carried out."""

    @abstractmethod
    def mend_cluster(self) -> None:
        """Let all answers come."""
