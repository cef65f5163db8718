"""Deletions in the vault: what is kept, what is deleted after the grace period, and what trips the deletion guard."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tests.e2e.concurrency import scenario
from tests.e2e.harness import Harness, entry, eventually, resource_version
from tests.e2e.scenarios.harness import ServedHarness
from vaultsync.api import RELEASE_ANNOTATION

GRACE: Final = timedelta(minutes=1)
"""The shortest `deleteAfter` that is allowed."""

DELETE: Final = {"onSourceDeleted": "Delete", "deleteAfter": "1m"}
SEVERAL: Final = tuple(f"shop-{number}" for number in range(8))


def missing_since(harness: Harness) -> dict[str, datetime]:
    """The secrets that are missing and since when, in the state that the last `await_reason` has found."""
    missing = harness.observed()["status"].get("missing", ())
    return {each["secretName"]: datetime.fromisoformat(each["sinceTime"]) for each in missing}


def last_change(harness: Harness) -> datetime:
    """When the target was last written or deleted."""
    return datetime.fromisoformat(harness.status()["lastChangeTime"])


@scenario
def test_a_deleted_secret_is_kept_and_its_recovery_date_reported(harness: Harness) -> None:
    value = harness.put()
    harness.apply()
    before = harness.await_synced()
    first_day = datetime.now(UTC)

    harness.vault.delete("db-password")

    message = harness.await_reason("SecretSoftDeleted").message
    days = {f"{day + timedelta(days=90):%Y-%m-%d}" for day in (first_day, datetime.now(UTC))}
    assert "db-password" in message
    assert any(day in message for day in days)
    assert harness.await_event("Warning", "SecretSoftDeleted").message == message
    harness.await_calls("list", more=2)
    assert harness.writes(since=before) == []
    assert harness.content() == {"password": value.encode()}


@scenario
def test_a_key_is_deleted_after_the_grace_period(harness: Harness) -> None:
    user = harness.put("db-user")
    harness.put()
    harness.apply(entry(), entry("user", "db-user"), **DELETE)
    before = harness.await_synced()

    harness.vault.delete("db-password")

    message = harness.await_reason("SecretSoftDeleted").message
    since = missing_since(harness)["db-password"]
    assert f"{since + GRACE:%Y-%m-%d %H:%M:%S} UTC" in message
    harness.await_content(user=user)
    harness.await_reason("Synced")
    assert last_change(harness) >= since + GRACE
    assert [resource_version(secret) for secret in harness.writes(since=before)] == [resource_version(harness.secret())]
    harness.await_event("Warning", "SourceDeleted", "password", "db-password")
    harness.await_event_counts(Created=1, SecretSoftDeleted=1, Stale=1, SourceDeleted=1)


@scenario
def test_a_target_without_keys_is_deleted_and_created_again_when_its_secret_is_recovered(harness: Harness) -> None:
    value = harness.put()
    made = harness.apply(**DELETE)
    harness.await_content(password=value)
    harness.await_reason("Synced")

    harness.vault.delete("db-password")

    assert harness.await_reason("SecretSoftDeleted").status == "False"
    since = missing_since(harness)["db-password"]
    harness.eventually(lambda: harness.secret() is None, "the target is deleted")
    harness.eventually(lambda: "target" not in harness.status(), "the status names no target")
    assert last_change(harness) >= since + GRACE
    harness.await_event("Warning", "SourceDeleted")
    harness.vault.recover("db-password")
    harness.await_content(password=value)
    harness.await_reason("Synced")
    harness.eventually(lambda: harness.event_counts()["Created"] == 2, "the event of the second creation")
    assert harness.event_counts()["SourceDeleted"] == 1
    assert missing_since(harness) == {}
    assert (harness.vault_secret() or made)["metadata"]["uid"] == made["metadata"]["uid"]


@scenario
def test_a_secret_recovered_within_the_grace_period_changes_nothing(harness: Harness) -> None:
    harness.put()
    harness.apply(onSourceDeleted="Delete", deleteAfter="24h")
    before = harness.await_synced()
    harness.vault.delete("db-password")
    harness.await_reason("SecretSoftDeleted")

    harness.vault.recover("db-password")

    harness.await_reason("Synced")
    assert missing_since(harness) == {}
    assert harness.writes(since=before) == []


@scenario
def test_the_deletion_guard_holds_deletions_until_a_user_confirms_them(harness: ServedHarness) -> None:
    values = {name: harness.put(name) for name in SEVERAL}
    left = {name: values[name] for name in SEVERAL[6:]}
    harness.apply(*(entry(name, name, optional=True) for name in SEVERAL), deleteAfter="1m")
    before = harness.await_content(**values)
    harness.await_reason("Synced")

    harness.vault.delete(*SEVERAL[:6])

    held = harness.await_reason("DeletionHeld")
    assert held.status == "False"
    assert harness.vault.url in held.message
    assert f"kubectl annotate vaultsecret -n {harness.namespace} db --overwrite {RELEASE_ANNOTATION}=" in held.message
    assert harness.await_event("Warning", "DeletionHeld").message == held.message
    eventually(lambda: deletion_guard(harness) == 1, "the metric of the tripped guard")

    harness.annotate({RELEASE_ANNOTATION: "yes"})
    harness.eventually(lambda: len((harness.ready() or held).message) > len(held.message), "a remark on the annotation")
    harness.await_calls("list", more=2)
    assert harness.writes(since=before) == []

    harness.annotate({RELEASE_ANNOTATION: datetime.now(UTC).isoformat()})
    harness.await_content(**left)
    harness.await_reason("Synced")
    harness.eventually(lambda: harness.event_counts()["SourceDeleted"] == 1, "the event of the deletion")
    assert len(harness.writes(since=before)) == 1
    eventually(lambda: deletion_guard(harness) == 0, "the metric of the reset guard")


def deletion_guard(harness: ServedHarness) -> float:
    """The metric of the deletion guard of the scenario's vault."""
    return harness.operator.metric("vaultsync_vault_deletion_brake", vault=harness.vault.url)


