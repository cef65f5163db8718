"""Secrets that go from the vault: their keys follow late, or not at all while most of the vault is gone."""

import pytest

from tests.manifests import manifest, spec
from tests.unit.vaultsync.world import DB, World, entry
from vaultsync.api import RELEASE_ANNOTATION

HOUR = 3600
TOKEN = entry("token", "api-token")
MANY = [f"shop-{number}" for number in range(6)]


@pytest.fixture
async def deleting(world: World) -> World:
    """Two keys in sync, which are to go with their secrets."""
    world.vault.set("api-token", "token")
    world.apply(entry(), TOKEN, onSourceDeleted="Delete")
    await world.work()
    await world.poll()
    world.count_anew()
    return world


async def test_a_key_goes_after_an_hour_without_its_secret(deleting: World) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    assert deleting.values() == {"password": "first", "token": "token"}
    assert (deleting.ready().status, deleting.ready().reason) == ("False", "SecretSoftDeleted")

    await deleting.later(HOUR - 1)
    await deleting.work()
    assert deleting.values() == {"password": "first", "token": "token"}
    await deleting.later(121)
    await deleting.work()

    assert deleting.values() == {"password": "first"}
    assert deleting.ready().status == "True"
    assert deleting.events[-1] == ("Warning", "SourceDeleted")
    await deleting.rests()


async def test_the_target_goes_with_its_last_key_and_comes_back_with_its_secret(world: World) -> None:
    world.apply(onSourceDeleted="Delete")
    await world.poll()
    world.vault.delete("db-password")
    await world.poll()

    await world.poll(HOUR)
    assert world.values() is None
    assert world.ready().reason == "SecretSoftDeleted"
    assert world.condition("Stale").status == "Unknown"

    world.vault.recover("db-password")
    await world.poll()
    await world.reconcile()
    assert world.values() == {"password": "first"}


async def test_recovered_in_between_nothing_has_happened(deleting: World) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    deleting.vault.recover("api-token")
    await deleting.poll()

    await deleting.poll(2 * HOUR)

    assert deleting.values() == {"password": "first", "token": "token"}
    assert deleting.status().missing == ()
    assert deleting.cluster.writes["apply"] == 0


async def test_what_never_was_there_is_a_failure_for_ever(world: World) -> None:
    world.apply(entry(), TOKEN, onSourceDeleted="Delete")
    await world.work()

    for _ in range(3):
        await world.poll(2 * HOUR)

    assert (world.values(), world.ready().reason) == (None, "SecretNotFound")


async def test_a_restart_does_not_begin_the_hour_anew(deleting: World) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    await deleting.later(HOUR / 2)

    await deleting.restart()
    await deleting.poll(HOUR / 2)

    assert deleting.values() == {"password": "first"}


@pytest.fixture
async def many(world: World) -> World:
    """A search that has found six secrets, and may find none."""
    for name in MANY:
        world.vault.set(name, "x")
    world.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}, "optional": True}])
    await world.poll()
    await world.poll()
    world.count_anew()
    return world


async def test_while_most_of_the_vault_is_gone_nothing_goes_until_a_person_says_so(many: World) -> None:
    for name in MANY:
        many.vault.delete(name)
    await many.poll()
    assert many.values() == dict.fromkeys(MANY, "x")
    assert many.ready().reason == "DeletionHeld"
    assert many.events == [("Warning", "DeletionHeld")]

    release = {RELEASE_ANNOTATION: many.clock().isoformat()}
    many.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}, "optional": True}], annotations=release)
    await many.work()

    assert many.values() == {}


async def test_what_vanished_while_the_operator_was_down_is_held_too(many: World) -> None:
    await many.stop()
    for name in MANY:
        many.vault.delete(name)

    await many.restart()
    await many.work()
    await many.poll()

    assert many.values() == dict.fromkeys(MANY, "x")
    assert many.ready().reason == "DeletionHeld"


async def test_optional_entries_are_held_too(world: World) -> None:
    for name in MANY:
        world.vault.set(name, "x")
    world.apply(*(entry(name, name, optional=True) for name in MANY))
    await world.poll()
    for name in MANY:
        world.vault.delete(name)

    await world.poll()

    assert world.values() == dict.fromkeys(MANY, "x")
    assert world.ready().reason == "DeletionHeld"


async def test_what_comes_back_ends_the_hold(many: World) -> None:
    for name in MANY:
        many.vault.delete(name)
    await many.poll()
    for name in MANY:
        many.vault.recover(name)

    await many.poll()

    assert many.ready().status == "True"
    assert many.cluster.values(DB) == dict.fromkeys(MANY, "x")


# on whose word nothing goes


async def test_a_secret_that_was_back_while_something_else_failed_is_waited_for_anew(deleting: World) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    assert [one.secret_name for one in deleting.status().missing] == ["api-token"]

    deleting.vault.disable("db-password")
    deleting.vault.recover("api-token")
    await deleting.poll()
    await deleting.poll(2 * HOUR)
    assert deleting.ready().reason == "SecretDisabled"
    deleting.vault.delete("api-token")
    deleting.vault.enable("db-password")
    await deleting.poll()
    await deleting.poll()

    assert deleting.values() == {"password": "first", "token": "token"}


@pytest.mark.parametrize("change", [{"suspend": True}, {"onSourceDeleted": "Retain"}], ids=["suspend", "retain"])
async def test_nothing_goes_that_the_user_has_just_said_to_keep_though_nobody_has_heard_it(
    deleting: World, change: dict[str, object]
) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    wanted = manifest(spec(**{"data": [entry(), TOKEN], "onSourceDeleted": "Delete", **change}))
    deleting.hands.put_vault_secret(wanted)

    await deleting.poll(HOUR)
    await deleting.poll()

    assert deleting.values() == {"password": "first", "token": "token"}


async def test_nothing_goes_from_what_is_retained_though_nobody_has_heard_that_its_vaultsecret_went(
    world: World,
) -> None:
    world.vault.set("api-token", "token")
    world.apply(entry(), {**TOKEN, "optional": True}, onDelete="Retain")
    await world.work()
    await world.poll()
    world.remove("db", heard=False)
    world.vault.delete("api-token")

    await world.poll()
    await world.poll()

    assert world.values() == {"password": "first", "token": "token"}


async def test_what_another_vaultsecret_has_left_is_not_deleted_on_its_evidence(world: World) -> None:
    world.apply(name="old", target={"name": "shared"}, onDelete="Retain")
    await world.work()
    await world.poll()
    world.vault.delete("db-password")
    await world.poll()
    world.apply(name="new", target={"name": "shared"}, onSourceDeleted="Delete", deleteAfter="1m")
    await world.work()
    world.remove("old")

    for _ in range(6):
        await world.poll()

    assert world.values("shared") == {"password": "first"}
    assert world.ready("new").reason == "SecretSoftDeleted"
