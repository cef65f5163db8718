"""A good day: what is asked for is written once and kept, and what is in place costs nothing more."""

from tests.unit.vaultsync.world import DB, World, entry, key_of
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.errors import Reason
from vaultsync.policy.requeue import Result


async def test_a_new_vaultsecret_gets_its_target(world: World) -> None:
    world.apply()

    await world.work()

    assert world.values() == {"password": "first"}
    assert (world.ready().status, world.ready().reason, world.ready().message) == (
        "True",
        "Synced",
        "1 key is in sync.",
    )
    assert world.writes == {"apply": 1, "write_status": 1, "post_event": 1}
    assert world.events == [("Normal", "Created")]
    assert world.reads == 1


async def test_what_is_in_sync_costs_nothing_more(synced: World) -> None:
    await synced.rests()

    assert synced.cluster.calls == {}


async def test_a_rotation_is_one_write(synced: World) -> None:
    version = await synced.rotate()

    await synced.poll()

    assert synced.values() == {"password": "second"}
    assert synced.status().entries[0].version == version
    assert (synced.writes["apply"], synced.reads) == (1, 1)
    assert synced.events == [("Normal", "Rotated")]
    await synced.rests()


async def test_a_secret_that_was_read_in_the_second_of_its_change_is_read_once_more_and_not_written(
    world: World,
) -> None:
    world.apply()
    world.vault.set("db-password", "changed just now")
    await world.work()
    world.count_anew()

    await world.poll()

    assert world.reads == 1
    assert world.writes == {"write_status": 1}
    await world.rests()


async def test_of_several_entries_all_are_read_and_written_together(world: World) -> None:
    world.vault.set("api-token", "token")
    world.apply(entry(), entry("token", "api-token"))
    await world.work()
    await world.poll()
    world.count_anew()
    await world.rotate("new", "api-token")

    await world.poll()

    assert world.values() == {"password": "first", "token": "new"}
    assert (world.writes["apply"], world.reads) == (1, 2)
    await world.rests()


async def test_a_pinned_version_stays_whatever_comes_after_it(world: World) -> None:
    pinned = await world.rotate("pinned")
    world.apply(entry(version=pinned))
    await world.work()
    await world.rotate("later")

    await world.poll()

    assert world.values() == {"password": "pinned"}
    await world.rests()


async def test_a_changed_spec_is_written(synced: World) -> None:
    synced.apply(entry("PASSWORD"), target={"labels": {"team": "shop"}})

    await synced.work()

    assert synced.values() == {"PASSWORD": "first"}
    assert synced.events == [("Normal", "Updated")]
    await synced.rests()


async def test_how_often_it_is_looked_at_is_no_change_of_the_target(synced: World) -> None:
    synced.apply(refreshInterval="10s")

    await synced.work()

    assert (synced.reads, synced.writes) == (0, {"write_status": 1})


async def test_a_restart_reads_nothing_and_writes_nothing(synced: World) -> None:
    await synced.restart()

    await synced.work()
    await synced.poll()

    assert (synced.reads, synced.writes) == (0, {})
    await synced.rests()


async def test_a_restart_notices_what_changed_meanwhile(synced: World) -> None:
    await synced.stop()
    await synced.rotate()
    synced.cluster.edit(DB, "kubectl", data={"extra": "x"})
    await synced.restart()

    await synced.work()

    assert synced.values() == {"password": "second"}
    await synced.poll()
    await synced.rests()


async def test_everything_is_read_again_when_the_recheck_is_due(synced: World) -> None:
    after = await synced.reconcile()
    assert after.seconds is not None
    await synced.later(after.seconds + 1)

    await synced.work()

    assert synced.reads == 1
    assert "apply" not in synced.writes
    await synced.rests()


async def test_a_suspended_vaultsecret_is_left_alone_until_it_goes_on(synced: World) -> None:
    synced.apply(suspend=True)
    await synced.rotate()
    synced.cluster.edit(DB, "kubectl", data={"password": "by hand"})
    await synced.work()
    await synced.poll()
    assert synced.values() == {"password": "by hand"}
    assert (synced.ready().status, synced.ready().reason, synced.reads) == ("Unknown", "Suspended", 0)

    synced.apply()
    await synced.work()

    assert synced.values() == {"password": "second"}


async def test_a_key_that_is_unknown_is_no_work(world: World) -> None:
    assert await world.reconciler.work(key_of("nobody"), 0) == Result(None)
    assert not world.reconciler.is_due(key_of("nobody"))


async def test_a_bug_is_told_as_such_and_its_text_goes_nowhere(synced: World) -> None:
    await synced.rotate("MARKED")

    async def stumble(*_: object) -> None:
        raise KeyError("MARKED")

    synced.vaults.read = stumble  # type: ignore[assignment, method-assign]  # nothing real is known to break it
    await synced.poll()

    assert (synced.ready().reason, synced.ready().message) == ("InternalError", Reason.INTERNAL_ERROR.sentence)
    assert [type(bug) for bug in synced.notes.bugs] == [KeyError]
    assert "MARKED" not in str(synced.cluster.events) + str(synced.notes.outcomes)
    assert synced.values() == {"password": "first"}


async def test_what_cannot_be_read_is_refused_once_and_in_words(synced: World) -> None:
    head = VaultSecretMeta.model_validate(synced.cluster.vault_secret(DB).model_dump())

    await synced.reconciler.refuse(head, "spec.vaultUrl: must be the vault's URI")
    await synced.reconciler.refuse(synced.cluster.vault_secret(DB), "spec.vaultUrl: must be the vault's URI")

    assert synced.ready().reason == "InvalidSpec"
    assert "spec.vaultUrl: must be the vault's URI" in synced.ready().message
    assert synced.status().entries != ()
    assert synced.events == [("Warning", "InvalidSpec")]


async def test_a_refusal_of_what_is_gone_is_dropped(synced: World) -> None:
    vault_secret = synced.cluster.vault_secret(DB)
    synced.cluster.delete_vault_secret(DB)
    synced.names.clear()

    await synced.reconciler.refuse(vault_secret, "why")

    assert synced.notes.told_nobody == []