@scenario
def test_secrets_recovered_while_the_deletion_guard_holds_change_nothing(harness: Harness) -> None:
    values = {name: harness.put(name) for name in SEVERAL}
    harness.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}}])
    before = harness.await_content(**values)
    harness.await_reason("Synced")
    harness.vault.delete(*SEVERAL)
    harness.await_reason("DeletionHeld")
    harness.await_calls("list", more=2)

    harness.vault.recover(*SEVERAL)

    harness.await_reason("Synced")
    assert missing_since(harness) == {}
    assert harness.writes(since=before) == []


@scenario
def test_a_search_drops_the_key_of_one_deleted_secret_after_the_grace_period(harness: Harness) -> None:
    values = {name: harness.put(name) for name in SEVERAL}
    harness.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}}], deleteAfter="1m")
    harness.await_content(**values)
    harness.await_reason("Synced")

    harness.vault.delete(SEVERAL[0])

    harness.await_event("Warning", "SourceMissing", SEVERAL[0])
    (missing,) = harness.status()["missing"]
    since = datetime.fromisoformat(missing["sinceTime"])
    harness.await_content(**{name: values[name] for name in SEVERAL[1:]})
    harness.eventually(lambda: last_change(harness) >= since + GRACE, "the status has the write after the grace period")
    harness.await_event("Warning", "SourceDeleted", SEVERAL[0])
    harness.await_event_counts(Created=1, SourceMissing=1, SourceDeleted=1)


@scenario
def test_an_emptied_object_loses_its_keys_after_the_grace_period_and_they_are_named(harness: Harness) -> None:
    """An object that becomes empty, and then has null in place of one of its fields."""
    harness.vault.set("cfg", '{"user": "app", "password": "p1"}')
    harness.apply(data=[], dataFrom=[{"object": "cfg"}], deleteAfter="1m")
    harness.await_content(user="app", password="p1")
    harness.await_reason("Synced")

    harness.vault.set("cfg", "{}")

    harness.await_event("Warning", "SourceMissing", "user of secret cfg", "password of secret cfg")
    assert {one["key"] for one in harness.status()["missing"]} == {"user", "password"}
    assert harness.content() == {"user": b"app", "password": b"p1"}
    harness.vault.set("cfg", '{"user": "app2", "password": null}')
    harness.await_content(user="app2", password="p1")
    harness.await_content(user="app2")
    message = harness.await_event("Warning", "SourceDeleted", "password (secret cfg)").message
    assert "no key" not in message
    said = "1 key is in sync; gone from the vault: password of secret cfg."
    harness.eventually(lambda: (ready := harness.ready()) is not None and ready.message == said, said)
