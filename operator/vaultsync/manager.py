"""The composition root: settings become clients, adapters, rules' inputs and kopf's handlers; decides nothing."""

import asyncio
import logging
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kopf
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from vaultsync import __version__
from vaultsync.adapters.credentials import InstrumentedCredential, own_identity
from vaultsync.adapters.http_server import Render, TokenReviewer, serve
from vaultsync.adapters.keyvault import Budget, Vaults
from vaultsync.adapters.kube import Access, KubeApi, NoCluster, NotInstalled
from vaultsync.adapters.logs import set_up_logs
from vaultsync.adapters.metrics import Recorder, Scrapes, State, VaultState, measure_lag
from vaultsync.adapters.server_certificate import ServerCertificate
from vaultsync.adapters.tracing import CannotTrace, start_tracing
from vaultsync.api import ObjectKey
from vaultsync.controller.apply import Writer
from vaultsync.controller.queue import Concurrency, Priority, WorkQueue
from vaultsync.controller.reconcile import Limits, Reconciler
from vaultsync.controller.report import Teller
from vaultsync.controller.rollout import Restarter
from vaultsync.policy.access import is_known_vault
from vaultsync.settings import LogFormat, Settings, SettingsError
from vaultsync.sources.poller import Poller, Trigger
from vaultsync.sources.pollers import Polls
from vaultsync.sources.resync import Census
from vaultsync.sources.targets import Targets
from vaultsync.sources.vaultsecrets import VaultSecretEvents, register
from vaultsync.state.vaultsecrets import VaultSecretCache

logger = logging.getLogger("vaultsync")

CLUSTER_CONNECTIONS = 16
"""Each takes a quarter of a megabyte for TLS, and more of them make nothing quicker."""

MAX_RECURSION = 100_000
"""Python's own limit of 1,000 would let any user end the operator: the API server keeps JSON of 10,000 levels, in
`managedFields` for one, and kopf parses all of it."""

STOP_WITHIN = 5.0
"""Seconds that reconciles which have begun may take to finish when the operator stops."""


def main(environ: Mapping[str, str]) -> int:
    """Run the operator until it is told to stop; gives the process's exit code."""
    try:
        settings = Settings.from_env(environ)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201  the log's form is not known yet
        return 2
    sys.setrecursionlimit(MAX_RECURSION)
    # Otherwise each counter is scraped twice, the second time with the moment of its birth.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has not annotated it
    set_up_logs(sys.stderr, level=settings.log_level, as_json=settings.log_format is LogFormat.JSON)
    try:
        asyncio.run(_until_told_to_stop(settings, environ))
    except (NoCluster, NotInstalled, OSError) as error:
        logger.error("cannot start", extra={"detail": str(error)})  # noqa: TRY400  it needs no traceback
        return 1
    except CannotTrace as error:
        logger.error("cannot start", extra={"detail": str(error)})  # noqa: TRY400  the same
        return 2
    except Exception:
        logger.exception("ended by an error that nobody foresaw")
        return 1
    return 0


