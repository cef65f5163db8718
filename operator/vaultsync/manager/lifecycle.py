"""Starts the operator's parts in order, waits for a signal, hands over and stops; builds none of them."""

import asyncio
import logging
import resource
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial

from prometheus_client import (
    disable_created_metrics,
)

from vaultsync import __version__
from vaultsync.adapters.http_server import serve_metrics, serve_probes
from vaultsync.adapters.identities import WrongEnvironment, import_azure_identity
from vaultsync.adapters.kube import NoCluster, NotInstalled
from vaultsync.adapters.logs import set_up_logs
from vaultsync.adapters.metrics import measure_lag
from vaultsync.adapters.tracing import CannotTrace
from vaultsync.errors import error_fields
from vaultsync.event_loop import EventLoop, bound_tls_buffers
from vaultsync.garbage import bounded_pauses
from vaultsync.interruption import completes_before
from vaultsync.manager.build import Operator, build
from vaultsync.settings import LogFormat, Settings, SettingsError
from vaultsync.state.shards import Shards
from vaultsync.supervisor import PartFailed, Supervisor

logger = logging.getLogger("vaultsync")

MAX_FILES = 65536
"""Open files and connections: each vault may have more than a hundred connections."""

PREPARATION = 5.0
"""Seconds after which a ready replica that holds no shard imports azure-identity.

That takes a quarter of a second, and up to three beside the reconciles of thousands of VaultSecrets after a takeover.
"""

HAND_OVER_TIMEOUT = 5.0
"""Seconds at the stop until running reconciles have finished and the Leases are released.

It takes that long only if the API server does not respond.
"""


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
    bound_tls_buffers()
    try:
        with bounded_pauses(), asyncio.Runner(loop_factory=EventLoop) as runner:
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


def _serve_metrics(settings: Settings, operator: Operator) -> AbstractAsyncContextManager[int]:
    """Serve metrics. Raises `OSError` if the port is in use."""
    return serve_metrics(
        *settings.listen,
        operator.scrapes.render,
        tls=None if operator.certificate is None else operator.certificate.context,
        token_reviewer=operator.kube.token_reviewer if settings.metrics_authorization else None,
    )


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
    if await completes_before(stop, controller.wait_until_granted(parts)):
        parts.start("watch of VaultSecrets", operator.watch.run(started=handle_signals))
        if await completes_before(stop, controller.sync(parts)):
            controller.start(parts)
            parts.start("restore check", operator.restores.run())
            parts.start("election", operator.election.run())
            ready.set()
            await completes_before(stop, prepare_standby(controller.state.shards))
            await stop.wait()
            ready.clear()
            await _hand_over(operator)
    await parts.stop()


async def prepare_standby(shards: Shards) -> None:
    """Import azure-identity, unless this replica leads by then: a leader imports it at its first login."""
    await asyncio.sleep(PREPARATION)
    if not shards.held:
        await import_azure_identity()


async def _hand_over(operator: Operator) -> None:
    """Finish what runs, and release the Leases, so that another replica leads at once."""
    try:
        async with asyncio.timeout(HAND_OVER_TIMEOUT):
            await operator.election.resign()
    except TimeoutError:
        logger.warning("leases not released in time", extra={"detail": "they run out"})
    await operator.controller.drain()
