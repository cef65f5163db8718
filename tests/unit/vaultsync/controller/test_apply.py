"""How targets are written and deleted. Before a deletion the VaultSecret is read again: the watch may be behind."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.builders import KEY, a_reading, keep_all, no_limit
from tests.fakes import FakeKube
from tests.harness import key_of
from tests.manifests import manifest, spec
from vaultsync.adapters.kube import Conflict
from vaultsync.api import MANAGED_BY_LABEL, OWNER_UID_LABEL, ObjectKey
from vaultsync.api.v1alpha1 import StatusTarget, VaultSecret
from vaultsync.controller.apply import apply_target, remove_stale_targets, remove_target
from vaultsync.errors import ObjectChanged, ObjectGone, Reason, SyncError
from vaultsync.render.manifest import render_secret
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Observed
from vaultsync.state.secrets import SecretRef
from vaultsync.state.targets import TargetCache
from vaultsync.state.vaults import VaultView
from vaultsync.status.outcome import Change


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def vault_secret(kube: FakeKube) -> VaultSecret:
    """A VaultSecret in the cluster, as the operator has observed it."""
    return kube.put_vault_secret(manifest(spec(onDelete="Retain")))


@pytest.fixture
def targets() -> TargetCache:
    return TargetCache(users=no_limit)


@pytest.fixture
async def written(kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache) -> Observed:
    """Its target, as it was written."""
    await apply_target(kube, targets, vault_secret, None, desired(vault_secret))
    observed = targets.get(KEY)
    assert observed is not None
    return observed


def desired(vault_secret: VaultSecret, value: str = "s3cret") -> Desired:
    return render_secret(vault_secret, {SecretRef("db-password"): a_reading(value)}, VaultView())


def with_target(vault_secret: VaultSecret, **fields: object) -> VaultSecret:
    """Return the VaultSecret with another target."""
    target = vault_secret.spec.target.model_copy(update=fields)
    return vault_secret.model_copy(update={"spec": vault_secret.spec.model_copy(update={"target": target})})


def delete_vault_secret(kube: FakeKube) -> None:
    kube.delete_vault_secret(KEY)


def change_vault_secret(kube: FakeKube) -> None:
    kube.put_vault_secret(manifest(spec(onDelete="Retain", suspend=True)))


UNOBSERVED: list[Any] = [
    pytest.param(delete_vault_secret, ObjectGone, id="it was deleted"),
    pytest.param(change_vault_secret, ObjectChanged, id="it was changed"),
]
"""What the watch has not reported yet of the VaultSecret."""


async def test_a_target_is_written_and_cached_at_once(
    kube: FakeKube, vault_secret: VaultSecret, written: Observed
) -> None:
    assert kube.values(KEY) == {"password": "s3cret"}
    assert written == await kube.get_target(KEY)
    assert written.owner_uid == vault_secret.metadata.uid


async def test_keys_of_other_managers_are_removed(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    kube.edit(KEY, "kubectl-edit", data={"backdoor": "x"})
    observed = await kube.get_target(KEY)
    assert observed != written

    await apply_target(kube, targets, vault_secret, observed, desired(vault_secret))

    assert kube.values(KEY) == {"password": "s3cret"}
    assert targets.get(KEY) == await kube.get_target(KEY)


@pytest.mark.parametrize("replaces", [True, False])
async def test_an_immutable_target_is_replaced_only_where_the_user_wants_that(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, replaces: bool
) -> None:
    immutable = with_target(vault_secret, immutable=True, replace_immutable=replaces)
    await apply_target(kube, targets, immutable, None, desired(immutable))
    observed = targets.get(KEY)
    assert observed is not None
    changed = desired(immutable, "changed")

    if replaces:
        await apply_target(kube, targets, immutable, observed, changed)
    else:
        with pytest.raises(SyncError) as caught:
            await apply_target(kube, targets, immutable, observed, changed)
        assert caught.value.reason is Reason.TARGET_IMMUTABLE

    current = targets.get(KEY)
    assert current is not None
    assert (kube.values(KEY), current.uid != observed.uid) == (
        {"password": "changed" if replaces else "s3cret"},
        replaces,
    )


@pytest.fixture
def immutable(vault_secret: VaultSecret) -> VaultSecret:
    """The VaultSecret with an immutable target that may be replaced."""
    return with_target(vault_secret, immutable=True, replace_immutable=True, labels={"tier": "web"})


@pytest.fixture
async def sealed(kube: FakeKube, immutable: VaultSecret, targets: TargetCache) -> Observed:
    """Its target."""
    await apply_target(kube, targets, immutable, None, desired(immutable))
    observed = targets.get(KEY)
    assert observed is not None
    return observed


UNAVAILABLE = SyncError(Reason.CLUSTER_UNAVAILABLE, "Secret shop/db: the admission webhook strict.example failed.")


def reject_creations(kube: FakeKube) -> None:
    kube.rejection = UNAVAILABLE


def fill(kube: FakeKube) -> None:
    kube.is_full = True


@pytest.mark.parametrize(
    "happen",
    [
        pytest.param(reject_creations, id="admission rejects new Secrets"),
        pytest.param(fill, id="etcd is out of space"),
        pytest.param(delete_vault_secret, id="its VaultSecret was deleted"),
        pytest.param(change_vault_secret, id="its VaultSecret was changed"),
    ],
)
async def test_an_immutable_target_that_could_not_be_created_again_is_not_deleted(
    kube: FakeKube,
    immutable: VaultSecret,
    targets: TargetCache,
    sealed: Observed,
    happen: Callable[[FakeKube], None],
) -> None:
    happen(kube)

    with pytest.raises(SyncError):
        await apply_target(kube, targets, immutable, sealed, desired(immutable, "changed"))

    after = await kube.get_target(KEY)
    assert after is not None
    assert (after.uid, kube.values(KEY)) == (sealed.uid, {"password": "s3cret"})


class FlakyKube(FakeKube):
    """An API server that fails after a deletion."""

    failed_creations = 0
    loses_deletion = False

    async def delete_target(self, key: ObjectKey, *, observed: Observed) -> None:
        await super().delete_target(key, observed=observed)
        if self.loses_deletion:
            raise UNAVAILABLE

    async def apply_target(self, key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Observed:
        if self.failed_creations and self.calls["delete_target"]:
            self.failed_creations -= 1
            raise UNAVAILABLE
        return await super().apply_target(key, manifest, onto=onto)


def described(kube: FakeKube) -> tuple[object, ...]:
    """Return type and immutability of the target, its labels, annotations and owners."""
    document = kube.without_data(KEY)
    assert document is not None
    metadata = document["metadata"]
    return (
        document["type"],
        document["immutable"],
        *(metadata[area] for area in ("labels", "annotations", "ownerReferences")),
    )


@pytest.mark.parametrize(("failures", "loses_deletion"), [(1, False), (3, False), (0, True)])
async def test_the_previous_secret_is_put_back_when_its_replacement_fails(
    targets: TargetCache, failures: int, loses_deletion: bool
) -> None:
    kube = FlakyKube()
    vault_secret = kube.put_vault_secret(manifest(spec()))
    immutable = with_target(vault_secret, immutable=True, replace_immutable=True, labels={"tier": "web"})
    await apply_target(kube, targets, immutable, None, desired(immutable))
    before, document = await kube.get_target(KEY), described(kube)
    kube.failed_creations, kube.loses_deletion = failures, loses_deletion

    with pytest.raises(SyncError) as caught:
        await apply_target(kube, targets, immutable, before, desired(immutable, "changed"))

    after = await kube.get_target(KEY)
    assert before is not None
    assert after is not None
    assert caught.value is UNAVAILABLE
    assert after.uid != before.uid
    assert described(kube) == document
    assert kube.values(KEY) == {"password": "s3cret"}
    assert replace(after, uid=before.uid, resource_version=before.resource_version, created=before.created) == before
    kube.loses_deletion = False
    await apply_target(kube, targets, immutable, after, desired(immutable, "changed"))
    assert kube.values(KEY) == {"password": "changed"}


async def test_a_secret_that_is_put_back_has_our_labels_and_owner_whatever_others_made_of_them(
    targets: TargetCache,
) -> None:
    kube = FlakyKube()
    immutable = with_target(kube.put_vault_secret(manifest(spec())), immutable=True, replace_immutable=True)
    await apply_target(kube, targets, immutable, None, desired(immutable))
    document = described(kube)
    kube.edit(KEY, "kubectl", labels={OWNER_UID_LABEL: "another"})
    kube.failed_creations = 1

    with pytest.raises(SyncError):
        await apply_target(kube, targets, immutable, await kube.get_target(KEY), desired(immutable, "changed"))

    assert described(kube)[2] == document[2]
    assert described(kube)[4] == document[4]
    assert kube.values(KEY) == {"password": "s3cret"}


async def test_a_secret_that_another_client_creates_in_between_stays(targets: TargetCache) -> None:
    class Raced(FakeKube):
        async def delete_target(self, key: ObjectKey, *, observed: Observed) -> None:
            await super().delete_target(key, observed=observed)
            self.create(key, "helm", {"password": "theirs"})

    kube = Raced()
    immutable = with_target(kube.put_vault_secret(manifest(spec())), immutable=True, replace_immutable=True)
    await apply_target(kube, targets, immutable, None, desired(immutable))

    with pytest.raises(SyncError):
        await apply_target(kube, targets, immutable, await kube.get_target(KEY), desired(immutable, "changed"))

    assert kube.values(KEY) == {"password": "theirs"}


async def test_a_target_is_deleted(kube: FakeKube, vault_secret: VaultSecret, written: Observed) -> None:
    assert await remove_target(kube, vault_secret, written) is Change.DELETED

    assert kube.values(KEY) is None


async def test_a_target_that_does_not_exist_is_not_deleted(kube: FakeKube, vault_secret: VaultSecret) -> None:
    assert await remove_target(kube, vault_secret, None) is Change.NONE

    assert kube.calls.total() == 0


async def test_a_secret_of_another_manager_is_not_deleted(kube: FakeKube, vault_secret: VaultSecret) -> None:
    kube.create(KEY, "helm", {"password": "theirs"})

    assert await remove_target(kube, vault_secret, await kube.get_target(KEY)) is Change.NONE

    assert kube.values(KEY) == {"password": "theirs"}


async def test_the_previous_target_is_deleted_and_reported(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    assert targets.get(KEY) == written

    removed = await remove_stale_targets(kube, targets, with_target(vault_secret, name="another"))

    assert removed == {KEY: Change.DELETED}
    assert kube.values(KEY) is None


def with_status(vault_secret: VaultSecret, target: str) -> VaultSecret:
    """Return the VaultSecret whose status names the last target, with another target in the spec."""
    status = vault_secret.status.model_copy(update={"target": StatusTarget(name=target)})
    return with_target(vault_secret, name="another").model_copy(update={"status": status})


@pytest.mark.parametrize("labels", [{OWNER_UID_LABEL: "x"}, {OWNER_UID_LABEL: None}, {MANAGED_BY_LABEL: None}])
async def test_the_previous_target_is_deleted_after_its_labels_were_changed(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed, labels: dict[str, str | None]
) -> None:
    assert targets.get(KEY) == written
    kube.edit(KEY, "kubectl", labels=labels)
    targets.handle_list(None, await kube.list_targets(None, keep_all))

    removed = await remove_stale_targets(kube, targets, with_status(vault_secret, KEY.name))

    assert removed == {KEY: Change.DELETED}
    assert kube.values(KEY) is None


async def test_a_secret_that_only_the_status_names_is_not_deleted(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache
) -> None:
    kube.create(KEY, "helm", {"password": "theirs"}, labels={OWNER_UID_LABEL: vault_secret.metadata.uid})

    assert await remove_stale_targets(kube, targets, with_status(vault_secret, KEY.name)) == {}

    assert kube.values(KEY) == {"password": "theirs"}


async def test_a_previous_target_that_another_vaultsecret_has_taken_over_is_not_deleted(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    another = kube.put_vault_secret(manifest(spec(onDelete="Retain", target={"name": "db"}), name="another"))
    await apply_target(kube, targets, another, written, desired(another, "theirs"))
    kube.edit(KEY, "kubectl", labels={OWNER_UID_LABEL: vault_secret.metadata.uid})

    assert await remove_stale_targets(kube, targets, with_status(vault_secret, KEY.name)) == {}

    assert kube.values(KEY) == {"password": "theirs"}


async def test_a_previous_target_that_another_manager_has_taken_over_is_not_deleted(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    assert targets.get(KEY) == written
    kube.delete(KEY)
    kube.create(KEY, "helm", {"password": "theirs"})

    assert await remove_stale_targets(kube, targets, with_target(vault_secret, name="another")) == {}

    assert kube.values(KEY) == {"password": "theirs"}


async def test_the_current_target_is_not_deleted_as_a_previous_one(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    assert targets.get(KEY) == written

    assert await remove_stale_targets(kube, targets, vault_secret) == {}

    assert kube.values(KEY) is not None


async def test_a_target_in_another_namespace_is_not_deleted_as_a_previous_one(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    elsewhere = vault_secret.model_copy(
        update={"metadata": vault_secret.metadata.model_copy(update={"namespace": "elsewhere"})}
    )

    assert await remove_stale_targets(kube, targets, elsewhere) == {}

    assert await kube.get_target(KEY) == written


@pytest.mark.parametrize(("happen", "error"), UNOBSERVED)
async def test_a_previous_target_is_not_deleted_for_an_outdated_vaultsecret(
    kube: FakeKube,
    vault_secret: VaultSecret,
    targets: TargetCache,
    written: Observed,
    happen: Callable[[FakeKube], None],
    error: type[Exception],
) -> None:
    assert targets.get(key_of("db")) == written
    happen(kube)

    with pytest.raises(error):
        await remove_stale_targets(kube, targets, with_target(vault_secret, name="another"))

    assert kube.values(KEY) is not None


async def test_a_conflict_outdates_the_cached_target_until_the_next_write(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    await kube.delete_target(KEY, observed=written)
    with pytest.raises(Conflict):
        await apply_target(kube, targets, vault_secret, written, desired(vault_secret, "rotated"))
    assert targets.is_outdated(KEY)

    await apply_target(kube, targets, vault_secret, await kube.get_target(KEY), desired(vault_secret, "rotated"))

    assert not targets.is_outdated(KEY)
