"""Secrets and VaultSecrets are restored from a backup on a real API server, as Velero does: with other uids."""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.plane import ControlPlane
from tests.convergence.cluster_client import ClusterClient
from tests.convergence.real_cluster import RealHarness
from tests.e2e.kubernetes import KubernetesApi
from vaultsync.api import OWNER_UID_LABEL

pytestmark = pytest.mark.cluster

KEPT: Final = ("name", "namespace", "labels", "annotations", "ownerReferences", "finalizers")
"""The metadata that Velero restores when it creates an object."""


@pytest.fixture
def administrator(controlplane: ControlPlane) -> Iterator[KubernetesApi]:
    with KubernetesApi(controlplane.kubeconfig) as api:
        yield api


class Backup:
    """A backup of a namespace's VaultSecret `db` and its Secret."""

    def __init__(self, harness: RealHarness, controlplane: ControlPlane) -> None:
        self._harness = harness
        self._plane = controlplane
        self._objects = {kind: self._get(kind) for kind in ("secret", "vaultsecret")}

    def _get(self, kind: str) -> dict[str, Any]:
        get = ("get", kind, "db", "-n", self._harness.namespace, "-o", "json", "--show-managed-fields")
        found: dict[str, Any] = json.loads(self._plane.kubectl(*get))
        return found

    async def lose(self) -> None:
        """Delete both while no operator runs, as if the cluster were another one."""
        await self._harness.stop()
        for kind in ("vaultsecret", "secret"):
            delete = ("delete", kind, "db", "-n", self._harness.namespace, "--ignore-not-found")
            await asyncio.to_thread(self._plane.kubectl, *delete)

    def restore(self, kind: str, *, managed_fields: bool) -> None:
        """Create an object again, without its status."""
        stored = {name: part for name, part in self._objects[kind].items() if name != "status"}
        kept = {name: part for name, part in stored["metadata"].items() if name in KEPT}
        create = ("create", "--field-manager=velero-server", "-f", "-")
        self._plane.kubectl(*create, stdin=json.dumps(stored | {"metadata": kept}))
        if managed_fields:
            records = [record | {"time": "2026-01-01T00:00:00Z"} for record in stored["metadata"]["managedFields"]]
            patch = json.dumps({"metadata": {"managedFields": records}})
            command = ("patch", kind, "db", "-n", self._harness.namespace, "--type=merge", f"--patch={patch}")
            # The garbage collector may have deleted a Secret whose owner is gone.
            with suppress(KubectlFailed):
                self._plane.kubectl(*command, "--field-manager=velero-server")

    def owner(self) -> object:
        """The uid that the Secret's label names."""
        return self._get("secret")["metadata"]["labels"].get(OWNER_UID_LABEL)

    def uid(self) -> object:
        return self._get("vaultsecret")["metadata"]["uid"]


@pytest.mark.parametrize("managed_fields", [True, False], ids=["with managedFields", "without managedFields"])
@pytest.mark.parametrize("on_delete", ["Retain", "Delete"])
async def test_what_is_restored_is_in_sync_again_without_anybody_doing_anything(
    on_delete: str,
    managed_fields: bool,
    harness: RealHarness,
    controlplane: ControlPlane,
    administrator: KubernetesApi,
) -> None:
    harness.apply(onDelete=on_delete)
    await harness.drain()
    backup = Backup(harness, controlplane)
    await backup.lose()
    harness.vault.set("db-password", "second")
    backup.restore("secret", managed_fields=managed_fields)
    await harness.restart([])
    await harness.controller.resync.resync()  # nothing is released before its VaultSecret comes
    backup.restore("vaultsecret", managed_fields=managed_fields)

    if on_delete == "Delete":
        ClusterClient(administrator).await_collection(harness.namespace)
    harness.observe("db")
    await harness.drain()

    assert harness.ready().status == "True"
    assert harness.values() == {"password": "second"}
    assert backup.owner() == backup.uid()


def run_documented_commands(controlplane: ControlPlane) -> None:
    """Run the commands by which all restored Secrets are taken over."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    commands = re.findall(r"^```sh\n(.*?)^```", page.partition("## Backup and restore")[2], re.MULTILINE | re.DOTALL)[0]
    subprocess.run(["/bin/sh", "-euc", commands], env=controlplane.environ(), check=True)


async def test_a_restored_vaultsecret_that_asks_for_something_else_needs_consent(
    harness: RealHarness, controlplane: ControlPlane
) -> None:
    harness.apply(onDelete="Retain")
    await harness.drain()
    backup = Backup(harness, controlplane)
    await backup.lose()
    harness.vault.set("other", "other")
    backup.restore("secret", managed_fields=False)
    await harness.restart([])
    harness.apply({"key": "password", "secretName": "other"}, onDelete="Retain")
    await harness.drain()
    assert harness.ready().reason == "TargetConflict"
    assert harness.values() == {"password": "first"}

    await asyncio.to_thread(run_documented_commands, controlplane)
    await harness.drain()

    assert harness.values() == {"password": "other"}
