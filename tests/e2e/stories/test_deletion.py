"""A secret is deleted in the vault: what stays, what goes and when, and what holds up that most of a vault goes."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tests.e2e.scene import NEXT_POLL, POLL, SOON, Condition, Scene, entry, eventually, resource_version
from tests.e2e.stories.scenes import ServedScene
from tests.e2e.together import story
from vaultsync.api import RELEASE_ANNOTATION

GRACE: Final = timedelta(minutes=1)
"""The shortest `deleteAfter` that there is."""

GONE: Final = {"onSourceDeleted": "Delete", "deleteAfter": "1m"}
PAST_GRACE: Final = GRACE.total_seconds() + NEXT_POLL
SEVERAL: Final = tuple(f"shop-{number}" for number in range(8))


def missing_since(scene: Scene) -> dict[str, datetime]:
    """What the status says to be missing, and since when."""
    return {each["secretName"]: datetime.fromisoformat(each["since"]) for each in scene.status().get("missing", ())}


def last_change(scene: Scene) -> datetime:
    """When the target was last written or deleted."""
    return datetime.fromisoformat(scene.status()["lastChangeTime"])


@story
def test_a_deleted_secret_stays_in_the_target_and_people_hear_until_when_it_can_be_recovered(scene: Scene) -> None:
    value = scene.put()
    scene.apply()
    before = scene.await_synced()
    first_day = datetime.now(UTC)

    scene.vault.delete("db-password")

    message = scene.await_reason("SecretSoftDeleted", within=NEXT_POLL).message
    days = [day + timedelta(days=90) for day in (first_day, datetime.now(UTC))]
    assert message in [
        f"Secret db-password of vault {scene.vault.url} was deleted; recover it there until {day:%Y-%m-%d}, "
        "or remove the entry."
        for day in days
    ]
    scene.await_event("Warning", "SecretSoftDeleted", message)
    scene.await_calls("list", more=2)
    assert scene.writes(since=before) == []
    assert scene.content() == {"password": value.encode()}


@story
def test_a_key_goes_when_its_secret_has_been_gone_for_as_long_as_the_manifest_says(scene: Scene) -> None:
    user = scene.put("db-user")
    scene.put()
    scene.apply(entry(), entry("user", "db-user"), **GONE)
    before = scene.await_synced()

    scene.vault.delete("db-password")

    message = scene.await_reason("SecretSoftDeleted", within=NEXT_POLL).message
    since = missing_since(scene)["db-password"]
    assert f"Its key goes at {since + GRACE:%Y-%m-%d %H:%M:%S} UTC, unless the secret is back by then." in message
    scene.await_content(user=user, within=PAST_GRACE)
    scene.await_reason("Synced")
    assert last_change(scene) >= since + GRACE
    assert [resource_version(secret) for secret in scene.writes(since=before)] == [resource_version(scene.secret())]
    scene.await_event("Warning", "SourceDeleted", "Gone from the vault, and so removed: password (db-password absent).")
    assert scene.told() == {"Created": 1, "SecretSoftDeleted": 1, "Stale": 1, "SourceDeleted": 1}


@story
def test_the_target_goes_with_its_last_key_and_comes_back_with_its_secret(scene: Scene) -> None:
    value = scene.put()
    made = scene.apply(**GONE)
    scene.await_content(password=value)
    scene.await_reason("Synced")

    scene.vault.delete("db-password")

    eventually(lambda: scene.secret() is None, "the target is gone", within=PAST_GRACE + POLL)
    eventually(lambda: "target" not in scene.status(), "the status knows no target")
    since = missing_since(scene)["db-password"]
    assert last_change(scene) >= since + GRACE
    ready = scene.await_reason("SecretSoftDeleted")
    assert ready.status == "False"
    scene.await_event("Warning", "SourceDeleted", f"Deleted the Secret. {ready.message}")
    scene.vault.recover("db-password")
    scene.await_content(password=value, within=NEXT_POLL)
    scene.await_reason("Synced")
    scene.await_told(Created=2, SecretSoftDeleted=1, Stale=1, SourceDeleted=1)
    assert missing_since(scene) == {}
    assert (scene.vault_secret() or made)["metadata"]["uid"] == made["metadata"]["uid"]


@story
def test_recovered_in_time_nothing_has_happened(scene: Scene) -> None:
    scene.put()
    scene.apply(**GONE)
    before = scene.await_synced()
    scene.vault.delete("db-password")
    scene.await_reason("SecretSoftDeleted", within=NEXT_POLL)

    scene.vault.recover("db-password")

    scene.await_event("Normal", "Synced", "In sync again.", within=NEXT_POLL)
    assert missing_since(scene) == {}
    assert scene.writes(since=before) == []


@story
def test_when_most_of_a_vault_vanishes_nothing_goes_before_somebody_says_so(scene: ServedScene) -> None:
    values = {name: scene.put(name) for name in SEVERAL}
    left = {name: values[name] for name in SEVERAL[6:]}
    scene.apply(*(entry(name, name, optional=True) for name in SEVERAL))
    before = scene.await_content(**values, within=SOON)
    scene.await_reason("Synced")

    for name in SEVERAL[:6]:
        scene.vault.delete(name)

    held = scene.await_reason("DeletionHeld", within=NEXT_POLL + POLL)
    assert held.status == "False"
    assert (
        f"Most secrets of vault {scene.vault.url} whose keys would go with them have vanished together" in held.message
    )
    assert f"kubectl annotate vaultsecret -n {scene.namespace} db --overwrite {RELEASE_ANNOTATION}=" in held.message
    scene.await_event("Warning", "DeletionHeld", held.message)
    assert brake(scene) == 1

    scene.annotate({RELEASE_ANNOTATION: "yes"})
    complaint = f"{held.message} What the annotation holds now is no moment."
    eventually(
        lambda: scene.ready() == Condition("False", "DeletionHeld", complaint), "the annotation is found fault with"
    )
    scene.await_calls("list", more=2)
    assert scene.writes(since=before) == []

    scene.annotate({RELEASE_ANNOTATION: datetime.now(UTC).isoformat()})
    scene.await_content(**left, within=SOON)
    scene.await_reason("Synced")
    eventually(lambda: scene.told()["SourceDeleted"] == 1, "it is told")
    assert len(scene.writes(since=before)) == 1
    eventually(lambda: brake(scene) == 0, "the brake is off", within=NEXT_POLL)


def brake(scene: ServedScene) -> float:
    """What the operator measures of the brake of the scene's vault."""
    return scene.operator.metric("vaultsync_vault_deletion_brake", vault=scene.vault.url)


@story
def test_a_vault_that_comes_back_after_most_of_it_had_vanished_is_as_if_it_had_not(scene: Scene) -> None:
    values = {name: scene.put(name) for name in SEVERAL}
    scene.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}}])
    before = scene.await_content(**values, within=SOON)
    scene.await_reason("Synced")
    for name in SEVERAL:
        scene.vault.delete(name)
    scene.await_reason("DeletionHeld", within=NEXT_POLL + POLL)
    scene.await_calls("list", more=2)

    for name in SEVERAL:
        scene.vault.recover(name)

    scene.await_event("Normal", "Synced", "In sync again.", within=NEXT_POLL)
    assert missing_since(scene) == {}
    assert scene.writes(since=before) == []


@story
def test_few_secrets_of_a_search_that_vanish_go_at_the_next_poll(scene: Scene) -> None:
    values = {name: scene.put(name) for name in SEVERAL}
    scene.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}}])
    scene.await_content(**values, within=SOON)
    scene.await_reason("Synced")

    scene.vault.delete(SEVERAL[0])

    scene.await_content(**{name: values[name] for name in SEVERAL[1:]}, within=NEXT_POLL + POLL)
    scene.await_told(Created=1, SourceDeleted=1)
