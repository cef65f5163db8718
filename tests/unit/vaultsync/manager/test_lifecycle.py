"""The process of the operator, without a cluster: failures at the start, and what is served."""

import asyncio
import gc
import json
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.logging_state import restored_logging
from vaultsync import __version__
from vaultsync.manager import lifecycle
from vaultsync.manager.build import build
from vaultsync.manager.lifecycle import MAX_FILES, _is_ready, allow_files, main, run
from vaultsync.settings import Settings
from vaultsync.sources.election import Election
from vaultsync.sources.targets import TargetInformer
from vaultsync.sources.watch import VaultSecretWatch
from vaultsync.state.shards import Shards


@pytest.fixture(autouse=True)
def _restored_globals() -> Iterator[None]:
    """Put back what `main` sets for the whole process; what it has others call, it takes back itself."""
    recursion, callbacks = sys.getrecursionlimit(), gc.callbacks[:]
    with restored_logging():
        yield
    sys.setrecursionlimit(recursion)
    assert gc.callbacks == callbacks


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    """A kubeconfig of a cluster that does not answer."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "nowhere",
        "clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "none"}}],
        "users": [{"name": "none", "user": {"token": "MARKED-token"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(document))
    return str(path)


@pytest.fixture
def environ(kubeconfig: str) -> dict[str, str]:
    """The operator's variables, with a free port."""
    return {
        "KUBECONFIG": kubeconfig,
        "VAULTSYNC_LISTEN": "127.0.0.1:0",
        "VAULTSYNC_PROBES_LISTEN": "127.0.0.1:0",
        "VAULTSYNC_LOG_FORMAT": "json",
    }


def test_all_wrong_settings_are_reported_at_once_and_nothing_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    code = main({"VAULTSYNC_LISTEN": "everywhere", "VAULTSYNC_RECHECK_INTERVAL": "often"})

    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert "VAULTSYNC_LISTEN: " in printed.err
    assert "VAULTSYNC_RECHECK_INTERVAL: " in printed.err


def test_without_a_cluster_one_line_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    code = main({"VAULTSYNC_LOG_FORMAT": "json"})

    (line,) = capsys.readouterr().err.splitlines()
    logged = json.loads(line)
    assert code == 1
    assert (logged["level"], logged["message"]) == ("ERROR", "cannot start")
    assert "KUBECONFIG" in logged["detail"]


def test_a_missing_kubeconfig_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"KUBECONFIG": str(tmp_path / "nothing")}) == 1
    assert "cannot start" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"AZURE_TENANT_ID": "MARKED tenant"}, "AZURE_TENANT_ID"),
        ({"AZURE_FEDERATED_TOKEN_FILE": "/nowhere/MARKED"}, "AZURE_FEDERATED_TOKEN_FILE"),
        (
            {"VAULTSYNC_TLS_CERT_FILE": "/nowhere/tls.crt", "VAULTSYNC_TLS_KEY_FILE": "/nowhere/tls.key"},
            "VAULTSYNC_TLS_CERT_FILE",
        ),
        ({"VAULTSYNC_CA_FILE": "/nowhere/ca.crt"}, "VAULTSYNC_CA_FILE"),
        ({"VAULTSYNC_CA_FILE": __file__}, "VAULTSYNC_CA_FILE"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_at_the_start(
    given: dict[str, str], name: str, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(environ | given)

    (line,) = capsys.readouterr().err.splitlines()
    assert (code, json.loads(line)["message"]) == (2, "cannot start")
    assert name in json.loads(line)["detail"]
    assert "MARKED" not in line


@pytest.mark.parametrize("holds", [True, False])
async def test_a_replica_that_leads_leaves_azure_identity_to_its_first_login(
    monkeypatch: pytest.MonkeyPatch, *, holds: bool
) -> None:
    imports = 0

    async def import_azure_identity() -> None:
        nonlocal imports
        imports += 1

    monkeypatch.setattr(lifecycle, "import_azure_identity", import_azure_identity)
    monkeypatch.setattr(lifecycle, "PREPARATION", 0.0)
    shards = Shards(clock=lambda: 0.0)
    if holds:
        shards.hold(0, until=1.0)

    await lifecycle.prepare_standby(shards)

    assert imports == (0 if holds else 1)


INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 524288), [(MAX_FILES, 524288)]),
        ((1024, 4096), [(4096, 4096)]),
        ((1024, INFINITE), [(MAX_FILES, INFINITE)]),
        ((MAX_FILES + 1, INFINITE), []),
        ((INFINITE, INFINITE), []),
        ((1024, 1024), []),
    ],
)
def test_as_many_files_are_allowed_as_the_system_permits_and_no_fewer_than_before(
    before: tuple[int, int], after: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: before)
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.append(given))

    allow_files()

    assert limits == after


