"""The composition root, as far as it goes without a cluster: what stops a start, and what is served before one."""

import json
import logging
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from vaultsync import __version__
from vaultsync.adapters.logs import QUIET
from vaultsync.manager import Operator, build, main
from vaultsync.settings import Settings


@pytest.fixture(autouse=True)
def _restored_globals() -> Iterator[None]:
    """Put back what `main` sets for the whole process."""
    root, recursion = logging.getLogger(), sys.getrecursionlimit()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    yield
    sys.setrecursionlimit(recursion)
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    """A way to a cluster that nobody answers for."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "nowhere",
        "clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {"token": "MARKED-token"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(document))
    return str(path)


def test_wrong_settings_are_told_all_at_once_and_nothing_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    code = main({"VAULTSYNC_LISTEN": "everywhere", "VAULTSYNC_RECHECK_INTERVAL": "often"})

    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert "VAULTSYNC_LISTEN: " in told.err
    assert "VAULTSYNC_RECHECK_INTERVAL: " in told.err


def test_without_a_cluster_one_line_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    code = main({"VAULTSYNC_LOG_FORMAT": "json"})

    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert code == 1
    assert (told["level"], told["message"]) == ("ERROR", "cannot start")
    assert "KUBECONFIG" in told["detail"]


def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"KUBECONFIG": str(tmp_path / "nothing")}) == 1
    assert "cannot start" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code = main({"KUBECONFIG": kubeconfig, "VAULTSYNC_LISTEN": f"127.0.0.1:{port}"})

    told = capsys.readouterr().err
    assert code == 1
    assert "cannot start" in told
    assert str(port) in told
    assert "MARKED" not in told


class Built:
    """An operator that is built and not started, and the way to its port."""

    def __init__(self, operator: Operator, port: int) -> None:
        self.operator = operator
        self.url = f"http://127.0.0.1:{port}"

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(self.url + path)


@pytest.fixture
async def built(kubeconfig: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Built]:
    caplog.set_level(logging.INFO, "vaultsync")
    async with AsyncExitStack() as stack:
        settings = Settings.from_env({"VAULTSYNC_LISTEN": "127.0.0.1:0"})
        operator = await build(settings, {"KUBECONFIG": kubeconfig}, stack)
        (port,) = [vars(record)["port"] for record in caplog.records if record.getMessage().startswith("serving")]
        yield Built(operator, port)


async def test_before_its_start_the_operator_is_alive_and_not_ready(built: Built) -> None:
    assert (await built.get("/healthz")).status_code == 200
    assert (await built.get("/readyz")).status_code == 503

    built.operator.started.set()

    assert (await built.get("/readyz")).status_code == 200


async def test_metrics_tell_of_process_version_and_queue(built: Built) -> None:
    metrics = (await built.get("/metrics")).text

    for line in (
        f'vaultsync_build_info{{version="{__version__}"}} 1.0',
        "vaultsync_queue_depth 0.0",
        "vaultsync_queue_oldest_seconds 0.0",
    ):
        assert line in metrics.splitlines()
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "python_gc_collections_total"):
        assert name in metrics


async def test_what_was_built_and_not_started_can_be_stopped(built: Built) -> None:
    await built.operator.stop()

    assert (await built.get("/readyz")).status_code == 503
