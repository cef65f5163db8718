"""The census of VaultSecrets on a cluster in memory: whoever is no more is forgotten, and what they left is let go."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Iterable

import pytest

from tests.clocks import settle
from tests.fakes import FakeKube
from tests.manifests import manifest, spec
from vaultsync.adapters.kube import NotInstalled
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
from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.sources.resync import EVERY, RELEASES_AT_ONCE, SETTLING, Census
from vaultsync.sources.targets import Targets
from vaultsync.state.observed import Observed
from vaultsync.state.snapshots import ListSnapshot
from vaultsync.state.vaultsecrets import VaultSecretCache

AWAY = SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer.")


class Scene:
    """A cluster, what is known of it, and a census whose waits end when the test says so."""

    def __init__(self, *namespaces: str, every: float = EVERY) -> None:
        self.cluster = FakeKube()
        self.vaultsecrets = VaultSecretCache()
        self.gone: list[str] = []
        self.waits: list[float] = []
        self._alarm = asyncio.Event()
        self.targets = Targets(
            self.cluster, namespaces=namespaces, on_change=lambda _: None, jitter=lambda _, high: high
        )
        self.census = Census(
            self.cluster,
            namespaces=namespaces,
            vaultsecrets=self.vaultsecrets,
            targets=self.targets,
            gone=self.forget,
            jitter=lambda _, high: high,
            sleep=self.sleep,
            every=every,
        )

    async def begin(self) -> None:
        """Begin as the operator does: with what is there, and a count of it soon."""
        self.targets.start()
        await settle()
        await self.census.begin()
        await settle()

    async def begin_and_count(self) -> None:
        """Begin, let the first count pass, and forget that it was."""
        await self.begin()
        await self.awake()
        self.waits.clear()
        self.cluster.calls.clear()

    async def stop(self) -> None:
        await self.census.stop()
        await self.targets.stop()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self._alarm.wait()

    async def awake(self) -> None:
        """Let the present wait be over."""
        self._alarm.set()
        self._alarm = asyncio.Event()
        await settle()

    def forget(self, key: ObjectKey, uid: str) -> None:
        known = self.vaultsecrets.get(key)
        assert known is not None
        assert known.metadata.uid == uid
        self.vaultsecrets.drop(key)
        self.gone.append(str(key))

    def make(self, name: str, namespace: str = "shop") -> ObjectKey:
        """Make a VaultSecret, and hear of it."""
        made = self.put(name, namespace)
        self.vaultsecrets.put(made)
        return made.key

    def put(self, name: str, namespace: str = "shop") -> VaultSecret:
        """Make a VaultSecret that nobody has heard of."""
        return self.cluster.put_vault_secret(manifest(spec(), name=name, namespace=namespace))

    async def target(
        self, name: str, uid: str | None, *, namespace: str = "shop", owners: Iterable[str] = ()
    ) -> ObjectKey:
        """Write a target of the VaultSecret of that uid, and let the watch see it."""
        labels = {MANAGED_BY_LABEL: MANAGED_BY} | ({} if uid is None else {OWNER_UID_LABEL: uid})
        written = {
            "metadata": {
                "labels": labels,
                "annotations": {APPLIED_ANNOTATION: "{}"},
                "ownerReferences": [{"apiVersion": API_VERSION, "kind": KIND, "name": "o", "uid": o} for o in owners],
            },
            "data": {"password": base64.b64encode(b"one").decode()},
        }
        key = ObjectKey(namespace, name)
        await self.cluster.apply(key, written, onto=None)
        await settle()
        return key

    def copy_by_hand(self, name: str, uid: str) -> None:
        """Make a Secret as somebody does who copies a target, labels and annotation and all."""
        key, labels = ObjectKey("shop", name), {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: uid}
        self.cluster.create(key, "replicator", {"password": "one"}, labels=labels)
        self.cluster.edit(key, "replicator", annotations={APPLIED_ANNOTATION: "{}"})

    async def leave(self, *names: str) -> None:
        """Write targets whose VaultSecrets go."""
        for name in names:
            made = self.put(name)
            await self.target(name, made.metadata.uid)
            self.cluster.delete_vault_secret(made.key)

    async def claimed(self) -> list[str]:
        """The targets that say that they are ours."""
        return sorted(str(key) for key in (await self.cluster.list_targets(None)).targets)

    def make_and_miss_its_deletion(self, name: str, namespace: str = "shop") -> None:
        self.cluster.delete_vault_secret(self.make(name, namespace))

    async def counted_in_doubt(self) -> None:
        self.census.doubt()
        await settle()
        await self.awake()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.begin_and_count()
    yield scene
    await scene.stop()


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
    scene = Scene(every=0.0)
    await scene.begin_and_count()
    scene.make_and_miss_its_deletion("ghost")

    async with asyncio.timeout(5):
        while not scene.gone:
            await settle()
    await scene.stop()

    assert EVERY == 600.0


async def test_the_first_count_is_soon_after_the_start() -> None:
    scene = Scene()
    await scene.leave("db")

    await scene.begin()
    assert (scene.waits, await scene.claimed()) == ([SETTLING], ["shop/db"])
    await scene.awake()

    assert await scene.claimed() == []
    await scene.stop()


async def test_one_that_was_made_after_the_count_is_no_ghost(scene: Scene) -> None:
    roll = await scene.cluster.list_vault_secrets(None)
    scene.make("newcomer")

    async def late(_: str | None) -> ListSnapshot:
        return roll

    scene.cluster.list_vault_secrets = late  # type: ignore[assignment, method-assign]  # an answer that was long under way
    await scene.counted_in_doubt()

    assert scene.gone == []


async def test_namespaces_that_are_not_served_are_not_judged() -> None:
    scene = Scene("shop", "store")
    await scene.begin_and_count()
    for namespace in ("shop", "store", "elsewhere"):
        scene.make_and_miss_its_deletion("ghost", namespace)

    await scene.counted_in_doubt()
    await scene.stop()

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

    async def stumble(_: str | None) -> ListSnapshot:
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
    assert scene.waits == [2.0, 4.0, SETTLING]
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


# what is left behind


async def test_a_target_that_outlives_its_vaultsecret_is_released_and_keeps_its_content(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vaultsync")
    await scene.leave("db")

    await scene.counted_in_doubt()

    left = await scene.cluster.observe(ObjectKey("shop", "db"))
    assert left is not None
    assert (left.managed, left.owner_uid, left.applied) == (False, None, None)
    assert scene.cluster.values(ObjectKey("shop", "db")) == {"password": "one"}
    assert caplog.messages == ["released target"]


async def test_the_target_of_one_whose_deletion_was_missed_is_released_in_the_same_count(scene: Scene) -> None:
    key = scene.make("db")
    await scene.target("db", scene.cluster.vault_secret(key).metadata.uid)
    scene.cluster.delete_vault_secret(key)

    await scene.counted_in_doubt()

    assert (scene.gone, await scene.claimed()) == (["shop/db"], [])


async def test_what_belongs_to_a_vaultsecret_that_is_there_stays_ours_though_we_have_not_heard_of_it(
    scene: Scene,
) -> None:
    await scene.target("renamed-since", scene.put("db").metadata.uid)

    await scene.counted_in_doubt()

    assert await scene.claimed() == ["shop/renamed-since"]


async def test_what_another_vaultsecret_wants_is_left_for_that_to_take_over(scene: Scene) -> None:
    await scene.leave("db")
    scene.make("db")

    await scene.counted_in_doubt()

    assert await scene.claimed() == ["shop/db"]


async def test_what_the_garbage_collector_will_take_is_left_to_it(scene: Scene) -> None:
    await scene.target("db", "no-more", owners=["no-more"])

    await scene.counted_in_doubt()

    assert await scene.claimed() == ["shop/db"]


async def test_what_is_owned_by_others_alone_is_released(scene: Scene) -> None:
    await scene.target("db", "no-more", owners=["somebody-else"])

    await scene.counted_in_doubt()

    assert await scene.claimed() == []


async def test_what_does_not_say_whose_it_is_stays_as_it_is(scene: Scene) -> None:
    await scene.target("db", None)

    await scene.counted_in_doubt()

    assert await scene.claimed() == ["shop/db"]


async def test_a_copy_that_others_made_of_a_target_is_theirs(scene: Scene) -> None:
    scene.copy_by_hand("copy", "no-more")
    await settle()

    await scene.counted_in_doubt()

    assert await scene.claimed() == ["shop/copy"]
    assert scene.cluster.calls["release"] == 0


async def test_a_copy_that_others_made_in_a_namespace_that_is_counted_is_theirs_while_the_vaultsecret_lives() -> None:
    scene = Scene("shop")
    await scene.begin_and_count()
    scene.copy_by_hand("copy", scene.put("db", "elsewhere").metadata.uid)
    await settle()

    await scene.counted_in_doubt()

    assert await scene.claimed() == ["shop/copy"]
    await scene.stop()


async def test_what_was_written_after_the_count_may_belong_to_a_newcomer(scene: Scene) -> None:
    roll = await scene.cluster.list_vault_secrets(None)
    await scene.target("db", scene.put("newcomer").metadata.uid)

    async def late(_: str | None) -> ListSnapshot:
        return roll

    scene.cluster.list_vault_secrets = late  # type: ignore[assignment, method-assign]  # an answer that was long under way
    await scene.counted_in_doubt()

    assert await scene.claimed() == ["shop/db"]


async def test_what_has_changed_unseen_is_judged_anew_another_time(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vaultsync")
    await scene.leave("db")
    await scene.targets.stop()
    scene.cluster.edit(ObjectKey("shop", "db"), "somebody", data={"password": "two"})

    await scene.counted_in_doubt()

    assert scene.cluster.calls["release"] == 1
    assert (await scene.claimed(), caplog.messages) == (["shop/db"], [])


async def test_each_namespace_is_judged_by_its_own_count() -> None:
    scene = Scene("shop", "store")
    await scene.begin_and_count()
    for namespace in ("shop", "store"):
        await scene.target("db", scene.put("other", namespace).metadata.uid, namespace=namespace)
    for namespace in ("store", "elsewhere"):
        await scene.target("left", "no-more", namespace=namespace)

    await scene.counted_in_doubt()

    assert await scene.claimed() == ["elsewhere/left", "shop/db", "store/db"]
    await scene.stop()


async def test_a_cluster_that_knows_no_vaultsecrets_any_more_has_nothing_released(scene: Scene) -> None:
    await scene.leave("db")

    async def unknown(_: str | None) -> ListSnapshot:
        raise NotInstalled("install them")

    scene.cluster.list_vault_secrets = unknown  # type: ignore[assignment, method-assign]  # the cluster in memory always knows them
    await scene.counted_in_doubt()

    assert await scene.claimed() == ["shop/db"]


class Gate:
    """Stands before the cluster's releases: some are refused, and all may be held up."""

    def __init__(self, cluster: FakeKube) -> None:
        self.refused: dict[str, SyncError] = {}
        self.passes = asyncio.Event()
        self.passes.set()
        self.waiting = 0
        self._release = cluster.release
        cluster.release = self.release  # type: ignore[method-assign]  # the cluster in memory refuses all or nothing

    async def release(self, key: ObjectKey, *, observed: Observed) -> None:
        self.waiting += 1
        await self.passes.wait()
        self.waiting -= 1
        if key.name in self.refused:
            raise self.refused[key.name]
        await self._release(key, observed=observed)