@pytest.mark.parametrize("setting", ["VAULTSYNC_LISTEN", "VAULTSYNC_PROBES_LISTEN"])
def test_a_port_that_is_taken_is_reported(
    setting: str, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code = main(environ | {setting: f"127.0.0.1:{port}"})

    printed = capsys.readouterr().err
    assert code == 1
    assert "cannot start" in printed
    assert str(port) in printed
    assert "MARKED" not in printed


def test_a_part_that_fails_ends_the_process_with_one_line_that_names_it(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = KeyError("MARKED")

    async def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("vaultsync.manager.lifecycle.measure_lag", fail)

    code = main(environ)

    printed = capsys.readouterr().err
    logged = [json.loads(line) for line in printed.splitlines()]
    assert code == 1
    assert [(one["message"], one["part"], one["error"]) for one in logged if one["level"] == "ERROR"] == [
        ("part of the operator failed", "event loop lag", "KeyError")
    ]
    assert "MARKED" not in printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_an_operator_that_still_waits_for_its_cluster(
    environ: dict[str, str], number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def raise_signal(_: object) -> None:
        signal.raise_signal(number)
        await asyncio.Event().wait()

    monkeypatch.setattr("vaultsync.manager.lifecycle.measure_lag", raise_signal)

    assert main(environ) == 0


class Waiting:
    """An operator that waits for its cluster, and its ports."""

    def __init__(self, port: int, probes_port: int, stop: asyncio.Event) -> None:
        self.port = port
        self.probes_port = probes_port
        self.stop = stop

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            port = self.port if path == "/metrics" else self.probes_port
            return await client.get(f"http://127.0.0.1:{port}{path}")


@pytest.fixture
async def waiting(environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> AsyncIterator[Waiting]:
    caplog.set_level(logging.INFO, "vaultsync")
    stop = asyncio.Event()
    task = asyncio.create_task(run(Settings.from_env(environ), environ, stop=stop))
    while not (serving := [one for one in caplog.records if one.getMessage() == "serving metrics and probes"]):
        await asyncio.wait({task}, timeout=0.01)
        assert not task.done()
    ports = vars(serving[0])
    yield Waiting(ports["port"], ports["probes_port"], stop)
    stop.set()
    await task


async def test_before_its_start_the_operator_is_alive_and_not_ready(waiting: Waiting) -> None:
    assert (await waiting.get("/healthz")).status_code == 200
    assert (await waiting.get("/readyz")).status_code == 503


@pytest.mark.parametrize("missing", ["start", "watch of VaultSecrets", "watch of Secrets", "election", None])
async def test_the_operator_is_ready_while_it_watches_vaultsecrets_and_secrets_and_may_read_leases(
    missing: str | None, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VaultSecretWatch, "is_up", missing != "watch of VaultSecrets")
    monkeypatch.setattr(TargetInformer, "is_up", missing != "watch of Secrets")
    monkeypatch.setattr(Election, "is_up", missing != "election")
    started = asyncio.Event()
    if missing != "start":
        started.set()

    async with AsyncExitStack() as stack:
        operator = await build(Settings.from_env(environ), environ, stack)
        assert _is_ready(started, operator) is (missing is None)


async def test_metrics_show_process_version_and_queue(waiting: Waiting) -> None:
    metrics = (await waiting.get("/metrics")).text

    for line in (
        f'vaultsync_build_info{{version="{__version__}"}} 1.0',
        "vaultsync_queue_depth 0.0",
        "vaultsync_queue_oldest_seconds 0.0",
    ):
        assert line in metrics.splitlines()
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "python_gc_collections_total"):
        assert name in metrics


async def test_what_was_built_and_not_started_can_be_closed(environ: dict[str, str]) -> None:
    before = asyncio.all_tasks()

    async with AsyncExitStack() as stack:
        operator = await build(Settings.from_env(environ), environ, stack)
        assert operator.controller.queue.depth == 0

    assert asyncio.all_tasks() == before
