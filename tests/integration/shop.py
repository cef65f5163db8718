"""A namespace with VaultSecrets whose status a test writes, as the operator would, and the commands of users in it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.builders import a_status, a_status_entry
from tests.controlplane.plane import ControlPlane
from tests.e2e.kubernetes import KubernetesApi, Object
from tests.manifests import manifest, spec
from vaultsync.__main__ import main
from vaultsync.api import API_VERSION, PLURAL
from vaultsync.api.v1alpha1 import VaultSecretStatus

NOW: Final = datetime.now(UTC).replace(microsecond=0)
IN_SYNC: Final = a_status(
    a_status_entry(read_at=NOW - timedelta(hours=1), expires=NOW + timedelta(days=30, hours=1)), message="All well."
)
HOSTILE: Final = "a\x1b[2Jb\x07"
DENIED: Final = a_status(
    a_status_entry(read_at=NOW - timedelta(days=40)),
    reason="AccessDenied",
    message=HOSTILE,
    since=NOW - timedelta(days=20, hours=12),
)
VAULTSECRETS: Final = {"apiGroups": ["vaultsync.dev"], "resources": [PLURAL], "verbs": ["list", "get", "watch"]}


class Shop:
    """The namespace, used with its administrator's rights."""

    def __init__(self, plane: ControlPlane, api: KubernetesApi, namespace: str) -> None:
        self.plane = plane
        self.api = api
        self.namespace = namespace

    def add(self, name: str, status: VaultSecretStatus | None = None, **fields: object) -> Object:
        """Create a VaultSecret, with a status unless the operator has not seen it."""
        created = self.api.apply(self.path(name), manifest(spec(**fields), name=name, namespace=self.namespace))
        if status is not None:
            self.report(name, status.changed(observed_generation=created["metadata"]["generation"]))
        return created

    def report(self, name: str, status: VaultSecretStatus) -> None:
        """Write a status."""
        self.api.patch(f"{self.path(name)}/status", {"status": status.to_wire()})

    def path(self, name: str) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/{PLURAL}/{name}"

    def add_secret(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a Secret."""
        metadata = {"name": name, "labels": labels}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        self.api.create(f"/api/v1/namespaces/{self.namespace}/secrets", body)

    def add_pod(self, name: str, secret: str) -> None:
        """Create a pod that mounts a Secret; nothing runs it."""
        container = {"name": "web", "image": "web", "volumeMounts": [{"name": "db", "mountPath": "/db"}]}
        volume = {"name": "db", "secret": {"secretName": secret}}
        pod = {"containers": [container], "volumes": [volume], "automountServiceAccountToken": False}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod}
        self.api.create(f"/api/v1/namespaces/{self.namespace}/pods", body)

    def run(self, *arguments: str, kubeconfig: Path | None = None) -> int:
        """Run a command in the namespace, unless it names another; returns the exit code."""
        where = [] if "-A" in arguments else ["-n", self.namespace]
        return main([*arguments, *where, "--kubeconfig", str(kubeconfig or self.plane.kubeconfig)])
