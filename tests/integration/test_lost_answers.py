"""The API server carries a write out, and its response is lost; in between, other clients write."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from tests.clocks import Clock
from tests.contract.other_client import Kubectl
from tests.controlplane.plane import ControlPlane
from tests.convergence.real_cluster import NEVER, FaultyConnection, RealHarness
from tests.e2e.kubernetes import KubernetesApi
from tests.integration.answer_proxy import AnswerProxy
from vaultsync.adapters.kube.connection import configuration_from
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL, ObjectKey


@pytest.fixture
async def proxy(controlplane: ControlPlane) -> AsyncIterator[AnswerProxy]:
    async with AnswerProxy.before(str(controlplane.kubeconfig)) as proxy:
        yield proxy


@pytest.fixture
async def harness(controlplane: ControlPlane, proxy: AnswerProxy) -> AsyncIterator[RealHarness]:
    configuration = await configuration_from({"KUBECONFIG": str(controlplane.kubeconfig)})
    configuration.host = proxy.url
    connection = FaultyConnection(configuration, user_agent="vaultsync", connections=8, watch_timeout=NEVER)
    now = datetime.now(UTC).replace(microsecond=0)
    harness = RealHarness(connection, KubernetesApi(controlplane.kubeconfig), Clock(now))
    await harness.start([])
    harness.vault.set("db-password", "first")
    yield harness
    await harness.aclose()


Write = Callable[[Kubectl, ObjectKey], None]

STRANGERS: dict[str, Write] = {
    "labels it": lambda users, key: users.edit(key, "stranger", labels={"tier": "web"}),
    "annotates it": lambda users, key: users.edit(key, "stranger", annotations={"note": "x"}),
    "adds a key": lambda users, key: users.edit(key, "stranger", data={"extra": "x"}),
    "changes our key": lambda users, key: users.edit(key, "stranger", data={"password": "x"}),
    "applies our key by force": lambda users, key: users.apply_as(key, "stranger", {"password": "x"}),
    "removes our label": lambda users, key: users.edit(key, "stranger", labels={MANAGED_BY_LABEL: None}),
    "removes our annotation": lambda users, key: users.edit(key, "stranger", annotations={APPLIED_ANNOTATION: None}),
    "does nothing": lambda users, key: None,
}


def in_between(controlplane: ControlPlane, key: ObjectKey, write: Write) -> Callable[[], asyncio.Future[None]]:
    users = Kubectl(controlplane)
    return lambda: asyncio.ensure_future(asyncio.to_thread(write, users, key))


@pytest.mark.parametrize("write", STRANGERS.values(), ids=STRANGERS.keys())
async def test_a_secret_keeps_its_data_when_the_response_to_its_creation_is_lost_and_a_stranger(
    harness: RealHarness, proxy: AnswerProxy, controlplane: ControlPlane, write: Write
) -> None:
    key = harness.key_of("db")
    path = f"/api/v1/namespaces/{key.namespace}/secrets/{key.name}"
    proxy.lose("PATCH", path, in_between(controlplane, key, write))
    harness.apply()

    await harness.drain()
    await harness.poll()

    assert proxy.is_done
    assert harness.values() == {"password": "first"}
    assert harness.ready().status == "True"


@pytest.mark.parametrize("write", STRANGERS.values(), ids=STRANGERS.keys())
async def test_a_secret_is_in_sync_when_the_response_to_its_update_is_lost_and_a_stranger(
    harness: RealHarness, proxy: AnswerProxy, controlplane: ControlPlane, write: Write
) -> None:
    harness.apply()
    await harness.drain()
    key = harness.key_of("db")
    path = f"/api/v1/namespaces/{key.namespace}/secrets/{key.name}"
    proxy.lose("PATCH", path, in_between(controlplane, key, write))
    await harness.pass_time()
    harness.vault.set("db-password", "second")

    await harness.poll()
    await harness.poll()

    assert proxy.is_done
    assert harness.values() == {"password": "second"}
    assert harness.ready().status == "True"


async def test_a_secret_that_another_client_creates_first_stays_as_it_is(
    harness: RealHarness, proxy: AnswerProxy, controlplane: ControlPlane
) -> None:
    key = harness.key_of("db")
    path = f"/api/v1/namespaces/{key.namespace}/secrets/{key.name}"
    theirs = {"password": "theirs"}
    proxy.hold("PATCH", path, in_between(controlplane, key, lambda users, key: users.create(key, "helm", theirs)))
    harness.apply()

    await harness.drain()
    await harness.poll()

    assert proxy.is_done
    assert harness.values() == theirs
    assert harness.ready().reason == "TargetConflict"
