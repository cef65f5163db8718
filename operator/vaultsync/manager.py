"""Builds the parts of the operator in dependency order, and runs them until a signal; implements none of them."""

import asyncio
import gc
import logging
import random
import resource
import secrets
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from vaultsync import __version__
from vaultsync.adapters.certificates.workers import CertificateWorkers
from vaultsync.adapters.http_server import serve_metrics, serve_probes
from vaultsync.adapters.identities import Authorities, Credentials, WrongEnvironment, check_environment
from vaultsync.adapters.keyvault import Budget, VaultClients
from vaultsync.adapters.keyvault.rate_limit import RateLimiter
from vaultsync.adapters.kube import KubeApi, NoCluster, NotInstalled
from vaultsync.adapters.kube.leases import LeaseKind
from vaultsync.adapters.logs import set_up_logs
from vaultsync.adapters.metrics import ALL_NAMESPACES, Recorder, Scrapes, Snapshot, VaultSnapshot, measure_lag
from vaultsync.adapters.server_certificate import ServerCertificate
from vaultsync.adapters.tracing import CannotTrace, Tracing, start_tracing
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.controller.events import EventWriter
from vaultsync.controller.grant_status import GrantStatus
from vaultsync.controller.queue import Observers, WorkQueue
from vaultsync.controller.reconcile import Reconciler
from vaultsync.controller.turns import Concurrency, Limits, Partition
from vaultsync.errors import error_fields
from vaultsync.event_loop import EventLoop
from vaultsync.followed_files import FollowedFiles
from vaultsync.garbage import PauseBound
from vaultsync.interfaces import Certificates
from vaultsync.interfaces import KubeApi as KubeInterface
from vaultsync.interfaces import Recorder as RecorderInterface
from vaultsync.interfaces import VaultClients as VaultInterface
from vaultsync.policy.inputs import Config
from vaultsync.policy.known_vaults import KnownVaults
from vaultsync.policy.leases import Installation, replica_identity, unnamed_installation
from vaultsync.policy.requeue import Jitter
from vaultsync.settings import PREFIX, LogFormat, Settings, SettingsError
from vaultsync.sources.election import Election, boot_time
from vaultsync.sources.grants import GrantInformer
from vaultsync.sources.poller import PollerContext, Pollers
from vaultsync.sources.restores import RestoreCheck
from vaultsync.sources.resync import Resync
from vaultsync.sources.serving import ShardMover
from vaultsync.sources.targets import TargetInformer
from vaultsync.sources.vaultsecrets import VaultSecretSource
from vaultsync.sources.watch import VaultSecretWatch
from vaultsync.state.shards import Shards
from vaultsync.state.stores import State
from vaultsync.state.targets import TargetCache
from vaultsync.state.vaults import VaultStore, VaultView
from vaultsync.state.vaultsecrets import VaultSecretCache
from vaultsync.supervisor import PartFailed, Supervisor
from vaultsync.trust import FollowedTrust, client_tls

logger = logging.getLogger("vaultsync")

API_CONNECTIONS = 16
"""Each takes a quarter of a megabyte for TLS, and more of them are not faster."""

MAX_FILES = 65536
"""Open files and connections: each vault may have more than a hundred connections."""

STOP_TIMEOUT = 1.0
"""Seconds that running reconciles may take to finish when the operator stops and leads nowhere."""

