"""Secrets that a tenant without a right on Secrets wants: to overwrite, to delete, or to have taken from their owner.

He writes VaultSecrets; the Secret and its annotations belong to whoever may write Secrets. The races are those between
the operator's observation of a Secret and its write.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import pytest

from tests.e2e.harness import Harness
from tests.fakes import FakeKube
from tests.harness import DB, MemoryHarness
from tests.secrets import encoded
from vaultsync.api import (
    ADOPT_BY_ANNOTATION,
    API_VERSION,
    APPLIED_ANNOTATION,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    RETAINED_BY_ANNOTATION,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import InvalidSpec
from vaultsync.state.observed import Observed, Unclaimed

THEIRS: Final = {"password": "theirs"}
OURS: Final = {"password": "first"}
CONSENT: Final = {ADOPT_BY_ANNOTATION: "db"}
EXTERNAL_SECRET: Final = {
    "apiVersion": "external-secrets.io/v1",
    "kind": "ExternalSecret",
    "name": "db",
    "uid": "4f5e0000-7d3a-4b54-9d0c-0d5b2f8f3b11",
    "controller": True,
}


class RacedKube(FakeKube):
    """An API server to which somebody else writes between what the operator observed and its next write."""

    def __init__(self, **clock: Any) -> None:  # noqa: ANN401  as the fake's
        super().__init__(**clock)
        self._races: list[Callable[[], None]] = []

    async def apply_target(self, key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Observed:
        self._race()
        return await super().apply_target(key, manifest, onto=onto)

    async def delete_target(self, key: ObjectKey, *, observed: Observed) -> None:
        self._race()
        await super().delete_target(key, observed=observed)

    async def orphan_target(self, key: ObjectKey, *, observed: Observed | Unclaimed, retained_by: str) -> None:
        self._race()
        await super().orphan_target(key, observed=observed, retained_by=retained_by)

    def before_write(self, race: Callable[[], None]) -> None:
        """Have somebody else act before the next write, or before the one after the writes that are raced already."""
        self._races.append(race)

    @property
    def has_raced(self) -> bool:
        """Whether there was a write for each race."""
        return not self._races

    def _race(self) -> None:
        if self._races:
            self._races.pop(0)()


class Raced(MemoryHarness):
    """An operator whose writes are raced."""

    kube: RacedKube

    def metadata(self, name: str = "db") -> dict[str, Any]:
        """The metadata of a Secret."""
        document = self.kube.without_data(self.key_of(name))
        assert document is not None
        found: dict[str, Any] = document["metadata"]
        return found

    def uid(self, name: str = "db") -> str:
        """The uid of a VaultSecret."""
        return self.kube.vault_secret(self.key_of(name)).metadata.uid

    async def converge(self) -> None:
        """Let the operator do all that it wants to: retries, polls, resyncs."""
        for _ in range(4):
            await self.poll(300)
            await self.controller.resync.resync()
            await self.drain()


@pytest.fixture
async def tenant() -> AsyncIterator[Raced]:
    """An operator that runs; the tenant has applied nothing yet."""
    raced = Raced(kube=RacedKube)
    await raced.start([])
    yield raced
    await raced.aclose()


@pytest.fixture
async def adopted(tenant: Raced) -> Raced:
    """A Secret of somebody else that was adopted by his consent."""
    tenant.kube.create(DB, "helm", THEIRS, annotations=CONSENT)
    tenant.apply(target={"adopt": True})
    await tenant.converge()
    assert tenant.values() == OURS
    return tenant


# Without consent


async def test_a_spec_that_adopts_does_not_overwrite_a_secret_without_consent(tenant: Raced) -> None:
    """A tenant without a right on Secrets sets `adopt` and the name of another's Secret."""
    tenant.kube.create(DB, "helm", THEIRS)
    tenant.apply(target={"adopt": True})

    await tenant.converge()

    assert (tenant.values(), tenant.ready().reason) == (THEIRS, "TargetConflict")
    assert tenant.ready().message.endswith("kubectl annotate secret -n shop db --overwrite vaultsync.dev/adopt-by=db.")


