"""Changes of the target by others, Secrets of others in its place, and VaultSecrets that want the same target."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import DB, MemoryHarness, entry
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.policy.requeue import Result


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (
            lambda kube: kube.edit(DB, "kubectl", data={"password": "hacked"}),
            "kubectl changed or removed password",
        ),
        (lambda kube: kube.edit(DB, "kubectl", data={"password": None}), "changed or removed password"),
        (lambda kube: kube.edit(DB, "kubectl", data={"extra": "x"}), "kubectl added extra"),
        (lambda kube: kube.apply_as(DB, "argocd", {"extra": "x"}), "argocd added extra"),
        (lambda kube: kube.apply_as(DB, "argocd", {"password": "hacked"}), "argocd changed or removed password"),
        (lambda kube: kube.edit(DB, "kubectl", labels={MANAGED_BY_LABEL: None}), f"labels/{MANAGED_BY_LABEL}"),
        (lambda kube: kube.edit(DB, "kubectl", labels={OWNER_UID_LABEL: "me"}), f"labels/{OWNER_UID_LABEL}"),
        (
            lambda kube: kube.edit(DB, "kubectl", annotations={APPLIED_ANNOTATION: "{}"}),
            f"kubectl changed or removed annotations/{APPLIED_ANNOTATION}",
        ),
        (lambda kube: kube.edit(DB, "kubectl", annotations={APPLIED_ANNOTATION: None}), APPLIED_ANNOTATION),
        (lambda kube: kube.delete(DB), "had been deleted"),
    ],
    ids=[
        "a value is changed",
        "a key is removed",
        "a key is added",
        "another manager applies a key",
        "another manager applies our key by force",
        "our label is removed",
        "the owner's label is changed",
        "our annotation is damaged",
        "our annotation is removed",
        "the target is deleted",
    ],
)
async def test_drift_is_corrected_at_once_and_reported(
    synced: MemoryHarness, tamper: Callable[[Any], None], message: str
) -> None:
    tamper(synced.kube)

    await synced.drain()

    assert synced.values() == {"password": "first"}
    assert synced.events == [("Warning", "Tampered")]
    assert message in synced.kube.events[0].message
    assert synced.kube.vault_secret(DB).status.last_change_time == synced.clock()
    await synced.assert_idle()


async def test_a_key_that_another_manager_added_becomes_ours_when_the_spec_asks_for_it(synced: MemoryHarness) -> None:
    synced.vault.set("api-token", "token")
    synced.apply(entry(), entry("token", "api-token"))
    synced.kube.edit(DB, "kubectl", data={"token": "theirs"})

    await synced.drain()

    assert synced.values() == {"password": "first", "token": "token"}
    await synced.poll()
    await synced.assert_idle()


async def test_labels_and_annotations_of_others_are_kept(synced: MemoryHarness) -> None:
    synced.kube.edit(DB, "kubectl", labels={"theirs": "x"}, annotations={"note": "x"})

    await synced.assert_idle()


async def test_a_secret_of_another_owner_is_not_changed(harness: MemoryHarness) -> None:
    harness.kube.create(DB, "helm", {"password": "theirs"})
    harness.apply()

    after = (await harness.drain())[0]

    assert harness.values() == {"password": "theirs"}
    assert harness.ready().reason == "TargetConflict"
    assert "written by helm" in harness.ready().message
    assert (harness.reads, harness.writes, after) == (0, {"patch_status": 1, "create_event": 1}, Result(120.0))
    harness.reset_counts()
    await harness.reconcile()
    assert (harness.reads, harness.writes) == (0, {})


async def test_a_secret_of_another_owner_with_our_label_is_not_changed(harness: MemoryHarness) -> None:
    """It may be a copy of a target, labels included."""
    harness.kube.create(DB, "helm", {"password": "theirs"}, labels={MANAGED_BY_LABEL: "vaultsync"})
    harness.apply()

    await harness.drain()

    assert harness.ready().reason == "TargetConflict"
    assert harness.values() == {"password": "theirs"}


async def test_a_secret_of_another_owner_may_be_adopted_and_its_content_is_replaced(harness: MemoryHarness) -> None:
    harness.kube.create(DB, "helm", {"password": "theirs", "more": "x"})
    harness.apply(target={"adopt": True})

    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert harness.events == [("Normal", "Adopted")]
    await harness.poll()
    await harness.assert_idle()


async def test_the_target_is_created_once_the_secret_of_another_owner_is_deleted(harness: MemoryHarness) -> None:
    harness.kube.create(DB, "helm", {"password": "theirs"})
    harness.apply()
    await harness.drain()
    harness.kube.delete(DB)

    await harness.reconcile()

    assert harness.values() == {"password": "first"}
    assert harness.ready().status == "True"


async def test_of_two_vaultsecrets_on_one_target_the_older_wins_whoever_comes_first(harness: MemoryHarness) -> None:
    harness.vault.set("other", "other")
    harness.apply()
    harness.apply(entry("key", "other"), name="younger", target={"name": "db"})

    for name in ("younger", "db", "younger"):
        await harness.reconcile(name)

    assert harness.values() == {"password": "first"}
    assert (harness.ready("db").status, harness.ready("younger").reason) == ("True", "TargetConflict")
    assert "VaultSecret db, which is older" in harness.ready("younger").message


@pytest.mark.parametrize("on_delete", ["Delete", "Retain"])
async def test_a_restart_that_observes_the_younger_first_changes_nothing(
    harness: MemoryHarness, on_delete: str
) -> None:
    harness.vault.set("other", "other")
    harness.apply(onDelete=on_delete)
    harness.apply(entry("key", "other"), name="younger", target={"name": "db"})
    await harness.drain()
    await harness.poll()
    harness.reset_counts()

    await harness.restart(observed=["younger"])
    await harness.drain()
    harness.observe("db")
    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert (harness.reads, harness.writes) == (0, {})
    await harness.assert_idle()


async def test_a_target_that_its_older_owner_has_left_is_free_once_that_is_observed(harness: MemoryHarness) -> None:
    harness.apply(target={"name": "shared"})
    await harness.drain()
    harness.apply(target={"name": "elsewhere"})
    harness.apply(name="younger", target={"name": "shared"})

    await harness.drain()

    assert harness.ready("younger").status == "True"
    await harness.poll()
    await harness.assert_idle()


async def test_the_younger_takes_over_when_the_older_is_deleted(harness: MemoryHarness) -> None:
    harness.vault.set("other", "other")
    harness.apply(onDelete="Retain")
    harness.apply(entry("key", "other"), name="younger", target={"name": "db"})
    await harness.drain()
    harness.kube.delete_vault_secret(DB)
    harness.names.remove("db")
    harness.controller.source.forget(DB, harness.state.vaultsecrets.get(DB).metadata.uid)  # type: ignore[union-attr]

    await harness.reconcile("younger")

    assert harness.values() == {"key": "other"}
    await harness.poll()
    await harness.assert_idle()


@pytest.mark.parametrize("on_delete", ["Delete", "Retain"])
async def test_a_previous_target_whose_label_was_changed_meanwhile_is_deleted(
    synced: MemoryHarness, on_delete: str
) -> None:
    synced.apply(onDelete=on_delete)
    await synced.drain()
    await synced.pass_time()
    synced.vault.close_door()
    synced.kube.edit(DB, "kubectl", labels={OWNER_UID_LABEL: "me", MANAGED_BY_LABEL: None})
    await synced.drain()
    synced.apply(onDelete=on_delete, target={"name": "second"})
    await synced.drain()
    assert (synced.values("db"), synced.values("second")) == ({"password": "first"}, None)

    synced.vault.open_door()
    await synced.reconcile()

    assert (synced.values("db"), synced.values("second")) == (None, {"password": "first"})
    await synced.poll()
    await synced.assert_idle()
