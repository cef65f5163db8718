"""An authority for servers on the tests' own sockets, clients that trust it, and an operator on the control plane."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme

from tests.controlplane.plane import ControlPlane
from tests.convergence.real_cluster import RealHarness
from tests.e2e.kubernetes import KubernetesApi
from tests.integration.shop import Shop


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Make an authority that is trusted nowhere yet."""
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clients trust this test's authority, by httpx's own means, and wait for a busy machine to connect."""
    monkeypatch.setattr("kvsecrets._exchange.MAX_CONNECT_SECONDS", 60.0)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.fixture
def shop(controlplane: ControlPlane, namespace: str) -> Iterator[Shop]:
    """A namespace with its default ServiceAccount, in which pods can be created."""
    with KubernetesApi(controlplane.kubeconfig) as api:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        api.apply(f"/api/v1/namespaces/{namespace}/serviceaccounts/default", account)
        yield Shop(controlplane, api, namespace)


@pytest.fixture
async def harness(controlplane: ControlPlane) -> AsyncIterator[RealHarness]:
    """An operator that has begun to watch, and a vault with one secret."""
    harness = await RealHarness.make(controlplane.kubeconfig)
    await harness.start([])
    harness.vault.set("db-password", "first")
    yield harness
    await harness.aclose()
