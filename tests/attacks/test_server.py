"""Attacks on the operator's connections: those that it opens, and those that it accepts."""

import asyncio
import resource
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import httpx
import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import PATIENCE, eventually
from tests.e2e.operators import RunningOperator
from tests.harness import running_harness
from tests.manifests import manifest, spec
from vaultsync.adapters.http_server import serve_metrics, serve_probes
from vaultsync.errors import Reason

PORTS: Final = range(8000, 8300)

CONNECTIONS: Final = 1024
"""Connections to each port: as many as the files that a container may have open by default."""

BURST: Final = 32
"""Connections that are renewed at once."""

PAUSE: Final = 0.02
"""Seconds between two bursts."""

ATTEMPTS: Final = 20
"""Requests of a client that tries again."""

BEGUN: Final = b"GET /metrics HTTP/1.1\r\nX-"


class Attacker:
    """Begins requests that do not end on many connections to each port, and replaces those that are closed."""

    def __init__(self, *ports: int) -> None:
        self._ports = ports
        self._clients = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._connected = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attacker", daemon=True)

    def __enter__(self) -> Self:
        """Return when all connections were opened once."""
        self._thread.start()
        assert self._connected.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        for port in self._ports * CONNECTIONS:
            self._connect(port)
        self._connected.set()
        while not self._stop.wait(PAUSE):
            for key, _ in self._clients.select(0)[:BURST]:
                self._close(key)
                self._connect(key.data)
        for key in list(self._clients.get_map().values()):
            self._close(key)

    def _connect(self, port: int) -> None:
        client = socket.socket()
        try:
            client.connect(("127.0.0.1", port))
            client.send(BEGUN)
        except OSError:  # it was closed at once
            client.close()
        else:
            self._clients.register(client, selectors.EVENT_READ, port)

    def _close(self, key: selectors.SelectorKey) -> None:
        client = self._clients.unregister(key.fileobj).fileobj
        assert isinstance(client, socket.socket)
        client.close()


@pytest.fixture(autouse=True)
def _files() -> Iterator[None]:
    """Let this process open more connections than those of an attacker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * CONNECTIONS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def get(port: int, path: str) -> int:
    """Request a path by a new connection, as a kubelet does, which tries again; return the status."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(ATTEMPTS):
            with suppress(httpx.TransportError):
                return (await client.get(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE)).status_code
    return 0


def answers(operator: RunningOperator, expected: Callable[[RunningOperator], bool]) -> None:
    """Wait until the operator answers as expected; on a busy machine, a request may come too late for its turn."""

    def does() -> bool:
        with suppress(httpx.TransportError):
            return expected(operator)
        return False

    eventually(does, "an expected answer")


async def render(_: str) -> tuple[bytes, str]:
    """Render no metrics."""
    return b"", "text/plain"


async def test_a_tenant_who_names_300_ports_of_a_vaults_host_does_not_have_them_called() -> None:
    """A tenant names ports that accept connections and never answer, so that the operator waits at each of them."""
    async with running_harness() as harness:
        harness.run_beside(harness.controller.pollers.run())
        for port in PORTS:
            harness.apply(name=f"port-{port}", vaultUrl=f"https://shop.vault.azure.net:{port}")
        await harness.drain()
        await harness.pass_time()

        assert {harness.ready(f"port-{port}").reason for port in PORTS} == {Reason.INVALID_SPEC}
        assert harness.vaults.opened() == set()
        assert harness.traced.polled == []


async def test_a_pod_that_never_ends_its_requests_does_not_keep_others_from_probes_and_metrics() -> None:
    """A pod of the cluster fills both ports with requests that it begins and never ends."""
    async with (
        serve_metrics("127.0.0.1", 0, render) as metrics,
        serve_probes("127.0.0.1", 0, is_alive=lambda: True, is_ready=lambda: True) as probes,
    ):
        attacker = Attacker(metrics, probes)
        await asyncio.to_thread(attacker.__enter__)
        statuses = [await get(probes, "/healthz"), await get(probes, "/readyz"), await get(metrics, "/metrics")]
        await asyncio.to_thread(attacker.__exit__)

    assert statuses == [200, 200, 200]


def test_a_pod_that_never_ends_its_requests_does_not_take_the_file_descriptors_of_the_watch(
    controlplane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """A pod of the cluster opens as many connections to each port as the operator may have files open."""
    environ = {
        "KUBECONFIG": str(controlplane.kubeconfig),
        "VAULTSYNC_WATCH_NAMESPACES": namespace,
        # Another operator of this cluster serves all namespaces.
        "VAULTSYNC_LEASE_NAMESPACE": namespace,
    }
    elsewhere = manifest(spec(vaultUrl="https://elsewhere.example"), namespace=namespace)
    reconciled = "vaultsync_vaultsecrets"
    with RunningOperator.start(environ, tmp_path / "operator.log") as operator:
        resource.prlimit(operator.pid, resource.RLIMIT_NOFILE, (CONNECTIONS, CONNECTIONS))
        operator.await_ready()
        assert operator.ports is not None
        with Attacker(*operator.ports):
            controlplane.apply(elsewhere)

            answers(operator, lambda one: one.metric(reconciled, reason=Reason.INVALID_SPEC) == 1)
            answers(operator, lambda one: one.metric("process_open_fds") < CONNECTIONS / 4)
            answers(operator, lambda one: one.is_ready)