HAND_OVER_TIMEOUT = 5.0
"""Seconds until the Leases are released at the stop; more, only if the API server does not respond."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The operator's clock, a monotonic clock in seconds, and the jitter of retries."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    jitter: Jitter


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


@dataclass(frozen=True, slots=True)
class Operator:
    """The controller, and the parts that serve it or report about it."""

    controller: Controller
    watch: VaultSecretWatch
    restores: RestoreCheck
    election: Election
    kube: KubeApi
    vaults: VaultClients
    recorder: Recorder
    scrapes: Scrapes
    certificate: ServerCertificate | None
    followed: Mapping[str, FollowedFiles]
    """Files with certificates, by what they are."""


def main(environ: Mapping[str, str]) -> int:
    """Run the operator until a signal stops it; returns the exit code of the process."""
    try:
        settings = Settings.from_env(environ)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201  the log's format is not known yet
        return 2
    # Otherwise each counter is scraped twice, the second time with its creation time.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has not annotated it
    set_up_logs(sys.stderr, level=settings.log_level, as_json=settings.log_format is LogFormat.JSON)
    allow_files()
    gc.callbacks.append(PauseBound())
    try:
        with asyncio.Runner(loop_factory=EventLoop) as runner:
            runner.run(run(settings, environ))
    except (NoCluster, NotInstalled, OSError) as error:
        logger.error("cannot start", extra={"detail": str(error)})  # noqa: TRY400  it needs no traceback
        return 1
    except (CannotTrace, WrongEnvironment) as error:
        logger.error("cannot start", extra={"detail": str(error)})  # noqa: TRY400  the same
        return 2
    except PartFailed:
        return 1  # it was logged
    except Exception as error:  # noqa: BLE001  it is logged, without its text
        logger.error("unexpected error", extra=error_fields(error))  # noqa: TRY400  the same
        return 1
    return 0


def allow_files() -> None:
    """Raise the soft limit of open files, which is often 1,024 for the sake of programs that use `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def run(settings: Settings, environ: Mapping[str, str], *, stop: asyncio.Event | None = None) -> None:
    """Run the operator in the current event loop, until `stop`, or, in the main thread, a signal.

    Raises:
        CannotTrace: Tracing is requested and not possible.
        NoCluster: No Kubernetes API is configured.
        NotInstalled: The cluster lacks our CustomResourceDefinition.
        OSError: The port of metrics or probes is in use.
        PartFailed: A part of the operator ended.
        WrongEnvironment: The variables of the operator's own identity cannot be used.
    """
    stop, ready, parts = stop or asyncio.Event(), asyncio.Event(), Supervisor()
    handle_signals = partial(_stop_on_signals, stop)
    handle_signals()
    async with AsyncExitStack() as stack:
        operator = await build(settings, environ, stack)
        is_ready = partial(_is_ready, ready, operator)
        probes_port = await stack.enter_async_context(
            serve_probes(*settings.probes_listen, is_alive=parts.is_alive, is_ready=is_ready)
        )
        port = await stack.enter_async_context(_serve_metrics(settings, operator))
        logger.info(
            "serving metrics and probes", extra={"port": port, "probes_port": probes_port, "version": __version__}
        )
        async with parts:
            await _run_parts(operator, parts, ready=ready, stop=stop, handle_signals=handle_signals)


def _is_ready(started: asyncio.Event, operator: Operator) -> bool:
    """Return whether this replica serves what it leads, or could at once: a standby is ready."""
    is_up = operator.watch.is_up and operator.controller.targets.is_up and operator.election.is_up
    return started.is_set() and is_up


def _stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on SIGINT and SIGTERM, if this is the main thread: only there can signals be handled."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _run_parts(
    operator: Operator,
    parts: Supervisor,
    *,
    ready: asyncio.Event,
    stop: asyncio.Event,
    handle_signals: Callable[[], None],
) -> None:
    """Start the parts in order, wait for `stop`, and stop them: the queue first."""
    controller = operator.controller
    parts.start("event loop lag", measure_lag(operator.recorder.loop_lagged))
    for name, files in operator.followed.items():
        parts.start(name, files.follow())
    if await _unless_stopped(controller.wait_until_granted(parts), stop):
        parts.start("watch of VaultSecrets", operator.watch.run(started=handle_signals))
        if await _unless_stopped(controller.sync(parts), stop):
            controller.start(parts)
            parts.start("restore check", operator.restores.run())
            parts.start("election", operator.election.run())
            ready.set()
            await stop.wait()
            ready.clear()
            await _hand_over(operator)
    await parts.stop()


async def _hand_over(operator: Operator) -> None:
    """Finish what runs, and release the Leases, so that another replica leads at once."""
    try:
        async with asyncio.timeout(HAND_OVER_TIMEOUT):
            await operator.election.resign()
    except TimeoutError:
        logger.warning("leases not released in time", extra={"detail": "they run out"})
    await operator.controller.drain()


async def _unless_stopped(start: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Wait for either; return whether the start came first."""
    starting, stopping = asyncio.create_task(start), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.wait({starting, stopping})
    if stop.is_set():
        return False
    await starting
    return True


async def build(settings: Settings, environ: Mapping[str, str], stack: AsyncExitStack) -> Operator:
    """Build every part; `stack` closes those that must be closed.

    Raises:
        CannotTrace: Tracing is requested and not possible.
        NoCluster: No Kubernetes API is configured.
        WrongEnvironment: The variables of the operator's own identity, or a file of certificates, cannot be used.
    """
    check_environment(environ)
    clock = Clock(now=utc_now, monotonic=time.monotonic, jitter=random.uniform)
    metrics = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=metrics)
    followed: dict[str, FollowedFiles] = {}
    tls = _client_tls(settings.ca_file, followed)
    tracing = await stack.enter_async_context(start_tracing(environ, version=__version__, ca_file=settings.ca_file))
    recorder = Recorder(metrics, version=__version__, note=tracing.note)
    shards = Shards(settings.shards, clock=boot_time)
    # Another process of the same name, such as the one before a restart, holds nothing for this one.
    identity = replica_identity(environ.get("POD_NAME") or socket.gethostname(), secrets.token_hex(4))
    kube = await stack.enter_async_context(
        await KubeApi.connect(environ, connections=API_CONNECTIONS, identity=identity, shards=shards)
    )
    authorities = Authorities(
        dict(settings.vault_authorities),
        dict(settings.vault_resources),
        of_environment=environ.get("AZURE_AUTHORITY_HOST", ""),
    )
    credentials = Credentials(
        kube.client_credentials,
        authorities=authorities,
        namespace=environ.get("POD_NAMESPACE", ""),
        tls=tls,
        count=recorder.login,
    )
    stack.push_async_callback(credentials.aclose)
    vaults = VaultClients(
        credentials,
        tls=tls,
        budget=Budget(calls=settings.vault_calls_per_10s),
        count_call=recorder.vault_call,
        now=clock.now,
        clock=clock.monotonic,
    )
    stack.push_async_callback(vaults.aclose)
    certificates = CertificateWorkers()
    stack.push_async_callback(certificates.aclose)
    controller = build_controller(
        settings,
        kube=kube,
        vaults=vaults,
        certificates=certificates,
        recorder=recorder,
        clock=clock,
        tracing=tracing,
        shards=shards,
    )
    election = _election(settings, environ, kube, controller, clock, identity=identity)
    scrapes = Scrapes(
        recorder,
        state=partial(_snapshot, controller, vaults, election),
        per_vault_secret=settings.metrics_per_vaultsecret,
    )
    certificate = _server_certificate(settings, followed)
    watch = VaultSecretWatch(controller.source, kube, namespaces=settings.watch_namespaces, jitter=clock.jitter)
    restores = RestoreCheck(
        kube, controller.state, namespaces=settings.watch_namespaces, restart=watch.restart, jitter=clock.jitter
    )
    return Operator(controller, watch, restores, election, kube, vaults, recorder, scrapes, certificate, followed)


def _election(
    settings: Settings,
    environ: Mapping[str, str],
    kube: KubeApi,
    controller: Controller,
    clock: Clock,
    *,
    identity: str,
) -> Election:
    """Return the election of the leaders of all shards."""
    name = settings.installation or unnamed_installation(environ.get("USER", ""), socket.gethostname())
    ours = Installation(name, settings.shards, frozenset(settings.watch_namespaces))
    leases = partial(kube.leases, installation=ours, identity=identity)
    namespace = environ.get("POD_NAMESPACE") or settings.lease_namespace
    return Election(
        ours,
        identity,
        controller.state.shards,
        controller.mover,
        leases(LeaseKind.SHARD, namespace=settings.lease_namespace),
        leases(LeaseKind.MEMBER, namespace=namespace),
        now=clock.now,
        clock=boot_time,
        jitter=clock.jitter,
    )


def _client_tls(ca_file: str, followed: dict[str, FollowedFiles]) -> ssl.SSLContext:
    """Return the TLS context of vaults and login hosts, and add its file. Raises `WrongEnvironment`."""
    if not ca_file:
        return client_tls()
    try:
        trust = FollowedTrust(ca_file)
    except OSError as error:
        text = f"{PREFIX}CA_FILE must name a file of certificates, in PEM: {error}"
        raise WrongEnvironment(text) from None
    followed["certificate authorities"] = trust.files
    return trust


def _server_certificate(settings: Settings, followed: dict[str, FollowedFiles]) -> ServerCertificate | None:
    """Load the certificate of the port of metrics, if it has one, and add its files. Raises `WrongEnvironment`."""
    if not settings.tls_cert_file:
        return None
    try:
        certificate = ServerCertificate(Path(settings.tls_cert_file), Path(settings.tls_key_file))
    except OSError as error:
        names = f"{PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE"
        raise WrongEnvironment(f"{names} must name a certificate and its key, in PEM: {error}") from None
    followed["server certificate"] = certificate.files
    return certificate


def build_controller(
    settings: Settings,
    *,
    kube: KubeInterface,
    vaults: VaultInterface,
    certificates: Certificates,
    recorder: RecorderInterface,
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


def _partition_of(state: State, vaults: VaultInterface, key: ObjectKey) -> Partition:
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


def _serve_metrics(settings: Settings, operator: Operator) -> AbstractAsyncContextManager[int]:
    """Serve metrics. Raises `OSError` if the port is in use."""
    return serve_metrics(
        *settings.listen,
        operator.scrapes.render,
        tls=None if operator.certificate is None else operator.certificate.context,
        token_reviewer=operator.kube.token_reviewer if settings.metrics_authorization else None,
    )


def _snapshot(controller: Controller, vaults: VaultClients, election: Election | None = None) -> Snapshot:
    """Return the state as metrics show it."""
    vaultsecrets, queue = controller.state.vaultsecrets, controller.queue
    of_vaults: dict[str, VaultSnapshot] = {}
    for access in vaultsecrets.accesses():
        snapshot = _vault_snapshot(controller.state.vaults.view(access), vaults.rate_limiter(access))
        before = of_vaults.get(access.vault_url)
        of_vaults[access.vault_url] = snapshot if before is None else snapshot.combined(before)
    denied = [
        (namespace or ALL_NAMESPACES, denials.resource)
        for denials in (controller.source.denials, controller.targets.denials, *controller.grants.denials.values())
        for namespace in denials.namespaces
    ]
    shards = controller.state.shards
    is_in_conflict = election is not None and election.conflict is not None
    return Snapshot(
        vaultsecrets.all(),
        of_vaults,
        queue.depth,
        queue.oldest,
        denied,
        shards.number,
        len(shards.held),
        is_in_conflict,
    )


def _vault_snapshot(view: VaultView, rate_limiter: RateLimiter | None) -> VaultSnapshot:
    return VaultSnapshot(
        up=None if view.polls == 0 else not view.last_poll_failed,
        polled_at=view.polled_at,
        listed=view.listed,
        deletion_guard=view.losses is not None and view.losses.tripped,
        breaker_open=rate_limiter is not None and rate_limiter.is_open,
        throttled_seconds=0.0 if rate_limiter is None else rate_limiter.throttled_seconds,
        waited_seconds=0.0 if rate_limiter is None else rate_limiter.waited_seconds,
    )


def utc_now() -> datetime:
    """Return the operator's clock."""
    return datetime.now(UTC)
