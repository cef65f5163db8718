"""Workloads of the fake Kubernetes API behave like real ones: their metadata, and the result of a restart."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import pytest

from tests.controlplane.plane import ControlPlane
from tests.fakes import FakeKube
from tests.workloads import a_workload
from vaultsync.adapters.kube import KubeApi
from vaultsync.api import RESTARTED_ANNOTATION, ObjectKey
from vaultsync.api.v1alpha1 import WorkloadKind
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.rollout import Workload

AT: Final = datetime(2026, 3, 2, 8, 30, 15, 999_999, tzinfo=UTC)
MOMENT: Final = AT.replace(microsecond=0)


class OtherClient(Protocol):
    """Another client of workloads; `FakeKube` implements it."""

    def make_workload(self, kind: WorkloadKind, key: ObjectKey) -> None: ...

    def touch_workload(self, kind: WorkloadKind, key: ObjectKey) -> None: ...

    def delete_workload(self, kind: WorkloadKind, key: ObjectKey) -> None: ...


class Kubectl:
    """Another client of the workloads of a real cluster."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def make_workload(self, kind: WorkloadKind, key: ObjectKey) -> None:
        self._plane.kubectl("create", "-f", "-", stdin=json.dumps(a_workload(kind, key)))

    def touch_workload(self, kind: WorkloadKind, key: ObjectKey) -> None:
        self._plane.kubectl("label", kind, key.name, "-n", key.namespace, "touched=true", "--overwrite")

    def delete_workload(self, kind: WorkloadKind, key: ObjectKey) -> None:
        self._plane.kubectl("delete", kind, key.name, "-n", key.namespace)

    def document(self, kind: WorkloadKind, key: ObjectKey) -> dict[str, Any]:
        """Return the whole document."""
        document: dict[str, Any] = json.loads(
            self._plane.kubectl("get", kind, key.name, "-n", key.namespace, "-o", "json", "--show-managed-fields")
        )
        return document


class Cluster(NamedTuple):
    """A cluster as vaultsync uses it, and as another client does."""

    kube: FakeKube | KubeApi
    other: OtherClient
    key: ObjectKey

    async def given(self, kind: WorkloadKind) -> Workload:
        """A workload that was just created."""
        self.other.make_workload(kind, self.key)
        return await self.view(kind)

    async def view(self, kind: WorkloadKind) -> Workload:
        view = await self.kube.get_workload(kind, self.key)
        assert view is not None
        return view


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    if request.param == "fake":
        fake = FakeKube()
        yield Cluster(fake, fake, ObjectKey("shop", "web"))
        return
    plane = request.getfixturevalue("controlplane")
    async with await KubeApi.connect({"KUBECONFIG": str(plane.kubeconfig)}) as kube:
        yield Cluster(kube, Kubectl(plane), ObjectKey(request.getfixturevalue("namespace"), "web"))


of_each_kind = pytest.mark.parametrize("kind", WorkloadKind)


@of_each_kind
async def test_a_missing_workload_is_none(cluster: Cluster, kind: WorkloadKind) -> None:
    assert await cluster.kube.get_workload(kind, cluster.key) is None


@of_each_kind
async def test_a_new_workload_was_never_restarted(cluster: Cluster, kind: WorkloadKind) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    view = await cluster.given(kind)
    after = datetime.now(UTC)

    assert view.restarted is None
    assert before <= view.created <= after
    assert view.created.microsecond == 0


@of_each_kind
async def test_a_restarted_workload_has_the_time(cluster: Cluster, kind: WorkloadKind) -> None:
    before = await cluster.given(kind)

    assert await cluster.kube.restart_workload(kind, cluster.key, before, at=AT)

    after = await cluster.view(kind)
    assert (after.uid, after.created, after.restarted) == (before.uid, before.created, MOMENT)
    assert after.resource_version != before.resource_version


