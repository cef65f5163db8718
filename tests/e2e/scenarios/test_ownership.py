"""Ownership of Secrets: those that others created, VaultSecrets that compete for one target, and adoption."""

import base64

from tests.e2e.concurrency import scenario
from tests.e2e.harness import Harness, entry, resource_version
from vaultsync.api import ADOPT_BY_ANNOTATION

CONSENT = {ADOPT_BY_ANNOTATION: "db"}


def create_foreign(harness: Harness, **metadata: object) -> None:
    """Create a Secret `db` that is not the operator's."""
    harness.api.create(
        harness.path("secrets"),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "db", **metadata},
            "data": {"theirs": base64.b64encode(b"by hand").decode()},
        },
    )


@scenario
def test_a_secret_that_others_created_is_left_alone(harness: Harness) -> None:
    harness.put()
    create_foreign(harness)
    before = resource_version(harness.secret())

    harness.apply()

    message = harness.await_reason("TargetConflict").message
    parts = (f"{harness.namespace}/db", "kubectl-create", "target.name", "target.adopt: true")
    assert [part for part in parts if part not in message] == []
    harness.await_calls("list", more=2)
    assert resource_version(harness.secret()) == before
    harness.await_event_counts(TargetConflict=1)
    # Whether the name is free shows in the attempt to create the Secret.
    assert harness.calls("get") == 1


@scenario
def test_the_owner_of_a_foreign_secret_is_named(harness: Harness) -> None:
    harness.put()
    owner = harness.api.create(
        harness.path("configmaps"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "their-app"}}
    )
    create_foreign(
        harness,
        ownerReferences=[
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "their-app", "uid": owner["metadata"]["uid"]}
        ],
    )

    harness.apply()

    assert "ConfigMap their-app" in harness.await_reason("TargetConflict").message


@scenario
def test_a_foreign_secret_is_adopted_when_spec_and_secret_say_so_and_its_keys_are_reported(harness: Harness) -> None:
    user, value = harness.put("db-user"), harness.value()
    version = harness.vault.set("theirs", value)
    theirs = {"labels": {"tier": "web"}, "annotations": {"example.com/note": "theirs", **CONSENT}}
    create_foreign(harness, **theirs)
    harness.tamper(stringData={"other": "by hand, too"})
    harness.apply(entry("theirs", "theirs"), entry("user", "db-user"))
    harness.await_reason("TargetConflict")

    harness.change(target={"adopt": True})

    secret = harness.await_content(theirs=value, user=user)
    harness.await_reason("Synced")
    for field, wanted in theirs.items():
        assert secret["metadata"][field].items() >= wanted.items()
    harness.await_event(
        "Normal", "Adopted", "kubectl-create", "kubectl-patch", "replaced theirs", "removed other", version, "db-user"
    )
    harness.await_event_counts(TargetConflict=1, Adopted=1)


@scenario
def test_a_foreign_secret_of_another_type_cannot_be_adopted(harness: Harness) -> None:
    user, password = harness.put("db-user"), harness.put()
    create_foreign(harness, annotations=CONSENT)
    before = resource_version(harness.secret())

    target = {"type": "kubernetes.io/basic-auth", "adopt": True}
    harness.apply(entry("username", "db-user"), entry(), target=target)

    assert "delete the Secret" in harness.await_reason("TargetInvalid").message
    assert resource_version(harness.secret()) == before
    harness.api.delete(harness.path("secrets", "db"))
    harness.await_content(username=user, password=password)


@scenario
def test_a_secret_that_others_created_in_place_of_the_target_is_theirs(harness: Harness) -> None:
    harness.put()
    harness.apply()
    harness.await_synced()
    harness.change(suspend=True)
    harness.await_reason("Suspended")
    harness.api.delete(harness.path("secrets", "db"))
    create_foreign(harness)

    harness.change(suspend=False)

    harness.await_reason("TargetConflict")
    assert harness.content() == {"theirs": b"by hand"}


@scenario
def test_a_vaultsecret_that_is_deleted_and_created_again_is_synced(harness: Harness) -> None:
    value = harness.put()
    for _ in range(5):
        harness.apply()
        harness.delete()
    made = harness.apply()

    harness.await_reason("Synced")
    secret = harness.await_content(password=value)
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == [made["metadata"]["uid"]]


@scenario
def test_a_target_is_created_when_the_foreign_secret_is_deleted(harness: Harness) -> None:
    value = harness.put()
    create_foreign(harness)
    harness.apply()
    harness.await_reason("TargetConflict")

    harness.api.delete(harness.path("secrets", "db"))

    harness.await_content(password=value)


@scenario
def test_the_older_of_two_vaultsecrets_owns_their_target_and_then_the_younger(harness: Harness) -> None:
    older, younger = harness.put("older"), harness.put("younger")
    harness.apply(entry(source="older"), name="older", target={"name": "db"})
    harness.await_content(password=older)
    harness.await_event_counts("older", Created=1)
    first = harness.vault_secret("older")
    assert first is not None

    def is_later() -> bool:
        """Kubernetes dates to the second: create the younger until its second is a later one."""
        harness.delete("younger")
        made = harness.apply(entry(source="younger"), name="younger", target={"name": "db"})
        return bool(made["metadata"]["creationTimestamp"] > first["metadata"]["creationTimestamp"])

    harness.eventually(is_later, "a younger VaultSecret")

    assert "older" in harness.await_reason("TargetConflict", name="younger").message
    assert harness.content() == {"password": older.encode()}
    harness.delete("older")
    harness.await_content(password=younger)
    harness.await_reason("Synced", name="younger")
