"""Changes of the target by others, Secrets of others in its place, and VaultSecrets that want the same target."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.harness import DB, MemoryHarness, entry
from vaultsync.api import (
    ADOPT_BY_ANNOTATION,
    APPLIED_ANNOTATION,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    RETAINED_BY_ANNOTATION,
    ObjectKey,
)
from vaultsync.policy.requeue import Result
from vaultsync.state.observed import Observed

CONSENT = {ADOPT_BY_ANNOTATION: "db"}
COPY = {"kubectl.kubernetes.io/last-applied-configuration": '{"stringData":{"password":"theirs"}}'}
EXTERNAL_SECRET = {
    "apiVersion": "external-secrets.io/v1",
    "kind": "ExternalSecret",
    "name": "db",
    "uid": "4f5e",
    "controller": True,
}


@pytest.fixture
async def adopted(harness: MemoryHarness) -> MemoryHarness:
    """A Secret of another owner that was taken over."""
    harness.kube.create(DB, "helm", {"password": "theirs"}, annotations=CONSENT)
    harness.apply(target={"adopt": True})
    await harness.drain()
    await harness.poll()
    assert harness.values() == {"password": "first"}
    return harness


def metadata(harness: MemoryHarness) -> dict[str, Any]:
    document = harness.kube.without_data(DB)
    assert document is not None
    found: dict[str, Any] = document["metadata"]
    return found


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
        (lambda kube: kube.edit(DB, "kubectl", annotations=COPY), f"added annotations/{next(iter(COPY))}"),
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
        "a copy of a value is added",
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
    assert (harness.writes, after) == ({"patch_status": 1, "create_event": 1}, Result(120.0))
    assert harness.events == [("Warning", "TargetConflict")]
    harness.reset_counts()
    await harness.reconcile()
    assert (harness.reads, harness.writes) == (0, {})


async def test_a_new_vaultsecret_costs_an_apply_a_status_and_an_event(harness: MemoryHarness) -> None:
    """That there is no Secret of that name need not be known: the creation itself fails if there is one."""
    harness.reset_counts()
    harness.apply()

    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert harness.kube.calls == {"apply_target": 1, "patch_status": 1, "create_event": 1}


async def test_a_released_secret_is_taken_up_again_although_the_watch_does_not_show_it(harness: MemoryHarness) -> None:
    harness.apply()
    retained_by = {RETAINED_BY_ANNOTATION: harness.users.vault_secret(DB).metadata.uid}
    harness.kube.create(DB, "kubectl", {"password": "theirs"}, annotations=retained_by)

    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert harness.ready().status == "True"
    assert harness.events == [("Normal", "Adopted")]


async def test_a_secret_of_another_owner_with_our_label_is_not_changed(harness: MemoryHarness) -> None:
    """It may be a copy of a target, labels included."""
    harness.kube.create(DB, "helm", {"password": "theirs"}, labels={MANAGED_BY_LABEL: "vaultsync"})
    harness.apply()

    await harness.drain()

    assert harness.ready().reason == "TargetConflict"
    assert harness.values() == {"password": "theirs"}


async def test_a_secret_of_another_owner_may_be_adopted_and_its_content_is_replaced(harness: MemoryHarness) -> None:
    harness.kube.create(DB, "helm", {"password": "theirs", "more": "x"}, annotations=CONSENT)
    harness.kube.own(DB, "external-secrets", EXTERNAL_SECRET)
    harness.apply(target={"adopt": True})

    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert metadata(harness)["ownerReferences"] == []
    assert harness.events == [("Normal", "Adopted")]
    assert "removed the owner ExternalSecret db" in harness.kube.events[0].message
    await harness.poll()
    await harness.assert_idle()


async def test_the_copy_of_the_former_content_is_removed_from_an_adopted_secret(harness: MemoryHarness) -> None:
    harness.kube.create(DB, "kubectl", {"password": "theirs"}, annotations={**CONSENT, **COPY, "note": "x"})
    harness.apply(target={"adopt": True})

    await harness.drain()

    assert metadata(harness)["annotations"].keys() == {ADOPT_BY_ANNOTATION, APPLIED_ANNOTATION, "note"}
    assert "which may hold its former content" in harness.kube.events[0].message
    await harness.poll()
    await harness.assert_idle()


async def test_a_foreign_secret_keeps_the_copy_of_its_content(harness: MemoryHarness) -> None:
    harness.kube.create(DB, "kubectl", {"password": "theirs"}, annotations=COPY)
    harness.apply(target={"adopt": True})

    await harness.drain()

    assert metadata(harness)["annotations"] == COPY


async def test_a_target_that_is_terminating_is_reported_and_created_again_once_it_is_gone(
    synced: MemoryHarness,
) -> None:
    synced.kube.hold(DB, "example.com/hold")
    synced.kube.delete(DB)
    await synced.drain()
    assert synced.ready().reason == "TargetTerminating"
    assert synced.events == [("Warning", "TargetTerminating")]

    await synced.rotate()
    await synced.poll()
    assert (synced.values(), synced.ready().reason) == ({"password": "first"}, "TargetTerminating")

    synced.kube.hold(DB)
    await synced.drain()

    assert (synced.values(), synced.ready().reason) == ({"password": "second"}, "Synced")


async def test_an_immutable_target_with_a_finalizer_is_replaced_once_that_is_removed(harness: MemoryHarness) -> None:
    harness.apply(target={"immutable": True, "replaceImmutable": True})
    await harness.drain()
    harness.kube.hold(DB, "example.com/hold")
    await harness.rotate()
    await harness.poll()
    assert (harness.values(), harness.ready().reason) == ({"password": "first"}, "TargetImmutable")
    assert "stay terminating, held by the finalizer example.com/hold" in harness.ready().message
    assert "replaceImmutable" not in harness.ready().message

    harness.kube.hold(DB)
    await harness.drain()

    assert (harness.values(), harness.ready().reason) == ({"password": "second"}, "Synced")
    assert ("Warning", "Tampered") not in harness.events


async def test_an_immutable_target_that_gets_a_finalizer_with_our_own_write_is_not_deleted(
    harness: MemoryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce = harness.kube.announce_replacement

    async def with_finalizer(key: ObjectKey, *, observed: Observed) -> Observed:
        announced = await announce(key, observed=observed)
        harness.kube.hold(key, "example.com/hold")
        held = await harness.kube.get_target(key)
        assert held is not None
        return replace(announced, finalizers=held.finalizers, resource_version=held.resource_version)

    monkeypatch.setattr(harness.kube, "announce_replacement", with_finalizer)
    harness.apply(target={"immutable": True, "replaceImmutable": True})
    await harness.drain()
    await harness.rotate()
    await harness.poll()

    assert (harness.values(), harness.ready().reason) == ({"password": "first"}, "TargetImmutable")
    assert "held by the finalizer example.com/hold" in harness.ready().message
    assert not harness.kube.writes["delete_target"]


async def test_a_previous_target_that_is_terminating_is_deleted_once(synced: MemoryHarness) -> None:
    synced.kube.hold(DB, "example.com/hold")
    synced.apply(target={"name": "another"})
    await synced.drain()
    assert "Deleted Secret db, the previous target." in synced.kube.events[-1].message

    await synced.rotate()
    await synced.poll()

    assert synced.kube.writes["delete_target"] == 1
    assert (synced.values("another"), synced.ready().reason) == ({"password": "second"}, "Synced")


async def test_a_target_with_a_finalizer_is_deleted_once_with_its_last_key(harness: MemoryHarness) -> None:
    harness.apply(onSourceDeleted="Delete", deleteAfter="1m")
    await harness.drain()
    harness.kube.hold(DB, "example.com/hold")
    harness.vault.delete("db-password")
    for _ in range(6):
        await harness.poll()
    assert harness.ready().reason == "TargetTerminating"

    harness.vault.recover("db-password")
    harness.kube.hold(DB)
    await harness.poll()

    assert harness.kube.writes["delete_target"] == 1
    assert (harness.values(), harness.ready().reason) == ({"password": "first"}, "Synced")
    assert ("Warning", "Tampered") not in harness.events


@pytest.mark.parametrize("on_delete", ["Delete", "Retain"])
async def test_an_adopted_secret_is_released_when_its_vaultsecret_is_deleted(
    adopted: MemoryHarness, on_delete: str
) -> None:
    adopted.apply(target={"adopt": True}, onDelete=on_delete)
    await adopted.drain()

    adopted.state.vaultsecrets.resync_requested.clear()
    adopted.remove("db")
    assert adopted.resync_requested
    await adopted.controller.resync.resync()

    assert adopted.values() == {"password": "first"}
    assert metadata(adopted)["labels"] == {}
    assert metadata(adopted)["annotations"].keys() == {ADOPT_BY_ANNOTATION, RETAINED_BY_ANNOTATION}


async def test_an_adopted_secret_is_released_when_the_target_is_renamed_and_taken_up_again(
    adopted: MemoryHarness,
) -> None:
    adopted.kube.edit(DB, "kubectl", annotations={ADOPT_BY_ANNOTATION: None})
    adopted.apply(target={"name": "another"})
    await adopted.drain()
    assert (adopted.values(), adopted.values("another")) == ({"password": "first"}, {"password": "first"})
    assert metadata(adopted)["labels"] == {}
    assert "Released Secret db" in adopted.kube.events[-1].message

    adopted.apply()
    await adopted.drain()

    assert adopted.ready().reason == "Synced"
    assert (metadata(adopted)["ownerReferences"], RETAINED_BY_ANNOTATION in metadata(adopted)["annotations"]) == (
        [],
        False,
    )
    assert adopted.values("another") is None
    await adopted.poll()
    await adopted.assert_idle()


async def test_an_adopted_secret_is_released_when_the_vault_has_lost_all_of_its_secrets(
    adopted: MemoryHarness,
) -> None:
    adopted.apply(target={"adopt": True}, onSourceDeleted="Delete", deleteAfter="1m")
    await adopted.drain()
    adopted.vault.delete("db-password")

    for _ in range(6):
        await adopted.poll()

    assert adopted.values() == {"password": "first"}
    assert metadata(adopted)["labels"] == {}
    assert adopted.kube.events[-1].message.startswith("Released the Secret, which was adopted; its content stays.")
    adopted.vault.recover("db-password")
    await adopted.poll()
    assert adopted.ready().reason == "Synced"
    assert OWNER_UID_LABEL in metadata(adopted)["labels"]


async def test_an_adopted_secret_is_not_replaced_when_it_is_immutable(adopted: MemoryHarness) -> None:
    adopted.apply(target={"adopt": True, "immutable": True, "replaceImmutable": True})
    await adopted.drain()
    adopted.vault.set("db-password", "second")

    await adopted.poll()

    assert adopted.ready().reason == "TargetImmutable"
    assert "does not delete what it adopted" in adopted.ready().message
    assert adopted.values() == {"password": "first"}


async def test_an_owner_that_comes_back_to_an_adopted_secret_is_removed(adopted: MemoryHarness) -> None:
    adopted.kube.own(DB, "external-secrets", EXTERNAL_SECRET)

    await adopted.drain()

    assert metadata(adopted)["ownerReferences"] == []
    assert "added the owner ExternalSecret db" in adopted.kube.events[-1].message
    await adopted.poll()
    await adopted.assert_idle()


async def test_a_controller_that_took_the_target_over_is_named_and_keeps_it(synced: MemoryHarness) -> None:
    uid = metadata(synced)["ownerReferences"][0]["uid"]
    synced.kube.disown(DB, "external-secrets", uid)
    synced.kube.own(DB, "external-secrets", EXTERNAL_SECRET)

    await synced.drain()

    assert synced.ready().reason == "TargetConflict"
    assert "is controlled by ExternalSecret db" in synced.ready().message
    assert [owner["kind"] for owner in metadata(synced)["ownerReferences"]] == ["ExternalSecret"]


async def test_a_retained_secret_is_taken_up_by_another_vaultsecret_only_with_consent(harness: MemoryHarness) -> None:
    harness.apply(onDelete="Retain")
    await harness.drain()
    harness.remove("db")
    await harness.controller.resync.resync()
    harness.vault.set("db-password", "second")
    await harness.pass_time(10)
    harness.apply(onDelete="Retain", target={"adopt": True})
    await harness.drain()
    assert harness.ready().reason == "TargetConflict"
    assert harness.values() == {"password": "first"}

    harness.apply(onDelete="Retain")
    harness.kube.edit(DB, "kubectl", annotations=CONSENT)
    await harness.reconcile()

    assert harness.ready().reason == "Synced"
    assert harness.values() == {"password": "second"}


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


async def test_the_younger_takes_over_what_the_older_retained_when_the_secret_names_it(harness: MemoryHarness) -> None:
    harness.vault.set("other", "other")
    harness.apply(onDelete="Retain")
    harness.apply(entry("key", "other"), name="younger", target={"name": "db"})
    await harness.drain()
    harness.kube.delete_vault_secret(DB)
    harness.names.remove("db")
    harness.controller.source.forget(DB, harness.state.vaultsecrets.get(DB).metadata.uid)  # type: ignore[union-attr]

    await harness.reconcile("younger")
    assert harness.ready("younger").reason == "TargetConflict"
    harness.kube.edit(DB, "kubectl", annotations={ADOPT_BY_ANNOTATION: "younger"})
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
