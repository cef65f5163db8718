"""The fake Kubernetes API behaves like the real one: field ownership, and the result of each write."""

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from tests.builders import START, keep_all
from tests.contract.other_client import Kubectl, OtherClient
from tests.fakes import FakeKube
from tests.manifests import manifest, spec
from vaultsync.adapters.kube import Conflict, KubeApi
from vaultsync.api import (
    ADOPT_BY_ANNOTATION,
    API_VERSION,
    APPLIED_ANNOTATION,
    FIELD_MANAGER,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import ObjectChanged, ObjectGone, Reason, SyncError
from vaultsync.state.observed import Field, Observed, Owner
from vaultsync.state.snapshots import Bookmark, Deleted, Modified, TargetEvent
from vaultsync.status.events import Event

OWNER = "6f0c0c56-7d3a-4b54-9d0c-0d5b2f8f3b11"


class Cluster(NamedTuple):
    """A cluster as vaultsync uses it, and as another client does."""

    kube: FakeKube | KubeApi
    other: OtherClient
    namespace: str

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, "db")

    async def given(self, **data: str) -> Observed:
        """A target of ours."""
        return await self.kube.apply_target(self.key, secret(self.key, **data), onto=None)

    async def observed(self) -> Observed:
        observed = await self.kube.get_target(self.key)
        assert observed is not None
        return observed


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    if request.param == "fake":
        fake = FakeKube()
        yield Cluster(fake, fake, "shop")
        return
    plane = request.getfixturevalue("controlplane")
    async with await KubeApi.connect({"KUBECONFIG": str(plane.kubeconfig)}) as kube:
        yield Cluster(kube, Kubectl(plane), request.getfixturevalue("namespace"))


