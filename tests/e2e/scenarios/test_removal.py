"""The Secret of a VaultSecret that is deleted, or that names another target: it is deleted, retained or orphaned."""

from tests.e2e.concurrency import scenario
from tests.e2e.harness import Harness, entry, resource_version
from vaultsync.api import ADOPT_BY_ANNOTATION, OWNER_UID_LABEL, RETAINED_BY_ANNOTATION


@scenario
def test_the_garbage_collector_deletes_the_secret_of_a_deleted_vaultsecret(harness: Harness) -> None:
    harness.put()
    harness.apply()
    harness.await_synced()

    harness.delete()

    harness.eventually(lambda: harness.secret() is None, "the garbage collector has deleted the Secret")
    calls = harness.calls("get")
    harness.await_polls_elsewhere()
    assert harness.secret() is None
    assert harness.calls("get") == calls


@scenario
def test_a_foreground_deletion_deletes_both(harness: Harness) -> None:
    harness.put()
    harness.apply()
    harness.await_synced()

    harness.delete(propagation="Foreground")

    harness.eventually(lambda: harness.secret() is None and harness.vault_secret() is None, "both are deleted")


@scenario
def test_a_vaultsecret_that_waits_for_a_finalizer_of_others_is_not_synced(harness: Harness) -> None:
    harness.put()
    harness.apply()
    harness.await_synced()
    terminating = harness.path("vaultsecrets", "db")
    harness.api.patch(terminating, {"metadata": {"finalizers": ["example.com/wait"]}})
    harness.delete()

    harness.api.delete(harness.path("secrets", "db"))

    harness.put("another")
    harness.apply(entry(source="another"), name="another")
    harness.await_synced("another")
    assert harness.secret() is None
    harness.api.patch(terminating, {"metadata": {"finalizers": None}})
    harness.eventually(lambda: harness.vault_secret() is None, "the VaultSecret is deleted")


@scenario
def test_a_retained_secret_is_released_and_no_longer_synced(harness: Harness) -> None:
    value = harness.put()
    theirs = {"labels": {"tier": "web"}, "annotations": {"example.com/note": "theirs"}}
    harness.apply(onDelete="Retain", target=theirs)
    before = harness.await_content(password=value)
    harness.await_reason("Synced")
    uid = before["metadata"]["labels"][OWNER_UID_LABEL]

    harness.delete()

    released = harness.await_released()
    assert released["metadata"]["labels"] == theirs["labels"]
    assert released["metadata"]["annotations"] == {**theirs["annotations"], RETAINED_BY_ANNOTATION: uid}
    assert released["metadata"]["uid"] == before["metadata"]["uid"]
    harness.put()
    harness.await_polls_elsewhere()
    assert harness.content() == {"password": value.encode()}
    assert resource_version(harness.secret()) == resource_version(released)


@scenario
def test_on_delete_can_be_changed_while_the_secret_exists(harness: Harness) -> None:
    harness.put()
    harness.apply(onDelete="Retain")
    assert not harness.await_synced()["metadata"].get("ownerReferences")

    harness.change(onDelete="Delete")
    harness.eventually(
        lambda: bool((harness.secret() or {"metadata": {}})["metadata"].get("ownerReferences")), "it has an owner"
    )
    harness.delete()

    harness.eventually(lambda: harness.secret() is None, "the garbage collector has deleted the Secret")


@scenario
def test_a_retained_secret_is_taken_up_by_a_new_vaultsecret_that_it_names(harness: Harness) -> None:
    value = harness.put()
    harness.apply(onDelete="Retain")
    harness.await_content(password=value)
    harness.await_reason("Synced")
    harness.delete()
    harness.eventually(lambda: harness.vault_secret() is None, "the VaultSecret is deleted")
    following = harness.put()
    made = harness.apply(onDelete="Retain")
    harness.await_reason("TargetConflict")
    assert harness.content() == {"password": value.encode()}

    harness.tamper(metadata={"annotations": {ADOPT_BY_ANNOTATION: "db"}})

    secret = harness.await_content(password=following)
    assert secret["metadata"]["labels"][OWNER_UID_LABEL] == made["metadata"]["uid"]


@scenario
def test_a_namespace_can_be_deleted_with_its_vaultsecrets(harness: Harness) -> None:
    harness.put()
    for number in range(10):
        harness.apply(name=f"db-{number}")
    for number in range(10):
        harness.await_synced(f"db-{number}")

    path = f"/api/v1/namespaces/{harness.namespace}"
    harness.api.delete(path)

    harness.eventually(lambda: harness.api.get(path) is None, "the namespace is deleted")


@scenario
def test_a_renamed_target_replaces_the_old_one_and_leaves_a_copy_of_it(harness: Harness) -> None:
    user, password = harness.put("db-user"), harness.put()
    harness.apply(entry(), entry("user", "db-user"))
    old = harness.await_content(password=password, user=user)
    harness.await_reason("Synced")
    marks = {field: old["metadata"][field] for field in ("labels", "annotations")}
    copy = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "copy", **marks}, "data": old["data"]}
    copied = harness.api.create(harness.path("secrets"), copy)

    harness.change(target={"name": "db-2"}, data=[entry()])

    harness.await_content("db-2", password=password)
    harness.eventually(lambda: harness.secret("db") is None, "the old Secret is deleted")
    harness.await_event_counts(Created=2)
    harness.await_event("Normal", "Created", "Secret db,")
    harness.eventually(lambda: harness.status().get("target", {}).get("name") == "db-2", "the new target in the status")
    harness.await_polls_elsewhere()
    assert resource_version(harness.secret("copy")) == resource_version(copied)


@scenario
def test_an_orphaned_secret_is_taken_up_by_a_new_vaultsecret_that_it_names_and_released_with_it(
    harness: Harness,
) -> None:
    value = harness.put()
    harness.apply()
    before = harness.await_content(password=value)
    harness.await_reason("Synced")

    harness.delete(propagation="Orphan")

    harness.eventually(lambda: harness.vault_secret() is None, "the VaultSecret is deleted")
    harness.await_polls_elsewhere()
    orphan = harness.await_content(password=value)
    assert orphan["metadata"].get("ownerReferences", []) == []
    harness.tamper(metadata={"annotations": {ADOPT_BY_ANNOTATION: "db"}})
    made = harness.apply()
    harness.await_reason("Synced")
    metadata = harness.await_content(password=value)["metadata"]
    assert metadata["uid"] == before["metadata"]["uid"]
    assert metadata["labels"][OWNER_UID_LABEL] == made["metadata"]["uid"]
    harness.delete()
    assert harness.await_released()["metadata"]["uid"] == before["metadata"]["uid"]
    assert harness.content() == {"password": value.encode()}
