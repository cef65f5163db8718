"""What changes with time or by a person's word: dates, staleness, refresh-now, another target, restarts."""

from datetime import timedelta

from tests.unit.vaultsync.world import AWAY, NOTICE, SKEW, World, entry, key_of
from vaultsync.api import REFRESH_ANNOTATION
from vaultsync.api.restarts import WorkloadKind


async def test_a_version_that_is_not_to_be_used_yet_is_taken_at_that_very_moment(synced: World) -> None:
    await synced.later()
    synced.vault.set("db-password", "tomorrow's", not_before=synced.vault_time() + timedelta(seconds=100))
    await synced.poll()
    assert (synced.values(), synced.ready().reason) == ({"password": "first"}, "SecretNotYetActive")

    await synced.later(39)
    await synced.work()
    assert synced.values() == {"password": "first"}
    await synced.later(2)
    await synced.work()

    assert synced.values() == {"password": "tomorrow's"}


async def test_it_is_told_when_a_secret_expires_soon_and_when_it_has(world: World) -> None:
    world.vault.set("db-password", "x", expires_on=world.vault_time() + NOTICE + timedelta(minutes=10))
    world.apply()
    await world.work()
    assert world.condition("Expiring").reason == "FarFromExpiry"

    await world.later(1020)
    await world.work()
    assert world.condition("Expiring").reason == "ExpiresSoon"

    await world.later(NOTICE.total_seconds())
    await world.work()
    assert world.condition("Expiring").reason == "Expired"
    assert world.values() == {"password": "x"}


async def test_after_three_intervals_without_the_vault_a_target_is_stale_until_it_is_confirmed(synced: World) -> None:
    synced.vault.close_door()
    await synced.poll()
    await synced.poll()
    assert synced.condition("Stale").status == "False"

    await synced.later(360 + SKEW.total_seconds())
    await synced.work()
    assert synced.condition("Stale").status == "True"
    assert synced.values() == {"password": "first"}

    synced.vault.open_door()
    await synced.poll()
    await synced.reconcile()
    assert synced.condition("Stale").status == "False"


async def test_everything_is_read_again_once_when_a_person_asks_for_it(synced: World) -> None:
    await synced.later()
    synced.apply(annotations={REFRESH_ANNOTATION: "now"})
    await synced.work()
    assert (synced.reads, synced.status().last_handled_refresh) == (1, "now")

    await synced.rests()


async def test_a_search_that_is_asked_for_asks_for_a_new_listing(world: World) -> None:
    world.vault.set("shop-user", "app")
    find = [{"find": {"names": "shop-*"}}]
    world.apply(data=[], dataFrom=find)
    await world.poll()
    before = world.hurried

    world.apply(annotations={REFRESH_ANNOTATION: "now"}, data=[], dataFrom=find)
    await world.work()

    assert world.hurried == before + 1


async def test_another_target_takes_the_place_of_the_one_before_but_not_of_its_copy(synced: World) -> None:
    synced.cluster.create(key_of("copy"), "kubectl", {"password": "first"})

    synced.apply(target={"name": "other"})
    await synced.work()

    assert (synced.values("db"), synced.values("other")) == (None, {"password": "first"})
    assert synced.values("copy") == {"password": "first"}
    await synced.poll()
    await synced.rests()


async def test_a_chain_of_renames_leaves_one_target_whatever_fails_in_between(synced: World) -> None:
    synced.apply(target={"name": "second"})
    synced.cluster.lost_answers = 1
    await synced.work()
    synced.apply(target={"name": "third"})
    synced.cluster.fail(AWAY)
    await synced.work()
    synced.cluster.fail(None)

    await synced.reconcile()
    await synced.reconcile()

    assert [synced.values(name) for name in ("db", "second", "third")] == [None, None, {"password": "first"}]
    await synced.poll()
    await synced.rests()


async def test_a_workload_is_restarted_for_a_rotation_and_not_for_the_creation(world: World) -> None:
    world.workloads.make(WorkloadKind.DEPLOYMENT, key_of("web"))
    world.apply(restart=[{"kind": "Deployment", "name": "web"}])
    await world.work()
    await world.poll()
    assert world.workloads.restarts == []

    await world.rotate()
    await world.poll()
    await world.poll()

    assert len(world.workloads.restarts) == 1
    assert world.status().content_change_time is not None
    await world.poll()
    await world.rests()


async def test_a_healed_target_is_no_change_of_what_pods_read(synced: World) -> None:
    synced.cluster.edit(key_of("db"), "kubectl", data={"extra": "x"})

    await synced.work()

    assert synced.status().content_change_time is None


async def test_a_target_that_the_garbage_collector_may_have_taken_is_not_made_again(synced: World) -> None:
    synced.cluster.edit(key_of("db"), "kubectl", data={"password": "hacked"})
    synced.apply(entry(), onDelete="Retain")
    await synced.work()
    synced.remove(heard=False)
    synced.cluster.edit(key_of("db"), "kubectl", data={"password": "hacked"})

    await synced.work()

    assert synced.values() == {"password": "hacked"}
    assert synced.forgotten == ["db"]
