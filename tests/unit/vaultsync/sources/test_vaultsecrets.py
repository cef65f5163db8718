"""What the watch of VaultSecrets says, and what comes of it: who is known, who is queued, which vaults are polled."""

from collections.abc import AsyncIterator
from typing import Any

import kopf
import pytest

from tests.manifests import as_stored, manifest, spec
from vaultsync.adapters.kube import Access
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.controller.queue import Concurrency, Priority, WorkQueue
from vaultsync.policy.requeue import Result
from vaultsync.sources.poller import Poller
from vaultsync.sources.pollers import Polls
from vaultsync.sources.vaultsecrets import VaultSecretEvents, register
from vaultsync.state.vaultsecrets import VaultSecretCache

SHOP = "https://shop.vault.azure.net"
OTHER = "https://other.vault.azure.net"
ACCESS = Access(
    server="https://10.0.0.1",
    verify=True,
    ca_file="ca.crt",
    certificate_file="client.crt",
    key_file="client.key",
    proxy="http://proxy:3128",
    token="token",
)
Body = dict[str, Any]


def body(name: str = "db", *, resource_version: int = 7, generation: int = 1, uid: str = "", **changes: object) -> Body:
    """A VaultSecret as the watch brings it; `changes` are to its spec."""
    written = manifest(spec(**changes), name=name)
    stored = {"resourceVersion": str(resource_version), "generation": generation, "uid": uid or f"uid-{name}"}
    return as_stored({**written, "metadata": written["metadata"] | stored})


def key(name: str = "db") -> ObjectKey:
    return ObjectKey("shop", name)


class Watched(WorkQueue):
    """A queue that is closed, and tells what was added and forgotten."""

    def __init__(self) -> None:
        async def work(_: ObjectKey, __: int) -> Result:
            raise AssertionError

        super().__init__(
            work, partition_of=lambda _: "", width=Concurrency(1, 1), clock=lambda: 0.0, waited=lambda _: None
        )
        self.added: list[tuple[str, Priority]] = []

    def add(self, key: ObjectKey, priority: Priority) -> None:
        self.added.append((key.name, priority))
        super().add(key, priority)


class Scene:
    """The events' taker, and what came of them since the last look."""

    def __init__(self) -> None:
        self.vaultsecrets = VaultSecretCache()
        self.queue = Watched()
        self.hurried: list[str] = []
        self.refused: list[tuple[ObjectKey, str]] = []
        self.doubts = 0
        self.polls = Polls(self.poller, self.vaultsecrets, may_ask=lambda _: True)
        self.events = VaultSecretEvents(self.vaultsecrets, self.queue, self.polls, self.refuse, self.doubt)

    def poller(self, vault_url: str) -> Poller:
        return SilentPoller(vault_url, self.hurried)

    async def refuse(self, head: VaultSecretMeta, why: str) -> None:
        self.refused.append((head.key, why))

    def doubt(self) -> None:
        self.doubts += 1

    def news(self) -> list[tuple[str, Priority]]:
        """Who was queued since the last look."""
        added, self.queue.added = self.queue.added, []
        return sorted(added)


class SilentPoller(Poller):
    """A poller that asks nothing; it notes when it is hurried."""

    def __init__(self, vault_url: str, hurried: list[str]) -> None:
        self._url = vault_url
        self._hurried = hurried

    def hurry(self, *, now: bool = False) -> None:
        self._hurried.append(self._url)

    async def run(self) -> None:
        """Do nothing."""


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.polls.stop()


async def test_a_new_vaultsecret_is_known_queued_first_and_its_vault_polled_soon(scene: Scene) -> None:
    await scene.events.changed(body())

    known = scene.vaultsecrets.get(key())
    assert known is not None
    assert known.spec.vault_url == SHOP
    assert scene.news() == [("db", Priority.URGENT)]
    assert scene.hurried == [SHOP]


async def test_one_that_was_served_before_a_restart_stands_back(scene: Scene) -> None:
    await scene.events.listed({**body("served", generation=3), "status": {"observedGeneration": 3}})
    await scene.events.listed({**body("edited", generation=4), "status": {"observedGeneration": 3}})

    assert scene.news() == [("edited", Priority.URGENT), ("served", Priority.ROUTINE)]
    assert scene.doubts == 0


