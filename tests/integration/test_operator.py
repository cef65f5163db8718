"""The operator as a function, `vaultsync.manager.run`: it starts, stops on request, and leaves no trace in its proc."""

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from tests.controlplane.parts import free_ports
from tests.controlplane.plane import ControlPlane
from tests.integration.operator import running
from tests.manifests import manifest, spec


@pytest.fixture
def port() -> int:
    """Where the operator listens."""
    (port,) = free_ports(1)
    return port


@pytest.fixture
def environ(controlplane: ControlPlane, namespace: str, port: int) -> dict[str, str]:
    """The operator's variables; it serves the test's namespace alone."""
    return {
        "KUBECONFIG": str(controlplane.kubeconfig),
        "VAULTSYNC_WATCH_NAMESPACES": namespace,
        "VAULTSYNC_LISTEN": f"127.0.0.1:{port}",
    }


def eventually(tripped: Callable[[], bool]) -> None:
    """Return as soon as it holds."""
    deadline = time.monotonic() + 30
    while not tripped():
        assert time.monotonic() < deadline


def is_ready(port: int) -> bool:
    """Whether an operator says that it is ready there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def reason(controlplane: ControlPlane, namespace: str) -> str:
    """What the VaultSecret `db` says of itself."""
    path = "jsonpath={.status.conditions[0].reason}"
    return controlplane.kubectl("get", "vaultsecret", "db", "-n", namespace, "-o", path)


def test_it_runs_until_it_is_told_to_stop_and_may_run_again(
    controlplane: ControlPlane, namespace: str, environ: dict[str, str], port: int
) -> None:
    elsewhere = "https://elsewhere.example"
    controlplane.apply(manifest(spec(suspend=True, vaultUrl=elsewhere), namespace=namespace))
    with running(environ):
        eventually(lambda: reason(controlplane, namespace) == "Suspended")
    assert not is_ready(port)

    controlplane.apply(manifest(spec(suspend=False, vaultUrl=elsewhere), namespace=namespace))
    with running(environ):
        eventually(lambda: reason(controlplane, namespace) == "InvalidSpec")
    assert not is_ready(port)


def test_it_changes_nothing_that_belongs_to_the_process(
    controlplane: ControlPlane, namespace: str, environ: dict[str, str]
) -> None:
    def belongings() -> tuple[object, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        return handlers, logging.getLogger().handlers[:], logging.getLogger().level, threading.active_count()

    controlplane.apply(manifest(spec(suspend=True), namespace=namespace))
    before = belongings()
    with running(environ):
        eventually(lambda: reason(controlplane, namespace) == "Suspended")

    assert belongings() == before


def test_a_taken_port_is_an_error_at_once(environ: dict[str, str], port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match=str(port)), running(environ):
        pass


def test_it_may_be_stopped_before_it_has_started(environ: dict[str, str], port: int) -> None:
    with running(environ):
        pass

    assert not is_ready(port)
