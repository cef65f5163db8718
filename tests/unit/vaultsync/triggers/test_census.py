"""The census of VaultSecrets on a cluster in memory: whoever is no more is forgotten, and nobody else."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from tests.clocks import settle
from tests.fakes import FakeCluster
from tests.manifests import manifest, spec
from vaultsync.adapters.cluster import NotInstalled, Roll
from vaultsync.api import ObjectKey
from vaultsync.inventory import Inventory
from vaultsync.rules.outcome import Reason, SyncError
from vaultsync.triggers.census import EVERY, SETTLING, Census

AWAY = SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer.")


class Scene:
    """A cluster, what is known of its VaultSecrets, and a census whose waits end when the test says so."""

    def __init__(self, *namespaces: str) -> None:
        self.cluster = FakeCluster()
        self.inventory = Inventory()
        self.gone: list[str] = []
        self.waits: list[float] = []
        self._alarm = asyncio.Event()
        self.census = Census(
            self.cluster,
            namespaces=namespaces,
            inventory=self.inventory,
            gone=self.forget,
            jitter=lambda _, high: high,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self._alarm.wait()

    async def awake(self) -> None:
        """Let the present wait be over."""
        self._alarm.set()
        self._alarm = asyncio.Event()
        await settle()

    def forget(self, key: ObjectKey, uid: str) -> None:
        known = self.inventory.get(key)
        assert known is not None
        assert known.metadata.uid == uid
        self.inventory.drop(key)
        self.gone.append(str(key))

    def make(self, name: str, namespace: str = "shop") -> ObjectKey:
        """Make a VaultSecret, and hear of it."""
        made = self.cluster.put_vault_secret(manifest(spec(), name=name, namespace=namespace))
        self.inventory.put(made)
        return made.key

    def make_and_miss_its_deletion(self, name: str, namespace: str = "shop") -> None:
        self.cluster.delete_vault_secret(self.make(name, namespace))

    async def counted_in_doubt(self) -> None:
        self.census.doubt()
        await settle()
        await self.awake()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.census.begin()
    yield scene
    await scene.census.stop()


async def test_whoever_is_no_more_is_forgotten(scene: Scene) -> None:
    scene.make("still-there")
    scene.make_and_miss_its_deletion("ghost")

    await scene.counted_in_doubt()

    assert scene.gone == ["shop/ghost"]


async def test_many_doubts_are_one_count_a_moment_later(scene: Scene) -> None:
    for _ in range(3):
        scene.census.doubt()
    await settle()
    assert (scene.waits, scene.cluster.calls["list_vault_secrets"]) == ([SETTLING], 0)

    await scene.awake()

    assert scene.cluster.calls["list_vault_secrets"] == 1
    assert scene.waits == [SETTLING]


async def test_without_doubt_they_are_counted_every_ten_minutes() -> None:
    scene = Scene()
    census = Census(
        scene.cluster,
        namespaces=[],
        inventory=scene.inventory,
        gone=scene.forget,
        jitter=lambda low, _: low,
        every=0.0,
    )
    scene.make_and_miss_its_deletion("ghost")

    await census.begin()
    async with asyncio.timeout(5):
        while not scene.gone:
            await settle()
    await census.stop()

    assert EVERY == 600.0


async def test_one_that_was_made_after_the_count_is_no_ghost(scene: Scene) -> None:
    roll = await scene.cluster.list_vault_secrets(None)
    scene.make("newcomer")

    async def late(_: str | None) -> Roll:
        return roll

    scene.cluster.list_vault_secrets = late  # type: ignore[assignment, method-assign]  # an answer that was long under way
    await scene.counted_in_doubt()

    assert scene.gone == []


async def test_namespaces_that_are_not_served_are_not_judged() -> None:
    scene = Scene("shop", "store")
    await scene.census.begin()
    for namespace in ("shop", "store", "elsewhere"):
        scene.make_and_miss_its_deletion("ghost", namespace)

    await scene.counted_in_doubt()
    await scene.census.stop()

    assert sorted(scene.gone) == ["shop/ghost", "store/ghost"]


async def test_a_count_that_fails_is_repeated_after_ever_longer_waits(scene: Scene) -> None:
    scene.make_and_miss_its_deletion("ghost")
    scene.cluster.fail(AWAY)
    await scene.counted_in_doubt()
    for _ in range(3):
        await scene.awake()
    assert scene.waits == [SETTLING, 2.0, SETTLING, 4.0, SETTLING]

    scene.cluster.fail(None)
    for _ in range(2):
        await scene.awake()

    assert scene.gone == ["shop/ghost"]


async def test_a_bug_does_not_end_it(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    count = scene.cluster.list_vault_secrets

    async def stumble(_: str | None) -> Roll:
        raise ZeroDivisionError

    scene.cluster.list_vault_secrets = stumble  # type: ignore[assignment, method-assign]  # nothing real is known to break it
    await scene.counted_in_doubt()
    assert "the census broke" in caplog.messages
    scene.cluster.list_vault_secrets = count  # type: ignore[method-assign]
    scene.make_and_miss_its_deletion("ghost")

    await scene.counted_in_doubt()

    assert scene.gone == ["shop/ghost"]


async def test_it_begins_as_soon_as_they_can_be_listed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    scene = Scene()
    scene.cluster.fail(AWAY)
    beginning = asyncio.create_task(scene.census.begin())
    await settle()
    await scene.awake()
    assert not beginning.done()

    scene.cluster.fail(None)
    await scene.awake()

    await beginning
    assert scene.waits == [2.0, 4.0]
    assert caplog.messages == ["VaultSecrets cannot be listed"] * 2
    await scene.census.stop()


async def test_a_cluster_that_knows_no_vaultsecrets_is_an_error() -> None:
    scene = Scene()

    async def unknown(_: str | None) -> None:
        raise NotInstalled("install them")

    scene.cluster.check_installed = unknown  # type: ignore[assignment, method-assign]  # the cluster in memory always knows them

    with pytest.raises(NotInstalled, match="install them"):
        await scene.census.begin()


async def test_one_that_never_began_can_be_stopped() -> None:
    await Scene().census.stop()