@pytest.mark.parametrize("consent", ["another", "", "DB", "db ", "db,another", "shop/db", "d" * 300])
async def test_a_consent_to_another_vaultsecret_does_not_let_this_one_take_the_secret(
    tenant: Raced, consent: str
) -> None:
    """A tenant takes a Secret whose owner consents to another VaultSecret, or to a name that only looks alike."""
    tenant.kube.create(DB, "helm", THEIRS, annotations={ADOPT_BY_ANNOTATION: consent})
    tenant.apply(target={"adopt": True})

    await tenant.converge()

    assert (tenant.values(), tenant.ready().reason) == (THEIRS, "TargetConflict")


def test_a_manifest_does_not_carry_the_consent_into_a_target(tenant: Raced) -> None:
    """A tenant has the operator itself write the annotation of consent, or the mark of a released Secret."""
    for name in (ADOPT_BY_ANNOTATION, RETAINED_BY_ANNOTATION):
        with pytest.raises(InvalidSpec, match="must not contain"):
            tenant.apply(target={"annotations": {name: "db"}})


async def test_a_secret_that_the_operator_retained_for_another_is_not_taken_up(tenant: Raced) -> None:
    """A tenant names the Secret that the deleted VaultSecret of another tenant has left behind."""
    tenant.apply(name="victim", onDelete="Retain", target={"name": "kept"})
    await tenant.converge()
    tenant.remove("victim")
    await tenant.converge()
    tenant.vault.set("other", "stolen")
    tenant.apply({"key": "password", "secretName": "other"}, target={"name": "kept", "adopt": True})

    await tenant.converge()

    assert (tenant.values("kept"), tenant.ready().reason) == (OURS, "TargetConflict")


async def test_a_vaultsecret_that_is_created_again_does_not_take_what_its_namesake_retained(tenant: Raced) -> None:
    """A tenant deletes a VaultSecret and creates one of the same name, to overwrite what had to be kept."""
    tenant.apply(onDelete="Retain")
    await tenant.converge()
    tenant.remove()
    await tenant.converge()
    tenant.vault.set("other", "stolen")
    tenant.apply({"key": "password", "secretName": "other"}, target={"adopt": True})

    await tenant.converge()

    assert (tenant.values(), tenant.ready().reason) == (OURS, "TargetConflict")


# Marks that somebody forged


@pytest.mark.parametrize("owner", ["ours", "another's"])
async def test_a_forged_owner_label_does_not_make_a_secret_ours(tenant: Raced, owner: str) -> None:
    """Who may copy Secrets, labels included, has the operator overwrite or delete the copy as one of its own."""
    tenant.apply(suspend=True)
    uid = tenant.uid() if owner == "ours" else "0000"
    labels = {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: uid}
    annotations = {APPLIED_ANNOTATION: f'{{"spec":"","secrets":[],"owner":"{uid}","created":true}}'}
    tenant.kube.create(DB, "reflector", THEIRS, labels=labels, annotations=annotations)
    tenant.apply(target={"adopt": True})
    await tenant.converge()
    assert (tenant.values(), tenant.ready().reason) == (THEIRS, "TargetConflict")

    tenant.apply(target={"name": "elsewhere"})
    await tenant.converge()
    tenant.remove()
    await tenant.converge()

    assert tenant.values() == THEIRS


@pytest.mark.parametrize("name", ["db", "victim"])
async def test_a_copy_of_another_target_is_not_taken_for_one_that_a_backup_brought_back(
    tenant: Raced, name: str
) -> None:
    """A tenant creates the VaultSecret of a Secret that a tool has copied, marks included, and whose owner is gone."""
    tenant.apply(name="victim", onDelete="Retain", target={"name": "kept"})
    await tenant.converge()
    copied = tenant.metadata("kept")
    annotations = {**copied["annotations"]}
    if name == "victim":
        # Of the same VaultSecret, in another namespace.
        annotations[APPLIED_ANNOTATION] = annotations[APPLIED_ANNOTATION].replace("shop/victim", "elsewhere/victim")
    tenant.remove("victim")
    tenant.kube.delete(tenant.key_of("kept"))
    tenant.kube.create(tenant.key_of("kept"), "reflector", THEIRS, labels=copied["labels"], annotations=annotations)
    tenant.apply(name=name, onDelete="Retain", target={"name": "kept"})

    await tenant.converge()

    assert (tenant.values("kept"), tenant.ready(name).reason) == (THEIRS, "TargetConflict")


