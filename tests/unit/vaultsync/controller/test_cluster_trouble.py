"""The cluster in trouble, and objects that go while they are looked at: nothing is lost, and nothing comes back."""

from tests.unit.vaultsync.world import AWAY, DB, World
from vaultsync.policy.requeue import Result


async def test_while_the_cluster_is_away_nothing_is_lost(synced: World) -> None:
    await synced.rotate()
    synced.cluster.fail(AWAY)
    await synced.poll()
    assert synced.values() == {"password": "first"}

    synced.cluster.fail(None)
    await synced.reconcile()

    assert synced.values() == {"password": "second"}
    assert synced.ready().status == "True"


async def test_a_status_that_could_not_be_written_is_written_soon_after(world: World) -> None:
    world.apply()
    original = world.cluster.write_status

    async def fail(*_: object) -> None:
        raise AWAY

    world.cluster.write_status = fail  # type: ignore[assignment, method-assign]  # the fake cannot fail one call alone
    (after,) = await world.work()
    assert world.values() == {"password": "first"}
    assert after.failed
    assert world.notes.told_nobody == [AWAY]

    world.cluster.write_status = original  # type: ignore[method-assign]
    await world.reconcile()

    assert world.ready().status == "True"


async def test_a_write_of_others_in_the_same_moment_is_not_taken_for_a_deletion(world: World) -> None:
    world.apply()
    original = world.cluster.write_status

    async def conflict(*_: object) -> None:
        return None

    world.cluster.write_status = conflict  # type: ignore[assignment, method-assign]  # the fake has no such conflicts
    (after,) = await world.work()
    assert after.failed
    assert world.forgotten == []

    world.cluster.write_status = original  # type: ignore[method-assign]
    await world.reconcile()

    assert world.ready().status == "True"


async def test_an_answer_that_got_lost_costs_no_second_write(world: World) -> None:
    world.apply()
    world.cluster.lost_answers = 1

    assert (await world.work())[0].failed
    await world.reconcile()

    assert world.values() == {"password": "first"}
    assert world.ready().status == "True"
    assert world.writes["apply"] == 1


async def test_a_type_that_cannot_be_changed_is_told(synced: World) -> None:
    synced.apply(target={"type": "example.com/other"})

    await synced.work()

    assert synced.ready().reason == "TargetInvalid"
    assert synced.values() == {"password": "first"}


async def test_in_a_namespace_that_is_going_nothing_is_made_and_nothing_is_told(world: World) -> None:
    world.apply()
    world.cluster.begin_deleting_namespace("shop")

    (after,) = await world.work()

    assert (world.values(), world.writes, world.notes.outcomes) == (None, {}, [])
    assert (after, world.forgotten) == (Result(None), ["db"])


async def test_what_the_garbage_collector_took_does_not_come_back(synced: World) -> None:
    synced.cluster.delete_vault_secret(DB)
    synced.names.clear()

    await synced.work()

    assert synced.values() is None
    assert synced.forgotten == ["db"]
    assert synced.reads == 0


async def test_a_vaultsecret_that_is_gone_when_its_status_is_written_is_forgotten(world: World) -> None:
    world.apply(onDelete="Retain")
    world.cluster.delete_vault_secret(DB)
    world.names.clear()

    await world.work()

    assert world.forgotten == ["db"]
    assert world.events == [("Normal", "Created")]
