"""The control plane on which other tests rely: garbage collection, RBAC, restarts, and its end."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.plane import ControlPlane

READ_CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}

STARTS_A_PLANE_AND_WAITS = """
import os, sys
from pathlib import Path
from tests.controlplane.build import ensure_tools
from tests.controlplane.plane import ControlPlane

with ControlPlane(ensure_tools(os.environ, sys.stderr), Path(sys.argv[1])) as plane:
    print(*plane.ports, flush=True)
    sys.stdin.read()
"""


def config_map(name: str, namespace: str, owner: dict[str, str] | None = None) -> dict[str, object]:
    """A ConfigMap, owned by another one where `owner` is given."""
    references = [{"apiVersion": "v1", "kind": "ConfigMap", **owner}] if owner else []
    metadata = {"name": name, "namespace": namespace, "ownerReferences": references}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def listens(port: int) -> bool:
    """Whether a program accepts connections on this port of loopback."""
    with suppress(ConnectionRefusedError, ConnectionResetError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def test_the_garbage_collector_deletes_what_a_deleted_object_owned(controlplane: ControlPlane, namespace: str) -> None:
    controlplane.apply(config_map("owner", namespace))
    uid = json.loads(controlplane.kubectl("get", "configmap", "owner", "-n", namespace, "-o", "json"))["metadata"][
        "uid"
    ]
    controlplane.apply(config_map("owned", namespace, {"name": "owner", "uid": uid}))

    controlplane.kubectl("delete", "configmap", "owner", "-n", namespace)

    controlplane.kubectl("wait", "--for=delete", "configmap/owned", "-n", namespace, "--timeout=300s")


def test_a_deleted_namespace_is_removed_with_its_objects(controlplane: ControlPlane) -> None:
    controlplane.kubectl("create", "namespace", "short-lived")
    controlplane.apply(config_map("inside", "short-lived"))

    controlplane.kubectl("delete", "namespace", "short-lived", "--timeout=300s")

    assert controlplane.kubectl("get", "namespace", "short-lived", "--ignore-not-found") == ""


def test_a_user_has_the_rights_of_its_rules(controlplane: ControlPlane, namespace: str) -> None:
    reader = controlplane.user("reader", [READ_CONFIG_MAPS], namespace)
    controlplane.apply(config_map("seen", namespace))

    assert "seen" in controlplane.kubectl("get", "configmaps", kubeconfig=reader)


def test_a_user_has_no_other_rights(controlplane: ControlPlane, namespace: str) -> None:
    reader = controlplane.user("reader", [READ_CONFIG_MAPS], namespace)

    with pytest.raises(KubectlFailed, match=r'cannot list resource "secrets"'):
        controlplane.kubectl("get", "secrets", kubeconfig=reader)


def test_a_user_of_one_namespace_has_no_rights_in_another(controlplane: ControlPlane, namespace: str) -> None:
    reader = controlplane.user("reader", [READ_CONFIG_MAPS], namespace)

    with pytest.raises(KubectlFailed, match="Forbidden"):
        controlplane.kubectl("get", "configmaps", "-n", "default", kubeconfig=reader)


def test_a_user_of_the_cluster_has_its_rights_in_every_namespace(controlplane: ControlPlane, namespace: str) -> None:
    reader = controlplane.user(f"{namespace}-everywhere", [READ_CONFIG_MAPS])
    controlplane.apply(config_map("seen", namespace))

    assert "seen" in controlplane.kubectl("get", "configmaps", "-n", namespace, kubeconfig=reader)


def restart_apiserver(plane: ControlPlane) -> None:
    """Stop and start the API server."""
    plane.apiserver.stop()
    plane.apiserver.start()


def restart_etcd(plane: ControlPlane) -> None:
    """Restart etcd under a running API server."""
    plane.etcd.restart()


@pytest.mark.parametrize("restart", [restart_apiserver, restart_etcd], ids=["the API server", "etcd"])
def test_data_and_address_survive_a_restart(
    restart: Callable[[ControlPlane], None], controlplane: ControlPlane, namespace: str
) -> None:
    controlplane.apply(config_map("kept", namespace))

    restart(controlplane)

    assert "kept" in controlplane.kubectl("get", "configmaps", "-n", namespace)


def test_a_stopped_api_server_refuses_connections(controlplane: ControlPlane) -> None:
    controlplane.apiserver.stop()
    try:
        with pytest.raises(KubectlFailed, match="refused"):
            controlplane.kubectl("get", "namespaces")
    finally:
        controlplane.apiserver.start()


@pytest.mark.cluster
def test_a_control_plane_ends_when_the_program_that_started_it_is_killed(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_PLANE_AND_WAITS, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout is not None
        ports = [int(port) for port in starter.stdout.readline().split()]
        assert len(ports) == 4
        assert all(listens(port) for port in ports)

        starter.kill()

    while any(listens(port) for port in ports):
        time.sleep(0.05)


@pytest.mark.cluster
def test_a_control_plane_in_the_background_is_found_and_ended_by_its_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.controlplane"]
    folder = tmp_path / "plane"
    subprocess.run([*command, "up", "--dir", folder], check=True, capture_output=True)
    kubeconfig = json.loads((folder / "kubeconfig").read_text())
    port = int(kubeconfig["clusters"][0]["cluster"]["server"].rpartition(":")[2])
    assert listens(port)

    subprocess.run([*command, "down", "--dir", folder], check=True, capture_output=True)

    assert not listens(port)
