"""Whose a Secret is: strangers' Secrets, two VaultSecrets that want the same one, and what deletion leaves behind."""

import base64

from tests.e2e.scene import NEXT_POLL, POLL, Scene, entry, eventually, resource_version
from tests.e2e.together import story
from vaultsync.api import OWNER_UID_LABEL


def make_by_hand(scene: Scene, **metadata: object) -> None:
    """Create a Secret `db` that is none of the operator's business."""
    scene.api.create(
        scene.path("secrets"),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "db", **metadata},
            "data": {"theirs": base64.b64encode(b"by hand").decode()},
        },
    )


@story
def test_a_secret_that_somebody_else_made_is_left_alone(scene: Scene) -> None:
    scene.put()
    make_by_hand(scene)
    before = resource_version(scene.secret())

    scene.apply()

    ready = scene.await_reason("TargetConflict")
    assert ready.message == (
        f"Secret {scene.namespace}/db exists already, written by kubectl-create; choose another target.name, "
        "delete it, or set target.adopt: true to take it over."
    )
    scene.await_calls("list", more=2)
    assert resource_version(scene.secret()) == before
    assert scene.told() == {"TargetConflict": 1}
    assert scene.calls("get") == 0


@story
def test_the_owner_of_a_foreign_secret_is_named(scene: Scene) -> None:
    scene.put()
    owner = scene.api.create(
        scene.path("configmaps"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "their-app"}}
    )
    make_by_hand(
        scene,
        ownerReferences=[
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "their-app", "uid": owner["metadata"]["uid"]}
        ],
    )

    scene.apply()

    assert "is owned by ConfigMap their-app" in scene.await_reason("TargetConflict").message


@story
def test_a_foreign_secret_is_taken_over_when_the_manifest_says_so(scene: Scene) -> None:
    value = scene.put()
    make_by_hand(scene)
    scene.apply()
    scene.await_reason("TargetConflict")

    scene.change(target={"adopt": True})

    scene.await_content(password=value)
    scene.await_reason("Synced")


@story
def test_a_foreign_secret_of_another_type_cannot_be_taken_over_and_that_is_told(scene: Scene) -> None:
    user, password = scene.put("db-user"), scene.put()
    make_by_hand(scene)
    before = resource_version(scene.secret())

    target = {"type": "kubernetes.io/basic-auth", "adopt": True}
    scene.apply(entry("username", "db-user"), entry(), target=target)

    assert "delete the Secret" in scene.await_reason("TargetInvalid").message
    assert resource_version(scene.secret()) == before
    scene.api.delete(scene.path("secrets", "db"))
    scene.await_content(username=user, password=password, within=NEXT_POLL)


@story
def test_a_secret_that_somebody_made_in_place_of_ours_is_theirs(scene: Scene) -> None:
    scene.put()
    scene.apply()
    scene.await_synced()
    scene.change(suspend=True)
    scene.await_reason("Suspended")
    scene.api.delete(scene.path("secrets", "db"))
    make_by_hand(scene)

    scene.change(suspend=False)

    scene.await_reason("TargetConflict")
    assert scene.content() == {"theirs": b"by hand"}


@story
def test_a_vault_secret_made_anew_under_its_old_name_is_served_like_any_other(scene: Scene) -> None:
    value = scene.put()
    for _ in range(5):
        scene.apply()
        scene.delete()
    made = scene.apply()

    scene.await_reason("Synced")
    secret = scene.await_content(password=value)
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == [made["metadata"]["uid"]]


@story
def test_a_foreign_secret_that_goes_makes_room(scene: Scene) -> None:
    value = scene.put()
    make_by_hand(scene)
    scene.apply()
    scene.await_reason("TargetConflict")

    scene.api.delete(scene.path("secrets", "db"))

    scene.await_content(password=value, within=2 * POLL)


@story
def test_of_two_that_want_the_same_secret_the_older_wins_and_then_the_younger_has_its_turn(scene: Scene) -> None:
    older, younger = scene.put("older"), scene.put("younger")
    scene.apply(entry(source="older"), name="older", target={"name": "db"})
    scene.await_content(password=older)
    scene.await_told("older", Created=1)
    born = scene.vault_secret("older")
    assert born is not None

    def is_later() -> bool:
        """Kubernetes dates to the second: make sure that there is an older one."""
        scene.delete("younger")
        made = scene.apply(entry(source="younger"), name="younger", target={"name": "db"})
        return bool(made["metadata"]["creationTimestamp"] > born["metadata"]["creationTimestamp"])

    eventually(is_later, "another second has begun")

    assert "belongs to VaultSecret older, which is older" in scene.await_reason("TargetConflict", "younger").message
    assert scene.content() == {"password": older.encode()}
    scene.delete("older")
    scene.await_content(password=younger)
    scene.await_reason("Synced", "younger")


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
