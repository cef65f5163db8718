"""The election of one replica: when it serves, stands by, stops, and what it logs."""

import asyncio
import logging
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.clocks import Clock, freeze, settle, skip
from tests.fakes.leases import FakeLeases, LeaseStore
from vaultsync.adapters.kube import Forbidden
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.leases import LEASE_DURATION, PATIENCE, RENEW_DEADLINE, RETRY_PERIOD, Installation, Lease
from vaultsync.sources.election import ANSWER_CHECK, LEFTOVER, RIGHTS_PERIOD, Election, boot_time
from vaultsync.state.positions import Position
from vaultsync.state.shards import Shards

OURS = Installation("team.vaultsync")
NAME = OURS.lease_name(0)
DENIED = Forbidden(Reason.CLUSTER_UNAVAILABLE, "Lease: the operator's service account may not update leases.")
DOWN = SyncError(Reason.CLUSTER_UNAVAILABLE, "Lease: the Kubernetes API did not respond in time.")


@dataclass
class Calls:
    """Keeps what the election calls, and whether the shards were served at that time."""

    shards: Shards
    calls: list[tuple[str, AbstractSet[int], bool]] = field(default_factory=list)

    positions: list[Position | None] = field(default_factory=list)
    """From where each gain goes on."""
    observed: Position | None = None

    def gained(self, shards: AbstractSet[int], position: Position | None) -> None:
        self.calls.append(("gained", set(shards), self._serves(shards)))
        self.positions.append(position)

    def lost(self, shards: AbstractSet[int]) -> None:
        self.calls.append(("lost", set(shards), self._serves(shards)))

    async def drain(self, shards: AbstractSet[int]) -> Position | None:
        self.calls.append(("drain", set(shards), self._serves(shards)))
        return self.observed

    def _serves(self, shards: AbstractSet[int]) -> bool:
        return shards <= self.shards.held


class FaultyLeases(FakeLeases):
    """Leases whose requests fail while there is an error."""

    error: SyncError | None = None
    list_error: SyncError | None = None
    rights_error: SyncError | None = None

    async def list(self) -> list[Lease]:
        if error := self.error or self.list_error:
            raise error
        return await super().list()

    async def check_rights(self, name: str) -> None:
        if error := self.error or self.rights_error:
            raise error

    async def _write(self, present: Lease | None, lease: Lease) -> Lease:
        if self.error is not None:
            raise self.error
        return await super()._write(present, lease)