async def _until_told_to_stop(settings: Settings, environ: Mapping[str, str]) -> None:
    """Heed signals from the beginning; kopf does only once it runs."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, environ, stop=stop)


async def run(settings: Settings, environ: Mapping[str, str], *, stop: asyncio.Event | None = None) -> None:
    """Run the operator within a loop, until a signal or `stop`.

    Raises:
        CannotTrace: Traces are asked for, and cannot be had.
        NoCluster: Nothing tells where the Kubernetes API is.
        NotInstalled: It does not know our CustomResourceDefinitions.
        OSError: The port for metrics is taken.
    """
    stop = stop or asyncio.Event()
    trouble: list[NotInstalled] = []
    async with AsyncExitStack() as stack:
        operator = await build(settings, environ, stack)

        async def end() -> None:
            # All that is ours ends before kopf looks whether anything is left, which it would wait five seconds for;
            # the wait for `stop` too, which goes on where it was a signal that stopped us.
            stop.set()
            await operator.stop()
            await stack.aclose()

        async def begin() -> None:
            try:
                await operator.start()
            except NotInstalled as error:
                # Raised from here, kopf would take it for something that passes.
                trouble.append(error)
                stop.set()
            except asyncio.CancelledError:
                # Told to stop before it has begun: kopf does not call `end` then.
                await end()
                raise

        registry = kopf.OperatorRegistry()
        register(registry, operator.events, access=operator.access, start=begin, stop=end)
        await kopf.operator(
            registry=registry,
            standalone=True,
            clusterwide=not settings.watch_namespaces,
            namespaces=settings.watch_namespaces,
            stop_flag=stop,
        )
    if trouble:
        raise trouble[0]


@dataclass(frozen=True, slots=True)
class Operator:
    """The parts that have to be started and stopped, in their order."""

    access: Callable[[], Awaitable[Access]]
    events: VaultSecretEvents
    targets: Targets
    census: Census
    queue: WorkQueue
    polls: Polls
    started: asyncio.Event

    async def start(self) -> None:
        """Know our targets before any VaultSecret is looked at: what is in place is not read again."""
        self.targets.start()
        await self.targets.synced.wait()
        await self.census.begin()
        self.queue.open()
        self.started.set()

    async def stop(self) -> None:
        """Begin nothing more; let what has begun finish, so that nothing is left half done."""
        self.started.clear()
        await self.census.stop()
        await self.polls.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN):
                await self.queue.close()
        await self.targets.stop()


async def build(settings: Settings, environ: Mapping[str, str], stack: AsyncExitStack) -> Operator:
    """Construct everything; `stack` closes what has to be closed."""
    metrics = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=metrics)
    tracing = await stack.enter_async_context(start_tracing(environ, version=__version__))
    recorder = Recorder(metrics, version=__version__, note=tracing.note)
    vaultsecrets = VaultSecretCache()
    cluster = await stack.enter_async_context(await KubeApi.connect(environ, connections=CLUSTER_CONNECTIONS, now=now))
    vaults = Vaults(
        InstrumentedCredential(await stack.enter_async_context(own_identity()), count=recorder.login),
        budget=Budget(calls=settings.vault_calls_per_10s),
        record=recorder,
        now=now,
        clock=time.monotonic,
    )
    stack.push_async_callback(vaults.aclose)

    def target_changed(target: ObjectKey) -> None:
        for key in vaultsecrets.keys_for_target(target):
            queue.add(key, Priority.URGENT)

    targets = Targets(cluster, namespaces=settings.watch_namespaces, on_change=target_changed, jitter=random.uniform)
    reconciler = Reconciler(
        vaultsecrets=vaultsecrets,
        vaults=vaults,
        cluster=cluster,
        targets=targets,
        view=lambda vault_url: polls.view(vault_url),  # noqa: PLW0108  the pollers come to be below
        answered=lambda vault_url: polls.answered(vault_url),  # noqa: PLW0108  the same
        list_now=lambda vault_url: polls.hurry(vault_url, now=True),
        forget=lambda vault_secret: events.gone(vault_secret.key, vault_secret.metadata.uid),
        writer=Writer(cluster, targets),
        teller=Teller(cluster, vaultsecrets, recorder),
        restarter=Restarter(cluster.workloads, recorder, now),
        record=recorder,
        limits=Limits(settings.vault_dns_suffixes, settings.recheck_interval, settings.expiry_notice),
        now=now,
        jitter=random.uniform,
    )
    queue = WorkQueue(
        tracing.work(reconciler.work),
        partition_of=vaultsecrets.vault_of,
        width=Concurrency(total=4 * settings.concurrency, partition=settings.concurrency),
        clock=time.monotonic,
        waited=recorder.waited,
    )
    polls = Polls(
        lambda vault_url: Poller(
            vault_url,
            vaults=vaults,
            vaultsecrets=vaultsecrets,
            trigger=Trigger(queue.add, reconciler.is_due),
            record=recorder,
            clock=time.monotonic,
            now=now,
            jitter=random.uniform,
            around=tracing.poll,
        ),
        vaultsecrets,
        may_ask=lambda vault_url: is_known_vault(vault_url, settings.vault_dns_suffixes),
    )
    events = VaultSecretEvents(vaultsecrets, queue, polls, reconciler.refuse, lambda: census.doubt())  # noqa: PLW0108
    census = Census(
        cluster,
        namespaces=settings.watch_namespaces,
        vaultsecrets=vaultsecrets,
        targets=targets,
        gone=events.gone,
        jitter=random.uniform,
    )

    def state() -> State:
        of_vaults = {vault_url: _state_of(vault_url, polls, vaults) for vault_url in vaultsecrets.vaults()}
        return State(vaultsecrets.all(), of_vaults, queue.depth, queue.oldest)

    scrapes = Scrapes(recorder, state=state, per_vault_secret=settings.metrics_per_vaultsecret)
    _beside(stack, measure_lag(recorder.lagged))
    started = asyncio.Event()
    token_reviewer = cluster.reviews if settings.metrics_authorization else None
    await _serve(settings, stack, metrics=scrapes.render, is_ready=started.is_set, token_reviewer=token_reviewer)
    return Operator(cluster.access, events, targets, census, queue, polls, started)


async def _serve(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    metrics: Render,
    is_ready: Callable[[], bool],
    token_reviewer: TokenReviewer | None,
) -> None:
    """Serve metrics and probes until `stack` is closed. Raises `OSError` if port or certificate cannot be used."""
    tls = None
    if settings.tls_cert_file:
        certificate = ServerCertificate(Path(settings.tls_cert_file), Path(settings.tls_key_file))
        _beside(stack, certificate.follow())
        tls = certificate.context
    host, port = settings.listen
    serving = serve(host, port, metrics=metrics, is_ready=is_ready, tls=tls, token_reviewer=token_reviewer)
    port = await stack.enter_async_context(serving)
    logger.info("serving metrics and probes", extra={"port": port, "version": __version__})


def _state_of(vault_url: str, polls: Polls, vaults: Vaults) -> VaultState:
    """How it is with one vault, as far as anybody knows."""
    health, rate_limiter = polls.health(vault_url), vaults.rate_limiter(vault_url)
    return VaultState(
        up=None if health is None else health.up,
        polled_at=None if health is None else health.polled_at,
        listed=None if health is None else health.listed,
        latched=health is not None and health.latched,
        broken=rate_limiter is not None and rate_limiter.is_broken,
        throttled_seconds=0.0 if rate_limiter is None else rate_limiter.throttled_seconds,
        waited_seconds=0.0 if rate_limiter is None else rate_limiter.waited_seconds,
    )


def _beside(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Let something run until `stack` is closed."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


def now() -> datetime:
    """The operator's own clock."""
    return datetime.now(UTC)
