"""What becomes of a Secret when its VaultSecret goes, or wants another one: it goes too, or it is nobody's any more."""

from tests.e2e.scene import Scene, entry, eventually, resource_version
from tests.e2e.together import story
from vaultsync.api import OWNER_UID_LABEL


@story
def test_the_secret_goes_with_its_vault_secret(scene: Scene) -> None:
    scene.put()
    scene.apply()
    scene.await_synced()

    scene.delete()

    eventually(lambda: scene.secret() is None, "the garbage collector has taken it")
    calls = scene.calls("get")
    scene.await_polls_elsewhere()
    assert scene.secret() is None
    assert scene.calls("get") == calls


@story
def test_the_secret_goes_with_its_vault_secret_when_dependents_are_to_go_first(scene: Scene) -> None:
    scene.put()
    scene.apply()
    scene.await_synced()

    scene.delete(propagation="Foreground")

    eventually(lambda: scene.secret() is None and scene.vault_secret() is None, "both are gone")


@story
def test_a_vault_secret_that_waits_for_somebodys_finalizer_is_served_no_more(scene: Scene) -> None:
    scene.put()
    scene.apply()
    scene.await_synced()
    held = scene.path("vaultsecrets", "db")
    scene.api.patch(held, {"metadata": {"finalizers": ["example.com/wait"]}})
    scene.delete()

    scene.api.delete(scene.path("secrets", "db"))

    scene.put("another")
    scene.apply(entry(source="another"), name="another")
    scene.await_synced("another")
    assert scene.secret() is None
    scene.api.patch(held, {"metadata": {"finalizers": None}})
    eventually(lambda: scene.vault_secret() is None, "it is gone")


@story
def test_a_secret_that_is_to_be_retained_outlives_its_vault_secret_and_is_nobodys(scene: Scene) -> None:
    value = scene.put()
    theirs = {"labels": {"tier": "web"}, "annotations": {"example.com/note": "theirs"}}
    scene.apply(onDelete="Retain", target=theirs)
    before = scene.await_content(password=value)
    scene.await_reason("Synced")

    scene.delete()

    released = scene.await_released()
    assert {name: released["metadata"][name] for name in theirs} == theirs
    assert released["metadata"]["uid"] == before["metadata"]["uid"]
    scene.put()
    scene.await_polls_elsewhere()
    assert scene.content() == {"password": value.encode()}
    assert resource_version(scene.secret()) == resource_version(released)


@story
def test_what_becomes_of_the_secret_may_be_decided_later(scene: Scene) -> None:
    scene.put()
    scene.apply(onDelete="Retain")
    assert not scene.await_synced()["metadata"].get("ownerReferences")

    scene.change(onDelete="Delete")
    eventually(lambda: bool((scene.secret() or {"metadata": {}})["metadata"].get("ownerReferences")), "it has an owner")
    scene.delete()

    eventually(lambda: scene.secret() is None, "the garbage collector has taken it")


@story
def test_a_retained_secret_is_taken_up_again_by_a_vault_secret_of_the_same_name(scene: Scene) -> None:
    value = scene.put()
    scene.apply(onDelete="Retain")
    scene.await_content(password=value)
    scene.await_reason("Synced")
    scene.delete()
    eventually(lambda: scene.vault_secret() is None, "it is gone")
    following = scene.put()

    made = scene.apply(onDelete="Retain")

    secret = scene.await_content(password=following)
    assert secret["metadata"]["labels"][OWNER_UID_LABEL] == made["metadata"]["uid"]


@story
def test_a_deleted_namespace_goes_with_all_it_holds(scene: Scene) -> None:
    scene.put()
    for number in range(10):
        scene.apply(name=f"db-{number}")
    for number in range(10):
        scene.await_synced(f"db-{number}")

    scene.api.delete(f"/api/v1/namespaces/{scene.namespace}")

    gone = f"/api/v1/namespaces/{scene.namespace}"
    eventually(lambda: scene.api.get(gone) is None, "the namespace is gone", within=45)


@story
def test_a_renamed_target_takes_the_old_one_away_and_leaves_what_somebody_copied_from_it(scene: Scene) -> None:
    user, password = scene.put("db-user"), scene.put()
    scene.apply(entry(), entry("user", "db-user"))
    old = scene.await_content(password=password, user=user)
    scene.await_reason("Synced")
    marks = {field: old["metadata"][field] for field in ("labels", "annotations")}
    copy = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "copy", **marks}, "data": old["data"]}
    copied = scene.api.create(scene.path("secrets"), copy)

    scene.change(target={"name": "db-2"}, data=[entry()])

    scene.await_content("db-2", password=password)
    eventually(lambda: scene.secret("db") is None, "the old one is gone")
    eventually(lambda: scene.told() == {"Created": 2}, "both were told")
    assert scene.events()[-1].message.endswith(" Deleted Secret db, which was the target before.")
    assert scene.status()["target"] == {"name": "db-2"}
    scene.await_polls_elsewhere()
    assert resource_version(scene.secret("copy")) == resource_version(copied)


@story
def test_an_orphan_stays_and_is_taken_up_by_a_vault_secret_of_the_same_name(scene: Scene) -> None:
    value = scene.put()
    scene.apply()
    before = scene.await_content(password=value)
    scene.await_reason("Synced")

    scene.delete(propagation="Orphan")

    eventually(lambda: scene.vault_secret() is None, "it is gone")
    scene.await_polls_elsewhere()
    orphan = scene.await_content(password=value)
    assert orphan["metadata"].get("ownerReferences", []) == []
    made = scene.apply()
    scene.await_reason("Synced")
    metadata = scene.await_content(password=value)["metadata"]
    assert metadata["uid"] == before["metadata"]["uid"]
    assert metadata["labels"][OWNER_UID_LABEL] == made["metadata"]["uid"]
    assert [owner["uid"] for owner in metadata["ownerReferences"]] == [made["metadata"]["uid"]]