async def test_the_target_of_a_vaultsecret_that_exists_is_not_taken_for_one_that_a_backup_brought_back(
    tenant: Raced,
) -> None:
    """A tenant has the target's marks removed from managedFields, and names it by a VaultSecret with the same spec."""
    tenant.apply(name="victim", onDelete="Retain", target={"name": "kept"})
    await tenant.converge()
    marks = {area: tenant.metadata("kept")[area] for area in ("labels", "annotations")}
    tenant.apply(name="victim", onDelete="Retain", target={"name": "elsewhere"})
    await tenant.converge()
    tenant.kube.create(tenant.key_of("kept"), "reflector", THEIRS, **marks)
    tenant.apply(onDelete="Retain", target={"name": "kept"})

    await tenant.converge()

    assert (tenant.values("kept"), tenant.ready().reason) == (THEIRS, "TargetConflict")


async def test_a_forged_owner_label_does_not_hand_an_adopted_secret_to_a_deletion(adopted: Raced) -> None:
    """Who may label Secrets but not delete them names another VaultSecret as the owner, whose target then moves."""
    adopted.apply(name="victim", target={"name": "elsewhere"})
    await adopted.converge()
    victim = adopted.uid("victim")
    adopted.kube.edit(DB, "kubectl", labels={OWNER_UID_LABEL: victim})
    adopted.remove()
    adopted.apply(name="victim", target={"name": "third"})

    await adopted.converge()

    assert adopted.values() == OURS


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": {APPLIED_ANNOTATION: None}},
        {"annotations": {APPLIED_ANNOTATION: '{"spec":"","secrets":[],"created":true}'}},
        {"annotations": {ADOPT_BY_ANNOTATION: None}},
        {"labels": {OWNER_UID_LABEL: None}},
    ],
    ids=["no annotation", "a forged annotation", "no consent", "no label"],
)
async def test_changed_marks_do_not_turn_an_adopted_secret_into_a_deletable_one(
    adopted: Raced, changes: dict[str, Any]
) -> None:
    """Who may change Secrets but not delete them removes what says that one was adopted; then the target moves."""
    adopted.kube.edit(DB, "kubectl", **changes)
    await adopted.converge()
    adopted.apply(target={"name": "elsewhere"})
    await adopted.converge()
    adopted.remove()

    await adopted.converge()

    assert adopted.values() == OURS


# What becomes of an adopted Secret


@pytest.mark.parametrize("on_delete", ["Delete", "Retain"])
async def test_deleting_a_vaultsecret_does_not_delete_what_it_adopted(adopted: Raced, on_delete: str) -> None:
    """A tenant without a right on Secrets deletes his VaultSecret, with which the garbage collector deletes targets."""
    adopted.apply(onDelete=on_delete, target={"adopt": True})
    await adopted.converge()
    adopted.remove()

    await adopted.converge()

    assert adopted.values() == OURS
    assert adopted.metadata()["labels"] == {}
    assert adopted.metadata()["ownerReferences"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"target": {"name": "elsewhere"}},
        {"target": {"adopt": True, "immutable": True, "replaceImmutable": True}},
        {"target": {"adopt": False}, "onDelete": "Retain"},
        {"onSourceDeleted": "Delete", "deleteAfter": "1m"},
    ],
    ids=["another name", "replacement", "onDelete", "the vault's loss"],
)
async def test_no_change_of_the_spec_deletes_what_was_adopted(adopted: Raced, changes: dict[str, Any]) -> None:
    """A tenant uses each way in which the operator deletes a Secret on that of another."""
    uid = adopted.metadata()["uid"]
    adopted.apply(**changes)
    await adopted.converge()
    adopted.vault.delete("db-password")
    await adopted.converge()
    adopted.remove()

    await adopted.converge()

    assert adopted.metadata()["uid"] == uid
    assert adopted.values() == OURS


