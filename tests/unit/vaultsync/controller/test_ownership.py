"""Others' hands on the target, others' Secrets in its place, and VaultSecrets that want the same one."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.vaultsync.world import DB, World, entry
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.policy.requeue import Result


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
    assert (world.reads, world.writes, after) == (0, {"write_status": 1, "post_event": 1}, Result(120.0))
    world.count_anew()
    await world.reconcile()
    assert (world.reads, world.writes) == (0, {})


async def test_a_strangers_secret_with_our_label_is_left_as_it_is(world: World) -> None:
    """It may be somebody's copy of a target, labels and all."""
    world.cluster.create(DB, "helm", {"password": "theirs"}, labels={MANAGED_BY_LABEL: "vaultsync"})
    world.apply()

    await world.work()

    assert world.ready().reason == "TargetConflict"
    assert world.values() == {"password": "theirs"}


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
    world.vaultsecrets.drop(DB)

    await world.reconcile("younger")

    assert world.values() == {"key": "other"}
    await world.poll()
    await world.rests()
