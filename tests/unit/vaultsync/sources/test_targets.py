"""The informer of our targets: which VaultSecrets it wakes, and that no change is lost in failures of the watch."""

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_granted, a_vault_secret, keep_all
from tests.fakes import FakeKube
from tests.harness import UNAVAILABLE, MemoryHarness, longest, record_woken
from vaultsync.api import MANAGED_BY, MANAGED_BY_LABEL, ObjectKey
from vaultsync.controller.turns import Priority
from vaultsync.errors import Reason, SyncError
from vaultsync.interfaces import KubeApi
from vaultsync.sources.open_watches import MAX_GAP
from vaultsync.sources.targets import MIN_WATCH, TargetInformer
from vaultsync.state.observed import Field, Observed
from vaultsync.state.snapshots import Bookmark, Kept, TargetEvent, TargetList

KEY = ObjectKey("shop", "db")
OTHER = ObjectKey("shop", "cache")
ELSEWHERE = ObjectKey("blog", "web")
UNWATCHED = ObjectKey("secret", "vault")


def manifest(value: str) -> dict[str, Any]:
    return {
        "type": "Opaque",
        "metadata": {"labels": {MANAGED_BY_LABEL: MANAGED_BY}},
        "data": {"password": base64.b64encode(value.encode()).decode()},
    }


async def write(fake: FakeKube, key: ObjectKey = KEY, value: str = "one") -> Observed:
    """Write as a reconcile does, without recording it."""
    return await fake.apply_target(key, manifest(value), onto=await fake.get_target(key))


