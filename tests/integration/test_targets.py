"""The watch of targets on a real API server: across a restart, after which its history is lost, and with own writes."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.builders import a_granted, a_vault_secret, no_limit
from tests.controlplane.plane import ControlPlane
from vaultsync.adapters.kube import KubeApi
from vaultsync.api import MANAGED_BY, MANAGED_BY_LABEL, ObjectKey
from vaultsync.controller.queue import WorkQueue
from vaultsync.controller.turns import Priority
from vaultsync.sources.targets import TargetInformer
from vaultsync.state.observed import Field
from vaultsync.state.stores import State
from vaultsync.state.targets import TargetCache
from vaultsync.state.vaults import VaultStore
from vaultsync.state.vaultsecrets import VaultSecretCache


def secret(key: ObjectKey, value: str) -> dict[str, Any]:
    """The manifest of a target."""
    metadata = {"name": key.name, "labels": {MANAGED_BY_LABEL: MANAGED_BY}}
    data = {"password": base64.b64encode(value.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


class WakeRecorder(WorkQueue):
    """A queue that works on nothing, and keeps which keys were added."""

    def __init__(self) -> None:
        self.woken: asyncio.Queue[ObjectKey] = asyncio.Queue()

    def add(self, key: ObjectKey, priority: Priority) -> None:
        self.woken.put_nowait(key)


@asynccontextmanager
async def watching(kube: KubeApi, *keys: ObjectKey) -> AsyncIterator[tuple[TargetCache, asyncio.Queue[ObjectKey]]]:
    """The cache of the targets of VaultSecrets of the same names, and the queue of those that are woken."""
    state = State(VaultSecretCache(), TargetCache([keys[0].namespace], users=no_limit), VaultStore())
    for key in keys:
        names = {"namespace": key.namespace, "name": key.name, "uid": f"uid-{key.name}"}
        state.vaultsecrets.put(a_vault_secret(metadata=names), a_granted())
    queue = WakeRecorder()
    informer = TargetInformer(kube, state, queue, jitter=random.uniform)
    running = asyncio.create_task(informer.run())
    await informer.has_synced.wait()
    try:
        yield state.targets, queue.woken
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@asynccontextmanager
async def connected(controlplane: ControlPlane) -> AsyncIterator[KubeApi]:
    """The API server; the bound is a guard against hanging."""
    environ = {"KUBECONFIG": str(controlplane.kubeconfig)}
    async with await KubeApi.connect(environ) as kube, asyncio.timeout(300):
        yield kube


async def test_changes_around_a_restart_of_the_api_server_wake_their_vaultsecrets(
    controlplane: ControlPlane, namespace: str
) -> None:
    deleted, tampered, ours = keys = tuple(ObjectKey(namespace, name) for name in ("deleted", "tampered", "ours"))
    async with connected(controlplane) as kube:
        for key in keys:
            await kube.apply_target(key, secret(key, "one"), onto=None)
        async with watching(kube, *keys) as (targets, woken):
            controlplane.apiserver.restart()
            controlplane.kubectl("delete", "secret", "deleted", "-n", namespace)
            patch = '{"stringData":{"password":"evil"}}'
            controlplane.kubectl(
                "patch", "secret", "tampered", "-n", namespace, "--field-manager=mallory", "--patch", patch
            )
            targets.record_write(ours, await kube.apply_target(ours, secret(ours, "two"), onto=targets.get(ours)))

            assert {await woken.get(), await woken.get()} == {deleted, tampered}

            known = targets.get(tampered)
            assert targets.get(deleted) is None
            assert known is not None
            assert known.foreign == {Field("data", "password"): "mallory"}
            assert woken.empty()


async def test_changes_by_others_wake_a_vaultsecret_and_own_writes_do_not(
    controlplane: ControlPlane, namespace: str
) -> None:
    key, marker = ObjectKey(namespace, "db"), ObjectKey(namespace, "marker")
    async with connected(controlplane) as kube:
        observed = await kube.apply_target(key, secret(key, "one"), onto=None)
        await kube.apply_target(marker, secret(marker, "one"), onto=None)
        async with watching(kube, key, marker) as (targets, woken):
            for number in range(5):
                observed = await kube.apply_target(key, secret(key, f"value {number}"), onto=observed)
                targets.record_write(key, observed)
            controlplane.kubectl("delete", "secret", "marker", "-n", namespace)

            assert await woken.get() == marker