@of_each_kind
async def test_of_two_concurrent_restarts_only_the_first_is_made(cluster: Cluster, kind: WorkloadKind) -> None:
    view = await cluster.given(kind)

    first = await cluster.kube.restart_workload(kind, cluster.key, view, at=AT)
    second = await cluster.kube.restart_workload(kind, cluster.key, view, at=AT + timedelta(seconds=1))

    assert (first, second) == (True, False)
    assert (await cluster.view(kind)).restarted == MOMENT


async def test_a_changed_workload_is_not_restarted(cluster: Cluster) -> None:
    view = await cluster.given(WorkloadKind.DEPLOYMENT)
    cluster.other.touch_workload(WorkloadKind.DEPLOYMENT, cluster.key)

    assert not await cluster.kube.restart_workload(WorkloadKind.DEPLOYMENT, cluster.key, view, at=AT)

    assert (await cluster.view(WorkloadKind.DEPLOYMENT)).restarted is None


async def test_a_replaced_workload_is_not_restarted(cluster: Cluster) -> None:
    view = await cluster.given(WorkloadKind.DEPLOYMENT)
    cluster.other.delete_workload(WorkloadKind.DEPLOYMENT, cluster.key)
    another = await cluster.given(WorkloadKind.DEPLOYMENT)

    assert not await cluster.kube.restart_workload(WorkloadKind.DEPLOYMENT, cluster.key, view, at=AT)

    assert await cluster.view(WorkloadKind.DEPLOYMENT) == another


async def test_a_deleted_workload_is_not_created(cluster: Cluster) -> None:
    view = await cluster.given(WorkloadKind.DEPLOYMENT)
    cluster.other.delete_workload(WorkloadKind.DEPLOYMENT, cluster.key)

    assert not await cluster.kube.restart_workload(WorkloadKind.DEPLOYMENT, cluster.key, view, at=AT)

    assert await cluster.kube.get_workload(WorkloadKind.DEPLOYMENT, cluster.key) is None


# Not in the fake: whole workloads, and permissions


@pytest.fixture
def other(controlplane: ControlPlane) -> Kubectl:
    return Kubectl(controlplane)


@of_each_kind
async def test_a_restart_changes_only_the_pod_template(
    controlplane: ControlPlane, other: Kubectl, namespace: str, kind: WorkloadKind
) -> None:
    key = ObjectKey(namespace, "web")
    other.make_workload(kind, key)
    before = other.document(kind, key)
    environ = {"KUBECONFIG": str(controlplane.kubeconfig)}
    async with await KubeApi.connect(environ) as cluster:
        view = await cluster.get_workload(kind, key)
        assert view is not None
        await cluster.restart_workload(kind, key, view, at=AT)

    after = other.document(kind, key)
    mark = {RESTARTED_ANNOTATION: "2026-03-02T08:30:15Z"}
    for place in (after["metadata"], after["spec"]["template"]["metadata"]):
        assert place["annotations"].items() >= mark.items()
        del place["annotations"][RESTARTED_ANNOTATION]
    assert without_empty(after["spec"]) == without_empty(before["spec"])
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert "vaultsync" in {record["manager"] for record in after["metadata"]["managedFields"]}


def without_empty(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec without empty annotations in its template."""
    metadata = {name: part for name, part in spec["template"]["metadata"].items() if part}
    return spec | {"template": spec["template"] | {"metadata": metadata}}


async def test_a_missing_permission_is_an_error_with_a_hint(controlplane: ControlPlane, namespace: str) -> None:
    controlplane.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    environ = {"KUBECONFIG": str(controlplane.service_account("reader", namespace))}
    async with await KubeApi.connect(environ) as cluster:
        with pytest.raises(SyncError) as caught:
            await cluster.get_workload(WorkloadKind.DAEMON_SET, ObjectKey(namespace, "web"))

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE
    assert caught.value.message == (
        f"DaemonSet {namespace}/web: the operator's service account may not get daemonsets; "
        "set rbac.restartWorkloads in the chart's values."
    )
