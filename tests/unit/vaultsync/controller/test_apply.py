"""How targets are written and deleted. Before a deletion the VaultSecret is read again: the watch may be behind."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.builders import KEY, a_reading
from tests.fakes import FakeKube
from tests.harness import key_of
from tests.manifests import manifest, spec
from vaultsync.api import MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.api.v1alpha1 import StatusTarget, VaultSecret
from vaultsync.controller.apply import apply_target, delete_stale_targets, delete_target
from vaultsync.errors import ObjectChanged, ObjectGone, Reason, SyncError
from vaultsync.render.manifest import render_secret
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Observed
from vaultsync.state.secrets import SecretRef
from vaultsync.state.targets import TargetCache
from vaultsync.state.vaults import VaultView


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def vault_secret(kube: FakeKube) -> VaultSecret:
    """A VaultSecret in the cluster, as the operator has observed it."""
    return kube.put_vault_secret(manifest(spec(onDelete="Retain")))


@pytest.fixture
def targets() -> TargetCache:
    return TargetCache()


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


async def test_a_target_is_deleted(kube: FakeKube, vault_secret: VaultSecret, written: Observed) -> None:
    assert await delete_target(kube, vault_secret, written)

    assert kube.values(KEY) is None


async def test_a_target_that_does_not_exist_is_not_deleted(kube: FakeKube, vault_secret: VaultSecret) -> None:
    assert not await delete_target(kube, vault_secret, None)

    assert kube.calls.total() == 0


async def test_a_secret_of_another_manager_is_not_deleted(kube: FakeKube, vault_secret: VaultSecret) -> None:
    kube.create(KEY, "helm", {"password": "theirs"})

    assert not await delete_target(kube, vault_secret, await kube.get_target(KEY))

    assert kube.values(KEY) == {"password": "theirs"}


async def test_the_previous_target_is_deleted_and_reported(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    assert targets.get(KEY) == written

    sentences = await delete_stale_targets(kube, targets, with_target(vault_secret, name="another"))

    assert sentences == ["Deleted Secret db, the previous target."]
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
    targets.handle_list(None, await kube.list_targets(None))

    sentences = await delete_stale_targets(kube, targets, with_status(vault_secret, KEY.name))

    assert sentences == ["Deleted Secret db, the previous target."]
    assert kube.values(KEY) is None


async def test_a_secret_that_only_the_status_names_is_not_deleted(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache
) -> None:
    kube.create(KEY, "helm", {"password": "theirs"}, labels={OWNER_UID_LABEL: vault_secret.metadata.uid})

    assert await delete_stale_targets(kube, targets, with_status(vault_secret, KEY.name)) == []

    assert kube.values(KEY) == {"password": "theirs"}


async def test_a_previous_target_that_another_vaultsecret_has_taken_over_is_not_deleted(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    another = kube.put_vault_secret(manifest(spec(onDelete="Retain", target={"name": "db"}), name="another"))
    await apply_target(kube, targets, another, written, desired(another, "theirs"))
    kube.edit(KEY, "kubectl", labels={OWNER_UID_LABEL: vault_secret.metadata.uid})

    assert await delete_stale_targets(kube, targets, with_status(vault_secret, KEY.name)) == []

    assert kube.values(KEY) == {"password": "theirs"}


async def test_a_previous_target_that_another_manager_has_taken_over_is_not_deleted(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    assert targets.get(KEY) == written
    kube.delete(KEY)
    kube.create(KEY, "helm", {"password": "theirs"})

    assert await delete_stale_targets(kube, targets, with_target(vault_secret, name="another")) == []

    assert kube.values(KEY) == {"password": "theirs"}


async def test_the_current_target_is_not_deleted_as_a_previous_one(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    assert targets.get(KEY) == written

    assert await delete_stale_targets(kube, targets, vault_secret) == []

    assert kube.values(KEY) is not None


async def test_a_target_in_another_namespace_is_not_deleted_as_a_previous_one(
    kube: FakeKube, vault_secret: VaultSecret, targets: TargetCache, written: Observed
) -> None:
    elsewhere = vault_secret.model_copy(
        update={"metadata": vault_secret.metadata.model_copy(update={"namespace": "elsewhere"})}
    )

    assert await delete_stale_targets(kube, targets, elsewhere) == []

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
        await delete_stale_targets(kube, targets, with_target(vault_secret, name="another"))

    assert kube.values(KEY) is not None
