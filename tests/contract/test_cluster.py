"""The real Kubernetes API and the one in memory behave alike: what ownership shows, and what each write leaves."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import pytest

from tests.contract.hands import Hands, Kubectl
from tests.fakes import FakeKube
from tests.manifests import manifest, spec
from vaultsync.adapters.kube import Conflict, KubeApi
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.controller import apply as writing
from vaultsync.controller import reconcile
from vaultsync.controller import report as telling
from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.sources import resync as census
from vaultsync.sources import targets
from vaultsync.state.observed import Field, Observed
from vaultsync.state.snapshots import Bookmark, Deleted, Modified, TargetEvent

OWNER = "6f0c0c56-7d3a-4b54-9d0c-0d5b2f8f3b11"


class Edge(reconcile.KubeApi, writing.KubeApi, telling.KubeApi, targets.KubeApi, census.KubeApi, Protocol):
    """All that vaultsync asks of the cluster."""

    async def withdraw(self, key: ObjectKey, *, onto: Observed) -> None: ...


class World(NamedTuple):
    """A cluster as vaultsync sees it, and as everybody else does."""

    edge: Edge
    hands: Hands
    namespace: str

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, "db")

    async def given(self, **data: str) -> Observed:
        """A target of ours."""
        return await self.edge.apply(self.key, secret(self.key, **data), onto=None)

    async def observed(self) -> Observed:
        observed = await self.edge.observe(self.key)
        assert observed is not None
        return observed


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "fake":
        fake = FakeKube()
        yield World(fake, fake, "shop")
        return
    plane = request.getfixturevalue("controlplane")
    async with await KubeApi.connect({"KUBECONFIG": str(plane.kubeconfig)}, now=lambda: datetime.now(UTC)) as cluster:
        yield World(cluster, Kubectl(plane), request.getfixturevalue("namespace"))


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


async def test_a_secret_that_is_not_there_is_observed_as_none(world: World) -> None:
    observed = await world.edge.observe(world.key)

    assert observed is None


async def test_a_new_secret_holds_what_was_applied(world: World) -> None:
    await world.given(password="one", user="shop")

    assert world.hands.values(world.key) == {"password": "one", "user": "shop"}


async def test_every_field_that_was_applied_is_observed_as_ours(world: World) -> None:
    wanted = secret(world.key, password="one")
    wanted["metadata"]["ownerReferences"] = [{"apiVersion": API_VERSION, "kind": KIND, "name": "db", "uid": OWNER}]

    observed = await world.edge.apply(world.key, wanted, onto=None)

    assert observed.ours == {
        Field("data", "password"),
        Field("labels", MANAGED_BY_LABEL),
        Field("annotations", APPLIED_ANNOTATION),
        Field("ownerReferences", OWNER),
    }
    assert (observed.managed, observed.foreign, observed.managers) == (True, {}, ())
    assert [owner.uid for owner in observed.owners] == [OWNER]


async def test_the_answer_to_an_apply_is_what_an_observation_says(world: World) -> None:
    answer = await world.given(password="one")

    assert await world.observed() == answer


async def test_applying_the_same_again_changes_nothing(world: World) -> None:
    first = await world.given(password="one")

    second = await world.edge.apply(world.key, secret(world.key, password="one"), onto=first)

    assert second == first


async def test_making_a_secret_whose_first_answer_was_lost_finds_it_made(world: World) -> None:
    lost = await world.given(password="one")

    observed = await world.edge.apply(world.key, secret(world.key, password="two"), onto=None)

    assert observed.uid == lost.uid
    assert world.hands.values(world.key) == {"password": "two"}


@pytest.mark.parametrize(
    "theirs",
    [
        pytest.param({"token": "theirs"}, id="with other keys"),
        pytest.param({"password": "theirs"}, id="with the same key"),
        pytest.param({"password": "one"}, id="with the same key and value"),
    ],
)
async def test_a_new_secret_that_meets_a_strangers_leaves_it_as_it_was(world: World, theirs: Mapping[str, str]) -> None:
    world.hands.create(world.key, "stranger", theirs)
    before = await world.observed()

    with pytest.raises(SyncError) as caught:
        await world.edge.apply(world.key, secret(world.key, password="one"), onto=None)

    after = await world.observed()
    assert caught.value.reason is Reason.TARGET_CONFLICT
    assert "stranger" in caught.value.message
    assert world.hands.values(world.key) == theirs
    assert (after.managed, after.ours, after.managers) == (before.managed, before.ours, before.managers)


async def test_a_secret_replaced_by_a_strangers_is_not_overwritten(world: World) -> None:
    ours = await world.given(password="one")
    world.hands.delete(world.key)
    world.hands.create(world.key, "stranger", {"password": "theirs"})

    with pytest.raises(Conflict):
        await world.edge.apply(world.key, secret(world.key, password="two"), onto=ours)

    assert world.hands.values(world.key) == {"password": "theirs"}


async def test_a_secret_that_is_gone_is_not_made_by_a_write_onto_it(world: World) -> None:
    ours = await world.given(password="one")
    world.hands.delete(world.key)

    with pytest.raises(Conflict):
        await world.edge.apply(world.key, secret(world.key, password="two"), onto=ours)

    assert world.hands.values(world.key) is None


@pytest.mark.parametrize(
    "change",
    [{"data": {"password": "dHdv"}}, {"data": {}}, {"immutable": None}],
    ids=["another value", "a key less", "no longer immutable"],
)
async def test_an_immutable_secret_keeps_its_content(world: World, change: Mapping[str, Any]) -> None:
    immutable = {**secret(world.key, password="one"), "immutable": True}
    observed = await world.edge.apply(world.key, immutable, onto=None)
    wanted = {name: value for name, value in {**immutable, **change}.items() if value is not None}

    with pytest.raises(SyncError) as refused:
        await world.edge.apply(world.key, wanted, onto=observed)

    assert refused.value.reason is Reason.TARGET_IMMUTABLE
    assert world.hands.values(world.key) == {"password": "one"}


async def test_an_immutable_secret_takes_new_annotations(world: World) -> None:
    immutable = {**secret(world.key, password="one"), "immutable": True}
    observed = await world.edge.apply(world.key, immutable, onto=None)
    metadata = {**immutable["metadata"], "annotations": {APPLIED_ANNOTATION: "{}"}}

    observed = await world.edge.apply(world.key, {**immutable, "metadata": metadata}, onto=observed)

    assert Field("annotations", APPLIED_ANNOTATION) in observed.ours


async def test_a_secret_that_was_seen_can_be_deleted_and_is_fine_to_be_gone(world: World) -> None:
    observed = await world.given(password="one")

    await world.edge.discard(world.key, observed=observed)
    await world.edge.discard(world.key, observed=observed)

    assert world.hands.values(world.key) is None


async def test_a_secret_that_has_changed_since_is_not_deleted(world: World) -> None:
    observed = await world.given(password="one")
    world.hands.edit(world.key, "mallory", data={"password": "evil"})

    with pytest.raises(Conflict):
        await world.edge.discard(world.key, observed=observed)

    assert world.hands.values(world.key) == {"password": "evil"}


async def test_a_strangers_secret_of_the_same_name_is_not_deleted(world: World) -> None:
    observed = await world.given(password="one")
    world.hands.delete(world.key)
    world.hands.create(world.key, "stranger", {"password": "theirs"})

    with pytest.raises(Conflict):
        await world.edge.discard(world.key, observed=observed)

    assert world.hands.values(world.key) == {"password": "theirs"}


async def test_a_key_that_is_applied_no_more_goes(world: World) -> None:
    observed = await world.given(password="one", user="shop")

    await world.edge.apply(world.key, secret(world.key, password="one"), onto=observed)

    assert world.hands.values(world.key) == {"password": "one"}


async def test_a_key_that_is_applied_no_more_stays_with_whoever_owns_it_too(world: World) -> None:
    observed = await world.given(password="one", user="shop")
    world.hands.apply_as(world.key, "argo", {"user": "shop"})

    observed = await world.edge.apply(world.key, secret(world.key, password="one"), onto=observed)

    assert world.hands.values(world.key) == {"password": "one", "user": "shop"}
    assert observed.foreign == {Field("data", "user"): "argo"}


async def test_a_key_that_others_own_too_is_not_foreign(world: World) -> None:
    await world.given(password="one")
    world.hands.apply_as(world.key, "argo", {"password": "one"})

    observed = await world.observed()

    assert (keys(observed.ours), observed.foreign, observed.managers) == ({"password"}, {}, ("argo",))


async def test_a_changed_value_is_no_longer_ours(world: World) -> None:
    await world.given(password="one", user="shop")
    world.hands.edit(world.key, "mallory", data={"password": "evil"})

    observed = await world.observed()

    assert keys(observed.ours) == {"user"}
    assert observed.foreign == {Field("data", "password"): "mallory"}


async def test_an_added_key_is_foreign(world: World) -> None:
    await world.given(password="one")
    world.hands.edit(world.key, "mallory", data={"extra": "more"})

    observed = await world.observed()

    assert keys(observed.ours) == {"password"}
    assert observed.foreign == {Field("data", "extra"): "mallory"}


async def test_a_removed_key_is_no_longer_ours_nor_anybodys(world: World) -> None:
    await world.given(password="one", user="shop")
    world.hands.edit(world.key, "mallory", data={"password": None})

    observed = await world.observed()

    assert (keys(observed.ours), observed.foreign) == ({"user"}, {})


async def test_a_changed_annotation_is_no_longer_ours(world: World) -> None:
    await world.given(password="one")
    world.hands.edit(world.key, "mallory", annotations={APPLIED_ANNOTATION: "nonsense"})

    observed = await world.observed()

    assert Field("annotations", APPLIED_ANNOTATION) not in observed.ours


async def test_writing_a_value_that_is_there_already_changes_nothing(world: World) -> None:
    before = await world.given(password="one")
    world.hands.edit(world.key, "mallory", data={"password": "one"})

    assert await world.observed() == before


async def test_an_apply_onto_a_tampered_secret_takes_our_fields_back_and_leaves_foreign_keys(world: World) -> None:
    await world.given(password="one")
    world.hands.edit(world.key, "mallory", data={"password": "evil", "extra": "more"})

    observed = await world.edge.apply(world.key, secret(world.key, password="one"), onto=await world.observed())

    assert world.hands.values(world.key) == {"password": "one", "extra": "more"}
    assert (keys(observed.ours), observed.foreign) == ({"password"}, {Field("data", "extra"): "mallory"})


async def test_a_foreign_key_can_be_dropped(world: World) -> None:
    before = await world.given(password="one")
    world.hands.edit(world.key, "mallory", data={"extra": "more"})

    after = await world.edge.drop_keys(world.key, ["extra"], observed=await world.observed())

    assert world.hands.values(world.key) == {"password": "one"}
    assert (after.ours, after.foreign, after.managers) == (before.ours, {}, ())


async def test_nothing_is_dropped_from_a_secret_that_has_changed_meanwhile(world: World) -> None:
    before = await world.given(password="one")
    world.hands.edit(world.key, "mallory", data={"extra": "more"})

    with pytest.raises(Conflict):
        await world.edge.drop_keys(world.key, ["extra"], observed=before)

    assert world.hands.values(world.key) == {"password": "one", "extra": "more"}


async def test_a_strangers_secret_can_be_adopted(world: World) -> None:
    world.hands.create(world.key, "stranger", {"password": "theirs", "token": "theirs"})

    taken = await world.edge.apply(world.key, secret(world.key, password="one"), onto=await world.observed())
    await world.edge.drop_keys(world.key, keys(taken.foreign), observed=taken)

    assert world.hands.values(world.key) == {"password": "one"}


async def test_another_type_is_refused(world: World) -> None:
    observed = await world.given(username="shop")

    with pytest.raises(SyncError) as caught:
        await world.edge.apply(
            world.key, {**secret(world.key, username="shop"), "type": "kubernetes.io/basic-auth"}, onto=observed
        )

    assert caught.value.reason is Reason.TARGET_INVALID
    assert "type cannot change" in caught.value.message


async def test_withdrawing_gives_up_what_is_ours_and_leaves_the_rest(world: World) -> None:
    world.hands.create(world.key, "stranger", {"token": "theirs"})
    before = await world.observed()
    observed = await world.edge.apply(world.key, secret(world.key, password="one"), onto=before)

    await world.edge.withdraw(world.key, onto=observed)

    after = await world.observed()
    assert world.hands.values(world.key) == {"token": "theirs"}
    assert (after.managed, after.ours, after.managers) == (False, frozenset(), ("stranger",))


async def test_withdrawing_from_a_secret_that_is_gone_makes_none(world: World) -> None:
    observed = await world.given(password="one")
    world.hands.delete(world.key)

    await world.edge.withdraw(world.key, onto=observed)

    assert world.hands.values(world.key) is None


def claimed(key: ObjectKey, **fields: object) -> dict[str, Any]:
    """What we apply for a VaultSecret whose user wants labels and annotations too."""
    wanted = secret(key, password="one")
    wanted["metadata"]["labels"] |= {OWNER_UID_LABEL: OWNER, "tier": "web"}
    wanted["metadata"]["annotations"] |= {"example.com/note": "theirs"}
    return {**wanted, **fields}


@pytest.mark.parametrize("fields", [{}, {"immutable": True}], ids=["mutable", "immutable"])
async def test_a_released_secret_keeps_all_but_what_says_that_it_is_ours(
    world: World, fields: Mapping[str, Any]
) -> None:
    observed = await world.edge.apply(world.key, claimed(world.key, **fields), onto=None)

    await world.edge.release(world.key, observed=observed)

    after = await world.observed()
    assert world.hands.values(world.key) == {"password": "one"}
    assert (after.uid, after.managed, after.owner_uid, after.managers) == (observed.uid, False, None, ())
    assert after.ours == {
        Field("data", "password"),
        Field("labels", "tier"),
        Field("annotations", "example.com/note"),
    }


async def test_a_released_secret_is_out_of_our_sight(world: World) -> None:
    observed = await world.edge.apply(world.key, claimed(world.key), onto=None)

    await world.edge.release(world.key, observed=observed)

    events = await following(world.edge.watch_targets(world.namespace, observed.resource_version), 1)
    assert events == [Deleted(world.key, (await world.observed()).resource_version)]


async def test_a_released_secret_can_be_taken_up_again(world: World) -> None:
    observed = await world.edge.apply(world.key, claimed(world.key), onto=None)
    await world.edge.release(world.key, observed=observed)

    again = await world.edge.apply(world.key, claimed(world.key), onto=await world.observed())

    assert (again.managed, again.owner_uid, again.ours) == (True, OWNER, observed.ours)


async def test_of_a_copy_that_others_made_of_a_target_nothing_is_ours(world: World) -> None:
    await world.edge.apply(world.key, claimed(world.key), onto=None)
    copy = world.key._replace(name="copy")
    world.hands.create(copy, "replicator", {"password": "one"}, labels=claimed(world.key)["metadata"]["labels"])
    world.hands.edit(copy, "replicator", annotations=claimed(world.key)["metadata"]["annotations"])

    observed = (await world.edge.list_targets(world.namespace)).targets[copy]

    assert (observed.managed, observed.owner_uid, observed.ours) == (True, OWNER, frozenset())


async def test_a_claim_that_others_have_written_too_is_released_all_the_same(world: World) -> None:
    await world.edge.apply(world.key, claimed(world.key), onto=None)
    world.hands.edit(world.key, "mallory", annotations={APPLIED_ANNOTATION: "nonsense"})

    await world.edge.release(world.key, observed=await world.observed())

    after = await world.observed()
    assert (after.managed, after.managers) == (False, ())


async def test_a_secret_that_has_changed_since_is_not_released(world: World) -> None:
    observed = await world.edge.apply(world.key, claimed(world.key), onto=None)
    world.hands.edit(world.key, "mallory", data={"password": "evil"})

    with pytest.raises(Conflict):
        await world.edge.release(world.key, observed=observed)

    assert (await world.observed()).managed


async def test_a_secret_that_was_made_anew_since_is_not_released(world: World) -> None:
    observed = await world.edge.apply(world.key, claimed(world.key), onto=None)
    world.hands.delete(world.key)
    await world.edge.apply(world.key, claimed(world.key), onto=None)

    with pytest.raises(Conflict):
        await world.edge.release(world.key, observed=observed)

    assert (await world.observed()).managed


async def test_a_secret_that_is_gone_is_not_released(world: World) -> None:
    observed = await world.edge.apply(world.key, claimed(world.key), onto=None)
    world.hands.delete(world.key)

    with pytest.raises(Conflict):
        await world.edge.release(world.key, observed=observed)

    assert world.hands.values(world.key) is None


async def test_nothing_new_is_made_in_a_namespace_that_is_going(world: World) -> None:
    world.hands.begin_deleting_namespace(world.namespace)

    with pytest.raises(ObjectGone):
        await world.given(password="one")


def a_vault_secret(world: World) -> VaultSecret:
    return world.hands.put_vault_secret(manifest(spec(), name="db", namespace=world.namespace))


def status(message: str) -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "VaultUnreachable",
        "message": message,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    return {"observedGeneration": 1, "conditions": [condition]}


async def test_a_status_is_written_and_answered_with_the_object(world: World) -> None:
    vault_secret = a_vault_secret(world)

    body = await world.edge.write_status(vault_secret, status("The vault does not answer."))

    assert body is not None
    assert VaultSecret.parse(body) == world.hands.vault_secret(world.key)
    assert [one.message for one in VaultSecret.parse(body).status.conditions] == ["The vault does not answer."]


async def test_a_field_that_a_status_names_no_more_goes(world: World) -> None:
    vault_secret = a_vault_secret(world)
    await world.edge.write_status(vault_secret, {**status("one"), "target": {"name": "db"}})

    await world.edge.write_status(vault_secret, status("two"))

    assert world.hands.vault_secret(world.key).status.target is None


async def test_writing_the_same_status_again_changes_nothing(world: World) -> None:
    vault_secret = a_vault_secret(world)
    first = await world.edge.write_status(vault_secret, status("one"))

    second = await world.edge.write_status(vault_secret, status("one"))

    assert second == first


async def test_the_status_of_a_vault_secret_that_is_gone_is_not_written(world: World) -> None:
    vault_secret = a_vault_secret(world)
    world.hands.delete_vault_secret(world.key)

    assert await world.edge.write_status(vault_secret, status("one")) is None


async def test_the_status_of_a_vault_secret_made_anew_is_not_written_by_its_predecessors(world: World) -> None:
    vault_secret = a_vault_secret(world)
    world.hands.delete_vault_secret(world.key)
    a_vault_secret(world)

    assert await world.edge.write_status(vault_secret, status("one")) is None
    assert world.hands.vault_secret(world.key).status.conditions == ()


async def test_a_vault_secret_that_is_there_is_confirmed(world: World) -> None:
    await world.edge.ensure_current(a_vault_secret(world))


async def test_a_vault_secret_that_is_gone_is_not_confirmed(world: World) -> None:
    vault_secret = a_vault_secret(world)
    world.hands.delete_vault_secret(world.key)

    with pytest.raises(ObjectGone):
        await world.edge.ensure_current(vault_secret)


async def test_a_vault_secret_is_not_confirmed_by_one_that_was_made_in_its_place(world: World) -> None:
    vault_secret = a_vault_secret(world)
    world.hands.delete_vault_secret(world.key)
    a_vault_secret(world)

    with pytest.raises(ObjectGone):
        await world.edge.ensure_current(vault_secret)


async def test_a_roll_has_the_vault_secrets_of_a_moment(world: World) -> None:
    there = a_vault_secret(world)

    with_it = await world.edge.list_vault_secrets(world.namespace)
    world.hands.delete_vault_secret(world.key)
    without = await world.edge.list_vault_secrets(world.namespace)

    assert (with_it.keys, without.keys) == (frozenset({world.key}), frozenset())
    assert (with_it.uids, without.uids) == (frozenset({there.metadata.uid}), frozenset())
    assert int(there.metadata.resource_version) <= int(with_it.resource_version) < int(without.resource_version)


async def test_a_roll_of_all_namespaces_has_this_ones_vault_secrets_too(world: World) -> None:
    a_vault_secret(world)
    await world.edge.check_installed(None)

    assert world.key in (await world.edge.list_vault_secrets(None)).keys


async def test_a_vault_secret_is_found_by_its_uid(world: World) -> None:
    there = a_vault_secret(world)

    found = await world.edge.find_vault_secret(there.key.namespace, uid=there.metadata.uid)

    assert found is not None
    assert (found.key, found.metadata.creation_timestamp) == (there.key, there.metadata.creation_timestamp)


async def test_a_vault_secret_is_not_found_by_anothers_uid(world: World) -> None:
    there = a_vault_secret(world)

    assert await world.edge.find_vault_secret(there.key.namespace, uid=OWNER) is None


async def test_an_event_is_posted_about_the_vault_secret(world: World) -> None:
    vault_secret = a_vault_secret(world)

    await world.edge.post_event(vault_secret, kind="Warning", reason="VaultUnreachable", message="It does not answer.")

    assert world.hands.posted(world.key) == [("Warning", "VaultUnreachable", "It does not answer.")]


async def test_a_listing_without_targets_is_empty(world: World) -> None:
    listing = await world.edge.list_targets(world.namespace)

    assert listing.targets == {}


async def test_a_listing_shows_our_targets_and_no_other_secrets(world: World) -> None:
    observed = await world.given(password="one")
    world.hands.create(ObjectKey(world.namespace, "other"), "stranger", {"token": "theirs"})

    listing = await world.edge.list_targets(world.namespace)

    assert listing.targets == {world.key: observed}


async def test_a_listing_of_all_namespaces_shows_this_ones_too(world: World) -> None:
    observed = await world.given(password="one")

    listing = await world.edge.list_targets(None)

    assert listing.targets[world.key] == observed


async def following(events: AsyncGenerator[TargetEvent, None], count: int) -> list[Modified | Deleted]:
    """The next events of a watch, bookmarks left out."""
    view: list[Modified | Deleted] = []
    async with asyncio.timeout(10), aclosing(events):
        async for event in events:
            if not isinstance(event, Bookmark):
                view.append(event)
            if len(view) == count:
                break
    return view


async def test_a_watch_goes_on_from_the_moment_of_a_listing(world: World) -> None:
    listing = await world.edge.list_targets(world.namespace)
    made = await world.given(password="one")
    world.hands.edit(world.key, "mallory", data={"password": "evil"})
    edited = await world.observed()

    events = await following(world.edge.watch_targets(world.namespace, listing.resource_version), 2)

    assert events == [Modified(world.key, made), Modified(world.key, edited)]


async def test_a_watch_tells_of_a_deletion_as_of_its_moment(world: World) -> None:
    made = await world.given(password="one")
    world.hands.delete(world.key)
    again = await world.given(password="one")

    events = await following(world.edge.watch_targets(world.namespace, made.resource_version), 2)

    assert [type(event) for event in events] == [Deleted, Modified]
    assert int(made.resource_version) < int(events[0].resource_version) < int(again.resource_version)


async def test_a_target_that_loses_our_label_is_gone_from_a_watch_and_still_there(world: World) -> None:
    made = await world.given(password="one")
    world.hands.edit(world.key, "mallory", labels={MANAGED_BY_LABEL: None})

    events = await following(world.edge.watch_targets(world.namespace, made.resource_version), 1)

    observed = await world.observed()
    assert events == [Deleted(world.key, observed.resource_version)]
    assert (observed.managed, keys(observed.ours)) == (False, {"password"})


async def test_a_watch_of_a_namespace_says_nothing_of_others(world: World) -> None:
    made = await world.given(password="one")
    world.hands.edit(world.key, "mallory", data={"password": "evil"})

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await following(world.edge.watch_targets("elsewhere", made.resource_version), 1)
