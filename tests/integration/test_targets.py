"""The watch of targets over a real API server's restart: it forgets its history then, and connections break."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from tests.controlplane.plane import ControlPlane
from vaultsync.adapters.kube import KubeApi
from vaultsync.api import MANAGED_BY, MANAGED_BY_LABEL, ObjectKey
from vaultsync.sources.targets import Targets
from vaultsync.state.observed import Field


def secret(key: ObjectKey, value: str) -> dict[str, Any]:
    """What we apply."""
    metadata = {"name": key.name, "labels": {MANAGED_BY_LABEL: MANAGED_BY}}
    data = {"password": base64.b64encode(value.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


@asynccontextmanager
async def watching(cluster: KubeApi, namespace: str, news: asyncio.Queue[ObjectKey]) -> AsyncIterator[Targets]:
    targets = Targets(cluster, namespaces=[namespace], on_change=news.put_nowait, jitter=random.uniform)
    targets.start()
    await targets.synced.wait()
    try:
        yield targets
    finally:
        await targets.stop()


async def test_what_others_did_around_a_restart_of_the_api_server_is_heard(
    controlplane: ControlPlane, namespace: str
) -> None:
    deleted, tampered, ours = (ObjectKey(namespace, name) for name in ("deleted", "tampered", "ours"))
    news: asyncio.Queue[ObjectKey] = asyncio.Queue()
    async with (
        await KubeApi.connect({"KUBECONFIG": str(controlplane.kubeconfig)}, now=lambda: datetime.now(UTC)) as cluster,
        asyncio.timeout(60),
    ):
        for key in (deleted, tampered, ours):
            await cluster.apply(key, secret(key, "one"), onto=None)
        async with watching(cluster, namespace, news) as targets:
            controlplane.apiserver.restart()
            controlplane.kubectl("delete", "secret", "deleted", "-n", namespace)
            patch = '{"stringData":{"password":"evil"}}'
            controlplane.kubectl(
                "patch", "secret", "tampered", "-n", namespace, "--field-manager=mallory", "--patch", patch
            )
            targets.remember(ours, await cluster.apply(ours, secret(ours, "two"), onto=targets.get(ours)))

            heard = {await news.get(), await news.get()}

            known = targets.get(tampered)
            assert heard == {deleted, tampered}
            assert targets.get(deleted) is None
            assert known is not None
            assert known.foreign == {Field("data", "password"): "mallory"}
            assert news.empty()


async def test_tampering_is_heard_at_once_and_our_own_writes_never(controlplane: ControlPlane, namespace: str) -> None:
    key, marker = ObjectKey(namespace, "db"), ObjectKey(namespace, "marker")
    news: asyncio.Queue[ObjectKey] = asyncio.Queue()
    async with (
        await KubeApi.connect({"KUBECONFIG": str(controlplane.kubeconfig)}, now=lambda: datetime.now(UTC)) as cluster,
        asyncio.timeout(30),
    ):
        observed = await cluster.apply(key, secret(key, "one"), onto=None)
        await cluster.apply(marker, secret(marker, "one"), onto=None)
        async with watching(cluster, namespace, news) as targets:
            for number in range(5):
                observed = await cluster.apply(key, secret(key, f"value {number}"), onto=observed)
                targets.remember(key, observed)
            controlplane.kubectl("delete", "secret", "marker", "-n", namespace)

            assert await news.get() == marker
