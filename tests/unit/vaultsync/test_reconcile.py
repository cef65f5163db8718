"""The story of one VaultSecret on a cluster in memory and a FakeVault: whatever happens, and then nothing more."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsecrets.testing import VaultRefused
from tests.unit.vaultsync.world import RECHECK, World, a_world, entry, key_of
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.api.v1alpha1 import VaultSecretHead
from vaultsync.rules.outcome import Reason, SyncError
from vaultsync.rules.schedule import Next

DB = key_of("db")
AWAY = SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer.")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as world:
        yield world


@pytest.fixture
async def synced(world: World) -> World:
    """A world with one VaultSecret in sync, and nothing counted yet."""
    world.apply()
    await world.work()
    await world.poll()
    world.count_anew()
    return world


# the good day


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


# others' hands


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (
            lambda cluster: cluster.edit(DB, "kubectl", data={"password": "hacked"}),
            "kubectl changed or removed password",
        ),
        (lambda cluster: cluster.edit(DB, "kubectl", data={"password": None}), "changed or removed password"),
        (lambda cluster: cluster.edit(DB, "kubectl", data={"extra": "x"}), "kubectl added extra"),
        (lambda cluster: cluster.apply_as(DB, "argocd", {"extra": "x"}), "argocd added extra"),
        (lambda cluster: cluster.apply_as(DB, "argocd", {"password": "hacked"}), "argocd changed or removed password"),
        (lambda cluster: cluster.edit(DB, "kubectl", labels={MANAGED_BY_LABEL: None}), f"labels/{MANAGED_BY_LABEL}"),
        (lambda cluster: cluster.edit(DB, "kubectl", labels={OWNER_UID_LABEL: "me"}), f"labels/{OWNER_UID_LABEL}"),
        (
            lambda cluster: cluster.edit(DB, "kubectl", annotations={APPLIED_ANNOTATION: "{}"}),
            f"kubectl changed or removed annotations/{APPLIED_ANNOTATION}",
        ),
        (lambda cluster: cluster.edit(DB, "kubectl", annotations={APPLIED_ANNOTATION: None}), APPLIED_ANNOTATION),
        (lambda cluster: cluster.delete(DB), "had been deleted"),
    ],
    ids=[
        "a value is changed",
        "a key is removed",
        "a key is added",
        "another manager applies a key",
        "another manager applies our key by force",
        "our label is taken off",
        "the owner's label is changed",
        "our annotation is spoiled",
        "our annotation is taken off",
        "the target is deleted",
    ],
)
async def test_tampering_is_healed_at_once_and_told(synced: World, tamper: Callable[[Any], None], told: str) -> None:
    tamper(synced.cluster)

    await synced.work()

    assert synced.values() == {"password": "first"}
    assert synced.events == [("Warning", "Tampered")]
    assert told in synced.cluster.events[0].message
    assert synced.cluster.vault_secret(DB).status.last_change_time == synced.clock()
    await synced.rests()


async def test_keys_of_others_that_were_asked_for_later_become_ours(synced: World) -> None:
    synced.vault.set("api-token", "token")
    synced.apply(entry(), entry("token", "api-token"))
    synced.cluster.edit(DB, "kubectl", data={"token": "theirs"})

    await synced.work()

    assert synced.values() == {"password": "first", "token": "token"}
    await synced.poll()
    await synced.rests()


async def test_labels_and_annotations_of_others_are_left_alone(synced: World) -> None:
    synced.cluster.edit(DB, "kubectl", labels={"theirs": "x"}, annotations={"note": "x"})

    await synced.rests()


async def test_a_strangers_secret_is_left_as_it_is(world: World) -> None:
    world.cluster.create(DB, "helm", {"password": "theirs"})
    world.apply()

    after = (await world.work())[0]

    assert world.values() == {"password": "theirs"}
    assert world.ready().reason == "TargetConflict"
    assert "written by helm" in world.ready().message
    assert (world.reads, world.writes, after) == (0, {"write_status": 1, "post_event": 1}, Next(120.0))
    world.count_anew()
    await world.reconcile()
    assert (world.reads, world.writes) == (0, {})


async def test_a_strangers_secret_with_our_label_is_written_only_where_it_may_be_taken_for_ours(world: World) -> None:
    """Whoever may write Secrets may say that one is ours: that is within their rights over their own Secret."""
    world.cluster.create(DB, "helm", {"password": "theirs"}, labels={MANAGED_BY_LABEL: "vaultsync"})
    world.apply()

    await world.work()

    assert world.values() == {"password": "first"}


async def test_a_strangers_secret_may_be_adopted_and_what_it_held_goes(world: World) -> None:
    world.cluster.create(DB, "helm", {"password": "theirs", "more": "x"})
    world.apply(target={"adopt": True})

    await world.work()

    assert world.values() == {"password": "first"}
    assert world.events == [("Normal", "Adopted")]
    await world.poll()
    await world.rests()


async def test_a_strangers_secret_that_is_removed_makes_room_for_ours(world: World) -> None:
    world.cluster.create(DB, "helm", {"password": "theirs"})
    world.apply()
    await world.work()
    world.cluster.delete(DB)

    await world.reconcile()

    assert world.values() == {"password": "first"}
    assert world.ready().status == "True"


async def test_of_two_vaultsecrets_on_one_target_the_older_wins_whoever_comes_first(world: World) -> None:
    world.vault.set("other", "other")
    world.apply()
    world.apply(entry("key", "other"), name="younger", target={"name": "db"})

    for name in ("younger", "db", "younger"):
        await world.reconcile(name)

    assert world.values() == {"password": "first"}
    assert (world.ready("db").status, world.ready("younger").reason) == ("True", "TargetConflict")
    assert "VaultSecret db, which is older" in world.ready("younger").message


@pytest.mark.parametrize("on_delete", ["Delete", "Retain"])
async def test_a_restart_that_hears_of_the_younger_first_changes_nothing(world: World, on_delete: str) -> None:
    world.vault.set("other", "other")
    world.apply(onDelete=on_delete)
    world.apply(entry("key", "other"), name="younger", target={"name": "db"})
    await world.work()
    await world.poll()
    world.count_anew()

    await world.restart(heard_of=["younger"])
    await world.work()
    world.hear_of("db")
    await world.work()

    assert world.values() == {"password": "first"}
    assert (world.reads, world.writes) == (0, {})
    await world.rests()


async def test_a_target_that_its_older_owner_has_left_is_free_once_that_is_heard_of(world: World) -> None:
    world.apply(target={"name": "shared"})
    await world.work()
    world.apply(target={"name": "elsewhere"})
    world.apply(name="younger", target={"name": "shared"})

    await world.work()

    assert world.ready("younger").status == "True"
    await world.poll()
    await world.rests()


async def test_the_younger_takes_over_when_the_older_goes(world: World) -> None:
    world.vault.set("other", "other")
    world.apply(onDelete="Retain")
    world.apply(entry("key", "other"), name="younger", target={"name": "db"})
    await world.work()
    world.cluster.delete_vault_secret(DB)
    world.names.remove("db")
    world.inventory.drop(DB)

    await world.reconcile("younger")

    assert world.values() == {"key": "other"}
    await world.poll()
    await world.rests()


# trouble at the vault

TROUBLES = pytest.mark.parametrize(
    ("trouble", "mend", "reason"),
    [
        (lambda vault: vault.delete("db-password"), lambda vault: vault.recover("db-password"), "SecretSoftDeleted"),
        (lambda vault: vault.disable("db-password"), lambda vault: vault.enable("db-password"), "SecretDisabled"),
        (lambda vault: vault.close_firewall(), lambda vault: vault.open_firewall(), "FirewallDenied"),
        (lambda vault: vault.close_door(), lambda vault: vault.open_door(), "VaultUnreachable"),
    ],
    ids=["it is deleted", "it is disabled", "the firewall closes", "the vault is away"],
)


@TROUBLES
async def test_in_trouble_the_target_stays_and_the_condition_says_why_and_it_recovers_by_itself(
    synced: World, trouble: Callable[[Any], None], mend: Callable[[Any], None], reason: str
) -> None:
    await synced.later()
    trouble(synced.vault)

    for _ in range(3):
        await synced.poll()

    assert synced.values() == {"password": "first"}
    assert (synced.ready().status, synced.ready().reason) == ("False", reason)
    assert synced.status().entries != ()
    assert synced.events == [("Warning", reason)]
    assert synced.writes == {"write_status": 1, "post_event": 1}

    synced.count_anew()
    mend(synced.vault)
    await synced.poll()
    await synced.poll()

    assert synced.ready().status == "True"
    assert synced.events == [("Normal", "Synced")]
    assert synced.cluster.writes["apply"] == 0
    await synced.poll()
    await synced.rests()


@TROUBLES
async def test_in_trouble_even_a_deleted_target_waits_for_the_vault(
    synced: World, trouble: Callable[[Any], None], mend: Callable[[Any], None], reason: str
) -> None:
    await synced.later()
    trouble(synced.vault)
    synced.cluster.delete(DB)
    await synced.work()
    assert synced.values() is None
    assert synced.ready().reason == reason

    mend(synced.vault)
    await synced.poll()
    await synced.reconcile()

    assert synced.values() == {"password": "first"}


@pytest.mark.parametrize(
    ("permission", "reason"), [("get", "AccessDenied"), ("list", None)], ids=["to read", "to list, which is not needed"]
)
async def test_a_lost_permission_blanks_nothing(synced: World, permission: str, reason: str | None) -> None:
    synced.vault.deny(permission)
    await synced.rotate()

    for _ in range(3):
        await synced.poll()

    if reason is None:
        assert synced.values() == {"password": "second"}
    else:
        assert synced.values() == {"password": "first"}
        assert synced.ready().reason == reason


async def test_a_secret_that_is_not_there_is_told_by_name(world: World) -> None:
    world.apply(entry(name="nobody"))

    (after,) = await world.work()

    assert world.values() is None
    assert world.ready().reason == "SecretNotFound"
    assert "secret nobody of vault https://shop.vault.azure.net" in world.ready().message
    assert after == Next(120.0)

    world.vault.set("nobody", "here")
    await world.poll()
    assert world.values() == {"password": "here"}


async def test_of_several_failures_the_first_entrys_is_told_every_time(world: World) -> None:
    world.vault.disable("db-password")
    world.apply(entry("b", "missing"), entry("a", "db-password"))

    for _ in range(5):
        await world.reconcile()

    assert world.ready().reason == "SecretNotFound"
    assert len(world.events) == 1


async def test_what_is_due_is_read_first_and_the_rest_not_in_vain(world: World) -> None:
    world.vault.set("api-token", "token")
    world.apply(entry(), entry("token", "api-token"))
    await world.work()
    await world.poll()
    world.count_anew()
    world.vault.disable("api-token")

    await world.poll()

    assert (world.ready().reason, world.reads) == ("SecretDisabled", 1)


async def test_a_throttled_vault_is_left_alone_as_long_as_it_asked(world: World) -> None:
    world.vault.throttle(retry_after=30)
    world.apply()

    (first,) = await world.work()
    second = await world.reconcile()

    assert (first, second) == (Next(31.0, failed=True), Next(31.0, failed=True))
    assert world.ready().reason == "VaultThrottled"
    assert world.reads == 1


async def test_an_optional_secret_may_be_absent_and_is_taken_in_when_it_appears(world: World) -> None:
    world.apply(entry(), entry("token", "api-token", optional=True))
    await world.work()
    assert world.values() == {"password": "first"}
    assert world.ready().message == "1 key is in sync."
    await world.poll()
    await world.rests()

    world.vault.set("api-token", "token")
    await world.poll()

    assert world.values() == {"password": "first", "token": "token"}


async def test_an_optional_secret_that_vanishes_takes_its_key_along(world: World) -> None:
    world.vault.set("api-token", "token")
    world.apply(entry(), entry("token", "api-token", optional=True))
    await world.work()
    world.vault.delete("api-token")

    await world.poll()

    assert world.values() == {"password": "first"}
    await world.poll()
    await world.rests()


async def test_an_optional_secret_that_is_disabled_is_a_failure(world: World) -> None:
    world.vault.disable("db-password")
    world.apply(entry(optional=True))

    await world.work()

    assert world.ready().reason == "SecretDisabled"


async def test_a_vault_outside_the_known_domains_is_not_spoken_to(world: World) -> None:
    world.apply(vaultUrl="https://evil.example")

    await world.work()

    assert world.ready().reason == "InvalidSpec"
    assert sum(world.vault.calls.values()) == 0


async def test_values_that_cannot_be_written_are_refused_without_a_trace_of_them(world: World) -> None:
    world.vault.set("db-password", "MARKED, not base64")
    world.apply(entry(encoding="Base64"))

    await world.work()

    assert world.ready().reason == "EncodingInvalid"
    assert "MARKED" not in str(world.status().to_wire()) + str(world.cluster.events)


# trouble at the cluster


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
    assert (after, world.forgotten) == (Next(None), ["db"])


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
    assert world.events == []


# the rest


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
    assert await world.reconciler.work(key_of("nobody"), 0) == Next(None)
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
    head = VaultSecretHead.model_validate(synced.cluster.vault_secret(DB).model_dump())

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


# whatever happens

TOKEN = entry("token", "api-token", optional=True)
SPECS = [(entry(), TOKEN), (entry("PASSWORD"),), (TOKEN, entry("again"), entry())]

# what the target holds


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


HAPPENINGS: dict[str, Callable[[World, int], object]] = {
    "rotate": lambda world, n: world.rotate(f"value-{n}"),
    "rotate at once": lambda world, n: world.vault.set("db-password", f"hasty-{n}"),
    "set the optional one": lambda world, n: world.vault.set("api-token", f"token-{n}"),
    "delete the optional one": lambda world, _: world.vault.delete("api-token"),
    "disable": lambda world, _: world.vault.disable("db-password"),
    "enable": lambda world, _: world.vault.enable("db-password"),
    "close the door": lambda world, _: world.vault.close_door(),
    "open the door": lambda world, _: world.vault.open_door(),
    "deny listing": lambda world, _: world.vault.deny("list"),
    "deny reading": lambda world, _: world.vault.deny("get"),
    "throttle": lambda world, _: world.vault.throttle(retry_after=20),
    "fail": lambda world, _: world.vault.fail(),
    "change a value": lambda world, n: world.cluster.edit(DB, "kubectl", data={"password": f"hacked-{n}"}),
    "add a key": lambda world, n: world.cluster.edit(DB, "kubectl", data={f"extra-{n}": "x"}),
    "take our label off": lambda world, _: world.cluster.edit(DB, "kubectl", labels={MANAGED_BY_LABEL: None}),
    "spoil our annotation": lambda world, _: world.cluster.edit(DB, "argocd", annotations={APPLIED_ANNOTATION: "?"}),
    "delete the target": lambda world, _: world.cluster.delete(DB),
    "change the spec": lambda world, n: world.apply(*SPECS[n % 3], refreshInterval="10s"),
    "lose an answer": lambda world, _: setattr(world.cluster, "lost_answers", 1),
    "lose the cluster": lambda world, _: world.cluster.fail(AWAY),
    "find the cluster": lambda world, _: world.cluster.fail(None),
    "end the watches": lambda world, _: world.cluster.end_watches(),
    "forget the history": lambda world, _: world.cluster.forget_history(),
    "restart": lambda world, _: world.restart(),
    "poll": lambda world, _: world.poll(),
    "poll soon": lambda world, _: world.poll(1),
    "work": lambda world, _: world.work(),
    "reconcile": lambda world, _: world.reconcile(),
}


async def mend(world: World, rounds: int) -> None:
    """Let everybody be well, and let time go by; each poll meets one of the failures that are still planned."""
    world.cluster.fail(None)
    world.cluster.lost_answers = 0
    for permission in ("list", "get"):
        world.vault.allow(permission)
    world.vault.open_door()
    world.vault.enable("db-password")
    await world.later(RECHECK.total_seconds() / 2)
    for _ in range(rounds):
        await world.poll()


@settings(max_examples=60)
@given(steps=st.lists(st.sampled_from(sorted(HAPPENINGS)), max_size=10))
def test_whatever_happened_a_healthy_world_finds_its_peace_by_itself_with_the_target_as_it_should_be(
    steps: list[str],
) -> None:
    async def story() -> None:
        numbers = itertools.count()
        async with a_world() as world:
            world.apply(*SPECS[0])
            await world.work()
            for step in steps:
                try:
                    happened = HAPPENINGS[step](world, next(numbers))
                except (KeyError, VaultRefused):
                    continue  # there was nothing to do it to
                if asyncio.iscoroutine(happened):
                    await happened
            await mend(world, rounds=3 + len(steps))
            assert world.values() == wanted(world)
            assert world.ready().status == "True"
            await world.rests()

    asyncio.run(story())


def wanted(world: World) -> dict[str, str]:
    """What the target should hold, by the manifest and the vault alone."""
    values: dict[str, str] = {}
    for line in world.cluster.vault_secret(DB).spec.data:
        try:
            values[line.key] = world.vault.value(line.secret_name)
        except VaultRefused:
            assert line.optional
    return values
