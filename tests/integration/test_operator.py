"""The operator as a function, `vaultsync.manager.run`: it starts, stops on request, and changes nothing around it."""

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
from vaultsync.manager import lifecycle


@pytest.fixture
def port() -> int:
    """Where the operator serves its probes."""
    (port,) = free_ports(1)
    return port


@pytest.fixture
def environ(controlplane: ControlPlane, namespace: str, port: int) -> dict[str, str]:
    """The operator's variables; it watches the test's namespace alone."""
    return {
        "KUBECONFIG": str(controlplane.kubeconfig),
        "VAULTSYNC_WATCH_NAMESPACES": namespace,
        "VAULTSYNC_LEASE_NAMESPACE": namespace,
        "VAULTSYNC_LISTEN": "127.0.0.1:0",
        "VAULTSYNC_PROBES_LISTEN": f"127.0.0.1:{port}",
    }


def eventually(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline


def is_ready(port: int) -> bool:
    """Return whether an operator reports there that it is ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def reason(controlplane: ControlPlane, namespace: str) -> str:
    """Return the reason of the first condition of VaultSecret `db`."""
    path = "jsonpath={.status.conditions[0].reason}"
    return controlplane.kubectl("get", "vaultsecret", "db", "-n", namespace, "-o", path)


def test_it_is_ready_until_it_is_stopped_and_may_run_again(
    controlplane: ControlPlane, namespace: str, environ: dict[str, str], port: int
) -> None:
    elsewhere = "https://elsewhere.example"
    controlplane.apply(manifest(spec(suspend=True, vaultUrl=elsewhere), namespace=namespace))
    with running(environ):
        eventually(lambda: reason(controlplane, namespace) == "Suspended")
        assert is_ready(port)
    assert not is_ready(port)

    controlplane.apply(manifest(spec(suspend=False, vaultUrl=elsewhere), namespace=namespace))
    with running(environ):
        eventually(lambda: reason(controlplane, namespace) == "InvalidSpec")
        assert is_ready(port)
    assert not is_ready(port)


RULES = [
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["vaultsync.dev"], "resources": ["vaultsecrets"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["vaultsync.dev"], "resources": ["vaultsecrets/status"], "verbs": ["patch"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list", "create", "update"]},
]

EVERYWHERE = [
    {"apiGroups": ["vaultsync.dev"], "resources": ["vaultgrants"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
]


def test_a_replica_that_stands_by_imports_what_its_first_login_takes(
    controlplane: ControlPlane, namespace: str, environ: dict[str, str], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = []

    async def import_azure_identity() -> None:
        imported.append(threading.current_thread())

    monkeypatch.setattr(lifecycle, "import_azure_identity", import_azure_identity)
    monkeypatch.setattr(lifecycle, "PREPARATION", 3600.0)
    (other_port,) = free_ports(1)
    with running(environ):
        eventually(lambda: is_ready(port) and has_leader(controlplane, namespace))
        monkeypatch.setattr(lifecycle, "PREPARATION", 0.0)
        with running(environ | {"VAULTSYNC_PROBES_LISTEN": f"127.0.0.1:{other_port}"}):
            eventually(lambda: imported != [])

    assert len(imported) == 1


def has_leader(controlplane: ControlPlane, namespace: str) -> bool:
    """Return whether a replica leads whose Lease is in that namespace."""
    path = "jsonpath={.items[*].spec.holderIdentity}"
    return controlplane.kubectl("get", "leases", "-n", namespace, "-o", path) != ""


def test_a_namespace_that_is_denied_keeps_no_other_from_being_synced_and_joins_once_it_is_granted(
    controlplane: ControlPlane, namespace: str, environ: dict[str, str], port: int
) -> None:
    denied = f"{namespace}-denied"
    controlplane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": denied}})
    for name in (namespace, denied):
        controlplane.apply(manifest(spec(suspend=True), namespace=name))
    account = controlplane.user("operator", RULES, namespace, everywhere=EVERYWHERE)
    watched = {"KUBECONFIG": str(account), "VAULTSYNC_WATCH_NAMESPACES": f"{denied},{namespace}"}
    rbac = "rbac.authorization.k8s.io"
    subjects = [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}]

    with running(environ | watched):
        eventually(lambda: reason(controlplane, namespace) == "Suspended")
        eventually(lambda: is_ready(port))
        assert reason(controlplane, denied) == ""

        metadata = {"name": "operator", "namespace": denied}
        controlplane.apply({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": RULES})
        binding = {
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "operator"},
            "subjects": subjects,
        }
        controlplane.apply({"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": metadata, **binding})
        eventually(lambda: reason(controlplane, denied) == "Suspended")

    controlplane.kubectl("delete", "namespace", denied, "--wait=false")


def test_it_changes_nothing_current_state(controlplane: ControlPlane, namespace: str, environ: dict[str, str]) -> None:
    def current_state() -> tuple[object, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        return handlers, logging.getLogger().handlers[:], logging.getLogger().level, threading.active_count()

    controlplane.apply(manifest(spec(suspend=True), namespace=namespace))
    before = current_state()
    with running(environ):
        eventually(lambda: reason(controlplane, namespace) == "Suspended")

    assert current_state() == before


def test_a_port_that_is_in_use_is_an_error(environ: dict[str, str], port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match=str(port)), running(environ):
        pass


def test_it_may_be_stopped_before_it_has_started(environ: dict[str, str], port: int) -> None:
    with running(environ):
        pass

    assert not is_ready(port)
