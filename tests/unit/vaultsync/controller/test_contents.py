"""What a target holds: what searches find, objects, the version before, templates, and what is immutable."""

from tests.unit.vaultsync.world import DB, RECHECK, World, entry

FIND = {"find": {"names": "shop-*"}}


async def test_a_search_waits_for_the_first_listing_and_tells_nobody(world: World) -> None:
    world.vault.set("shop-user", "app")
    world.apply(data=[], dataFrom=[FIND])

    await world.work()
    assert (world.values(), world.status().conditions, world.events) == (None, (), [])

    await world.poll()
    assert world.values() == {"shop-user": "app"}
    assert world.ready().message == "1 key is in sync."
    await world.poll()
    await world.rests()


async def test_a_search_follows_the_vault_with_no_listing_of_its_own(world: World) -> None:
    world.vault.set("shop-user", "app")
    world.apply(data=[], dataFrom=[FIND])
    await world.poll()
    await world.poll()

    world.vault.set("shop-password", "x")
    world.vault.set("shop-old", "x")
    world.vault.disable("shop-old")
    world.count_anew()
    await world.poll()

    assert world.values() == {"shop-user": "app", "shop-password": "x"}
    assert world.status().left_out == 1
    assert world.vault.calls["list"] == 1

    world.vault.delete("shop-user")
    await world.poll()
    assert world.values() == {"shop-password": "x"}
    await world.poll()
    await world.rests()


async def test_a_restart_reads_nothing_of_what_a_search_has_found(world: World) -> None:
    world.vault.set("shop-user", "app")
    world.apply(data=[], dataFrom=[FIND])
    await world.poll()
    await world.poll()
    world.count_anew()

    await world.restart()
    await world.work()
    await world.poll()

    assert world.values() == {"shop-user": "app"}
    assert (world.reads, world.writes) == (0, {})


async def test_a_search_is_denied_where_the_vault_does_not_let_itself_be_listed(world: World) -> None:
    world.vault.deny("list")
    world.apply(data=[], dataFrom=[FIND])

    await world.poll()

    assert world.ready().reason == "AccessDenied"
    assert "No permission to list" in world.ready().message


async def test_a_search_that_finds_nothing_any_more_keeps_the_last_good_target(world: World) -> None:
    world.vault.set("shop-user", "app")
    world.apply(data=[], dataFrom=[FIND])
    await world.poll()

    world.vault.delete("shop-user")
    await world.poll()

    assert world.values() == {"shop-user": "app"}
    assert world.ready().reason == "SecretNotFound"


async def test_an_optional_object_that_is_absent_is_looked_for_without_end_but_not_without_pause(world: World) -> None:
    world.apply(dataFrom=[{"object": "app", "optional": True}])
    await world.work()
    await world.poll()

    await world.later(RECHECK.total_seconds())
    await world.work()
    await world.rests()

    world.vault.set("app", '{"user": "shop"}')
    await world.poll()
    assert world.values() == {"password": "first", "user": "shop"}


async def test_the_version_before_is_kept_beside_the_newest(world: World) -> None:
    world.apply(entry(previousKey="old"))
    await world.work()
    assert world.values() == {"password": "first"}

    await world.rotate()
    await world.poll()
    assert world.values() == {"password": "second", "old": "first"}
    await world.poll()
    await world.rests()


IMMUTABLE = {"immutable": True}


async def test_an_immutable_target_is_left_alone_and_the_condition_says_what_to_do(world: World) -> None:
    world.apply(target=IMMUTABLE)
    await world.work()

    await world.rotate()
    await world.poll()

    assert world.values() == {"password": "first"}
    assert world.ready().reason == "TargetImmutable"


async def test_an_immutable_target_is_made_anew_where_that_is_wanted(world: World) -> None:
    world.apply(target=IMMUTABLE | {"replaceImmutable": True})
    await world.work()
    before = await world.cluster.observe(DB)

    await world.rotate()
    await world.poll()

    after = await world.cluster.observe(DB)
    assert world.values() == {"password": "second"}
    assert before is not None
    assert after is not None
    assert before.uid != after.uid
    assert world.events[-1] == ("Normal", "Rotated")
    await world.poll()
    await world.rests()


async def test_a_template_is_written_beside_the_keys_that_it_uses(world: World) -> None:
    world.apply(target={"template": {"DSN": "postgres://{{ password | url_encode }}@db"}})
    await world.work()
    assert world.values() == {"password": "first", "DSN": "postgres://first@db"}

    await world.rotate("a/b")
    await world.poll()
    assert world.values() == {"password": "a/b", "DSN": "postgres://a%2Fb@db"}
    await world.poll()
    await world.rests()
