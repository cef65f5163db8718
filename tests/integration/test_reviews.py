"""Token reviews by a real API server: tokens and permissions of service accounts."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.controlplane.plane import ControlPlane
from vaultsync.adapters.kube import KubeApi


@pytest.fixture
async def cluster(controlplane: ControlPlane) -> AsyncIterator[KubeApi]:
    environ = {"KUBECONFIG": str(controlplane.kubeconfig)}
    async with await KubeApi.connect(environ) as cluster:
        yield cluster


def token_of(controlplane: ControlPlane, namespace: str, account: str) -> str:
    """A token of a new service account."""
    controlplane.kubectl("create", "serviceaccount", account, "-n", namespace)
    return controlplane.kubectl("create", "token", account, "-n", namespace).strip()


async def test_a_service_account_is_authenticated_by_its_token(
    controlplane: ControlPlane, cluster: KubeApi, namespace: str
) -> None:
    user = await cluster.token_reviewer.authenticate(token_of(controlplane, namespace, "prometheus"))

    assert user is not None
    assert user["username"] == f"system:serviceaccount:{namespace}:prometheus"


@pytest.mark.parametrize("token", ["invalid", "eyJhbGciOiJub25lIn0.e30."], ids=["junk", "a token of no issuer"])
async def test_an_invalid_token_is_not_authenticated(cluster: KubeApi, token: str) -> None:
    assert await cluster.token_reviewer.authenticate(token) is None


async def test_permissions_are_those_of_the_roles(controlplane: ControlPlane, cluster: KubeApi, namespace: str) -> None:
    user = await cluster.token_reviewer.authenticate(token_of(controlplane, namespace, "prometheus"))
    assert user is not None
    assert not await cluster.token_reviewer.authorize(user, "/metrics")

    role = f"{namespace}-metrics-reader"
    controlplane.kubectl("create", "clusterrole", role, "--verb=get", "--non-resource-url=/metrics")
    account = f"--serviceaccount={namespace}:prometheus"
    controlplane.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", account)

    await _until_allowed(cluster, user)
    assert not await cluster.token_reviewer.authorize(user, "/logs")


async def _until_allowed(cluster: KubeApi, user: Mapping[str, Any]) -> None:
    """Wait until the API server has observed its own new role."""
    async with asyncio.timeout(300):
        while not await cluster.token_reviewer.authorize(user, "/metrics"):  # noqa: ASYNC110  the API server does not signal it
            await asyncio.sleep(0.05)
