"""Shards that are gained and lost: what is parked, what moves, and that nothing is written beside another replica."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from tests.builders import ACCESS, EVERYTHING, VAULT, a_grant
from tests.clocks import settle, skip
from tests.harness import MemoryHarness, entry, key_of, record_woken
from tests.manifests import manifest, spec
from vaultsync.api import ObjectKey
from vaultsync.controller.turns import Priority
from vaultsync.errors import Reason
from vaultsync.sources.resync import OBSERVATION, SETTLING
from vaultsync.sources.serving import BATCH, DIVISION_INTERVAL, DRAIN_TIMEOUT, REACH_CHECK, REACH_TIMEOUT, WAKE_PAUSE
from vaultsync.state.access import Access
from vaultsync.state.observed import Observed
from vaultsync.state.positions import Position
from vaultsync.state.secrets import SecretRef, VaultReading
from vaultsync.state.shards import Shards

SHARD = frozenset({0})
NO_LISTS = {"list_vaultsecrets": 0, "list_targets": 0}


class Replica(MemoryHarness):
    """A replica whose shard the test gives and takes away; it observes what the test says.

    It shares API server, vault and clock with the one `beside` it.
    """

    def __init__(self, beside: "Replica | None" = None) -> None:
        self._beside = beside
        shards = Shards(clock=lambda: 0.0)
        if beside is None:
            super().__init__(shards=shards)
        else:
            super().__init__(kube=lambda **_: beside.kube, clock=beside.clock, shards=shards)
            self.vault = beside.vault

    def vault_transport(self) -> httpx.AsyncBaseTransport:
        return super().vault_transport() if self._beside is None else self._beside.vault_transport()

    def hold(self, position: Position | None = None) -> None:
        """Gain the only shard, from a replica that has observed so much."""
        self.shards.hold(0, until=float("inf"))
        self.controller.mover.gained(SHARD, position)

    def lose(self) -> None:
        """Lose it involuntarily."""
        self.shards.drop(0)
        self.controller.mover.lost(SHARD)

    async def gain(self, position: Position | None = None) -> None:
        """Gain it, and reconcile until nothing is left to do."""
        self.hold(position)
        await until(lambda: self.state.served == SHARD)
        await self.drain()

    def parked(self) -> list[str]:
        return sorted(meta.key.name for meta in self.state.parked.metas())

    def served(self) -> list[str]:
        return sorted(meta.key.name for meta in self.state.vaultsecrets.metas())


async def until(holds: Callable[[], bool]) -> None:
    """Give turns to the event loop until a condition holds."""
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition does not hold after many turns")


@pytest.fixture
async def replicas() -> AsyncIterator[tuple[Replica, Replica]]:
    """The leader, and a replica that stands by, of one API server."""
    leader = Replica()
    standby = Replica(leader)
    for replica in (leader, standby):
        await replica.start([])
        replica.run_beside(replica.controller.mover.run())
    await leader.gain()
    yield leader, standby
    await standby.aclose()
    await leader.aclose()


@pytest.fixture
def leader(replicas: tuple[Replica, Replica]) -> Replica:
    return replicas[0]


@pytest.fixture
def standby(replicas: tuple[Replica, Replica]) -> Replica:
    return replicas[1]


async def sync(leader: Replica, standby: Replica, *names: str, **changes: object) -> None:
    """Have the leader sync VaultSecrets, which both replicas observe."""
    for name in names or ("db",):
        leader.apply(name=name, **changes)  # type: ignore[arg-type]  # they are fields of the spec
        standby.observe(name)
        await leader.drain()
        assert leader.ready(name).status == "True"
    # What is read within the second of its change is read again by the next poll.
    await leader.poll()
    for name in names or ("db",):
        leader.observe(name)
        standby.observe(name)
    await settle()
    for replica in (leader, standby):
        replica.reset_counts()


# standing by


async def test_a_standby_knows_all_and_does_nothing(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)
    woken = record_woken(standby.controller.queue)

    standby.observe("db")
    await standby.controller.resync.resync()
    await standby.controller.grant_status.report()
    await standby.drain()

    assert (standby.parked(), standby.served(), woken) == (["db"], [], [])
    assert standby.state.vaultsecrets.accesses() == set()
    assert (standby.vault.calls, standby.writes, standby.vaults.opened()) == ({}, {}, set())


async def test_a_standby_keeps_as_much_of_a_target_as_the_leader(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)

    kept = [replica.state.targets.get(key_of("db")) for replica in (leader, standby)]

    assert isinstance(kept[0], Observed)
    assert kept[0] == kept[1]


async def test_a_target_that_a_vaultsecret_lost_while_it_is_parked_releases_nothing(
    leader: Replica, standby: Replica
) -> None:
    await sync(leader, standby, onDelete="Retain")
    body = leader.body("db")
    leader.kube.delete_vault_secret(key_of("db"))

    standby.observe_deletion("db", body)
    await standby.controller.resync.resync()

    assert (standby.parked(), standby.resync_requested, standby.writes) == ([], False, {})
    await leader.controller.resync.resync()
    assert leader.writes == {"orphan_target": 1}


async def test_a_status_of_a_grant_counts_vaultsecrets_of_other_replicas(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby, "one", "two")
    counted = standby.state.count("shop")

    assert counted == leader.state.count("shop") == {"shop": 2}


# gaining


async def test_what_is_in_place_is_neither_read_nor_written_after_a_gain(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby, "one", "two")
    woken = record_woken(standby.controller.queue)
    leader.lose()

    await standby.gain()
    await standby.poll()

    assert (standby.served(), standby.parked()) == (["one", "two"], [])
    assert (standby.reads, standby.writes, standby.events) == (0, {}, [])
    assert set(woken[:2]) == {("one", Priority.ROUTINE), ("two", Priority.ROUTINE)}
    assert standby.resync_requested


async def test_changes_are_synced_by_who_has_gained(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)
    leader.lose()
    await standby.gain()
    await standby.poll()

    standby.vault.set("db-password", "second")
    await standby.poll()

    assert standby.values() == {"password": "second"}


async def test_a_spec_that_changed_while_it_was_parked_is_synced_after_the_gain(
    leader: Replica, standby: Replica
) -> None:
    await sync(leader, standby)
    leader.lose()
    leader.apply(entry("secret"))
    standby.observe("db")

    await standby.gain()

    assert standby.values() == {"secret": "first"}


async def test_a_gain_waits_for_the_watch(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)
    leader.apply(entry("secret"))
    await leader.drain()
    leader.lose()
    leader.reset_counts()

    await gain_once_observed(standby, None, OBSERVATION)


async def gain_once_observed(standby: Replica, position: Position | None, check: float) -> None:
    """Gain the shard, which serves nothing before the watch has brought the VaultSecret; `check` is in seconds."""
    standby.hold(position)
    await settle()
    assert standby.served() == []
    standby.observe("db")
    await standby.pass_time(check)
    await standby.drain()

    assert standby.served() == ["db"]
    assert (standby.reads, standby.writes) == (0, {})


async def test_a_gain_does_not_wait_for_ever_for_a_watch_that_brings_nothing(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby, "db", "other")
    leader.apply(entry("secret"))
    await leader.drain()
    leader.lose()
    leader.reset_counts()
    standby.hold()

    for _ in range(round(SETTLING / OBSERVATION) + 1):
        await standby.pass_time(OBSERVATION)
    await standby.drain()

    # By its old spec, the Secret would be written as it was before.
    assert (standby.served(), standby.parked(), standby.writes) == (["other"], [], {})
    position = standby.state.position
    assert position is not None
    assert position.vaultsecrets == int(standby.body("db")["metadata"]["resourceVersion"])
    standby.observe("db")
    await standby.drain()
    assert (standby.served(), standby.writes) == (["db", "other"], {})


async def test_a_gain_lists_the_targets_that_the_watch_has_not_brought(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)
    before = leader.kube.calls["list_targets"]

    await standby.gain()

    assert leader.kube.calls["list_targets"] == before + 1


async def test_a_gain_lists_nothing_if_the_watches_have_brought_what_the_replica_before_has_observed(
    leader: Replica, standby: Replica
) -> None:
    await sync(leader, standby, "one", "two")
    position = await leader.controller.mover.drain(SHARD)
    assert position is not None
    before = dict(leader.kube.calls)

    await standby.gain(position)
    await standby.poll()

    assert standby.served() == ["one", "two"]
    assert (standby.reads, standby.writes) == (0, {})
    assert leader.kube.calls == before


async def test_a_gain_waits_for_what_the_replica_before_has_observed(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)
    leader.apply(entry("secret"))
    await leader.drain()
    position = await leader.controller.mover.drain(SHARD)
    leader.reset_counts()

    await gain_once_observed(standby, position, REACH_CHECK)

    assert leader.kube.calls.keys().isdisjoint({"list_vaultsecrets", "list_targets"})


async def test_a_gain_lists_all_if_the_watches_do_not_bring_what_the_replica_before_has_observed(
    leader: Replica, standby: Replica
) -> None:
    await sync(leader, standby)
    lists = leader.kube.calls["list_targets"]
    leader.lose()

    standby.hold(Position(10**9, 10**9))
    await settle()
    assert standby.state.served == set()
    assert leader.kube.calls["list_targets"] == lists
    for _ in range(2 * round(REACH_TIMEOUT / REACH_CHECK)):
        await standby.pass_time(REACH_CHECK)
    await until(lambda: standby.state.served == SHARD)

    assert leader.kube.calls["list_targets"] == lists + 1


async def test_who_has_not_served_does_not_say_what_it_has_observed(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)
    standby.cut_off(away=True)
    standby.hold()
    await settle()

    assert await standby.controller.mover.drain(SHARD) is None


async def test_who_had_to_cancel_a_reconcile_does_not_say_what_it_has_observed(leader: Replica) -> None:
    begun = asyncio.Event()

    async def blocked(*_: object, **__: object) -> VaultReading:
        begun.set()
        return await asyncio.Event().wait()  # type: ignore[return-value]  # it never ends

    leader.vaults.get = blocked  # type: ignore[method-assign]
    leader.apply()
    await begun.wait()

    draining = asyncio.create_task(leader.controller.mover.drain(SHARD))
    await settle()
    await skip(DRAIN_TIMEOUT)

    assert await draining is None


async def test_what_has_changed_while_no_replica_served_is_reconciled_first(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby, "a", "b", "c")
    leader.lose()
    for value in ("first", "second", "third"):
        leader.kube.edit(key_of("b"), "kubectl", data={"password": value})
    await settle()
    woken = record_woken(standby.controller.queue)

    await standby.gain()

    assert woken[0] == ("b", Priority.ROUTINE)


async def test_a_shard_that_is_lost_before_all_of_it_is_reconciled_is_parked_at_once(standby: Replica) -> None:
    names = [f"many-{number:04}" for number in range(3 * BATCH)]
    for name in names:
        standby.kube.put_vault_secret(manifest(spec(suspend=True), name=name))
        standby.observe(name)
    woken = record_woken(standby.controller.queue)
    standby.hold()
    await until(lambda: bool(woken))

    standby.lose()
    await settle()
    await skip(WAKE_PAUSE)

    assert standby.parked() == names
    assert len(woken) == BATCH


async def test_a_deletion_that_the_watch_has_missed_is_noticed_at_the_gain(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)
    leader.kube.delete_vault_secret(key_of("db"))

    await standby.gain()

    assert (standby.served(), standby.parked()) == ([], [])


async def test_a_gain_is_repeated_until_the_api_server_answers(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)
    standby.cut_off(away=True)
    standby.hold()
    await settle()
    assert standby.served() == []
    standby.cut_off(away=False)

    await standby.pass_time(5)

    assert standby.served() == ["db"]


async def test_by_a_quota_the_oldest_are_served_after_a_gain_and_no_others_for_a_moment(
    leader: Replica, standby: Replica
) -> None:
    await leader.set_grants(a_grant("shop", **EVERYTHING, quota={"vaultSecrets": 2}))
    await standby.controller.source.handle_grants(leader.state.grants.view)
    for name in ("d", "c", "b", "a"):
        leader.apply(name=name)
        standby.observe(name)
    leader.lose()
    await settle()
    opened: list[int] = []
    move = standby.controller.source.unpark

    def unpark(key: ObjectKey) -> None:
        move(key)
        opened.append(len(standby.state.vaultsecrets.users(ACCESS)))

    standby.controller.source.unpark = unpark  # type: ignore[method-assign]  # it has no observer

    await standby.gain()

    assert opened == [1, 2, 2, 2]
    assert [name for name in "abcd" if standby.ready(name).status == "True"] == ["c", "d"]


async def test_of_two_that_name_one_target_the_owner_keeps_it(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby, target={"name": "shared"})
    leader.apply(name="a-later", target={"name": "shared"})
    standby.observe("a-later")
    await leader.drain()
    standby.observe("a-later")
    await settle()
    before = leader.status("a-later"), leader.status("db")
    leader.lose()
    leader.reset_counts()

    await standby.gain()

    assert (standby.status("a-later"), standby.status("db")) == before
    assert (standby.reads, standby.writes) == (0, {})


async def test_an_unreadable_vaultsecret_is_parked_and_moved_like_any_other(standby: Replica) -> None:
    standby.kube.put_vault_secret(manifest(spec(), name="odd"))
    body = standby.body("odd")
    standby.controller.source.handle_changed({**body, "spec": {**body["spec"], "data": "nonsense"}})
    assert standby.state.parked.unreadable(key_of("odd")) is not None

    await standby.gain()

    assert standby.state.vaultsecrets.unreadable(key_of("odd")) is not None
    assert standby.parked() == []
    assert standby.ready("odd").reason == Reason.INVALID_SPEC


async def test_no_more_than_a_batch_is_moved_between_two_turns_of_the_event_loop(
    leader: Replica, standby: Replica
) -> None:
    names = [f"many-{number:04}" for number in range(5 * BATCH)]
    for name in names:
        leader.kube.put_vault_secret(manifest(spec(), name=name))
        standby.observe(name)
    moved: list[int] = [0]
    source = standby.controller.source

    async def turns() -> None:
        while True:
            moved.append(0)
            await asyncio.sleep(0)

    def counted(move: Callable[[ObjectKey], None]) -> Callable[[ObjectKey], None]:
        def count(key: ObjectKey) -> None:
            moved[-1] += 1
            move(key)

        return count

    for name in ("unpark", "wake", "park"):
        setattr(source, name, counted(getattr(source, name)))
    standby.run_beside(turns())
    standby.shards.hold(0, until=float("inf"))
    standby.controller.mover.gained(SHARD, None)
    await until(lambda: len(standby.served()) == len(names))
    assert sum(moved) >= len(names)
    standby.lose()
    await until(lambda: len(standby.parked()) == len(names))

    assert max(moved) <= BATCH


# losing


async def test_what_is_lost_is_parked_and_its_poller_stops(leader: Replica) -> None:
    leader.run_beside(leader.controller.pollers.run())
    leader.apply()
    await leader.drain()
    assert leader.vaults.opened() == {ACCESS}

    leader.lose()
    await settle()

    assert (leader.served(), leader.parked()) == ([], ["db"])
    assert (leader.state.vaultsecrets.accesses(), leader.vaults.opened()) == (set(), set())
    assert leader.recorded.vaults == set()
    leader.reset_counts()
    await leader.pass_time(3600)
    assert leader.vault.calls == {}


async def test_nothing_of_a_lost_vaultsecret_stays_in_the_queue(leader: Replica) -> None:
    leader.vault.close_door()
    leader.apply()
    await leader.drain()
    assert leader.controller.queue._timers

    leader.lose()
    await settle()
    leader.wake()
    await leader.drain()
    leader.reset_counts()
    await leader.pass_time(3600)

    assert leader.recorded.outcomes == []
    assert leader.writes == {}


async def test_shards_that_are_gained_and_lost_are_counted(leader: Replica) -> None:
    leader.lose()
    leader.lose()
    leader.hold()
    await leader.controller.mover.drain(SHARD)

    assert leader.recorded.transitions == [1, -1, 1, -1]


async def test_what_changes_after_the_loss_is_parked_as_it_is(leader: Replica) -> None:
    leader.apply()
    leader.lose()
    leader.apply(entry("secret"))
    await settle()
    leader.apply(name="new")
    leader.remove()
    await settle()

    assert (leader.served(), leader.parked()) == ([], ["new"])


@pytest.fixture
async def reading(leader: Replica, standby: Replica) -> asyncio.Event:
    """A leader whose reconcile waits for its vault, and what lets the vault answer."""
    answer = asyncio.Event()
    get = leader.vaults.get

    async def slow(access: Access, ref: SecretRef, *, namespace: str = "", since: float | None = None) -> VaultReading:
        await answer.wait()
        return await get(access, ref, namespace=namespace, since=since)

    leader.vaults.get = slow  # type: ignore[method-assign]  # the fake vault answers at once
    leader.apply()
    standby.observe("db")
    await settle()
    assert leader.controller.queue.running == 1
    leader.reset_counts()
    return answer


async def test_nothing_is_written_by_a_reconcile_that_runs_when_its_shard_is_lost(
    leader: Replica, reading: asyncio.Event
) -> None:
    leader.lose()
    reading.set()
    await settle()

    assert leader.controller.queue.running == 0
    assert (leader.writes, leader.recorded.errors, leader.values()) == ({}, [], None)


async def test_a_reconcile_that_runs_when_its_shard_is_given_up_finishes(
    leader: Replica, reading: asyncio.Event
) -> None:
    draining = asyncio.create_task(leader.controller.mover.drain(SHARD))
    leader.apply(name="later")
    await settle()
    assert not draining.done()

    reading.set()
    await draining

    assert leader.values() == {"password": "first"}
    assert (leader.ready().status, leader.values("later")) == ("True", None)


async def test_a_reconcile_that_takes_too_long_is_cancelled_when_its_shard_is_given_up(
    leader: Replica, reading: asyncio.Event
) -> None:
    draining = asyncio.create_task(leader.controller.mover.drain(SHARD))
    await settle()

    await leader.pass_time(DRAIN_TIMEOUT)

    assert draining.done()
    assert (leader.controller.queue.running, leader.writes) == (0, {})


async def test_who_gains_syncs_what_the_replica_before_has_begun(
    leader: Replica, standby: Replica, reading: asyncio.Event
) -> None:
    leader.lose()
    await standby.gain()
    reading.set()
    await settle()

    assert standby.values() == {"password": "first"}
    assert standby.writes == {"apply_target": 1, "patch_status": 1, "create_event": 1}


async def test_a_shard_that_is_lost_while_it_is_gained_is_not_served(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)
    leader.apply(entry("secret"))
    standby.hold()
    await settle()

    standby.lose()
    standby.observe("db")
    for _ in range(5):
        await standby.pass_time(OBSERVATION)

    assert (standby.served(), standby.parked()) == ([], ["db"])


async def test_a_shard_that_is_gained_again_is_served_again(leader: Replica) -> None:
    leader.apply()
    await leader.drain()
    leader.lose()
    await settle()
    leader.vault.set("db-password", "second")

    await leader.gain()
    await leader.poll()
    await leader.poll()

    assert leader.values() == {"password": "second"}


async def test_what_was_cancelled_is_reconciled_when_its_shard_comes_back_at_once(
    leader: Replica, reading: asyncio.Event
) -> None:
    leader.lose()
    leader.hold()
    reading.set()
    await until(lambda: leader.state.served == SHARD)
    await leader.drain()

    assert leader.values() == {"password": "first"}


async def test_the_grants_status_is_written_by_who_serves_the_first_shard(leader: Replica, standby: Replica) -> None:
    calls = leader.kube.calls

    await standby.controller.grant_status.report()
    assert (calls["patch_grant_status"], standby.vault.calls) == (0, {})
    await leader.controller.grant_status.report()
    assert calls["patch_grant_status"] == len(leader.grants)

    leader.lose()
    await leader.controller.grant_status.report()
    await standby.gain()
    assert calls["patch_grant_status"] == len(leader.grants)
    await standby.controller.grant_status.report()

    assert calls["patch_grant_status"] == 2 * len(leader.grants)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_each_vaultsecret_is_in_one_of_both_caches(
    leader: Replica, standby: Replica, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  the seed is the parameter
    for _ in range(40):
        match chance.choice(["apply", "apply", "remove", "gain", "lose", "settle", "grants"]):
            case "apply":
                standby.apply(entry(f"key-{chance.randrange(3)}"), name=f"db-{chance.randrange(4)}")
            case "remove" if standby.names:
                standby.remove(chance.choice(standby.names), observed=chance.random() < 0.7)
            case "gain":
                standby.hold()
            case "lose":
                standby.lose()
            case "settle":
                await standby.pass_time(0.3)
            case "grants":
                await standby.set_grants(a_grant("shop", **EVERYTHING, quota={"vaultSecrets": chance.randrange(1, 5)}))
        assert not set(standby.served()) & set(standby.parked())
        assert {*standby.served(), *standby.parked()} >= set(standby.names)
    standby.hold()
    await standby.pass_time(5)

    assert (standby.served(), standby.parked()) == (sorted(standby.names), [])


# several shards


def namespaces_of(shards: Shards) -> list[str]:
    """Return a namespace of each shard."""
    names = [f"team-{number}" for number in range(100)]
    return [next(name for name in names if shards.shard_of(name) == shard) for shard in range(shards.number)]


@pytest.fixture
async def sharded() -> AsyncIterator[tuple[MemoryHarness, list[str]]]:
    """A replica that holds none of three shards, and a VaultSecret of each, in a namespace of that name."""
    harness = MemoryHarness(shards=Shards(3, clock=lambda: 0.0))
    await harness.start([])
    harness.run_beside(harness.controller.mover.run())
    names = namespaces_of(harness.shards)
    for name in names:
        stored = harness.kube.put_vault_secret(manifest(spec(), name="db", namespace=name))
        harness.controller.source.handle_changed(harness.kube.vault_secret_body(stored.key))
    yield harness, names
    await harness.aclose()


def hold(harness: MemoryHarness, *shards: int, position: Position | None = None) -> None:
    """Gain shards, from a replica that has observed so much."""
    for shard in shards:
        harness.shards.hold(shard, until=float("inf"))
    harness.controller.mover.gained(frozenset(shards), position)


def lose(harness: MemoryHarness, *shards: int) -> None:
    for shard in shards:
        harness.shards.drop(shard)
    harness.controller.mover.lost(frozenset(shards))


async def gain(harness: MemoryHarness, *shards: int, position: Position | None = None) -> None:
    """Gain shards, and reconcile until nothing is left to do."""
    hold(harness, *shards, position=position)
    await until(lambda: harness.state.served >= set(shards))
    await harness.drain()


def served_in(harness: MemoryHarness) -> set[str]:
    return {meta.key.namespace for meta in harness.state.vaultsecrets.metas()}


async def test_each_shard_comes_and_goes_by_itself(sharded: tuple[MemoryHarness, list[str]]) -> None:
    harness, names = sharded
    await gain(harness, 0)
    await gain(harness, 2)
    assert served_in(harness) == {names[0], names[2]}
    assert harness.writes["apply_target"] == 2

    lose(harness, 0)
    await settle()

    assert served_in(harness) == {names[2]}
    assert harness.state.vaultsecrets.accesses() == {ACCESS}


def observe(harness: MemoryHarness, namespace: str) -> None:
    """Have the watch bring the VaultSecret of a namespace."""
    harness.controller.source.handle_changed(harness.kube.vault_secret_body(ObjectKey(namespace, "db")))


@pytest.fixture
async def another(sharded: tuple[MemoryHarness, list[str]]) -> AsyncIterator[MemoryHarness]:
    """Another replica of the same API server, with a vault of the same content."""
    one, names = sharded
    other = MemoryHarness(kube=lambda **_: one.kube, clock=one.clock, shards=Shards(3, clock=lambda: 0.0))
    await other.start([])
    other.run_beside(other.controller.mover.run())
    for name in names:
        observe(other, name)
    yield other
    await other.aclose()


async def hand_over(harness: MemoryHarness, shard: int) -> Position:
    """Give up a shard; return how far the replica has observed."""
    position = await harness.controller.mover.drain({shard})
    lose(harness, shard)
    await settle()
    assert position is not None
    return position


def lists_of(harness: MemoryHarness) -> dict[str, int]:
    return {kind: harness.kube.calls[kind] for kind in NO_LISTS}


async def test_a_shard_goes_from_replica_to_replica_and_back_without_lists(
    sharded: tuple[MemoryHarness, list[str]], another: MemoryHarness
) -> None:
    one, names = sharded
    await gain(one, 0, 1)
    observe(one, names[0])
    for name in names:
        observe(another, name)

    for giving, taking in ((one, another), (another, one)):
        position = await hand_over(giving, 0)
        taking.reset_counts()
        await gain(taking, 0, position=position)
        assert (taking.reads, taking.writes) == (0, {})
        assert lists_of(one) == NO_LISTS


async def test_own_writes_in_one_shard_do_not_show_what_another_replica_has_observed_in_the_next(
    sharded: tuple[MemoryHarness, list[str]], another: MemoryHarness
) -> None:
    one, names = sharded
    await gain(one, 1)
    observe(another, names[1])
    await gain(another, 0)
    another.kube.put_vault_secret(manifest(spec(data=[entry("secret")]), name="db", namespace=names[0]))
    observe(another, names[0])
    await another.drain()
    position = await hand_over(another, 0)
    one.vault.set("db-password", "second")
    await one.poll()
    assert max(cache.newest_version() for cache in one.state.caches) > position.vaultsecrets
    one.reset_counts()

    hold(one, 0, position=position)
    await settle()
    assert 0 not in one.state.served
    observe(one, names[0])
    await one.pass_time(REACH_CHECK)

    assert 0 in one.state.served
    assert lists_of(one) == NO_LISTS


async def test_a_gain_during_a_list_of_the_watch_lists_at_once(
    sharded: tuple[MemoryHarness, list[str]], catching_up: list[asyncio.Event]
) -> None:
    harness, names = sharded
    harness.controller.source.handle_listed(harness.kube.vault_secret_body(ObjectKey(names[0], "db")))

    hold(harness, 0, position=Position(1, 1))
    await settle()

    assert len(catching_up) == 1


@pytest.fixture
def catching_up(sharded: tuple[MemoryHarness, list[str]]) -> list[asyncio.Event]:
    """Each time that the caches catch up, an event for which that waits."""
    begun: list[asyncio.Event] = []

    async def catch_up() -> None:
        begun.append(asyncio.Event())
        await begun[-1].wait()

    sharded[0].controller.resync.catch_up = catch_up  # type: ignore[method-assign]  # this part is the test's own
    return begun


async def test_shards_that_are_gained_one_after_the_other_do_not_keep_each_other_waiting(
    sharded: tuple[MemoryHarness, list[str]], catching_up: list[asyncio.Event]
) -> None:
    harness, _ = sharded
    hold(harness, 0)
    await settle()
    hold(harness, 1)
    await settle()

    catching_up[0].set()
    await settle()
    # Its replica before may have written after the first one has begun.
    assert (harness.state.served, len(catching_up)) == ({0}, 2)
    catching_up[1].set()
    await settle()
    assert harness.state.served == {0, 1}


async def test_what_is_lost_is_parked_while_the_caches_catch_up(
    sharded: tuple[MemoryHarness, list[str]], catching_up: list[asyncio.Event]
) -> None:
    harness, names = sharded
    hold(harness, 0)
    await settle()
    catching_up[0].set()
    await settle()
    hold(harness, 1)
    await settle()

    lose(harness, 0)
    await settle()

    assert served_in(harness) == set()
    catching_up[1].set()
    await settle()
    assert served_in(harness) == {names[1]}


async def test_a_shard_that_is_lost_and_gained_while_the_caches_catch_up_waits_for_newer_ones(
    sharded: tuple[MemoryHarness, list[str]], catching_up: list[asyncio.Event]
) -> None:
    harness, _ = sharded
    hold(harness, 0, 1)
    await settle()
    lose(harness, 0)
    hold(harness, 0)
    await settle()

    catching_up[0].set()
    await settle()
    assert harness.state.served == {1}
    catching_up[1].set()
    await settle()
    assert harness.state.served == {0, 1}


async def test_a_response_that_nobody_expects_delays_a_gain_and_ends_nothing(leader: Replica, standby: Replica) -> None:
    await sync(leader, standby)
    lists = leader.kube.list_targets

    async def nonsense(*_: object) -> None:
        leader.kube.list_targets = lists  # type: ignore[method-assign]  # this fake is the test's own
        raise KeyError("metadata")

    leader.kube.list_targets = nonsense  # type: ignore[assignment,method-assign]  # the same
    standby.hold()
    await settle()
    assert standby.served() == []
    await skip(DIVISION_INTERVAL)

    assert standby.served() == ["db"]


async def test_the_budget_of_a_vault_is_divided_by_the_shards_that_use_it(
    sharded: tuple[MemoryHarness, list[str]],
) -> None:
    harness, names = sharded

    def share() -> float:
        rate_limiter = harness.vaults.rate_limiter(ACCESS)
        assert rate_limiter is not None
        return rate_limiter.share

    await gain(harness, 0)
    assert share() == 1 / 3
    await gain(harness, 2)
    assert share() == 2 / 3

    body = harness.kube.vault_secret_body(ObjectKey(names[1], "db"))
    harness.controller.source.handle_deleted(body)
    await harness.pass_time(DIVISION_INTERVAL)
    assert share() == 1

    harness.controller.source.handle_changed(body)
    harness.controller.mover.lost({2})
    assert share() == 1 / 3


async def test_a_vaultsecret_that_is_not_granted_takes_nothing_from_the_budget_of_others(
    sharded: tuple[MemoryHarness, list[str]],
) -> None:
    harness, names = sharded
    await gain(harness, 0)
    assert harness.state.shares() == {VAULT: 1 / 3}

    await harness.set_grants(a_grant("shop", namespaces={"names": [names[0]]}))

    assert harness.state.shares() == {VAULT: 1}