async def test_an_older_vaultsecret_does_not_take_an_adopted_secret_from_the_one_that_it_names(tenant: Raced) -> None:
    """A tenant renames the target of an old VaultSecret to a Secret that another VaultSecret was allowed to adopt."""
    tenant.vault.set("other", "stolen")
    tenant.apply({"key": "password", "secretName": "other"}, name="attacker")
    await tenant.pass_time(10)
    tenant.kube.create(DB, "helm", THEIRS, annotations=CONSENT)
    tenant.apply(target={"adopt": True})
    await tenant.converge()

    target = {"name": "db", "adopt": True}
    tenant.apply({"key": "password", "secretName": "other"}, name="attacker", target=target)
    await tenant.converge()

    assert (tenant.values(), tenant.ready().reason) == (OURS, "Synced")
    assert tenant.ready("attacker").reason == "TargetConflict"


# Races


async def test_a_consent_that_is_withdrawn_before_the_write_does_not_count(tenant: Raced) -> None:
    """A tenant has the operator write after the owner of the Secret has changed his mind."""
    tenant.kube.create(DB, "helm", THEIRS, annotations=CONSENT)
    tenant.kube.before_write(lambda: tenant.kube.edit(DB, "helm", annotations={ADOPT_BY_ANNOTATION: None}))
    tenant.apply(target={"adopt": True})

    await tenant.converge()

    assert tenant.kube.has_raced
    assert (tenant.values(), tenant.ready().reason) == (THEIRS, "TargetConflict")


async def test_a_consent_that_is_given_to_another_before_the_write_does_not_count(tenant: Raced) -> None:
    """Two tenants want one Secret, and the one whom its owner does not want any more is faster."""
    tenant.kube.create(DB, "helm", THEIRS, annotations=CONSENT)
    tenant.kube.before_write(lambda: tenant.kube.edit(DB, "helm", annotations={ADOPT_BY_ANNOTATION: "another"}))
    tenant.apply(target={"adopt": True})
    await tenant.converge()
    assert tenant.values() == THEIRS

    tenant.vault.set("other", "another's")
    tenant.apply({"key": "password", "secretName": "other"}, name="another", target={"name": "db", "adopt": True})
    await tenant.converge()

    assert tenant.values() == {"password": "another's"}
    assert (tenant.ready().reason, tenant.ready("another").reason) == ("TargetConflict", "Synced")


async def test_a_secret_that_is_created_again_before_the_write_is_not_the_one_that_consented(tenant: Raced) -> None:
    """The owner deletes a Secret that consented and creates one that does not, just before the operator writes."""
    tenant.kube.create(DB, "helm", THEIRS, annotations=CONSENT)

    def recreate() -> None:
        tenant.kube.delete(DB)
        tenant.kube.create(DB, "helm", THEIRS)

    tenant.kube.before_write(recreate)
    tenant.apply(target={"adopt": True})

    await tenant.converge()

    assert tenant.kube.has_raced
    assert (tenant.values(), tenant.ready().reason) == (THEIRS, "TargetConflict")


async def test_a_secret_that_appears_before_the_creation_is_not_taken_for_the_created_one(tenant: Raced) -> None:
    """Another creates a Secret in the moment in which the operator is about to create the target."""
    tenant.kube.before_write(lambda: tenant.kube.create(DB, "helm", THEIRS))
    tenant.apply()

    await tenant.converge()

    assert (tenant.values(), tenant.ready().reason) == (THEIRS, "TargetConflict")


async def test_a_controller_that_takes_the_target_before_the_write_keeps_it(tenant: Raced) -> None:
    """Another controller becomes the owner of a target just before the operator writes it again."""
    tenant.apply()
    await tenant.converge()
    (reference,) = tenant.metadata()["ownerReferences"]

    def take() -> None:
        tenant.kube.disown(DB, "external-secrets", reference["uid"])
        tenant.kube.own(DB, "external-secrets", EXTERNAL_SECRET)
        tenant.kube.edit(DB, "external-secrets", data=dict(THEIRS))

    tenant.kube.before_write(take)
    tenant.vault.set("db-password", "second")
    await tenant.converge()

    assert tenant.kube.has_raced
    assert (tenant.values(), tenant.ready().reason) == (THEIRS, "TargetConflict")
    assert "ExternalSecret db" in tenant.ready().message