async def test_one_that_cannot_be_released_keeps_no_other_waiting_and_has_its_turn_again(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(scene.cluster)
    gate.refused["a"] = SyncError(Reason.TARGET_INVALID, "The admission policy denies it.")
    await scene.leave("a", "b", "c")

    await scene.counted_in_doubt()
    assert await scene.claimed() == ["shop/a"]
    assert [vars(record)["target"] for record in caplog.records] == ["shop/a"]

    gate.refused.clear()
    await scene.counted_in_doubt()
    assert await scene.claimed() == []


async def test_one_whose_namespace_is_going_is_nothing_to_speak_of(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    Gate(scene.cluster).refused["db"] = ObjectGone(Reason.CLUSTER_UNAVAILABLE, "Its namespace is gone.")
    await scene.leave("db")

    await scene.counted_in_doubt()

    assert caplog.messages == []


async def test_of_many_a_few_are_released_at_once(scene: Scene) -> None:
    gate = Gate(scene.cluster)
    gate.passes.clear()
    await scene.leave(*(f"db-{number}" for number in range(RELEASES_AT_ONCE + 3)))

    await scene.counted_in_doubt()
    assert gate.waiting == RELEASES_AT_ONCE

    gate.passes.set()
    await settle()
    assert await scene.claimed() == []


async def test_the_inventory_is_complete_once_everybody_on_the_roll_has_been_heard_of(scene: Scene) -> None:
    first, second = (scene.cluster.put_vault_secret(manifest(spec(), name=name)) for name in ("first", "second"))
    scene.vaultsecrets.put(first)
    scene.vaultsecrets.has_synced = False

    await scene.census.count()
    before = scene.vaultsecrets.has_synced
    scene.vaultsecrets.refuse(second.key)
    await scene.census.count()

    assert (before, scene.vaultsecrets.has_synced) == (False, True)
