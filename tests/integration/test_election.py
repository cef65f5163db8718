"""Elections on a real API server: what it makes of our Leases, and what others may write into them."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import Clock
from tests.controlplane.plane import ControlPlane
from vaultsync.adapters.kube import Forbidden, KubeApi
from vaultsync.adapters.kube.leases import LeaseKind
from vaultsync.errors import SyncError
from vaultsync.manager.clock import utc_now
from vaultsync.policy.leases import LEASE_DURATION, PATIENCE, Installation
from vaultsync.sources.election import Election, boot_time
from vaultsync.state.positions import Position
from vaultsync.state.shards import Shards

OURS = Installation("vaultsync.team")
NAME = OURS.lease_name(0)
POSITION = Position(17, 18)


@dataclass
class Server:
    """Keeps which shards it was given, and sets an event."""

    calls: list[tuple[str, AbstractSet[int]]] = field(default_factory=list)
    serves: asyncio.Event = field(default_factory=asyncio.Event)

    positions: list[Position | None] = field(default_factory=list)

    def gained(self, shards: AbstractSet[int], position: Position | None) -> None:
        self.calls.append(("gained", shards))
        self.positions.append(position)
        self.serves.set()

    def lost(self, shards: AbstractSet[int]) -> None:
        self.calls.append(("lost", shards))

    async def drain(self, shards: AbstractSet[int]) -> Position | None:
        self.calls.append(("drain", shards))
        return POSITION


@dataclass
class Replica:
    election: Election
    shards: Shards
    server: Server


class Replicas:
    """Replicas whose Leases are in one namespace; their clock is the test's, or the machine's."""

    def __init__(self, controlplane: ControlPlane, namespace: str, stack: AsyncExitStack) -> None:
        self.namespace = namespace
        self.controlplane = controlplane
        self.clock = Clock()
        self._stack = stack

    async def add(
        self,
        identity: str,
        ours: Installation = OURS,
        *,
        kubeconfig: Path | None = None,
        is_timed: bool = False,
        namespace: str | None = None,
    ) -> Replica:
        clock = boot_time if is_timed else self.clock.seconds
        shards, server = Shards(ours.shards, clock=clock), Server()
        environ = {"KUBECONFIG": str(kubeconfig or self.controlplane.kubeconfig)}
        kube = await self._stack.enter_async_context(await KubeApi.connect(environ, shards=shards))
        leases, members = (
            kube.leases(kind, namespace=namespace or self.namespace, installation=ours, identity=identity)
            for kind in LeaseKind
        )
        election = Election(
            ours, identity, shards, server, leases, members, now=utc_now, clock=clock, jitter=random.uniform
        )
        return Replica(election, shards, server)

    def lease(self, name: str = NAME) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(
            self.controlplane.kubectl("get", "lease", name, "-n", self.namespace, "-o", "json")
        )
        return document

    def write(self, document: dict[str, Any]) -> None:
        self.controlplane.kubectl("replace", "-f", "-", stdin=json.dumps(document))


@pytest.fixture
async def replicas(controlplane: ControlPlane, namespace: str) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        yield Replicas(controlplane, namespace, stack)


async def test_one_leads_until_its_lease_runs_out_and_the_lease_says_so(replicas: Replicas) -> None:
    leader, standby = await replicas.add("a"), await replicas.add("b")

    await leader.election.look()
    spec = replicas.lease()["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", LEASE_DURATION, 0)
    await standby.election.look()
    await leader.election.renew(0)
    assert replicas.lease()["spec"]["renewTime"] > spec["renewTime"]
    await standby.election.look()
    replicas.clock.turn(LEASE_DURATION)
    assert not leader.shards.may_write("shop")
    await standby.election.look()
    await leader.election.renew(0)

    assert standby.server.calls == [("gained", {0})]
    assert leader.server.calls == [("gained", {0}), ("lost", {0})]
    spec = replicas.lease()["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("b", 1)


async def test_a_leader_that_resigns_is_replaced_within_two_seconds(replicas: Replicas) -> None:
    leader, standby = await replicas.add("a", is_timed=True), await replicas.add("b", is_timed=True)
    running = [asyncio.create_task(leader.election.run())]
    await leader.server.serves.wait()
    running.append(asyncio.create_task(standby.election.run()))
    await asyncio.sleep(2)  # a while of renewals, and of looks that find nothing
    assert not standby.server.serves.is_set()

    begun = boot_time()
    await leader.election.resign()
    assert "holderIdentity" not in replicas.lease()["spec"] or standby.server.serves.is_set()
    await standby.server.serves.wait()
    seconds = boot_time() - begun
    await standby.election.resign()
    for task in running:
        task.cancel()
    await asyncio.wait(running)

    assert [name for name, _ in leader.server.calls] == ["gained", "drain"]
    assert (leader.server.positions, standby.server.positions) == ([None], [POSITION])
    # The next look comes after 0.6 seconds at most; a busy machine takes longer for its requests.
    assert seconds < LEASE_DURATION / 2


async def test_a_second_release_waits_for_the_first(replicas: Replicas) -> None:
    first, second = await replicas.add("a"), await replicas.add("b", Installation("vaultsync.other"))
    apart = await replicas.add("c", Installation("vaultsync.apart", namespaces=frozenset({"apart"})))
    await first.election.look()
    await second.election.look()
    await apart.election.look()
    assert second.election.conflict is not None
    assert second.election.conflict.installation == "vaultsync.team"
    assert (second.server.calls, apart.server.calls) == ([], [])

    await first.election.resign()
    await apart.election.look()
    await second.election.look()

    assert apart.server.calls == [("gained", {0})]
    assert second.server.calls == []
    assert second.election.conflict.installation == "vaultsync.apart"


async def test_a_change_of_the_number_of_shards_waits_for_the_old_pods(replicas: Replicas) -> None:
    old, new = await replicas.add("a"), await replicas.add("b", replace(OURS, shards=2))
    await old.election.look()
    await new.election.look()
    assert new.server.calls == []

    await old.election.resign()
    await new.election.look()

    assert new.server.calls == [("gained", {0, 1})]


async def test_replicas_share_their_shards(replicas: Replicas) -> None:
    ours = replace(OURS, shards=4)
    both = [await replicas.add(name, ours) for name in "ab"]
    for _ in range(8):
        for replica in both:
            given = await replica.election.look()
            if given is not None:
                await replica.election.give_up({given})
            for shard in replica.shards.held:
                await replica.election.renew(shard)
        replicas.clock.turn(1)
    assert [len(replica.shards.held) for replica in both] == [2, 2]

    await both[0].election.look()
    for _ in range(2 * int(LEASE_DURATION + PATIENCE)):
        replicas.clock.turn(0.5)
        for shard in both[0].shards.held:
            await both[0].election.renew(shard)
        await both[0].election.look()

    assert both[0].shards.held == {0, 1, 2, 3}
    names = replicas.controlplane.kubectl("get", "leases", "-n", replicas.namespace, "-o", "name").split()
    assert sum("-a" in name or "-b" in name for name in names) == 1  # that of the dead replica was deleted


async def test_a_lease_in_another_namespace_has_no_effect(replicas: Replicas, namespace: str) -> None:
    leader = await replicas.add("a")
    await leader.election.look()
    forged = replicas.lease()
    forged["metadata"] = {key: forged["metadata"][key] for key in ("name", "labels", "annotations")}
    forged["spec"]["holderIdentity"] = "mallory"
    for name in (NAME, "vaultsync.other-0"):
        manifest = {**forged, "metadata": {**forged["metadata"], "name": name, "namespace": "default"}}
        replicas.controlplane.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    try:
        await leader.election.renew(0)
        await leader.election.resign()
        other = await replicas.add("b")
        await other.election.look()
    finally:
        replicas.controlplane.kubectl("delete", "lease", NAME, "vaultsync.other-0", "-n", "default")

    assert other.server.calls == [("gained", {0})]
    assert other.election.conflict is None


HOSTILE: dict[str, dict[str, Any]] = {
    "a long duration": {"leaseDurationSeconds": 2**31 - 1},
    "a renewal in the future": {"renewTime": "9999-12-31T23:59:59.999999Z"},
    "a renewal in the past": {"renewTime": "0001-01-01T00:00:00.000000Z"},
    "no times": {"renewTime": None, "acquireTime": None, "leaseDurationSeconds": None},
    "many transitions": {"leaseTransitions": 2**31 - 1},
    "a long holder": {"holderIdentity": "x" * 200_000},
    "a holder with control characters": {"holderIdentity": "a\u202e\n\x1b[2J"},
}


@pytest.mark.parametrize("spec", HOSTILE.values(), ids=HOSTILE)
async def test_what_others_write_into_a_lease_lasts_no_longer_than_ours(
    replicas: Replicas, spec: dict[str, Any]
) -> None:
    leader, standby = await replicas.add("a"), await replicas.add("b")
    await leader.election.look()
    lease = replicas.lease()
    lease["spec"] |= {"holderIdentity": "mallory", **spec}
    lease["metadata"]["annotations"] |= {"vaultsync.dev/namespaces": "," * 100_000}
    replicas.write(lease)

    await leader.election.renew(0)
    await standby.election.look()
    assert leader.server.calls == [("gained", {0}), ("lost", {0})]
    assert standby.server.calls == []

    replicas.clock.turn(LEASE_DURATION)
    await standby.election.look()
    assert standby.server.calls == [("gained", {0})]


@pytest.mark.parametrize("shards", ["9" * 5000, "-1", "²", "one", ""])
async def test_a_number_of_shards_that_is_none_is_another_one(replicas: Replicas, shards: str) -> None:
    leader, standby = await replicas.add("a"), await replicas.add("b")
    await leader.election.look()
    lease = replicas.lease()
    lease["metadata"]["annotations"]["vaultsync.dev/shards"] = shards
    replicas.write(lease)

    await standby.election.look()
    assert standby.election.conflict is not None
    assert standby.election.conflict.shards is None


def rule(group: str, resource: str) -> dict[str, list[str]]:
    """The right to list objects."""
    return {"apiGroups": [group], "resources": [resource], "verbs": ["list"]}


async def test_missing_rights_are_named_once(
    replicas: Replicas, controlplane: ControlPlane, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader = controlplane.user("reader", [rule("coordination.k8s.io", "leases")], namespace)
    replica = await replicas.add("a", kubeconfig=reader)

    await replica.election.look()
    await replica.election.look()

    assert replica.server.calls == []
    assert not replica.election.is_up
    assert [record.message for record in caplog.records] == ["election request denied"]
    assert "the operator's service account may not create leases" in replica.election._failures[None]

    without_rights = controlplane.user("without-rights", [rule("", "configmaps")], namespace)
    with pytest.raises(Forbidden, match="the operator's service account may not list leases"):
        await (await replicas.add("b", kubeconfig=without_rights)).election.look()


async def test_a_standby_that_may_only_look_is_not_up(
    replicas: Replicas, controlplane: ControlPlane, namespace: str
) -> None:
    leases = rule("coordination.k8s.io", "leases")
    reader = controlplane.user("looks-on", [leases], namespace)
    heir = controlplane.user("heir", [{**leases, "verbs": ["list", "get", "update"]}], namespace)
    await (await replicas.add("a")).election.look()
    standbys = [await replicas.add("b", kubeconfig=reader), await replicas.add("c", kubeconfig=heir)]

    for standby in standbys:
        await standby.election.look()

    assert [standby.election.is_up for standby in standbys] == [False, True]
    assert "may not update leases" in standbys[0].election._failures[None]


async def test_a_namespace_that_does_not_exist_is_named(replicas: Replicas) -> None:
    replica = await replicas.add("a", namespace="nowhere")

    await replica.election.look()

    assert replica.server.calls == []
    assert (
        replica.election._failures[None] == "Lease nowhere/vaultsync.team-0: its namespace is gone, or being deleted."
    )


async def test_an_outage_of_the_api_server_ends_leadership_and_not_the_replica(
    replicas: Replicas, controlplane: ControlPlane
) -> None:
    leader = await replicas.add("a")
    await leader.election.look()
    controlplane.apiserver.stop()
    try:
        await leader.election.renew(0)
        with pytest.raises(SyncError):
            await leader.election.look()
        replicas.clock.turn(LEASE_DURATION)
        leader.election.expire()
        assert leader.server.calls[-1] == ("lost", {0})
    finally:
        controlplane.apiserver.start()

    await leader.election.look()
    assert leader.server.calls[-1] == ("gained", {0})