class Replica:
    """A replica, and the clock of all."""

    def __init__(
        self,
        clock: Clock,
        store: LeaseStore,
        identity: str = "a",
        ours: Installation = OURS,
        members: LeaseStore | None = None,
    ) -> None:
        self.leases = FaultyLeases(store, ours, identity)
        self.shards = Shards(ours.shards, clock=clock.seconds)
        self.server = Calls(self.shards)
        self.election = Election(
            ours,
            identity,
            self.shards,
            self.server,
            self.leases,
            FakeLeases(LeaseStore() if members is None else members, ours, identity),
            now=clock,
            clock=clock.seconds,
            jitter=lambda low, _: low,
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> LeaseStore:
    return LeaseStore()


async def test_a_replica_alone_serves_at_once(clock: Clock, store: LeaseStore) -> None:
    replica = Replica(clock, store)

    await replica.election.look()

    assert replica.server.calls == [("gained", {0}, True)]
    assert replica.shards.seconds_left("shop") == RENEW_DEADLINE
    assert store.leases[NAME].holder == "a"


async def test_another_stands_by_until_the_lease_has_run_out(
    clock: Clock, store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    leader, standby = Replica(clock, store), Replica(clock, store, "b")
    await leader.election.look()
    for _ in range(5):
        clock.turn(2)
        await leader.election.renew(0)
        await standby.election.look()
    assert standby.server.calls == []
    assert [record.message for record in caplog.records].count("standing by") == 1
    assert logged(caplog, "standing by")["leaders"] == "a"

    clock.turn(LEASE_DURATION - 0.1)
    await standby.election.look()
    assert standby.server.calls == []
    assert not leader.shards.may_write("shop")

    clock.turn(0.1)
    await standby.election.look()
    assert standby.server.calls == [("gained", {0}, True)]
    assert store.leases[NAME].transitions == 1

    leader.election.expire()
    assert leader.server.calls[-1] == ("lost", {0}, False)
    assert logged(caplog, "shards lost")["detail"] == "the process was stopped"


def logged(caplog: pytest.LogCaptureFixture, message: str) -> dict[str, Any]:
    return next(vars(record) for record in caplog.records if record.message == message)


async def test_a_leader_that_resigns_is_replaced_at_once(clock: Clock, store: LeaseStore) -> None:
    leader, standby = Replica(clock, store), Replica(clock, store, "b")
    await leader.election.look()
    await standby.election.look()

    await leader.election.resign()
    await standby.election.look()
    await leader.election.look()

    assert leader.server.calls[1:] == [("drain", {0}, True)]
    assert not leader.shards.may_write("shop")
    assert standby.server.calls == [("gained", {0}, True)]
    assert store.leases[NAME].holder == "b"


async def test_who_resigns_says_how_far_it_has_observed_and_who_is_lost_does_not(
    clock: Clock, store: LeaseStore
) -> None:
    leader, standby, third = (Replica(clock, store, name) for name in "abc")
    leader.server.observed = Position(7, 8)
    await leader.election.look()
    await leader.election.resign()
    await standby.election.look()
    await third.election.look()
    clock.turn(LEASE_DURATION)
    await third.election.look()

    assert leader.server.positions == [None]
    assert standby.server.positions == [Position(7, 8)]
    assert third.server.positions == [None]


@pytest.mark.parametrize(
    ("before", "positions"),
    [
        (OURS, [Position(7, 8)]),
        (replace(OURS, shards=2), [None]),
        (replace(OURS, namespaces=frozenset({"shop"})), [None]),
    ],
)
async def test_what_the_holder_of_other_namespaces_has_observed_does_not_count(
    clock: Clock, store: LeaseStore, before: Installation, positions: list[Position | None]
) -> None:
    old, new = Replica(clock, store, "a", before), Replica(clock, store, "b")
    old.server.observed = Position(7, 8)
    await old.election.look()
    await old.election.resign()

    await new.election.look()

    assert new.server.positions == positions


async def test_a_lease_is_released_once_all_writes_are_answered(clock: Clock, store: LeaseStore) -> None:
    leader = Replica(clock, store)
    await leader.election.look()
    with leader.shards.writing("shop"):
        resigning = asyncio.create_task(leader.election.resign())
        await skip(ANSWER_CHECK)
        assert store.leases[NAME].holder == "a"
        assert not leader.shards.may_write("shop")
    await skip(ANSWER_CHECK)
    await resigning

    assert store.leases[NAME].holder is None


async def test_a_lease_is_not_released_while_the_api_server_may_still_carry_out_a_write(
    clock: Clock, store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    leader = Replica(clock, store)
    await leader.election.look()

    with leader.shards.writing("shop"):
        resigning = asyncio.create_task(leader.election.resign())
        while not resigning.done():
            await skip(ANSWER_CHECK)

    assert store.leases[NAME].holder == "a"
    assert logged(caplog, "lease not released")["lease"] == NAME


async def test_a_leader_that_cannot_renew_serves_until_its_deadline(
    clock: Clock, store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    leader = Replica(clock, store)
    await leader.election.look()
    leader.leases.error = DENIED
    clock.turn(RENEW_DEADLINE - 0.1)
    await leader.election.renew(0)
    await leader.election.renew(0)
    leader.election.expire()
    assert leader.shards.may_write("shop")
    ups = [leader.election.is_up]
    assert [record.message for record in caplog.records] == ["election request denied"]
    assert "the chart" in logged(caplog, "election request denied")["hint"]

    clock.turn(0.1)
    leader.election.expire()
    assert leader.server.calls[-1] == ("lost", {0}, False)
    assert logged(caplog, "shards lost")["detail"] == DENIED.message

    leader.leases.error = None
    await leader.election.look()
    assert [*ups, leader.election.is_up] == [False, True]
    assert leader.server.calls[-1] == ("gained", {0}, True)


async def test_a_replica_that_renews_and_cannot_look_is_not_up(
    clock: Clock, store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    replica = Replica(clock, store, ours=replace(OURS, shards=2))
    await replica.election.look()
    assert replica.election.is_up

    replica.leases.list_error = DENIED
    ups = set()
    for _ in range(3):
        clock.turn(2)
        await replica.election._attempt(replica.election.look())
        for shard in replica.shards.held:
            await replica.election.renew(shard)
        ups.add(replica.election.is_up)

    assert ups == {False}
    assert replica.shards.held == {0, 1}
    assert [record.message for record in caplog.records] == ["election request denied"]


async def test_a_replica_that_has_lost_its_shards_is_not_up_before_it_can_look(clock: Clock, store: LeaseStore) -> None:
    leader = Replica(clock, store)
    await leader.election.look()
    leader.leases.error = DOWN
    await leader.election.renew(0)
    clock.turn(RENEW_DEADLINE)

    leader.election.expire()

    assert not leader.election.is_up


async def test_a_renewal_counts_from_its_begin(clock: Clock, store: LeaseStore) -> None:
    leader = Replica(clock, store)
    await leader.election.look()

    async def slow() -> None:
        clock.turn(1)

    leader.leases.step = slow
    await leader.election.renew(0)

    assert leader.shards.seconds_left("shop") == RENEW_DEADLINE - 2


@pytest.mark.parametrize("holder", ["b", None])
async def test_a_lease_that_was_taken_is_lost_at_once(clock: Clock, store: LeaseStore, holder: str | None) -> None:
    leader = Replica(clock, store)
    await leader.election.look()
    store.put(replace(store.leases[NAME], holder=holder))

    await leader.election.renew(0)

    assert leader.server.calls[-1] == ("lost", {0}, False)


async def test_a_lease_that_was_deleted_is_lost_at_once(clock: Clock, store: LeaseStore) -> None:
    leader = Replica(clock, store)
    await leader.election.look()
    del store.leases[NAME]

    await leader.election.renew(0)

    assert leader.server.calls[-1] == ("lost", {0}, False)


async def test_a_lease_whose_labels_were_changed_is_renewed(clock: Clock, store: LeaseStore) -> None:
    leader = Replica(clock, store)
    await leader.election.look()
    store.put(store.leases[NAME])
    clock.turn(2)

    await leader.election.renew(0)

    assert leader.shards.seconds_left("shop") == RENEW_DEADLINE
    assert leader.server.calls == [("gained", {0}, True)]


async def test_each_renewal_is_a_change_although_the_time_stands_still(clock: Clock, store: LeaseStore) -> None:
    leader = Replica(clock, store)
    await leader.election.look()
    seen = {store.leases[NAME].renewed}
    for _ in range(3):
        await leader.election.renew(0)
        seen.add(store.leases[NAME].renewed)

    assert len(seen) == 4


async def test_another_installation_is_waited_for_and_named(
    clock: Clock, store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    leader, laptop = Replica(clock, store), Replica(clock, store, "b", Installation("unnamed.jane.laptop"))
    await leader.election.look()

    await laptop.election.look()
    await leader.election.renew(0)
    await laptop.election.look()
    await laptop.election.look()

    assert laptop.server.calls == []
    conflicts = [laptop.election.conflict is not None]
    assert [record.message for record in caplog.records] == ["another installation serves the same namespaces"]
    assert logged(caplog, "another installation serves the same namespaces")["installation"] == "team.vaultsync"

    await leader.election.resign()
    await laptop.election.look()
    assert [*conflicts, laptop.election.conflict is not None] == [True, False]
    assert laptop.server.calls == [("gained", {0}, True)]


async def test_the_lease_that_an_uninstalled_release_has_left_behind_is_no_error(
    clock: Clock, store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gone, ours = Replica(clock, store), Replica(clock, store, "b", Installation("second"))
    await gone.election.look()
    caplog.clear()

    await ours.election.look()
    clock.turn(LEASE_DURATION - 0.1)
    await ours.election.look()
    assert ours.server.calls == []
    clock.turn(0.1)
    await ours.election.look()

    assert ours.server.calls == [("gained", {0}, True)]
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "another installation may serve the same namespaces"),
        ("INFO", "serving shards"),
    ]
    assert logged(caplog, "another installation may serve the same namespaces")["hint"] == LEFTOVER


async def test_a_standby_that_may_not_take_the_lease_is_not_up(
    clock: Clock, store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    leader, standby = Replica(clock, store), Replica(clock, store, "b")
    await leader.election.look()
    standby.leases.rights_error = DENIED

    ups = []
    for error, seconds in ((DENIED, 0.0), (DENIED, 1.0), (None, 1.0), (DENIED, 1.0), (DENIED, RIGHTS_PERIOD)):
        standby.leases.rights_error = error
        clock.turn(seconds)
        await leader.election.renew(0)
        await standby.election.look()
        ups.append(standby.election.is_up)

    assert ups == [False, False, True, True, False]
    assert [record.message for record in caplog.records] == ["election request denied"] * 2
    assert standby.server.calls == []


async def test_a_leader_is_not_asked_for_its_rights(clock: Clock, store: LeaseStore) -> None:
    leader = Replica(clock, store)
    leader.leases.rights_error = DENIED

    await leader.election.look()
    clock.turn(RIGHTS_PERIOD)
    await leader.election.look()

    assert leader.election.is_up


async def test_of_two_installations_that_start_together_none_serves_beside_the_other(
    clock: Clock, store: LeaseStore
) -> None:
    both = Replica(clock, store), Replica(clock, store, "b", Installation("second"))
    met = asyncio.Barrier(2)

    async def step() -> None:
        if sum(replica.leases.step is step for replica in both) == 2:
            await met.wait()

    for replica in both:
        replica.leases.step = step
    await asyncio.gather(*(replica.election.look() for replica in both))

    assert [replica.server.calls for replica in both] == [[], []]
    assert {lease.holder for lease in store.leases.values()} == {None}


async def test_an_upgrade_that_changes_the_number_of_shards_waits_for_the_old_pods(
    clock: Clock, store: LeaseStore
) -> None:
    old, new = Replica(clock, store), Replica(clock, store, "b", replace(OURS, shards=2))
    await old.election.look()
    await new.election.look()
    assert new.server.calls == []

    await old.election.resign()
    await new.election.look()
    assert new.server.calls == [("gained", {0, 1}, True)]


async def rounds(number: int, clock: Clock, *running: Replica) -> None:
    """Renew and look, as the replicas do when they run."""
    for _ in range(number):
        clock.turn(2)
        for replica in running:
            for shard in replica.shards.held:
                await replica.election.renew(shard)
            replica.election.expire()
            given = await replica.election.look()
            if given is not None:
                await replica.election.give_up({given})


async def test_replicas_share_their_shards_and_take_over_those_of_the_lost(clock: Clock, store: LeaseStore) -> None:
    ours, members = replace(OURS, shards=6), LeaseStore()
    replicas = [Replica(clock, store, name, ours, members) for name in "abc"]

    await rounds(6, clock, *replicas)
    assert [len(replica.shards.held) for replica in replicas] == [2, 2, 2]

    await rounds(int((LEASE_DURATION + PATIENCE) / 2) + 1, clock, *replicas[:2])
    assert [len(replica.shards.held) for replica in replicas] == [3, 3, 0]
    assert set(members.leases) == {"team.vaultsync-a", "team.vaultsync-b"}


async def test_the_shards_of_one_that_resigns_are_taken_at_once(clock: Clock, store: LeaseStore) -> None:
    ours, members = replace(OURS, shards=2), LeaseStore()
    one, other = (Replica(clock, store, name, ours, members) for name in "ab")
    await rounds(6, clock, one, other)
    assert [len(replica.shards.held) for replica in (one, other)] == [1, 1]

    await one.election.resign()
    await one.election.look()
    await other.election.look()

    assert set(members.leases) == {"team.vaultsync-b"}
    assert other.shards.held == {0, 1}


async def test_nothing_is_given_up_for_a_replica_with_another_number_of_shards(clock: Clock, store: LeaseStore) -> None:
    members = LeaseStore()
    old = Replica(clock, store, "a", replace(OURS, shards=3), members)
    new = Replica(clock, store, "b", replace(OURS, shards=4), members)
    await old.election.look()
    await new.election.look()

    assert set(members.leases) == {"team.vaultsync-a", "team.vaultsync-b"}
    assert await old.election.look() is None


async def test_a_shard_that_comes_back_is_not_given_up_again_for_a_while(clock: Clock, store: LeaseStore) -> None:
    # Another member is alive and takes nothing.
    ours, members = replace(OURS, shards=2), LeaseStore()
    replica, other = (Replica(clock, store, name, ours, members) for name in "ab")
    await replica.election.look()
    await other.election._members.live()
    replica.election._given = await replica.election.look()
    assert replica.election._given == 1
    await replica.election.give_up({1})
    assert await replica.election.look() is None
    clock.turn(PATIENCE)
    await other.election._members.live()
    await replica.election.renew(0)

    assert await replica.election.look() is None
    assert replica.shards.held == {0, 1}
    assert await replica.election.look() is None


async def test_a_lease_that_is_acquired_while_the_replica_stops_is_released(clock: Clock, store: LeaseStore) -> None:
    replica = Replica(clock, store)
    acquiring, gate = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        if store.leases:
            acquiring.set()
            await gate.wait()

    replica.leases.step = slow
    running = asyncio.create_task(replica.election.run())
    await acquiring.wait()
    resigning = asyncio.create_task(replica.election.resign())
    await asyncio.sleep(0)
    gate.set()
    await resigning
    running.cancel()

    assert store.leases[NAME].holder is None
    assert replica.server.calls == []


async def test_the_election_runs_until_it_is_cancelled(clock: Clock, store: LeaseStore) -> None:
    replica = Replica(clock, store)
    replica.leases.error = DOWN
    gained = asyncio.Event()
    replica.server.gained = lambda *_: gained.set()  # type: ignore[method-assign]
    running = asyncio.create_task(replica.election.run())
    await asyncio.sleep(0)
    replica.leases.error = None

    await gained.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_no_response_ends_the_election(clock: Clock, store: LeaseStore) -> None:
    replica = Replica(clock, store)
    await freeze()
    running = asyncio.create_task(replica.election.run())
    await settle()
    assert replica.shards.held == {0}

    async def nonsense() -> None:
        raise AttributeError

    replica.leases.step = nonsense
    await skip(2 * RETRY_PERIOD)
    assert not running.done()
    running.cancel()


def test_the_clock_goes_on() -> None:
    assert boot_time() <= boot_time()