class Watched:
    """An informer, the targets whose VaultSecrets it woke, and how long it waited after failures."""

    def __init__(self, kube: KubeApi, *namespaces: str) -> None:
        harness = MemoryHarness(watched=namespaces)
        self.targets = harness.state.targets
        self.vaultsecrets = harness.state.vaultsecrets
        self.woken = record_woken(harness.controller.queue)
        self.waits: list[float] = []
        for key in (KEY, OTHER, ELSEWHERE, UNWATCHED):
            metadata = {"name": key.name, "namespace": key.namespace, "uid": key.name}
            harness.state.vaultsecrets.put(a_vault_secret(metadata=metadata), a_granted())
        self.now = 0.0
        self.informer = TargetInformer(
            kube,
            harness.state,
            harness.controller.queue,
            jitter=longest,
            sleep=self._sleep,
            clock=lambda: self.now,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    async def assert_woken(self, *keys: ObjectKey) -> None:
        """Return when exactly these were woken, and nothing more is to come."""
        await until(lambda: len(self.woken) >= len(keys))
        await turns(30)
        assert self.woken == [(key.name, Priority.URGENT) for key in keys]


async def turns(count: int) -> None:
    """Return to the event loop so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; it must do so within some turns."""
    for _ in range(10_000):
        if condition():
            return
        await turns(1)
    raise AssertionError


@asynccontextmanager
async def informing(watched: Watched) -> AsyncIterator[Watched]:
    """Run an informer."""
    task = asyncio.create_task(watched.informer.run())
    await turns(30)
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def watching(kube: KubeApi, *namespaces: str) -> AsyncIterator[Watched]:
    """Yield one that has synced and watches."""
    async with informing(Watched(kube, *namespaces)) as watched:
        await watched.informer.has_synced.wait()
        await turns(30)
        yield watched


async def test_what_exists_at_the_start_is_known_and_wakes_nothing() -> None:
    fake = FakeKube()
    observed = await write(fake)

    async with watching(fake) as watched:
        await watched.assert_woken()

        assert watched.targets.get(KEY) == observed


@pytest.mark.parametrize("namespaces", [(), ("shop", "blog")], ids=["in one watch", "each by itself"])
async def test_what_is_known_is_returned_by_namespace_or_all_of_it(namespaces: tuple[str, ...]) -> None:
    fake = FakeKube()
    existing = {key: await write(fake, key) for key in (KEY, OTHER, ELSEWHERE)}

    async with watching(fake, *namespaces) as watched:
        assert watched.targets.within(None) == existing
        assert watched.targets.within("blog") == {ELSEWHERE: existing[ELSEWHERE]}
        assert watched.targets.within("nowhere") == {}


async def test_a_change_by_another_manager_wakes_the_vaultsecret() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.edit(KEY, "mallory", data={"password": "evil"})
        await watched.assert_woken(KEY)

        known = watched.targets.get(KEY)
        assert known is not None
        assert known.foreign == {Field("data", "password"): "mallory"}


async def test_a_deletion_wakes_the_vaultsecret() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.delete(KEY)
        await watched.assert_woken(KEY)

        assert watched.targets.get(KEY) is None


async def test_a_target_that_loses_our_label_wakes_the_vaultsecret_and_is_not_known_any_more() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.edit(KEY, "mallory", labels={MANAGED_BY_LABEL: None})
        await watched.assert_woken(KEY)

        assert watched.targets.get(KEY) is None


async def test_all_vaultsecrets_that_want_a_changed_target_are_woken(harness: MemoryHarness) -> None:
    await write(harness.kube)
    harness.run_beside(harness.controller.targets.run())
    await harness.settle()
    for name in ("db", "competing"):
        target = {"name": KEY.name}
        harness.state.vaultsecrets.put(a_vault_secret(metadata={"name": name, "uid": name}, target=target), a_granted())
    woken = record_woken(harness.controller.queue)

    harness.kube.edit(KEY, "mallory", data={"password": "evil"})
    await harness.settle()

    assert sorted(woken) == [("competing", Priority.URGENT), ("db", Priority.URGENT)]


async def test_our_own_write_wakes_nothing() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        written = await write(fake, value="two")
        watched.targets.record_write(KEY, written)
        await watched.assert_woken()

        assert watched.targets.get(KEY) == written


async def test_our_own_write_wakes_nothing_when_the_watch_brings_it_before_the_response() -> None:
    fake = FakeKube()

    async with watching(fake) as watched:
        with watched.targets.writing(KEY):
            written = await write(fake)
            await until(lambda: watched.targets.get(KEY) == written)
            watched.targets.record_write(KEY, written)
        await watched.assert_woken()


@pytest.mark.parametrize("is_recorded", [True, False])
async def test_what_others_change_during_our_own_write_wakes_the_vaultsecret_at_its_end(is_recorded: bool) -> None:
    fake = FakeKube()

    async with watching(fake) as watched:
        with watched.targets.writing(KEY):
            written = await write(fake)
            fake.edit(KEY, "mallory", data={"password": "evil"})
            await turns(30)
            await watched.assert_woken()
            if is_recorded:
                watched.targets.record_write(KEY, written)
        await watched.assert_woken(*[KEY] * (1 if is_recorded else 2))


async def test_a_write_whose_response_is_lost_wakes_the_vaultsecret_when_the_watch_has_brought_it() -> None:
    fake = FakeKube()

    async with watching(fake) as watched:
        with suppress(SyncError), watched.targets.writing(KEY):
            await write(fake)
            await turns(30)
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, "lost")
        await watched.assert_woken(KEY)


async def test_our_own_write_does_not_hide_what_came_after_it() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        written = await write(fake, value="two")
        fake.edit(KEY, "mallory", data={"password": "evil"})
        await watched.assert_woken(KEY)
        watched.targets.record_write(KEY, written)

        assert watched.targets.get(KEY) == await fake.get_target(KEY)


async def test_our_own_write_does_not_bring_back_what_was_deleted_after_it() -> None:
    fake = FakeKube()

    async with watching(fake) as watched:
        written = await write(fake)
        fake.delete(KEY)
        await watched.assert_woken(KEY, KEY)
        watched.targets.record_write(KEY, written)

        assert watched.targets.get(KEY) is None


async def test_drift_that_our_write_has_corrected_already_wakes_nothing() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.edit(KEY, "mallory", data={"password": "evil"})
        corrected = await write(fake, value="one")
        watched.targets.record_write(KEY, corrected)
        await watched.assert_woken()

        assert watched.targets.get(KEY) == corrected


async def test_a_change_of_nothing_that_is_observed_wakes_nothing() -> None:
    fake = FakeKube()
    await write(fake)
    fake.edit(KEY, "clock", annotations={"time": "1"})

    async with watching(fake) as watched:
        fake.edit(KEY, "clock", annotations={"time": "2"})
        await watched.assert_woken()

        assert watched.targets.get(KEY) == await fake.get_target(KEY)


