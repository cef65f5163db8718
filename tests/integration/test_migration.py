"""A Secret of another operator moves to vaultsync and back by docs/migrate/: it is there, and current, throughout."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.controlplane.plane import ControlPlane
from tests.convergence.real_cluster import RealHarness
from tests.e2e.kubernetes import KubernetesApi
from tests.integration.peers import PEERS, CsiDriver, Peer, path
from vaultsync.api import ADOPT_BY_ANNOTATION, RETAINED_BY_ANNOTATION, ObjectKey

pytestmark = pytest.mark.cluster

ORDER: Final = ("first", "second", "third", "fourth")
"""The values of the vault, one after the other."""


@pytest.fixture
def api(controlplane: ControlPlane) -> Iterator[KubernetesApi]:
    with KubernetesApi(controlplane.kubeconfig) as api:
        yield api


@pytest.fixture(params=PEERS, ids=lambda peer: peer.__name__)
def peer(request: pytest.FixtureRequest, api: KubernetesApi, harness: RealHarness) -> Peer:
    """Another operator, which has written the Secret."""
    made: Peer = request.param(api, harness.key_of("db"))
    made.write("first")
    return made


class History:
    """Each state of a Secret, and whether it was ever deleted."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.is_deleted = False

    def take(self, kind: str, secret: dict[str, Any]) -> None:
        self.is_deleted |= kind == "DELETED"
        self.values.append(base64.b64decode(secret.get("data", {}).get("password", "")).decode())

    def check(self) -> None:
        """Check that the Secret was always there, with values of the vault in their order."""
        assert not self.is_deleted
        assert set(self.values) <= set(ORDER)
        assert all(ORDER.index(before) <= ORDER.index(after) for before, after in pairwise(self.values))


@contextmanager
def recorded(api: KubernetesApi, key: ObjectKey) -> Iterator[History]:
    """Record each state of a Secret from now on; the API server keeps all of them for longer than a test takes."""
    history, done = History(), threading.Event()
    collection = f"/api/v1/namespaces/{key.namespace}/secrets"
    listed, version = api.list_with_version(collection)
    for secret in listed:
        history.take("ADDED", secret)
    failures: list[BaseException] = []

    def watch() -> None:
        since = version
        try:
            is_last = False
            while not is_last:
                # One more, for what has happened since the one before.
                is_last = done.is_set()
                for kind, secret in api.watch(collection, since=since):
                    since = secret["metadata"]["resourceVersion"]
                    history.take(kind, secret)
        except BaseException as error:  # noqa: BLE001  it is raised again where the test sees it
            failures.append(error)

    thread = threading.Thread(target=watch, name="watch")
    thread.start()
    try:
        yield history
    finally:
        done.set()
        thread.join()
    assert failures == []


def metadata(api: KubernetesApi, harness: RealHarness) -> dict[str, Any]:
    """Return the Secret's metadata."""
    secret = api.get(path(harness.key_of("db")))
    assert secret is not None
    found: dict[str, Any] = secret["metadata"]
    return found


def consent(api: KubernetesApi, harness: RealHarness) -> None:
    """Annotate the Secret."""
    annotations = {ADOPT_BY_ANNOTATION: "db"}
    api.patch(path(harness.key_of("db")), {"metadata": {"annotations": annotations}}, manager="kubectl-annotate")


async def test_a_secret_moves_and_moves_back(peer: Peer, api: KubernetesApi, harness: RealHarness) -> None:
    with recorded(api, harness.key_of("db")) as history:
        # 1. The VaultSecret is there and waits.
        harness.apply(target={"adopt": True})
        await harness.drain()
        assert harness.ready().reason == "TargetConflict"
        assert harness.values() == {"password": "first"}

        # 2. The other operator stops; the vault goes on meanwhile.
        peer.stop()
        harness.vault.set("db-password", "second")

        # 3. The Secret consents, and is current at once.
        consent(api, harness)
        await harness.reconcile()
        assert harness.ready().reason == "Synced"
        assert harness.values() == {"password": "second"}
        assert "ownerReferences" not in metadata(api, harness)

        # It follows the vault.
        harness.vault.set("db-password", "third")
        await harness.poll()
        assert harness.values() == {"password": "third"}

        # 4. What made the pods' Secret goes: nothing hangs on it any more.
        if isinstance(peer, CsiDriver):
            api.delete(f"/apis/apps/v1/namespaces/{harness.namespace}/replicasets/web")
        harness.collect_garbage()

        # Back again: the VaultSecret goes, and the Secret stays, until the other operator writes it.
        harness.remove()
        await harness.settle()
        await harness.controller.resync.resync()
        found = metadata(api, harness)
        assert RETAINED_BY_ANNOTATION in found["annotations"]
        assert not [label for label in found["labels"] if "vaultsync" in label]
        peer.write("fourth")
        await harness.poll()
        assert [owner["kind"] for owner in metadata(api, harness)["ownerReferences"]] == [peer.owner()["kind"]]
        assert harness.values() == {"password": "fourth"}

    history.check()
    assert {"first", "second", "third", "fourth"} == set(history.values)


async def test_a_secret_without_consent_stays_with_its_operator(
    peer: Peer, api: KubernetesApi, harness: RealHarness
) -> None:
    harness.apply(target={"adopt": True})
    await harness.drain()
    before = metadata(api, harness)

    await harness.poll()
    await harness.reconcile()

    assert metadata(api, harness) == before
    assert peer.owner()["kind"] in harness.ready().message
