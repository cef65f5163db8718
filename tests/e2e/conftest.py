"""What all end-to-end tests share: the API server as its administrator sees it, and the chart installed there."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.controlplane.build import ensure_tools
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import RESTARTS, Installation, settings_here
from tests.e2e.kubernetes import KubernetesApi


@pytest.fixture(scope="session")
def api(controlplane: ControlPlane) -> Iterator[KubernetesApi]:
    """The API server, with every right."""
    with KubernetesApi(controlplane.kubeconfig) as api:
        yield api


@pytest.fixture(scope="session")
def installation(
    controlplane: ControlPlane, api: KubernetesApi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The chart, installed for the whole cluster: what it grants is all that an operator of these tests may do."""
    namespace = "vaultsync-e2e"
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    program = ensure_tools(os.environ, sys.stderr)["helm"]  # noqa: TID251 - where programs are kept is the caller's choice
    helm = Helm(program, tmp_path_factory.mktemp("helm"), controlplane.environ())
    installation = Installation(helm, controlplane, namespace)
    # The CRDs are there already, and stay for other tests.
    installation.install({"settings": settings_here(), "crds": {"enabled": False}, "rbac": RESTARTS})
    yield installation
    installation.uninstall()