async def test_a_watch_that_fails_continues_where_it_stopped() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.fail(UNAVAILABLE)
        await until(lambda: bool(watched.waits))
        fake.delete(KEY)
        fake.fail(None)
        await watched.assert_woken(KEY)

        assert fake.calls["list_targets"] == 1


async def test_what_happened_while_the_history_was_dropped_is_found_by_another_list() -> None:
    fake = FakeKube()
    deleted, changed, same = KEY, OTHER, ELSEWHERE
    for key in (deleted, changed, same):
        await write(fake, key)

    async with watching(fake) as watched:
        fake.fail(UNAVAILABLE)
        await until(lambda: bool(watched.waits))
        fake.delete(deleted)
        fake.edit(changed, "mallory", data={"password": "evil"})
        fake.forget_history()
        fake.fail(None)
        await until(lambda: len(watched.woken) == 2)
        await turns(30)

        assert {name for name, _ in watched.woken} == {deleted.name, changed.name}
        assert watched.targets.get(deleted) is None
        assert watched.targets.get(changed) == await fake.get_target(changed)


async def test_after_another_list_the_watch_continues() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.forget_history()
        await until(lambda: fake.calls["list_targets"] == 2)
        fake.delete(KEY)

        await watched.assert_woken(KEY)


async def test_the_waits_after_failures_grow_to_half_a_minute_and_start_over_after_an_event() -> None:
    fake = FakeKube()

    async with watching(fake) as watched:
        fake.fail(UNAVAILABLE)
        await until(lambda: len(watched.waits) >= 7)
        fake.fail(None)
        await turns(30)
        first, watched.waits[:] = watched.waits[:7], []
        fake.fail(UNAVAILABLE)
        await until(lambda: bool(watched.waits))

    assert first == [2, 4, 8, 16, 32, 32, 32]
    assert watched.waits[0] == 2


async def test_it_is_up_only_while_the_secrets_are_watched() -> None:
    fake = FakeKube()
    watched = Watched(fake)
    fake.fail(UNAVAILABLE)
    async with informing(watched):
        await until(lambda: bool(watched.waits))
        failing = watched.informer.is_up
        fake.fail(None)
        await until(lambda: watched.informer.is_up)
        watched.now += MAX_GAP + 1
        late = watched.informer.is_up
        fake.end_watches()
        await until(lambda: watched.informer.is_up)

    assert (failing, late) == (False, False)


