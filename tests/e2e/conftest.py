"""What all end-to-end tests share: the API server as its administrator sees it."""

from collections.abc import Iterator

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.kubernetes import KubernetesApi


@pytest.fixture(scope="session")
def api(controlplane: ControlPlane) -> Iterator[KubernetesApi]:
    """The API server, with every right."""
    with KubernetesApi(controlplane.kubeconfig) as api:
        yield api
