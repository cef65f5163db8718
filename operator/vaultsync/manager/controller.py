"""Builds the parts that react to the cluster and to vaults, and starts them in order; `lifecycle` calls it."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from vaultsync.adapters.tracing import Tracing
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.controller.events import EventWriter
from vaultsync.controller.grant_status import GrantStatus
from vaultsync.controller.queue import Observers, WorkQueue
from vaultsync.controller.reconcile import Reconciler
from vaultsync.controller.turns import Concurrency, Limits, Partition
from vaultsync.interfaces import Certificates, KubeApi, Recorder, VaultClients
from vaultsync.manager.clock import Clock
from vaultsync.policy.inputs import Config
from vaultsync.policy.known_vaults import KnownVaults
from vaultsync.settings import Settings
from vaultsync.sources.grants import GrantInformer
from vaultsync.sources.poller import PollerContext, Pollers
from vaultsync.sources.resync import Resync
from vaultsync.sources.serving import ShardMover
from vaultsync.sources.targets import TargetInformer
from vaultsync.sources.vaultsecrets import VaultSecretSource
from vaultsync.state.shards import Shards
from vaultsync.state.stores import State
from vaultsync.state.targets import TargetCache
from vaultsync.state.vaults import VaultStore
from vaultsync.state.vaultsecrets import VaultSecretCache
from vaultsync.supervisor import Supervisor

STOP_TIMEOUT = 1.0
"""Seconds that reconciles may take to finish at the stop, if the hand-over has left any running."""


@dataclass(frozen=True, slots=True)
class Controller:
    """The parts that react to the cluster and to vaults, connected but not running yet."""

    state: State
    reconciler: Reconciler
    queue: WorkQueue
    events: EventWriter
    targets: TargetInformer
    pollers: Pollers
    source: VaultSecretSource
    resync: Resync
    grants: GrantInformer
    grant_status: GrantStatus
    mover: ShardMover

    async def wait_until_granted(self, parts: Supervisor) -> None:
        """Return once VaultSecrets can be listed where they are not denied, and the grants are known.

        Without the grants, what they allow would be refused.

        Raises:
            NotInstalled: The cluster lacks one of our CustomResourceDefinitions.
        """
        await self.resync.wait_until_installed()
        await self.grants.check_installed()
        parts.start("grant informer", self.grants.run())
        await self.grants.has_synced.wait()

    async def sync(self, parts: Supervisor) -> None:
        """Return once all targets are known where they are not denied: secrets in place are then not read again.

        The VaultSecrets come first: of Secrets that are no VaultSecret's target, hardly anything is kept.
        """
        await self.resync.wait_until_observed()
        parts.start("target informer", self.targets.run())
        await self.targets.has_synced.wait()

    def start(self, parts: Supervisor) -> None:
        """Start everything else."""
        parts.start("shards", self.mover.run())
        parts.start("pollers", self.pollers.run())
        parts.start("grant status", self.grant_status.run())
        parts.start("resync", self.resync.run())
        parts.start("events", self.events.run())
        parts.start("work queue", self.queue.run())

    async def drain(self) -> None:
        """Start no further reconciles, and wait up to `STOP_TIMEOUT` for the running ones; create their events."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await self.queue.drain()
        await self.events.drain()


def build_controller(
    settings: Settings,
    *,
    kube: KubeApi,
    vaults: VaultClients,
    certificates: Certificates,
    recorder: Recorder,
    clock: Clock,
    tracing: Tracing,
    shards: Shards,
) -> Controller:
    """Build what reacts to the cluster and to vaults: state, reconciler, queue, sources, in dependency order."""
    namespaces = settings.watch_namespaces
    vaultsecrets, parked = VaultSecretCache(), VaultSecretCache()
    targets_cache = TargetCache(namespaces, users=partial(_users, vaultsecrets, parked))
    state = State(vaultsecrets, targets_cache, VaultStore(), parked, shards)
    known_vaults = KnownVaults(settings.vault_dns_suffixes, settings.vault_hosts)
    config = Config(known_vaults, settings.recheck_interval, settings.expiry_notice)
    events = EventWriter(kube, now=clock.now)
    reconciler = Reconciler(state, kube, vaults, certificates, recorder, events, config, clock.now, clock.jitter)
    queue = WorkQueue(
        tracing.work(reconciler.reconcile),
        partition_of=partial(_partition_of, state, vaults),
        concurrency=_concurrency(settings.concurrency),
        clock=clock.monotonic,
        jitter=clock.jitter,
        observers=Observers(waited=recorder.queue_waited, error=recorder.reconcile_error),
    )
    targets = TargetInformer(kube, state, queue, jitter=clock.jitter)
    pollers = Pollers(
        PollerContext(
            state=state,
            vaults=vaults,
            queue=queue,
            recorder=recorder,
            recheck=settings.recheck_interval,
            clock=clock.monotonic,
            now=clock.now,
            jitter=clock.jitter,
            span=tracing.poll,
        ),
        may_call=known_vaults.has,
    )
    source = VaultSecretSource(state, queue, pollers)
    resync = Resync(kube, state, source, namespaces=namespaces, jitter=clock.jitter)
    grants = GrantInformer(kube, state, source, namespaces=namespaces, jitter=clock.jitter, clock=clock.monotonic)
    grant_status = GrantStatus(kube, vaults, state, known_vaults=known_vaults, now=clock.now, clock=clock.monotonic)
    mover = ShardMover(
        state, source, queue, events, pollers, resync=resync, targets=targets, vaults=vaults, recorder=recorder
    )
    return Controller(state, reconciler, queue, events, targets, pollers, source, resync, grants, grant_status, mover)


def _users(vaultsecrets: VaultSecretCache, parked: VaultSecretCache, target: ObjectKey) -> Collection[VaultSecret]:
    """Return the VaultSecrets that name a Secret as their target: of a parked one, as much is kept."""
    return (*vaultsecrets.for_target(target), *parked.for_target(target))


def _partition_of(state: State, vaults: VaultClients, key: ObjectKey) -> Partition:
    """Return the partition of a key: that of its vault and grant, or of its namespace until the vault responds."""
    granted = state.vaultsecrets.granted(key)
    if granted is None or not vaults.responds(granted.access):
        return Partition(key.namespace, responds=False)
    return Partition(granted.access)


def _concurrency(per_vault: int) -> Concurrency:
    """Return the limits of concurrent reconciles: a namespace needs few to find out whether its vaults respond."""
    return Concurrency(
        responding=Limits(total=4 * per_vault, partition=per_vault),
        others=Limits(total=2 * per_vault, partition=max(1, per_vault // 4)),
    )
