"""Immutable Secrets are replaced on a real API server only if they can be created again."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.plane import ControlPlane
from tests.convergence.real_cluster import RealHarness
from tests.integration.webhooks import broken_webhook_of


@pytest.fixture
async def harness(controlplane: ControlPlane) -> AsyncIterator[RealHarness]:
    harness = await RealHarness.make(controlplane.kubeconfig)
    await harness.start([])
    harness.vault.set("db-password", "first")
    harness.apply(target={"immutable": True, "replaceImmutable": True})
    await harness.drain()
    yield harness
    await harness.aclose()


async def rotate(harness: RealHarness) -> None:
    await harness.pass_time()
    harness.vault.set("db-password", "second")
    await harness.poll()


async def test_an_immutable_secret_is_replaced(harness: RealHarness) -> None:
    await rotate(harness)

    assert harness.values() == {"password": "second"}
    assert harness.ready().status == "True"
    await harness.poll()
    assert harness.ready().status == "True"


async def test_an_immutable_secret_with_a_finalizer_stays_until_that_is_removed(
    harness: RealHarness, controlplane: ControlPlane
) -> None:
    await hold(harness, controlplane, "example.com/hold")
    await rotate(harness)
    assert harness.values() == {"password": "first"}
    assert harness.ready().status == "False"
    assert "terminating, held by the finalizer example.com/hold" in harness.ready().message

    await hold(harness, controlplane)
    await harness.drain()

    assert harness.values() == {"password": "second"}
    assert harness.ready().status == "True"
    assert ("Warning", "Tampered") not in harness.events


async def test_a_secret_that_a_user_deletes_is_terminating_until_its_finalizer_is_removed(
    harness: RealHarness, controlplane: ControlPlane
) -> None:
    await hold(harness, controlplane, "example.com/hold")
    delete = ("delete", "secret", "db", "-n", harness.namespace, "--wait=false")
    await asyncio.to_thread(controlplane.kubectl, *delete)
    await harness.drain()
    assert harness.ready().reason == "TargetTerminating"

    await hold(harness, controlplane)
    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert harness.ready().status == "True"


async def hold(harness: RealHarness, controlplane: ControlPlane, *finalizers: str) -> None:
    """Replace the finalizers of the target."""
    patch = json.dumps({"metadata": {"finalizers": finalizers}})
    command = ("patch", "secret", "db", "-n", harness.namespace, "--type=merge", f"--patch={patch}")
    await asyncio.to_thread(controlplane.kubectl, *command)


async def test_an_immutable_secret_stays_while_a_webhook_for_new_secrets_fails(
    harness: RealHarness, controlplane: ControlPlane
) -> None:
    name = f"broken-{harness.namespace}"
    controlplane.apply(broken_webhook_of(harness.namespace, name))
    try:
        await until_creations(controlplane, harness.namespace, fail=True)

        await rotate(harness)

        assert harness.values() == {"password": "first"}
        assert harness.ready().message.endswith(": the admission webhook broken.example.com failed.")
    finally:
        controlplane.kubectl("delete", "validatingwebhookconfigurations", name)
    await until_creations(controlplane, harness.namespace, fail=False)
    await harness.reconcile()
    assert harness.values() == {"password": "second"}


async def test_an_immutable_secret_stays_while_etcd_is_out_of_space(
    harness: RealHarness, controlplane: ControlPlane
) -> None:
    await harness.pass_time()
    harness.vault.set("db-password", "second")
    with out_of_space(controlplane):
        await harness.poll()

        assert harness.values() == {"password": "first"}
    await harness.reconcile()
    assert harness.values() == {"password": "second"}


@contextmanager
def out_of_space(controlplane: ControlPlane) -> Iterator[None]:
    """Raise etcd's own alarm: it carries out no write but deletions, and a dry run passes."""
    with httpx.Client(base_url=controlplane.etcd_url, trust_env=False) as http:
        alarm = {"alarm": "NOSPACE", "memberID": "0"}
        http.post("/v3/maintenance/alarm", json={"action": "ACTIVATE"} | alarm).raise_for_status()
        try:
            yield
        finally:
            http.post("/v3/maintenance/alarm", json={"action": "DEACTIVATE"} | alarm).raise_for_status()


async def until_creations(controlplane: ControlPlane, namespace: str, *, fail: bool) -> None:
    """Wait for the API server, which learns about webhooks some time after they are stored."""
    create = ("create", "secret", "generic", "another", f"--namespace={namespace}", "--dry-run=server")
    async with asyncio.timeout(300):
        while True:
            try:
                await asyncio.to_thread(controlplane.kubectl, *create)
            except KubectlFailed:
                if fail:
                    return
            else:
                if not fail:
                    return
