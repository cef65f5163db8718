"""How targets are written and deleted, on a cluster in memory: nothing is taken away on an outdated word."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.builders import KEY, a_reading
from tests.fakes import FakeKube
from tests.manifests import manifest, spec
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import TargetSpec, VaultSecret
from vaultsync.controller.apply import Writer
from vaultsync.errors import NotYet, ObjectGone
from vaultsync.render.manifest import desired_secret
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Observed
from vaultsync.state.secrets import SecretRef
from vaultsync.state.vaults import VaultView

OLD = ObjectKey(KEY.namespace, "old")


class Scene:
    """A VaultSecret in a cluster, and what the watch of targets would know."""

    def __init__(self) -> None:
        self.cluster = FakeKube()
        self.vault_secret: VaultSecret = self.cluster.put_vault_secret(manifest(spec(onDelete="Retain")))
        self.known: dict[ObjectKey, Observed] = {}
        self.writer = Writer(self.cluster, self)

    def remember(self, key: ObjectKey, observed: Observed) -> None:
        self.known[key] = observed

    def owned_by(self, uid: str) -> list[ObjectKey]:
        return [key for key, observed in self.known.items() if observed.owner_uid == uid]

    def desired(self, **target: object) -> Desired:
        readings = {SecretRef("db-password"): a_reading()}
        wanted = self.vault_secret.model_copy(
            update={"spec": self.vault_secret.spec.model_copy(update={"target": self.target(**target)})}
        )
        return desired_secret(wanted, readings, VaultView())

    def target(self, **fields: object) -> TargetSpec:
        return self.vault_secret.spec.target.model_copy(update=fields)

    def renamed(self, name: str) -> VaultSecret:
        """The VaultSecret with another target, as the operator has heard of it."""
        return self.vault_secret.model_copy(
            update={"spec": self.vault_secret.spec.model_copy(update={"target": self.target(name=name)})}
        )

    async def written(self) -> Observed:
        await self.writer.write(self.vault_secret, None, self.desired(), takes_away=False)
        return self.known[KEY]

    def is_deleted(self) -> None:
        self.cluster.delete_vault_secret(KEY)

    def is_changed(self) -> None:
        self.cluster.put_vault_secret(manifest(spec(onDelete="Retain", suspend=True)))


UNHEARD: list[Any] = [
    pytest.param(Scene.is_deleted, ObjectGone, id="that it was deleted"),
    pytest.param(Scene.is_changed, NotYet, id="that it was changed"),
]
"""What the watch has not told yet."""


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_target_is_written_and_known_at_once(scene: Scene) -> None:
    observed = await scene.written()

    assert scene.cluster.values(KEY) == {"password": "s3cret"}
    assert observed.owner_uid == scene.vault_secret.metadata.uid


async def test_keys_of_others_go(scene: Scene) -> None:
    await scene.written()
    scene.cluster.edit(KEY, "kubectl-edit", data={"backdoor": "x"})
    observed = await scene.cluster.observe(KEY)

    await scene.writer.write(scene.vault_secret, observed, scene.desired(), takes_away=False)

    assert scene.cluster.values(KEY) == {"password": "s3cret"}


async def test_a_target_is_deleted(scene: Scene) -> None:
    observed = await scene.written()

    assert await scene.writer.delete(scene.vault_secret, observed)

    assert scene.cluster.values(KEY) is None


async def test_where_there_is_none_none_is_deleted(scene: Scene) -> None:
    assert not await scene.writer.delete(scene.vault_secret, None)


async def test_a_secret_of_somebody_else_is_not_deleted(scene: Scene) -> None:
    scene.cluster.create(KEY, "helm", {"password": "theirs"})
    observed = await scene.cluster.observe(KEY)

    assert not await scene.writer.delete(scene.vault_secret, observed)

    assert scene.cluster.values(KEY) == {"password": "theirs"}


@pytest.mark.parametrize(("happen", "error"), UNHEARD)
async def test_nothing_is_deleted_before_it_is_heard(
    scene: Scene, happen: Callable[[Scene], None], error: type[Exception]
) -> None:
    observed = await scene.written()
    happen(scene)

    with pytest.raises(error):
        await scene.writer.delete(scene.vault_secret, observed)

    assert scene.cluster.values(KEY) == {"password": "s3cret"}


@pytest.mark.parametrize(("happen", "error"), UNHEARD)
async def test_no_key_is_taken_away_before_it_is_heard(
    scene: Scene, happen: Callable[[Scene], None], error: type[Exception]
) -> None:
    observed = await scene.written()
    happen(scene)

    with pytest.raises(error):
        await scene.writer.write(scene.vault_secret, observed, scene.desired(), takes_away=True)


async def test_what_was_the_target_before_is_cleared_away_and_told(scene: Scene) -> None:
    await scene.written()

    told = await scene.writer.delete_stale_targets(scene.renamed("another"))

    assert told == ["Deleted Secret db, which was the target before."]
    assert scene.cluster.values(KEY) is None


async def test_the_target_itself_is_not_cleared_away(scene: Scene) -> None:
    await scene.written()

    assert await scene.writer.delete_stale_targets(scene.vault_secret) == []

    assert scene.cluster.values(KEY) is not None


@pytest.mark.parametrize(("happen", "error"), UNHEARD)
async def test_nothing_is_cleared_away_before_it_is_heard(
    scene: Scene, happen: Callable[[Scene], None], error: type[Exception]
) -> None:
    await scene.written()
    happen(scene)

    with pytest.raises(error):
        await scene.writer.delete_stale_targets(scene.renamed("another"))

    assert scene.cluster.values(KEY) is not None
