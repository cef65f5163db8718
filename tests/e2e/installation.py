"""The chart, installed by helm into a control plane, and the operator that its Deployment describes; starts none."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.chart.renders import CHART, with_image
from tests.controlplane.build import ensure_tools
from tests.controlplane.helm import Helm
from tests.controlplane.parts import free_ports
from tests.controlplane.plane import ControlPlane
from tests.e2e.kubernetes import KubernetesApi

Values = Mapping[str, Any]

_ENVIRON: Final = os.environ  # noqa: TID251 - where programs are kept is the caller's choice

RESTARTS: Final = {"restartWorkloads": True}
"""The values of `rbac` with which the operator may restart workloads."""


def settings_here(**more: object) -> dict[str, object]:
    """The settings for this machine: the emulator's vaults, free ports of loopback, and logs that tests can read."""
    port, probes_port = free_ports(2)
    return {
        # A domain that never resolves, too: https://www.rfc-editor.org/rfc/rfc6761#section-6.4
        "vaultDnsSuffixes": [".invalid"],
        "vaultHosts": ["localhost:*"],
        "listen": f"127.0.0.1:{port}",
        "probesListen": f"127.0.0.1:{probes_port}",
        "logFormat": "json",
        "logLevel": "debug",
        **more,
    }


@contextmanager
def installed(plane: ControlPlane, api: KubernetesApi, home: Path, namespace: str) -> Iterator["Installation"]:
    """The chart in a new namespace, for the whole cluster, while the block lasts."""
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    program = ensure_tools(_ENVIRON, sys.stderr)["helm"]
    installation = Installation(Helm(program, home, plane.environ()), plane, namespace)
    # The CRDs are there already, and stay for other tests.
    installation.install({"settings": settings_here(), "crds": {"enabled": False}, "rbac": RESTARTS})
    yield installation
    installation.uninstall()


class Installation:
    """One release of the chart, in a namespace that exists; nothing is installed until `install` is called.

    Args:
        helm: With the rights of the cluster's administrator.
        plane: The cluster.
        namespace: Where.
        release: Its name, and that of its Deployment and ServiceAccount; "vaultsync" is part of it.
    """

    def __init__(self, helm: Helm, plane: ControlPlane, namespace: str, release: str = "vaultsync") -> None:
        self.namespace: Final = namespace
        self.user: Final = f"system:serviceaccount:{namespace}:{release}"
        self._helm = helm
        self._plane = plane
        self._release = release

    def install(self, values: Values) -> str:
        """Install, and return when its admission policies are enforced: the notes of helm. Raises `HelmFailed`."""
        return self._with_values("install", values)

    def upgrade(self, values: Values) -> str:
        """Upgrade to these values, and return when its admission policies are enforced: the notes of helm.

        Raises:
            HelmFailed: It cannot be upgraded.
        """
        return self._with_values("upgrade", values)

    def uninstall(self) -> str:
        """Uninstall, and return when all objects of the release are deleted. Raises `HelmFailed`."""
        return self._helm("uninstall", self._release, "--namespace", self.namespace, "--wait", "--timeout", "300s")

    def deployment(self) -> dict[str, Any]:
        """The Deployment, as the API server has stored it."""
        stored = self._plane.kubectl("get", "deployment", self._release, "-n", self.namespace, "-o", "json")
        deployment: dict[str, Any] = json.loads(stored)
        return deployment

    def arguments(self) -> list[str]:
        """The arguments with which the Deployment starts the operator."""
        arguments: list[str] = self._container()["args"]
        return arguments

    def environ(self) -> dict[str, str]:
        """The variables of the Deployment, and those with which the operator is its ServiceAccount."""
        account = self.deployment()["spec"]["template"]["spec"]["serviceAccountName"]
        kubeconfig = self._plane.service_account(account, self.namespace)
        # The only variable that is no value is taken from the pod: its name.
        given = {each["name"]: each.get("value", f"{self._release}-pod") for each in self._container()["env"]}
        return {**self._plane.environ(os.defpath, kubeconfig), **given}

    def _container(self) -> dict[str, Any]:
        container: dict[str, Any] = self.deployment()["spec"]["template"]["spec"]["containers"][0]
        return container

    def _with_values(self, verb: str, values: Values) -> str:
        arguments = (verb, self._release, CHART, "--namespace", self.namespace, "--values", "-")
        notes = self._helm(*arguments, stdin=json.dumps(with_image(values)))
        self._plane.await_policies()
        return notes
