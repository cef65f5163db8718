"""Whose a Secret is: strangers' Secrets, two VaultSecrets that want the same one, and one that is taken over."""

import base64

from tests.e2e.scene import NEXT_POLL, POLL, Scene, entry, eventually, resource_version
from tests.e2e.together import story


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
def test_a_foreign_secret_is_taken_over_when_the_manifest_says_so_and_what_became_of_its_keys_is_told(
    scene: Scene,
) -> None:
    user, value = scene.put("db-user"), scene.value()
    version = scene.vault.set("theirs", value)
    theirs = {"labels": {"tier": "web"}, "annotations": {"example.com/note": "theirs"}}
    make_by_hand(scene, **theirs)
    scene.tamper(stringData={"other": "by hand, too"})
    scene.apply(entry("theirs", "theirs"), entry("user", "db-user"))
    scene.await_reason("TargetConflict")

    scene.change(target={"adopt": True})

    secret = scene.await_content(theirs=value, user=user)
    scene.await_reason("Synced")
    for field, wanted in theirs.items():
        assert secret["metadata"][field].items() >= wanted.items()
    (told,) = [event for event in scene.events() if event.reason == "Adopted"]
    whose = "Took over the Secret, written by kubectl-create, kubectl-patch: "
    deeds = f"replaced theirs; removed other; wrote theirs (theirs {version}), user (db-user "
    assert (told.type, told.message[: len(whose + deeds)]) == ("Normal", whose + deeds)
    assert scene.told() == {"TargetConflict": 1, "Adopted": 1}


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
