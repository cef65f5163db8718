"""The workloads of a real cluster and those in memory behave alike: how they are seen, and what a restart leaves."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import pytest

from tests.controlplane.plane import ControlPlane
from tests.fakes.workloads import FakeWorkloads
from tests.workloads import a_workload
from vaultsync.adapters.kube import KubeApi
from vaultsync.api import RESTARTED_ANNOTATION, ObjectKey
from vaultsync.api.restarts import WorkloadKind
from vaultsync.controller import rollout as restarting
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.rollout import Workload

AT: Final = datetime(2026, 3, 2, 8, 30, 15, 999_999, tzinfo=UTC)
MOMENT: Final = AT.replace(microsecond=0)


class Hands(Protocol):
    """Other people's hands on workloads; `FakeWorkloads` has them itself."""

    def make(self, kind: WorkloadKind, key: ObjectKey) -> None: ...

    def touch(self, kind: WorkloadKind, key: ObjectKey) -> None: ...

    def delete(self, kind: WorkloadKind, key: ObjectKey) -> None: ...


class Kubectl:
    """Other people's hands on the workloads of a real cluster."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def make(self, kind: WorkloadKind, key: ObjectKey) -> None:
        self._plane.kubectl("create", "-f", "-", stdin=json.dumps(a_workload(kind, key)))

    def touch(self, kind: WorkloadKind, key: ObjectKey) -> None:
        self._plane.kubectl("label", kind, key.name, "-n", key.namespace, "touched=true", "--overwrite")

    def delete(self, kind: WorkloadKind, key: ObjectKey) -> None:
        self._plane.kubectl("delete", kind, key.name, "-n", key.namespace)

    def document(self, kind: WorkloadKind, key: ObjectKey) -> dict[str, Any]:
        """All of it."""
        document: dict[str, Any] = json.loads(
            self._plane.kubectl("get", kind, key.name, "-n", key.namespace, "-o", "json", "--show-managed-fields")
        )
        return document


class World(NamedTuple):
    """Workloads as vaultsync sees them, and as everybody else does."""

    edge: restarting.Workloads
    hands: Hands
    key: ObjectKey

    async def given(self, kind: WorkloadKind) -> Workload:
        """A workload that was just made, as seen."""
        self.hands.make(kind, self.key)
        return await self.view(kind)

    async def view(self, kind: WorkloadKind) -> Workload:
        view = await self.edge.observe(kind, self.key)
        assert view is not None
        return view


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "fake":
        fake = FakeWorkloads(now=lambda: datetime.now(UTC))
        yield World(fake, fake, ObjectKey("shop", "web"))
        return
    plane = request.getfixturevalue("controlplane")
    async with await KubeApi.connect({"KUBECONFIG": str(plane.kubeconfig)}, now=lambda: datetime.now(UTC)) as cluster:
        yield World(cluster.workloads, Kubectl(plane), ObjectKey(request.getfixturevalue("namespace"), "web"))


of_each_kind = pytest.mark.parametrize("kind", WorkloadKind)


@of_each_kind
async def test_a_workload_that_is_not_there_is_seen_as_none(world: World, kind: WorkloadKind) -> None:
    assert await world.edge.observe(kind, world.key) is None


@of_each_kind
async def test_a_new_workload_was_made_just_now_and_never_restarted(world: World, kind: WorkloadKind) -> None:
    view = await world.given(kind)

    assert view.restarted is None
    assert abs(datetime.now(UTC) - view.created) < timedelta(seconds=30)
    assert view.created.microsecond == 0


@of_each_kind
async def test_a_restarted_workload_says_when(world: World, kind: WorkloadKind) -> None:
    before = await world.given(kind)

    assert await world.edge.restart(kind, world.key, before, at=AT)

    after = await world.view(kind)
    assert (after.uid, after.created, after.restarted) == (before.uid, before.created, MOMENT)
    assert after.resource_version != before.resource_version


@of_each_kind
async def test_of_two_restarts_in_one_moment_the_second_comes_too_late(world: World, kind: WorkloadKind) -> None:
    view = await world.given(kind)

    first = await world.edge.restart(kind, world.key, view, at=AT)
    second = await world.edge.restart(kind, world.key, view, at=AT + timedelta(seconds=1))

    assert (first, second) == (True, False)
    assert (await world.view(kind)).restarted == MOMENT


async def test_a_workload_that_was_changed_since_is_left_alone(world: World) -> None:
    view = await world.given(WorkloadKind.DEPLOYMENT)
    world.hands.touch(WorkloadKind.DEPLOYMENT, world.key)

    assert not await world.edge.restart(WorkloadKind.DEPLOYMENT, world.key, view, at=AT)

    assert (await world.view(WorkloadKind.DEPLOYMENT)).restarted is None


async def test_a_workload_that_was_made_anew_since_is_left_alone(world: World) -> None:
    view = await world.given(WorkloadKind.DEPLOYMENT)
    world.hands.delete(WorkloadKind.DEPLOYMENT, world.key)
    another = await world.given(WorkloadKind.DEPLOYMENT)

    assert not await world.edge.restart(WorkloadKind.DEPLOYMENT, world.key, view, at=AT)

    assert await world.view(WorkloadKind.DEPLOYMENT) == another


async def test_a_workload_that_is_gone_is_not_made(world: World) -> None:
    view = await world.given(WorkloadKind.DEPLOYMENT)
    world.hands.delete(WorkloadKind.DEPLOYMENT, world.key)

    assert not await world.edge.restart(WorkloadKind.DEPLOYMENT, world.key, view, at=AT)

    assert await world.edge.observe(WorkloadKind.DEPLOYMENT, world.key) is None


# What the one in memory does not have: the whole workload, and rights


@pytest.fixture
def hands(controlplane: ControlPlane) -> Kubectl:
    return Kubectl(controlplane)


@of_each_kind
async def test_a_restart_changes_the_template_of_the_pods_and_leaves_all_else(
    controlplane: ControlPlane, hands: Kubectl, namespace: str, kind: WorkloadKind
) -> None:
    key = ObjectKey(namespace, "web")
    hands.make(kind, key)
    before = hands.document(kind, key)
    environ = {"KUBECONFIG": str(controlplane.kubeconfig)}
    async with await KubeApi.connect(environ, now=lambda: datetime.now(UTC)) as cluster:
        view = await cluster.workloads.observe(kind, key)
        assert view is not None
        await cluster.workloads.restart(kind, key, view, at=AT)

    after = hands.document(kind, key)
    mark = {RESTARTED_ANNOTATION: "2026-03-02T08:30:15Z"}
    for place in (after["metadata"], after["spec"]["template"]["metadata"]):
        assert place["annotations"].items() >= mark.items()
        del place["annotations"][RESTARTED_ANNOTATION]
    assert without_nothing(after["spec"]) == without_nothing(before["spec"])
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert "vaultsync" in {record["manager"] for record in after["metadata"]["managedFields"]}


def without_nothing(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec whose template carries no empty list of annotations."""
    metadata = {name: part for name, part in spec["template"]["metadata"].items() if part}
    return spec | {"template": spec["template"] | {"metadata": metadata}}


async def test_whoever_may_not_look_at_workloads_is_told_so(controlplane: ControlPlane, namespace: str) -> None:
    controlplane.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    environ = {"KUBECONFIG": str(controlplane.service_account("nobody", namespace))}
    async with await KubeApi.connect(environ, now=lambda: datetime.now(UTC)) as cluster:
        with pytest.raises(SyncError) as caught:
            await cluster.workloads.observe(WorkloadKind.DAEMON_SET, ObjectKey(namespace, "web"))

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE
    assert caught.value.message == (
        f"DaemonSet {namespace}/web: the operator's service account may not get daemonsets; "
        "set rbac.restartWorkloads in the chart's values."
    )