async def test_a_changed_spec_is_queued(scene: Scene) -> None:
    await scene.events.changed(body())
    scene.news()

    await scene.events.changed(body(resource_version=8, generation=2, refreshInterval="10s"))

    assert scene.news() == [("db", Priority.URGENT)]
    assert scene.hurried == [SHOP, SHOP]


async def test_a_changed_status_is_remembered_and_nobody_is_queued(scene: Scene) -> None:
    await scene.events.changed(body())
    scene.news()

    await scene.events.changed({**body(resource_version=8), "status": {"observedGeneration": 1}})

    known = scene.vaultsecrets.get(key())
    assert known is not None
    assert known.status.observed_generation == 1
    assert scene.news() == []


async def test_what_was_overtaken_by_later_news_is_no_news(scene: Scene) -> None:
    await scene.events.changed(body(resource_version=10, generation=2))
    scene.news()

    await scene.events.changed(body(resource_version=9, generation=1))

    known = scene.vaultsecrets.get(key())
    assert known is not None
    assert known.metadata.generation == 2
    assert scene.news() == []


async def test_resource_versions_are_numbers_not_texts(scene: Scene) -> None:
    await scene.events.changed(body(resource_version=9))
    scene.news()

    await scene.events.changed(body(resource_version=10, generation=2))

    assert scene.news() == [("db", Priority.URGENT)]


async def test_one_that_was_made_anew_under_the_same_name_is_queued(scene: Scene) -> None:
    await scene.events.changed(body(uid="first"))
    scene.news()

    await scene.events.changed(body(uid="second", resource_version=8))
    scene.events.gone(key(), "first")

    known = scene.vaultsecrets.get(key())
    assert known is not None
    assert known.metadata.uid == "second"
    assert scene.news() == [("db", Priority.URGENT)]


async def test_one_that_is_gone_is_forgotten_with_its_place_in_the_queue_and_its_vault(scene: Scene) -> None:
    await scene.events.changed(body())

    scene.events.gone(key(), "uid-db")

    assert scene.vaultsecrets.get(key()) is None
    assert scene.queue.depth == 0
    assert scene.polls.view(SHOP).secrets == {}
    scene.hurried.clear()
    scene.polls.hurry(SHOP)
    assert scene.hurried == []


async def test_one_that_is_being_deleted_counts_as_gone(scene: Scene) -> None:
    await scene.events.changed(body())
    going = body(resource_version=8)
    going["metadata"]["deletionTimestamp"] = "2026-03-01T12:30:00Z"

    await scene.events.changed(going)
    await scene.events.listed(going)

    assert scene.vaultsecrets.get(key()) is None
    assert scene.queue.depth == 0


async def test_the_deletion_of_somebody_unknown_is_nothing(scene: Scene) -> None:
    scene.events.gone(key("nobody"), "uid")

    assert scene.news() == []


async def test_whoever_wants_the_target_of_one_that_is_gone_gets_their_turn(scene: Scene) -> None:
    await scene.events.changed(body())
    await scene.events.changed(body("rival", target={"name": "db"}))
    scene.news()

    scene.events.gone(key(), "uid-db")

    assert scene.news() == [("rival", Priority.URGENT)]


async def test_whoever_wants_the_old_or_the_new_target_of_one_that_moves_gets_their_turn(scene: Scene) -> None:
    await scene.events.changed(body())
    await scene.events.changed(body("heir", target={"name": "db"}))
    await scene.events.changed(body("invaded", target={"name": "theirs"}))
    await scene.events.changed(body("bystander"))
    scene.news()

    await scene.events.changed(body(resource_version=8, generation=2, target={"name": "theirs"}))

    assert {name for name, _ in scene.news()} == {"db", "heir", "invaded"}


async def test_one_that_asks_another_vault_has_that_polled_and_the_old_one_no_more(scene: Scene) -> None:
    await scene.events.changed(body())

    await scene.events.changed(body(resource_version=8, generation=2, vaultUrl=OTHER))

    assert set(scene.vaultsecrets.vaults()) == {OTHER}
    scene.hurried.clear()
    for vault_url in (SHOP, OTHER):
        scene.polls.hurry(vault_url)
    assert scene.hurried == [OTHER]


async def test_one_that_cannot_be_read_is_refused_and_no_longer_served(scene: Scene) -> None:
    await scene.events.changed(body())

    await scene.events.changed(body(resource_version=8, generation=2, vaultUrl="http://MARKED"))

    ((refused, why),) = scene.refused
    assert refused == key()
    assert why.startswith("spec.vaultUrl: ")
    assert "MARKED" not in why
    assert scene.vaultsecrets.get(key()) is None
    assert scene.queue.depth == 0


