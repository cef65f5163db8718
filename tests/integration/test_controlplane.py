"""The control plane that all other tests stand on keeps its own promises."""

import json
import socket
import subprocess
import sys
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
    """Whether somebody accepts connections on this port of loopback."""
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

    controlplane.kubectl("wait", "--for=delete", "configmap/owned", "-n", namespace, "--timeout=20s")


def test_a_deleted_namespace_goes_with_all_it_holds(controlplane: ControlPlane) -> None:
    controlplane.kubectl("create", "namespace", "short-lived")
    controlplane.apply(config_map("inside", "short-lived"))

    controlplane.kubectl("delete", "namespace", "short-lived", "--timeout=60s")

    assert controlplane.kubectl("get", "namespace", "short-lived", "--ignore-not-found") == ""


def test_a_user_may_do_what_its_rules_say(controlplane: ControlPlane, namespace: str) -> None:
    reader = controlplane.user("reader", [READ_CONFIG_MAPS], namespace)
    controlplane.apply(config_map("seen", namespace))

    assert "seen" in controlplane.kubectl("get", "configmaps", kubeconfig=reader)


def test_a_user_may_do_nothing_else(controlplane: ControlPlane, namespace: str) -> None:
    reader = controlplane.user("reader", [READ_CONFIG_MAPS], namespace)

    with pytest.raises(KubectlFailed, match=r'cannot list resource "secrets"'):
        controlplane.kubectl("get", "secrets", kubeconfig=reader)


def test_a_user_of_one_namespace_is_nobody_in_another(controlplane: ControlPlane, namespace: str) -> None:
    reader = controlplane.user("reader", [READ_CONFIG_MAPS], namespace)

    with pytest.raises(KubectlFailed, match="Forbidden"):
        controlplane.kubectl("get", "configmaps", "-n", "default", kubeconfig=reader)


def test_a_user_of_the_whole_cluster_may_act_in_every_namespace(controlplane: ControlPlane, namespace: str) -> None:
    reader = controlplane.user(f"{namespace}-everywhere", [READ_CONFIG_MAPS])
    controlplane.apply(config_map("seen", namespace))

    assert "seen" in controlplane.kubectl("get", "configmaps", "-n", namespace, kubeconfig=reader)


def restart_apiserver(plane: ControlPlane) -> None:
    """The API server goes and comes back."""
    plane.apiserver.stop()
    plane.apiserver.start()


def restart_etcd(plane: ControlPlane) -> None:
    """The database goes and comes back under a running API server."""
    plane.etcd.restart()


@pytest.mark.parametrize("restart", [restart_apiserver, restart_etcd], ids=["the API server", "etcd"])
def test_data_and_address_outlive_a_restart(
    restart: Callable[[ControlPlane], None], controlplane: ControlPlane, namespace: str
) -> None:
    controlplane.apply(config_map("kept", namespace))

    restart(controlplane)

    assert "kept" in controlplane.kubectl("get", "configmaps", "-n", namespace)


def test_an_api_server_that_is_away_refuses_connections(controlplane: ControlPlane) -> None:
    controlplane.apiserver.stop()
    try:
        with pytest.raises(KubectlFailed, match="refused"):
            controlplane.kubectl("get", "namespaces")
    finally:
        controlplane.apiserver.start()


@pytest.mark.cluster
def test_nothing_listens_any_more_when_the_program_that_started_it_was_killed(tmp_path: Path) -> None:
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
        pass


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