def secret(key: ObjectKey, **data: str) -> dict[str, Any]:
    """What we apply."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            "annotations": {APPLIED_ANNOTATION: "{}"},
        },
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
    }


def keys(fields: Iterable[Field]) -> set[str]:
    return {field.name for field in fields if field.area == "data"}


async def test_a_missing_secret_is_none(cluster: Cluster) -> None:
    observed = await cluster.kube.get_target(cluster.key)

    assert observed is None


async def test_a_new_secret_holds_what_was_applied(cluster: Cluster) -> None:
    await cluster.given(password="one", user="shop")

    assert cluster.other.values(cluster.key) == {"password": "one", "user": "shop"}


async def test_the_data_of_a_target_is_that_of_the_very_object_that_was_observed(cluster: Cluster) -> None:
    observed = await cluster.given(password="one")

    data = await cluster.kube.get_target_data(cluster.key, observed=observed)
    assert {name: value.reveal() for name, value in data.items()} == {"password": "b25l"}

    cluster.other.edit(cluster.key, "kubectl", data={"password": "two"})
    with pytest.raises(Conflict):
        await cluster.kube.get_target_data(cluster.key, observed=observed)


async def test_every_field_that_was_applied_is_observed_as_ours(cluster: Cluster) -> None:
    wanted = secret(cluster.key, password="one")
    wanted["metadata"]["ownerReferences"] = [{"apiVersion": API_VERSION, "kind": KIND, "name": "db", "uid": OWNER}]

    observed = await cluster.kube.apply_target(cluster.key, wanted, onto=None)

    assert observed.ours == {
        Field("data", "password"),
        Field("labels", MANAGED_BY_LABEL),
        Field("annotations", APPLIED_ANNOTATION),
        Field("ownerReferences", OWNER),
    }
    assert (observed.managed, observed.foreign, observed.managers) == (True, {}, ())
    assert [owner.uid for owner in observed.owners] == [OWNER]


async def test_an_apply_returns_what_a_get_returns(cluster: Cluster) -> None:
    answer = await cluster.given(password="one")

    assert await cluster.observed() == answer


async def test_applying_the_same_manifest_again_changes_nothing(cluster: Cluster) -> None:
    first = await cluster.given(password="one")

    second = await cluster.kube.apply_target(cluster.key, secret(cluster.key, password="one"), onto=first)

    assert second == first


async def test_a_creation_that_is_repeated_leaves_the_secret_unchanged(cluster: Cluster) -> None:
    await cluster.given(password="one")
    cluster.other.edit(cluster.key, "kubectl", labels={"tier": "web"})
    before = await cluster.observed()

    with pytest.raises(Conflict):
        await cluster.kube.apply_target(cluster.key, secret(cluster.key, password="two"), onto=None)

    assert cluster.other.values(cluster.key) == {"password": "one"}
    assert await cluster.observed() == before


@pytest.mark.parametrize(
    "theirs",
    [
        pytest.param({"token": "theirs"}, id="with other keys"),
        pytest.param({"password": "theirs"}, id="with the same key"),
        pytest.param({"password": "one"}, id="with the same key and value"),
    ],
)
async def test_a_creation_leaves_an_existing_secret_of_another_manager_unchanged(
    cluster: Cluster, theirs: Mapping[str, str]
) -> None:
    cluster.other.create(cluster.key, "helm", theirs)
    before = await cluster.observed()

    with pytest.raises(Conflict):
        await cluster.kube.apply_target(cluster.key, secret(cluster.key, password="one"), onto=None)

    assert cluster.other.values(cluster.key) == theirs
    assert await cluster.observed() == before


async def test_a_secret_that_has_changed_since_is_written(cluster: Cluster) -> None:
    before = await cluster.given(password="one")
    cluster.other.edit(cluster.key, "kubectl", labels={"tier": "web"})

    await cluster.kube.apply_target(cluster.key, secret(cluster.key, password="two"), onto=before)

    assert cluster.other.values(cluster.key) == {"password": "two"}


async def test_a_secret_that_another_process_has_applied_since_is_not_overwritten(cluster: Cluster) -> None:
    before = await cluster.given(password="one")
    newer = secret(cluster.key, password="three")
    newer["metadata"]["annotations"] = {APPLIED_ANNOTATION: '{"spec":"","secrets":[]}'}
    await cluster.kube.apply_target(cluster.key, newer, onto=before)

    with pytest.raises(Conflict):
        await cluster.kube.apply_target(cluster.key, secret(cluster.key, password="two"), onto=before)

    assert cluster.other.values(cluster.key) == {"password": "three"}


async def test_a_replaced_secret_is_not_overwritten(cluster: Cluster) -> None:
    ours = await cluster.given(password="one")
    cluster.other.delete(cluster.key)
    cluster.other.create(cluster.key, "helm", {"password": "theirs"})

    with pytest.raises(Conflict):
        await cluster.kube.apply_target(cluster.key, secret(cluster.key, password="two"), onto=ours)

    assert cluster.other.values(cluster.key) == {"password": "theirs"}


async def test_a_deleted_secret_is_not_created_by_an_update(cluster: Cluster) -> None:
    ours = await cluster.given(password="one")
    cluster.other.delete(cluster.key)

    with pytest.raises(Conflict):
        await cluster.kube.apply_target(cluster.key, secret(cluster.key, password="two"), onto=ours)

    assert cluster.other.values(cluster.key) is None


@pytest.mark.parametrize(
    "change",
    [{"data": {"password": "dHdv"}}, {"data": {}}, {"immutable": None}],
    ids=["another value", "a key less", "no longer immutable"],
)
async def test_an_immutable_secret_keeps_its_content(cluster: Cluster, change: Mapping[str, Any]) -> None:
    immutable = {**secret(cluster.key, password="one"), "immutable": True}
    observed = await cluster.kube.apply_target(cluster.key, immutable, onto=None)
    wanted = {name: value for name, value in {**immutable, **change}.items() if value is not None}

    with pytest.raises(SyncError) as refused:
        await cluster.kube.apply_target(cluster.key, wanted, onto=observed)

    assert refused.value.reason is Reason.TARGET_IMMUTABLE
    assert cluster.other.values(cluster.key) == {"password": "one"}


async def test_an_immutable_secret_accepts_new_annotations(cluster: Cluster) -> None:
    immutable = {**secret(cluster.key, password="one"), "immutable": True}
    observed = await cluster.kube.apply_target(cluster.key, immutable, onto=None)
    metadata = {**immutable["metadata"], "annotations": {APPLIED_ANNOTATION: "{}"}}

    observed = await cluster.kube.apply_target(cluster.key, {**immutable, "metadata": metadata}, onto=observed)

    assert Field("annotations", APPLIED_ANNOTATION) in observed.ours


async def test_the_manifest_of_a_target_creates_the_same_secret_again(cluster: Cluster) -> None:
    wanted = claimed(cluster.key, immutable=True)
    # The garbage collector would delete a Secret whose owner does not exist.
    owner = {"apiVersion": API_VERSION, "kind": KIND, "name": "db", "uid": a_vault_secret(cluster).metadata.uid}
    wanted["metadata"]["ownerReferences"] = [owner]
    before = await cluster.kube.apply_target(cluster.key, wanted, onto=None)
    kept = json.loads((await cluster.kube.get_target_manifest(cluster.key, observed=before)).reveal())
    cluster.other.delete(cluster.key)

    after = await cluster.kube.apply_target(cluster.key, kept, onto=None)

    assert replace(after, uid=before.uid, resource_version=before.resource_version, created=before.created) == before
    assert cluster.other.values(cluster.key) == {"password": "one"}
    with pytest.raises(SyncError) as refused:
        await cluster.kube.apply_target(cluster.key, secret(cluster.key, password="two"), onto=after)
    assert refused.value.reason is Reason.TARGET_IMMUTABLE


async def test_the_manifest_is_that_of_the_very_object_that_was_observed(cluster: Cluster) -> None:
    observed = await cluster.given(password="one")
    cluster.other.edit(cluster.key, "kubectl", data={"password": "two"})

    with pytest.raises(Conflict):
        await cluster.kube.get_target_manifest(cluster.key, observed=observed)


async def test_checking_a_creation_stores_nothing(cluster: Cluster) -> None:
    await cluster.kube.check_creation(cluster.key, secret(cluster.key, password="one"))
    assert cluster.other.values(cluster.key) is None

    before = await cluster.given(password="one")
    await cluster.kube.check_creation(cluster.key, secret(cluster.key, password="two"))

    assert await cluster.observed() == before


async def test_a_creation_in_a_namespace_that_is_being_deleted_fails_its_check(cluster: Cluster) -> None:
    cluster.other.begin_deleting_namespace(cluster.namespace)

    with pytest.raises(ObjectGone):
        await cluster.kube.check_creation(cluster.key, secret(cluster.key, password="one"))


async def test_announcing_a_replacement_is_a_write_each_time_and_keeps_what_is_ours(cluster: Cluster) -> None:
    before = await cluster.kube.apply_target(cluster.key, claimed(cluster.key, immutable=True), onto=None)

    first = await cluster.kube.announce_replacement(cluster.key, observed=before)
    second = await cluster.kube.announce_replacement(cluster.key, observed=first)

    assert len({before.resource_version, first.resource_version, second.resource_version}) == 3
    assert (second.uid, second.ours, second.applied) == (before.uid, before.ours, before.applied)
    assert cluster.other.values(cluster.key) == {"password": "one"}


async def test_no_replacement_of_a_secret_that_has_changed_is_announced(cluster: Cluster) -> None:
    before = await cluster.given(password="one")
    cluster.other.edit(cluster.key, "kubectl", labels={"tier": "web"})

    with pytest.raises(Conflict):
        await cluster.kube.announce_replacement(cluster.key, observed=before)


async def test_deleting_is_idempotent(cluster: Cluster) -> None:
    observed = await cluster.given(password="one")

    await cluster.kube.delete_target(cluster.key, observed=observed)
    await cluster.kube.delete_target(cluster.key, observed=observed)

    assert cluster.other.values(cluster.key) is None


async def test_a_secret_with_a_finalizer_is_terminating_until_that_is_removed(cluster: Cluster) -> None:
    await cluster.given(password="one")
    cluster.other.hold(cluster.key, "example.com/hold", "example.com/another")
    held = await cluster.observed()
    assert (held.finalizers, held.terminating) == (("example.com/hold", "example.com/another"), False)

    await cluster.kube.delete_target(cluster.key, observed=held)

    terminating = await cluster.observed()
    assert (terminating.uid, terminating.terminating) == (held.uid, True)
    with pytest.raises(Conflict):
        await cluster.given(password="two")
    cluster.other.hold(cluster.key)
    assert await cluster.kube.get_target(cluster.key) is None


async def test_a_secret_that_has_changed_since_is_not_deleted(cluster: Cluster) -> None:
    observed = await cluster.given(password="one")
    cluster.other.edit(cluster.key, "mallory", data={"password": "evil"})

    with pytest.raises(Conflict):
        await cluster.kube.delete_target(cluster.key, observed=observed)

    assert cluster.other.values(cluster.key) == {"password": "evil"}


async def test_a_replaced_secret_is_not_deleted(cluster: Cluster) -> None:
    observed = await cluster.given(password="one")
    cluster.other.delete(cluster.key)
    cluster.other.create(cluster.key, "helm", {"password": "theirs"})

    with pytest.raises(Conflict):
        await cluster.kube.delete_target(cluster.key, observed=observed)

    assert cluster.other.values(cluster.key) == {"password": "theirs"}


async def test_a_key_that_is_not_applied_any_more_is_removed(cluster: Cluster) -> None:
    observed = await cluster.given(password="one", user="shop")

    await cluster.kube.apply_target(cluster.key, secret(cluster.key, password="one"), onto=observed)

    assert cluster.other.values(cluster.key) == {"password": "one"}


async def test_a_key_with_another_owner_stays(cluster: Cluster) -> None:
    observed = await cluster.given(password="one", user="shop")
    cluster.other.apply_as(cluster.key, "argo", {"user": "shop"})

    observed = await cluster.kube.apply_target(cluster.key, secret(cluster.key, password="one"), onto=observed)

    assert cluster.other.values(cluster.key) == {"password": "one", "user": "shop"}
    assert observed.foreign == {Field("data", "user"): "argo"}


async def test_a_key_that_others_own_too_is_not_foreign(cluster: Cluster) -> None:
    await cluster.given(password="one")
    cluster.other.apply_as(cluster.key, "argo", {"password": "one"})

    observed = await cluster.observed()

    assert (keys(observed.ours), observed.foreign, observed.managers) == ({"password"}, {}, ("argo",))


async def test_a_changed_value_is_no_longer_ours(cluster: Cluster) -> None:
    await cluster.given(password="one", user="shop")
    cluster.other.edit(cluster.key, "mallory", data={"password": "evil"})

    observed = await cluster.observed()

    assert keys(observed.ours) == {"user"}
    assert observed.foreign == {Field("data", "password"): "mallory"}


async def test_an_added_key_is_foreign(cluster: Cluster) -> None:
    await cluster.given(password="one")
    cluster.other.edit(cluster.key, "mallory", data={"extra": "more"})

    observed = await cluster.observed()

    assert keys(observed.ours) == {"password"}
    assert observed.foreign == {Field("data", "extra"): "mallory"}


async def test_a_removed_key_has_no_owner(cluster: Cluster) -> None:
    await cluster.given(password="one", user="shop")
    cluster.other.edit(cluster.key, "mallory", data={"password": None})

    observed = await cluster.observed()

    assert (keys(observed.ours), observed.foreign) == ({"user"}, {})


async def test_a_changed_annotation_is_no_longer_ours(cluster: Cluster) -> None:
    await cluster.given(password="one")
    cluster.other.edit(cluster.key, "mallory", annotations={APPLIED_ANNOTATION: "nonsense"})

    observed = await cluster.observed()

    assert Field("annotations", APPLIED_ANNOTATION) not in observed.ours


async def test_writing_a_value_that_is_there_already_changes_nothing(cluster: Cluster) -> None:
    before = await cluster.given(password="one")
    cluster.other.edit(cluster.key, "mallory", data={"password": "one"})

    assert await cluster.observed() == before


async def test_an_apply_to_a_tampered_secret_restores_our_fields_and_leaves_foreign_keys(cluster: Cluster) -> None:
    await cluster.given(password="one")
    cluster.other.edit(cluster.key, "mallory", data={"password": "evil", "extra": "more"})

    observed = await cluster.kube.apply_target(
        cluster.key, secret(cluster.key, password="one"), onto=await cluster.observed()
    )

    assert cluster.other.values(cluster.key) == {"password": "one", "extra": "more"}
    assert (keys(observed.ours), observed.foreign) == ({"password"}, {Field("data", "extra"): "mallory"})


async def test_a_foreign_key_can_be_removed(cluster: Cluster) -> None:
    before = await cluster.given(password="one")
    cluster.other.edit(cluster.key, "mallory", data={"extra": "more"})

    after = await cluster.kube.remove_keys(cluster.key, ["extra"], observed=await cluster.observed())

    assert cluster.other.values(cluster.key) == {"password": "one"}
    assert (after.ours, after.foreign, after.managers) == (before.ours, {}, ())


async def test_an_annotation_of_others_can_be_removed(cluster: Cluster) -> None:
    before = await cluster.given(password="one")
    cluster.other.edit(cluster.key, "mallory", annotations={"copy": "x", "note": "y"})

    after = await cluster.kube.remove_annotations(cluster.key, ["copy"], observed=await cluster.observed())

    stored = cluster.other.without_data(cluster.key)
    assert stored is not None
    assert stored["metadata"]["annotations"].keys() == {APPLIED_ANNOTATION, "note"}
    assert after.ours == before.ours
    with pytest.raises(Conflict):
        await cluster.kube.remove_annotations(cluster.key, ["note"], observed=before)


async def test_nothing_is_removed_from_a_secret_that_has_changed(cluster: Cluster) -> None:
    before = await cluster.given(password="one")
    cluster.other.edit(cluster.key, "mallory", data={"extra": "more"})

    with pytest.raises(Conflict):
        await cluster.kube.remove_keys(cluster.key, ["extra"], observed=before)

    assert cluster.other.values(cluster.key) == {"password": "one", "extra": "more"}


async def test_a_secret_of_another_manager_can_be_adopted(cluster: Cluster) -> None:
    cluster.other.create(cluster.key, "helm", {"password": "theirs", "token": "theirs"})

    taken = await cluster.kube.apply_target(
        cluster.key, secret(cluster.key, password="one"), onto=await cluster.observed()
    )
    await cluster.kube.remove_keys(cluster.key, keys(taken.foreign), observed=taken)

    assert cluster.other.values(cluster.key) == {"password": "one"}


async def test_another_type_is_rejected(cluster: Cluster) -> None:
    observed = await cluster.given(username="shop")

    with pytest.raises(SyncError) as caught:
        await cluster.kube.apply_target(
            cluster.key, {**secret(cluster.key, username="shop"), "type": "kubernetes.io/basic-auth"}, onto=observed
        )

    assert caught.value.reason is Reason.TARGET_INVALID
    assert "type cannot be changed" in caught.value.message


def claimed(key: ObjectKey, **fields: object) -> dict[str, Any]:
    """What we apply for a VaultSecret whose user wants labels and annotations too."""
    wanted = secret(key, password="one")
    wanted["metadata"]["labels"] |= {OWNER_UID_LABEL: OWNER, "tier": "web"}
    wanted["metadata"]["annotations"] |= {"example.com/note": "theirs"}
    return {**wanted, **fields}


@pytest.mark.parametrize("fields", [{}, {"immutable": True}], ids=["mutable", "immutable"])
async def test_an_orphaned_secret_keeps_all_but_our_labels_and_annotation(
    cluster: Cluster, fields: Mapping[str, Any]
) -> None:
    observed = await cluster.kube.apply_target(cluster.key, claimed(cluster.key, **fields), onto=None)

    await cluster.kube.orphan_target(cluster.key, observed=observed, retained_by=OWNER)

    after = await cluster.observed()
    assert cluster.other.values(cluster.key) == {"password": "one"}
    assert (after.uid, after.managed, after.owner_uid, after.managers) == (observed.uid, False, None, (FIELD_MANAGER,))
    assert after.retained_by == OWNER
    assert after.ours == {
        Field("data", "password"),
        Field("labels", "tier"),
        Field("annotations", "example.com/note"),
    }


async def test_an_orphaned_secret_is_deleted_for_our_watch(cluster: Cluster) -> None:
    observed = await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)

    await cluster.kube.orphan_target(cluster.key, observed=observed, retained_by=OWNER)

    events = await following(cluster.kube.watch_targets(cluster.namespace, observed.resource_version), 1)
    assert events == [Deleted(cluster.key, (await cluster.observed()).resource_version)]


async def test_an_orphaned_secret_can_be_adopted_again(cluster: Cluster) -> None:
    observed = await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)
    await cluster.kube.orphan_target(cluster.key, observed=observed, retained_by=OWNER)

    again = await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=await cluster.observed())

    assert (again.managed, again.owner_uid, again.ours) == (True, OWNER, observed.ours)


EXTERNAL_SECRET = {
    "apiVersion": "external-secrets.io/v1",
    "kind": "ExternalSecret",
    "name": "db",
    "uid": "4f5e0000-7d3a-4b54-9d0c-0d5b2f8f3b11",
    "controller": True,
}


async def test_consent_and_controller_of_a_secret_are_observed(cluster: Cluster) -> None:
    cluster.other.create(cluster.key, "helm", {"password": "theirs"}, annotations={ADOPT_BY_ANNOTATION: "db"})
    cluster.other.own(cluster.key, "external-secrets", EXTERNAL_SECRET)

    observed = await cluster.observed()

    assert observed.adopt_by == "db"
    assert observed.owners == (
        Owner("ExternalSecret", "db", str(EXTERNAL_SECRET["uid"]), "external-secrets.io/v1", controller=True),
    )


async def test_the_owners_of_an_adopted_secret_are_removed_in_one_write_after_ours(cluster: Cluster) -> None:
    cluster.other.create(cluster.key, "helm", {"password": "theirs"})
    cluster.other.own(cluster.key, "external-secrets", EXTERNAL_SECRET)

    taken = await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=await cluster.observed())
    assert [owner.kind for owner in taken.owners] == ["ExternalSecret"]
    after = await cluster.kube.remove_owners(cluster.key, observed=taken)

    assert (after.uid, after.owners, after.ours, after.managed) == (taken.uid, (), taken.ours, True)
    assert cluster.other.values(cluster.key) == {"password": "one"}


async def test_the_owners_of_a_changed_secret_are_not_removed(cluster: Cluster) -> None:
    cluster.other.create(cluster.key, "helm", {"password": "theirs"})
    cluster.other.own(cluster.key, "external-secrets", EXTERNAL_SECRET)
    observed = await cluster.observed()
    cluster.other.edit(cluster.key, "helm", data={"password": "changed"})

    with pytest.raises(Conflict):
        await cluster.kube.remove_owners(cluster.key, observed=observed)

    assert (await cluster.observed()).owners == observed.owners


async def test_a_released_secret_keeps_the_owners_of_others_and_loses_ours(cluster: Cluster) -> None:
    ours = {**EXTERNAL_SECRET, "apiVersion": API_VERSION, "kind": KIND, "uid": OWNER, "controller": False}
    await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)
    cluster.other.own(cluster.key, "external-secrets", EXTERNAL_SECRET)
    cluster.other.own(cluster.key, "kubectl", ours)

    await cluster.kube.orphan_target(cluster.key, observed=await cluster.observed(), retained_by=OWNER)

    after = await cluster.observed()
    assert ([owner.kind for owner in after.owners], after.retained_by) == (["ExternalSecret"], OWNER)


async def test_a_mark_of_a_released_secret_is_removed_with_its_owners(cluster: Cluster) -> None:
    observed = await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)
    await cluster.kube.orphan_target(cluster.key, observed=observed, retained_by=OWNER)

    after = await cluster.kube.remove_owners(cluster.key, observed=await cluster.observed())

    assert (after.retained_by, after.managers) == (None, ())


@pytest.mark.parametrize("consent", [None, "another"], ids=["withdrawn", "given to another"])
async def test_a_secret_whose_consent_has_changed_is_not_written(cluster: Cluster, consent: str | None) -> None:
    cluster.other.create(cluster.key, "helm", {"password": "theirs"}, annotations={ADOPT_BY_ANNOTATION: "db"})
    observed = await cluster.observed()
    cluster.other.edit(cluster.key, "helm", annotations={ADOPT_BY_ANNOTATION: consent})

    with pytest.raises(Conflict):
        await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=observed)

    assert cluster.other.values(cluster.key) == {"password": "theirs"}


async def test_a_secret_that_another_controller_has_taken_is_not_written(cluster: Cluster) -> None:
    observed = await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)
    cluster.other.own(cluster.key, "external-secrets", EXTERNAL_SECRET)

    with pytest.raises(Conflict):
        await cluster.kube.apply_target(cluster.key, claimed(cluster.key, data={"password": "dHdv"}), onto=observed)

    assert cluster.other.values(cluster.key) == {"password": "one"}


async def test_we_own_nothing_of_a_copy_of_a_target(cluster: Cluster) -> None:
    await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)
    copy = cluster.key._replace(name="copy")
    cluster.other.create(copy, "replicator", {"password": "one"}, labels=claimed(cluster.key)["metadata"]["labels"])
    cluster.other.edit(copy, "replicator", annotations=claimed(cluster.key)["metadata"]["annotations"])

    observed = (await cluster.kube.list_targets(cluster.namespace, keep_all)).targets[copy]

    assert (observed.managed, observed.owner_uid, observed.ours) == (True, OWNER, frozenset())


async def test_labels_that_others_have_changed_are_orphaned_too(cluster: Cluster) -> None:
    await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)
    cluster.other.edit(cluster.key, "mallory", annotations={APPLIED_ANNOTATION: "nonsense"})

    await cluster.kube.orphan_target(cluster.key, observed=await cluster.observed(), retained_by=OWNER)

    after = await cluster.observed()
    assert (after.managed, after.managers) == (False, (FIELD_MANAGER,))


async def test_a_changed_secret_is_not_orphaned(cluster: Cluster) -> None:
    observed = await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)
    cluster.other.edit(cluster.key, "mallory", data={"password": "evil"})

    with pytest.raises(Conflict):
        await cluster.kube.orphan_target(cluster.key, observed=observed, retained_by=OWNER)

    assert (await cluster.observed()).managed


async def test_a_replaced_secret_is_not_orphaned(cluster: Cluster) -> None:
    observed = await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)
    cluster.other.delete(cluster.key)
    await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)

    with pytest.raises(Conflict):
        await cluster.kube.orphan_target(cluster.key, observed=observed, retained_by=OWNER)

    assert (await cluster.observed()).managed


async def test_a_deleted_secret_is_not_orphaned(cluster: Cluster) -> None:
    observed = await cluster.kube.apply_target(cluster.key, claimed(cluster.key), onto=None)
    cluster.other.delete(cluster.key)

    with pytest.raises(Conflict):
        await cluster.kube.orphan_target(cluster.key, observed=observed, retained_by=OWNER)

    assert cluster.other.values(cluster.key) is None


async def test_nothing_is_created_in_a_namespace_that_is_being_deleted(cluster: Cluster) -> None:
    cluster.other.begin_deleting_namespace(cluster.namespace)

    with pytest.raises(ObjectGone):
        await cluster.given(password="one")


def a_vault_secret(cluster: Cluster) -> VaultSecret:
    return cluster.other.put_vault_secret(manifest(spec(), name="db", namespace=cluster.namespace))


def status(message: str) -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "VaultUnreachable",
        "message": message,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    return {"observedGeneration": 1, "conditions": [condition]}


async def test_patching_the_status_returns_the_metadata(cluster: Cluster) -> None:
    vault_secret = a_vault_secret(cluster)

    written = await cluster.kube.patch_status(vault_secret, status("No response from the vault."))

    after = cluster.other.vault_secret(cluster.key)
    assert written == after.metadata
    assert [one.message for one in after.status.conditions] == ["No response from the vault."]


async def test_a_field_that_is_not_in_the_new_status_is_removed(cluster: Cluster) -> None:
    vault_secret = a_vault_secret(cluster)
    await cluster.kube.patch_status(vault_secret, {**status("one"), "target": {"name": "db"}})

    await cluster.kube.patch_status(vault_secret, status("two"))

    assert cluster.other.vault_secret(cluster.key).status.target is None


async def test_writing_the_same_status_again_changes_nothing(cluster: Cluster) -> None:
    vault_secret = a_vault_secret(cluster)
    first = await cluster.kube.patch_status(vault_secret, status("one"))

    second = await cluster.kube.patch_status(vault_secret, status("one"))

    assert second == first


async def test_the_status_of_a_deleted_vaultsecret_is_not_written(cluster: Cluster) -> None:
    vault_secret = a_vault_secret(cluster)
    cluster.other.delete_vault_secret(cluster.key)

    assert await cluster.kube.patch_status(vault_secret, status("one")) is None


async def test_the_status_of_a_replaced_vaultsecret_is_not_written(cluster: Cluster) -> None:
    vault_secret = a_vault_secret(cluster)
    cluster.other.delete_vault_secret(cluster.key)
    a_vault_secret(cluster)

    assert await cluster.kube.patch_status(vault_secret, status("one")) is None
    assert cluster.other.vault_secret(cluster.key).status.conditions == ()


async def test_an_unchanged_vaultsecret_is_current(cluster: Cluster) -> None:
    await cluster.kube.ensure_current(a_vault_secret(cluster))


async def test_a_vaultsecret_with_another_spec_has_changed(cluster: Cluster) -> None:
    vault_secret = a_vault_secret(cluster)
    cluster.other.put_vault_secret(manifest(spec(suspend=True), name="db", namespace=cluster.namespace))

    with pytest.raises(ObjectChanged):
        await cluster.kube.ensure_current(vault_secret)


async def test_a_deleted_vaultsecret_is_gone(cluster: Cluster) -> None:
    vault_secret = a_vault_secret(cluster)
    cluster.other.delete_vault_secret(cluster.key)

    with pytest.raises(ObjectGone):
        await cluster.kube.ensure_current(vault_secret)


async def test_a_replaced_vaultsecret_is_gone(cluster: Cluster) -> None:
    vault_secret = a_vault_secret(cluster)
    cluster.other.delete_vault_secret(cluster.key)
    a_vault_secret(cluster)

    with pytest.raises(ObjectGone):
        await cluster.kube.ensure_current(vault_secret)


async def test_a_list_is_a_snapshot_of_a_resource_version(cluster: Cluster) -> None:
    existing = a_vault_secret(cluster)

    with_it = await cluster.kube.list_vaultsecrets(cluster.namespace)
    cluster.other.delete_vault_secret(cluster.key)
    without = await cluster.kube.list_vaultsecrets(cluster.namespace)

    assert (with_it.keys, without.keys) == (frozenset({cluster.key}), frozenset())
    assert (with_it.uids, without.uids) == (frozenset({existing.metadata.uid}), frozenset())
    assert int(existing.metadata.resource_version) <= int(with_it.resource_version) < int(without.resource_version)


async def test_a_list_of_all_namespaces_has_this_namespace(cluster: Cluster) -> None:
    a_vault_secret(cluster)
    await cluster.kube.check_installed(None)

    assert cluster.key in (await cluster.kube.list_vaultsecrets(None)).keys


async def test_a_vaultsecret_is_found_by_its_uid(cluster: Cluster) -> None:
    existing = a_vault_secret(cluster)

    found = await cluster.kube.find_vaultsecret(existing.key.namespace, uid=existing.metadata.uid)

    assert found is not None
    assert (found.key, found.metadata.creation_timestamp) == (existing.key, existing.metadata.creation_timestamp)


async def test_a_vaultsecret_is_not_found_by_another_uid(cluster: Cluster) -> None:
    existing = a_vault_secret(cluster)

    assert await cluster.kube.find_vaultsecret(existing.key.namespace, uid=OWNER) is None


async def test_an_event_is_created_about_the_vaultsecret(cluster: Cluster) -> None:
    vault_secret = a_vault_secret(cluster)

    uid, event = vault_secret.metadata.uid, Event("Warning", "VaultUnreachable", "No response.")
    await cluster.kube.create_event(vault_secret.key, event, event_id="0123", uid=uid, at=START)

    assert cluster.other.posted(cluster.key) == [("Warning", "VaultUnreachable", "No response.")]


async def test_a_list_without_targets_is_empty(cluster: Cluster) -> None:
    listing = await cluster.kube.list_targets(cluster.namespace, keep_all)

    assert listing.targets == {}


async def test_a_list_has_our_targets_and_no_other_secrets(cluster: Cluster) -> None:
    observed = await cluster.given(password="one")
    cluster.other.create(ObjectKey(cluster.namespace, "other"), "helm", {"token": "theirs"})

    listing = await cluster.kube.list_targets(cluster.namespace, keep_all)

    assert listing.targets == {cluster.key: observed}


async def test_a_list_of_targets_in_all_namespaces_has_this_namespace(cluster: Cluster) -> None:
    observed = await cluster.given(password="one")

    listing = await cluster.kube.list_targets(None, keep_all)

    assert listing.targets[cluster.key] == observed


async def following(events: AsyncGenerator[TargetEvent, None], count: int) -> list[Modified | Deleted]:
    """Return the next events of a watch, without bookmarks."""
    view: list[Modified | Deleted] = []
    async with aclosing(events):
        async for event in events:
            if not isinstance(event, Bookmark):
                view.append(event)
            if len(view) == count:
                break
    return view


def read(event: TargetEvent) -> tuple[ObjectKey, Observed]:
    """The target of an event, which has its resource version."""
    assert isinstance(event, Modified)
    observed = event.read()
    assert event.resource_version == observed.resource_version
    return event.key, observed


async def test_a_watch_continues_from_the_resource_version_of_a_list(cluster: Cluster) -> None:
    listing = await cluster.kube.list_targets(cluster.namespace, keep_all)
    made = await cluster.given(password="one")
    cluster.other.edit(cluster.key, "mallory", data={"password": "evil"})
    edited = await cluster.observed()

    events = await following(cluster.kube.watch_targets(cluster.namespace, listing.resource_version), 2)

    assert [read(event) for event in events] == [(cluster.key, made), (cluster.key, edited)]


async def test_a_deletion_has_its_own_resource_version(cluster: Cluster) -> None:
    made = await cluster.given(password="one")
    cluster.other.delete(cluster.key)
    again = await cluster.given(password="one")

    events = await following(cluster.kube.watch_targets(cluster.namespace, made.resource_version), 2)

    assert [type(event) for event in events] == [Deleted, Modified]
    assert int(made.resource_version) < int(events[0].resource_version) < int(again.resource_version)


async def test_a_target_that_loses_our_label_is_deleted_for_our_watch(cluster: Cluster) -> None:
    made = await cluster.given(password="one")
    cluster.other.edit(cluster.key, "mallory", labels={MANAGED_BY_LABEL: None})

    events = await following(cluster.kube.watch_targets(cluster.namespace, made.resource_version), 1)

    observed = await cluster.observed()
    assert events == [Deleted(cluster.key, observed.resource_version)]
    assert (observed.managed, keys(observed.ours)) == (False, {"password"})


async def test_a_watch_of_a_namespace_has_no_events_of_others(cluster: Cluster) -> None:
    listing = await cluster.kube.list_targets(cluster.namespace, keep_all)
    elsewhere = ObjectKey("default", cluster.namespace)
    await cluster.kube.apply_target(elsewhere, secret(elsewhere, password="one"), onto=None)
    cluster.other.delete(elsewhere)
    made = await cluster.given(password="one")

    events = await following(cluster.kube.watch_targets(cluster.namespace, listing.resource_version), 1)

    assert [read(event) for event in events] == [(cluster.key, made)]