async def test_a_listing_that_brings_what_is_known_raises_doubt_about_the_rest(scene: Scene) -> None:
    await scene.events.listed(body())
    assert scene.doubts == 0

    await scene.events.listed(body())

    assert scene.doubts == 1


@pytest.mark.parametrize(
    ("deleted", "doubts"),
    [(body(onDelete="Retain"), 1), (body(onDelete="Delete"), 0), (body(), 0)],
    ids=["it leaves its target", "it takes its target along", "it does so by default"],
)
async def test_a_deletion_that_leaves_a_target_behind_raises_doubt(scene: Scene, deleted: Body, doubts: int) -> None:
    await scene.events.changed(deleted)

    scene.events.deleted(deleted)

    assert (scene.vaultsecrets.get(key()), scene.doubts) == (None, doubts)


async def test_one_that_was_being_deleted_raises_doubt_when_it_is_gone(scene: Scene) -> None:
    going = body(onDelete="Retain", resource_version=8)
    going["metadata"]["deletionTimestamp"] = "2026-03-01T12:30:00Z"
    await scene.events.changed(body(onDelete="Retain"))
    await scene.events.changed(going)
    assert scene.doubts == 0

    scene.events.deleted(going)

    assert scene.doubts == 1


# what is hung into kopf


class Hung:
    """A registry with our handlers, and what they called."""

    def __init__(self, scene: Scene) -> None:
        self.registry = kopf.OperatorRegistry()
        self.calls: list[str] = []
        register(self.registry, scene.events, access=self.access, start=self.start, stop=self.stop)

    async def access(self) -> Access:
        return ACCESS

    async def start(self) -> None:
        self.calls.append("start")

    async def stop(self) -> None:
        self.calls.append("stop")

    @property
    def activities(self) -> dict[str, Any]:
        handlers = self.registry._activities.get_all_handlers()
        return {str(one.activity and one.activity.value): one.fn for one in handlers}

    async def tell(self, kind: str | None, told: Body) -> None:
        (handler,) = self.registry._watching.get_all_handlers()
        call: Any = handler.fn  # kopf's type asks for all that kopf gives; ours takes what it needs
        await call(type=kind, body=told)


@pytest.fixture
def hung(scene: Scene) -> Hung:
    return Hung(scene)


def test_nothing_is_hung_into_kopf_that_writes_to_objects(hung: Hung) -> None:
    registry = hung.registry

    assert len(registry._watching.get_all_handlers()) == 1
    writers: list[Any] = [registry._changing, registry._spawning, registry._indexing, registry._webhooks]
    assert [len(handlers.get_all_handlers()) for handlers in writers] == [0, 0, 0, 0]


async def test_kopf_posts_no_events_of_its_own_and_starts_us_before_it_watches(hung: Hung) -> None:
    settings = kopf.OperatorSettings()
    calls = hung.activities

    await calls["startup"](settings=settings)
    assert hung.calls == ["start"]
    await calls["cleanup"]()

    assert hung.calls == ["start", "stop"]
    assert not settings.posting.enabled
    assert settings.scanning.disabled


async def test_kopf_goes_to_the_cluster_that_we_go_to_as_the_same_user(hung: Hung) -> None:
    info = await hung.activities["authentication"]()

    assert (info.server, info.insecure, info.proxy_url) == (ACCESS.server, False, ACCESS.proxy)
    assert (info.ca_path, info.certificate_path, info.private_key_path) == ("ca.crt", "client.crt", "client.key")
    assert info.as_http_headers() == {"Authorization": "Bearer token"}


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED"])
async def test_whatever_the_watch_brings_is_taken_in(scene: Scene, hung: Hung, kind: str | None) -> None:
    await hung.tell(kind, body())

    assert scene.vaultsecrets.get(key()) is not None


async def test_a_deletion_is_taken_in_with_what_it_leaves_behind(scene: Scene, hung: Hung) -> None:
    await hung.tell("ADDED", body(onDelete="Retain"))

    await hung.tell("DELETED", body(onDelete="Retain"))

    assert (scene.vaultsecrets.get(key()), scene.doubts) == (None, 1)


async def test_a_second_listing_raises_doubt(scene: Scene, hung: Hung) -> None:
    await hung.tell(None, body())
    await hung.tell(None, body())

    assert scene.doubts == 1