class ListsOnly(FakeKube):
    """An API server that refuses each watch."""

    async def watch_targets(
        self, namespace: str | None, resource_version: str, on_open: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[TargetEvent, None]:
        for error in (UNAVAILABLE,):
            raise error
        yield Bookmark(resource_version)


async def test_it_is_not_up_with_a_list_and_no_watch() -> None:
    async with watching(ListsOnly()) as watched:
        await until(lambda: len(watched.waits) >= 2)

        assert watched.informer.has_synced.is_set()
        assert not watched.informer.is_up


async def test_it_is_up_while_a_namespace_is_watched_and_the_others_are_denied() -> None:
    fake = FakeKube()
    watched = Watched(fake, "shop", "blog")
    fake.deny("blog")
    async with informing(watched):
        await until(lambda: watched.informer.is_up)


async def test_a_watch_that_ends_after_some_minutes_is_opened_again_at_once() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.end_watches()
        await until(lambda: fake.calls["watch_targets"] == 2)
        fake.delete(KEY)
        await watched.assert_woken(KEY)

    assert watched.waits == []


class Silent(FakeKube):
    """An API server whose watches end without an event."""

    async def watch_targets(
        self, namespace: str | None, resource_version: str, on_open: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[TargetEvent, None]:
        no_events: tuple[TargetEvent, ...] = ()
        for event in no_events:
            yield event


async def test_watches_that_end_without_an_event_are_not_opened_in_a_hot_loop() -> None:
    async with watching(Silent()) as watched:
        await until(lambda: len(watched.waits) >= 3)

    assert watched.waits[:3] == [2, 4, 8]


class Quiet(FakeKube):
    """An API server of which nothing changes: its watches end in time, without an event."""

    watched: Watched

    async def watch_targets(
        self, namespace: str | None, resource_version: str, on_open: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[TargetEvent, None]:
        self._called("watch_targets")
        await asyncio.sleep(0)
        self.watched.now += MIN_WATCH + 1
        no_events: tuple[TargetEvent, ...] = ()
        for event in no_events:
            yield event


async def test_watches_that_last_but_have_no_event_are_not_failures(caplog: pytest.LogCaptureFixture) -> None:
    quiet = Quiet()
    quiet.watched = Watched(quiet)

    async with informing(quiet.watched):
        await until(lambda: quiet.calls["watch_targets"] > 3)

    assert (quiet.watched.waits, caplog.records, quiet.calls["list_targets"]) == ([], [], 1)


class Unreadable(FakeKube):
    """An API server whose first watch brings what cannot be read."""

    error: BaseException = KeyError("metadata")

    async def watch_targets(
        self, namespace: str | None, resource_version: str, on_open: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[TargetEvent, None]:
        if self.calls["list_targets"] == 1:
            raise self.error
        yield Bookmark(resource_version)
        await asyncio.Event().wait()


@pytest.mark.parametrize("error", [KeyError("metadata"), asyncio.CancelledError()], ids=["error", "cancelled"])
async def test_after_an_unexpected_exception_the_targets_are_listed_again(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    fake = Unreadable()
    fake.error = error
    await write(fake)

    async with watching(fake) as watched:
        await until(lambda: fake.calls["list_targets"] == 2)
        await turns(30)

        assert watched.targets.get(KEY) == await fake.get_target(KEY)
        assert watched.targets.resource_version(None) is not None
        assert fake.calls["list_targets"] == 2
    (record,) = (one for one in caplog.records if one.getMessage() == "secret watch error")
    assert record.exc_info is None
    assert vars(record)["where"]


async def test_an_interrupted_watch_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fake = FakeKube()

    async with watching(fake) as watched:
        fake.fail(UNAVAILABLE)
        await until(lambda: bool(watched.waits))

        assert [record.getMessage() for record in caplog.records] == ["secret watch interrupted"]


async def test_it_has_not_synced_while_a_namespace_cannot_be_listed() -> None:
    class OneNamespace(FakeKube):
        async def list_targets(
            self, namespace: str | None, keep: Callable[[ObjectKey, Observed], Kept]
        ) -> TargetList[Kept]:
            if namespace == "blog":
                raise UNAVAILABLE
            return await super().list_targets(namespace, keep)

    async with informing(Watched(OneNamespace(), "shop", "blog")) as watched:
        await until(lambda: len(watched.waits) >= 3)

        assert not watched.informer.has_synced.is_set()


async def test_a_namespace_that_is_denied_keeps_no_other_from_being_synced(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeKube()
    fake.deny("blog")
    await write(fake)

    async with watching(fake, "shop", "blog") as watched:
        await until(lambda: len(watched.waits) >= 7)
        fake.edit(KEY, "mallory", data={"password": "evil"})
        await watched.assert_woken(KEY)

        assert watched.waits[:7] == [2, 4, 8, 16, 32, 32, 32]
        assert (watched.targets.has_synced("shop"), watched.targets.has_synced("blog")) == (True, False)
        (record,) = caplog.records
        assert (record.getMessage(), vars(record)["namespace"]) == ("namespace denied", "blog")
        assert "list and watch secrets" in vars(record)["detail"]


@pytest.mark.parametrize("namespaces", [(), ("shop", "blog")], ids=["in one watch", "each by itself"])
async def test_it_has_not_synced_while_everything_is_denied(namespaces: tuple[str, ...]) -> None:
    fake = FakeKube()
    fake.deny(*namespaces or [None])

    async with informing(Watched(fake, *namespaces)) as watched:
        await until(lambda: len(watched.waits) >= 8)
        assert not watched.informer.has_synced.is_set()
        fake.deny()
        await watched.informer.has_synced.wait()


async def test_all_vaultsecrets_of_a_namespace_are_woken_once_it_is_no_longer_denied(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    fake = FakeKube()
    fake.deny("shop")
    observed = await write(fake)

    async with watching(fake, "shop", "blog") as watched:
        await until(lambda: len(watched.waits) >= 3)
        assert not watched.vaultsecrets.resync_requested.is_set()
        fake.deny()
        await until(lambda: len(watched.woken) == 2)

        assert sorted(watched.woken) == [("cache", Priority.ROUTINE), ("db", Priority.ROUTINE)]
        assert watched.targets.get(KEY) == observed
        assert watched.vaultsecrets.resync_requested.is_set()
    assert caplog.messages == ["namespace denied", "namespace no longer denied"]


async def test_a_watch_that_is_denied_looks_for_a_restore_once_and_continues_where_it_stopped() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake, "shop", "blog") as watched:
        fake.deny("shop")
        await until(lambda: len(watched.waits) >= 1)
        assert watched.targets.interrupted.is_set()
        watched.targets.interrupted.clear()
        await until(lambda: len(watched.waits) >= 3)
        assert not watched.targets.interrupted.is_set()
        fake.delete(KEY)
        fake.deny()
        await watched.assert_woken(KEY)

        assert watched.targets.get(KEY) is None
        assert fake.calls["list_targets"] == 2


async def test_each_of_the_namespaces_is_watched_and_no_other() -> None:
    fake = FakeKube()
    for key in (KEY, ELSEWHERE, UNWATCHED):
        await write(fake, key)

    async with watching(fake, "shop", "blog") as watched:
        known = [watched.targets.get(key) is not None for key in (KEY, ELSEWHERE, UNWATCHED)]
        fake.delete(UNWATCHED)
        fake.delete(ELSEWHERE)
        await watched.assert_woken(ELSEWHERE)

    assert known == [True, True, False]


async def test_a_write_to_a_namespace_that_is_not_watched_is_not_recorded() -> None:
    fake = FakeKube()
    observed = await write(fake, ELSEWHERE)

    async with watching(fake, "shop") as watched:
        watched.targets.record_write(ELSEWHERE, observed)

        assert watched.targets.get(ELSEWHERE) is None


async def test_nothing_is_watched_after_the_end() -> None:
    fake = FakeKube()
    await write(fake)
    async with watching(fake) as watched:
        pass

    fake.delete(KEY)
    await turns(30)

    assert watched.woken == []


class Late(FakeKube):
    """One whose watch brings nothing until the test says so, and whose lists may be late as well."""

    def __init__(self) -> None:
        super().__init__()
        self.watch_brings = asyncio.Event()
        self.list_comes = asyncio.Event()
        self.list_comes.set()

    async def list_targets(
        self, namespace: str | None, keep: Callable[[ObjectKey, Observed], Kept]
    ) -> TargetList[Kept]:
        listed = await super().list_targets(namespace, keep)
        await self.list_comes.wait()
        return listed

    async def watch_targets(
        self, namespace: str | None, resource_version: str, on_open: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[TargetEvent, None]:
        async for event in super().watch_targets(namespace, resource_version, on_open):
            await self.watch_brings.wait()
            yield event


async def test_a_list_shows_what_the_watch_has_not_brought_and_what_that_brings_later_changes_nothing() -> None:
    fake = Late()
    await write(fake, OTHER)

    async with watching(fake) as watched:
        written = await write(fake)
        await write(fake, ELSEWHERE)
        fake.delete(ELSEWHERE)
        fake.delete(OTHER)
        await watched.informer.catch_up()
        assert watched.targets.within(None) == {KEY: written}
        watched.woken.clear()
        fake.watch_brings.set()
        await watched.assert_woken()

        assert watched.targets.within(None) == {KEY: written}
        fake.delete(KEY)
        await watched.assert_woken(KEY)


async def test_a_list_that_is_older_than_what_the_watch_has_brought_changes_nothing() -> None:
    fake = Late()
    fake.watch_brings.set()
    await write(fake)

    async with watching(fake) as watched:
        fake.list_comes.clear()
        catching_up = asyncio.create_task(watched.informer.catch_up())
        await turns(5)
        fake.delete(KEY)
        await until(lambda: watched.targets.get(KEY) is None)
        fake.list_comes.set()
        await catching_up

        assert watched.targets.get(KEY) is None


async def test_a_cache_whose_watch_cannot_continue_catches_up_by_a_list() -> None:
    fake = Late()

    async with watching(fake) as watched:
        written = await write(fake)
        watched.targets.expire(None)
        await watched.informer.catch_up()

        assert watched.targets.get(KEY) == written


async def test_a_list_beside_the_watch_is_repeated_until_the_api_server_answers() -> None:
    fake = Late()

    async with watching(fake) as watched:
        written = await write(fake)
        fake.fail(UNAVAILABLE)
        catching_up = asyncio.create_task(watched.informer.catch_up())
        await until(lambda: len(watched.waits) > 1)
        assert not catching_up.done()
        fake.fail(None)
        await catching_up

        assert watched.targets.get(KEY) == written


class Slow(FakeKube):
    """An API server whose lists arrive some time after the moment that they show."""

    delay = 0

    async def list_targets(
        self, namespace: str | None, keep: Callable[[ObjectKey, Observed], Kept]
    ) -> TargetList[Kept]:
        listed = await super().list_targets(namespace, keep)
        await turns(self.delay)
        return listed


KEYS = st.sampled_from([KEY, OTHER])
STEPS = st.one_of(
    st.tuples(st.just("write"), KEYS, st.integers(0, 6)),
    st.tuples(st.sampled_from(["tamper", "extend", "delete", "unlabel"]), KEYS, st.just(0)),
    st.tuples(st.sampled_from(["outage", "recover", "end", "forget"]), st.just(KEY), st.just(0)),
    st.tuples(st.just("turns"), st.just(KEY), st.integers(1, 12)),
)


def disturb(fake: FakeKube, step: str, key: ObjectKey, number: int) -> None:
    """Do what other clients and outages do to a cluster."""
    match step:
        case "outage":
            fake.fail(UNAVAILABLE)
        case "recover":
            fake.fail(None)
        case "end":
            fake.end_watches()
        case "forget":
            fake.forget_history()
        case _ if fake.values(key) is None:
            return
        case "tamper":
            fake.edit(key, "mallory", data={"password": f"evil-{number}"})
        case "extend":
            fake.edit(key, "mallory", data={f"extra-{number}": "more"})
        case "delete":
            fake.delete(key)
        case "unlabel":
            fake.edit(key, "mallory", labels={MANAGED_BY_LABEL: None})


def content(observed: Observed | None) -> Observed | None:
    return None if observed is None else replace(observed, resource_version="")


class Reader:
    """Reads a target whenever its VaultSecret is woken, and writes targets one at a time."""

    def __init__(self, fake: FakeKube) -> None:
        self.watched = Watched(fake)
        self.known: dict[ObjectKey, Observed | None] = {}
        self._fake = fake
        self._writing: asyncio.Task[None] | None = None

    def read(self, *keys: ObjectKey) -> None:
        for key in keys:
            self.known[key] = self.watched.targets.get(key)

    async def follow(self) -> None:
        """Read what was woken, at every turn."""
        while True:
            names = {name for name, _ in self.watched.woken}
            self.watched.woken.clear()
            self.read(*(key for key in (KEY, OTHER) if key.name in names))
            await turns(1)

    async def write(self, key: ObjectKey, value: str, delay: int) -> None:
        """Write a target; the response arrives some time later."""
        await self.finish()
        with ExitStack() as stack, suppress(SyncError):
            stack.enter_context(self.watched.targets.writing(key))
            written = await write(self._fake, key, value)
            self._writing = asyncio.create_task(self._record(key, written, delay, stack.pop_all()))

    async def finish(self) -> None:
        if self._writing is not None:
            await self._writing

    async def _record(self, key: ObjectKey, written: Observed, delay: int, writing: ExitStack) -> None:
        with writing:
            await turns(delay)
            self.watched.targets.record_write(key, written)
        self.read(key)


@pytest.mark.slow
@settings(max_examples=300)
@given(steps=st.lists(STEPS, max_size=25), delay=st.integers(0, 8))
async def test_whatever_fails_all_is_known_in_the_end_and_every_change_by_others_wakes_the_vaultsecret(
    steps: list[tuple[str, ObjectKey, int]], delay: int
) -> None:
    fake = Slow()
    fake.delay = delay
    await write(fake)
    reader = Reader(fake)
    async with informing(reader.watched):
        await reader.watched.informer.has_synced.wait()
        reader.read(KEY)
        following = asyncio.create_task(reader.follow())

        for number, (step, key, count) in enumerate(steps):
            if step == "turns":
                await turns(count)
            elif step == "write":
                await reader.write(key, f"value-{number}", count)
            else:
                disturb(fake, step, key, number)
        fake.fail(None)
        await reader.finish()
        await turns(60)
        following.cancel()

        existing = (await FakeKube.list_targets(fake, None, keep_all)).targets
        for key in (KEY, OTHER):
            assert reader.watched.targets.get(key) == existing.get(key)
            assert content(reader.known.get(key)) == content(existing.get(key))