@pytest.mark.parametrize("moves", [True, False])
async def test_a_secret_that_is_created_again_before_a_deletion_is_not_deleted(tenant: Raced, moves: bool) -> None:
    """A previous target is replaced by another's Secret in the moment in which the operator deletes it."""
    tenant.apply(onSourceDeleted="Delete", deleteAfter="1m")
    await tenant.converge()

    def recreate() -> None:
        tenant.kube.delete(DB)
        tenant.kube.create(DB, "helm", THEIRS)

    if moves:
        tenant.apply(target={"name": "elsewhere"})
        tenant.kube.before_write(lambda: None)  # the new target
        tenant.kube.before_write(recreate)
    else:
        tenant.vault.delete("db-password")
        tenant.kube.before_write(recreate)
    await tenant.converge()

    assert tenant.kube.has_raced
    assert tenant.values() == THEIRS


async def test_a_lost_answer_does_not_adopt_twice_or_without_consent(tenant: Raced) -> None:
    """The answer to the write that adopts is lost, and the owner withdraws the consent before it is repeated."""
    tenant.kube.create(DB, "helm", THEIRS, annotations=CONSENT)
    tenant.kube.lost_answers = 1
    tenant.apply(target={"adopt": True})
    await tenant.drain()
    assert tenant.values() == OURS  # it was carried out
    tenant.kube.edit(DB, "helm", annotations={ADOPT_BY_ANNOTATION: None})

    await tenant.converge()
    tenant.remove()
    await tenant.converge()

    assert tenant.values() == OURS  # released, not deleted


# On a real API server


def foreign(harness: Harness, **metadata: object) -> dict[str, Any]:
    """Create Secret `db` of somebody else."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", **metadata}, "data": encoded(THEIRS)}
    made: dict[str, Any] = harness.api.create(harness.path("secrets"), body)
    return made


def theirs_by_controller(harness: Harness) -> dict[str, Any]:
    """Create an owner that exists, and is the controller of Secret `db`; return its reference."""
    owner = harness.api.create(
        harness.path("configmaps"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "their-app"}}
    )
    uid = owner["metadata"]["uid"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": "their-app", "uid": uid, "controller": True}


@pytest.mark.cluster
def test_a_secret_of_another_controller_is_not_taken_without_consent_and_the_commands_are_named(
    harness: Harness,
) -> None:
    """A tenant takes the Secret of another controller, for example one that External Secrets has left behind."""
    harness.put()
    before = foreign(harness, ownerReferences=[theirs_by_controller(harness)])

    harness.apply(target={"adopt": True})

    message = harness.await_reason("TargetConflict").message
    assert "is controlled by ConfigMap their-app;" in message
    assert f"kubectl annotate secret -n {harness.namespace} db --overwrite vaultsync.dev/adopt-by=db" in message
    assert "kubectl patch secret" in message
    assert harness.secret() == before


@pytest.mark.cluster
def test_an_adopted_secret_of_another_controller_survives_both_owners(harness: Harness) -> None:
    """A tenant lets the garbage collector delete what he could not: he deletes one owner, and another the other."""
    value = harness.put()
    before = foreign(harness, annotations=CONSENT, ownerReferences=[theirs_by_controller(harness)])
    harness.apply(target={"adopt": True})
    harness.await_content(password=value)
    harness.await_reason("Synced")

    harness.api.delete(harness.path("configmaps", "their-app"))
    harness.delete()

    released = harness.await_released()
    assert released["metadata"]["uid"] == before["metadata"]["uid"]
    assert harness.content() == {"password": value.encode()}


@pytest.mark.cluster
@pytest.mark.parametrize("forged", ["ours", "another's"])
def test_a_forged_owner_reference_does_not_have_the_operator_write_a_secret(harness: Harness, forged: str) -> None:
    """Who may create Secrets names a VaultSecret as the owner of one, with all marks of a target."""
    harness.put()
    made = harness.apply(suspend=True)
    harness.await_reason("Suspended")
    uid = made["metadata"]["uid"] if forged == "ours" else "6f0c0c56-7d3a-4b54-9d0c-0d5b2f8f3b11"
    reference = {"apiVersion": API_VERSION, "kind": KIND, "name": "db", "uid": made["metadata"]["uid"]}
    before = foreign(
        harness,
        labels={MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: uid},
        annotations={APPLIED_ANNOTATION: "{}"},
        ownerReferences=[{**reference, "controller": True}],
    )

    harness.change(suspend=False)

    harness.await_reason("TargetConflict")
    assert harness.secret() == before
