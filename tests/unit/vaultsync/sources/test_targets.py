"""The watch of our targets: what is news, what is known after outages, and that nothing is lost in between."""

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import FakeKube
from vaultsync.api import MANAGED_BY, MANAGED_BY_LABEL, ObjectKey
from vaultsync.errors import Reason, SyncError
from vaultsync.sources.targets import KubeApi, Targets
from vaultsync.state.observed import Field, Observed
from vaultsync.state.snapshots import Bookmark, TargetEvent, TargetList

KEY = ObjectKey("shop", "db")
OTHER = ObjectKey("shop", "cache")
ELSEWHERE = ObjectKey("blog", "db")
OUTAGE = SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer in time.")


def manifest(value: str) -> dict[str, Any]:
    return {
        "type": "Opaque",
        "metadata": {"labels": {MANAGED_BY_LABEL: MANAGED_BY}},
        "data": {"password": base64.b64encode(value.encode()).decode()},
    }


async def write(fake: FakeKube, key: ObjectKey = KEY, value: str = "one") -> Observed:
    """Write as vaultsync does, without telling the watch."""
    return await fake.apply(key, manifest(value), onto=await fake.observe(key))


class Watched:
    """Targets that are being watched, what they said, and how long they waited after failures."""

    def __init__(self, cluster: KubeApi, *namespaces: str) -> None:
        self.news: list[ObjectKey] = []
        self.waits: list[float] = []
        self.targets = Targets(
            cluster,
            namespaces=namespaces,
            on_change=self.news.append,
            jitter=lambda _, high: high,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    async def heard(self, *keys: ObjectKey) -> None:
        """Return when exactly these have been news, and nothing more is coming."""
        await until(lambda: len(self.news) >= len(keys))
        await turns(30)
        assert self.news == list(keys)


async def turns(count: int) -> None:
    """Let everything else go on, so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await turns(1)


@asynccontextmanager
async def watching(cluster: KubeApi, *namespaces: str) -> AsyncIterator[Watched]:
    """Targets that have been listed and are being watched."""
    watched = Watched(cluster, *namespaces)
    watched.targets.start()
    try:
        await watched.targets.synced.wait()
        await turns(30)
        yield watched
    finally:
        await watched.targets.stop()


async def test_what_is_there_at_the_start_is_known_and_no_news() -> None:
    fake = FakeKube()
    observed = await write(fake)

    async with watching(fake) as watched:
        await watched.heard()

        assert watched.targets.get(KEY) == observed


@pytest.mark.parametrize("watched_namespaces", [(), ("shop", "blog")], ids=["in one watch", "each by itself"])
async def test_what_is_known_is_told_by_namespace_or_all_of_it(watched_namespaces: tuple[str, ...]) -> None:
    fake = FakeKube()
    there = {key: await write(fake, key) for key in (KEY, OTHER, ELSEWHERE)}

    async with watching(fake, *watched_namespaces) as watched:
        assert watched.targets.known(None) == there
        assert watched.targets.known("blog") == {ELSEWHERE: there[ELSEWHERE]}
        assert watched.targets.known("nowhere") == {}


async def test_a_change_by_another_is_news() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.edit(KEY, "mallory", data={"password": "evil"})
        await watched.heard(KEY)

        known = watched.targets.get(KEY)
        assert known is not None
        assert known.foreign == {Field("data", "password"): "mallory"}


async def test_a_deletion_is_news() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.delete(KEY)
        await watched.heard(KEY)

        assert watched.targets.get(KEY) is None


async def test_a_target_that_loses_our_label_is_news_and_out_of_sight() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.edit(KEY, "mallory", labels={MANAGED_BY_LABEL: None})
        await watched.heard(KEY)

        assert watched.targets.get(KEY) is None


async def test_a_write_of_ours_is_no_news() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        written = await write(fake, value="two")
        watched.targets.remember(KEY, written)
        await watched.heard()

        assert watched.targets.get(KEY) == written


async def test_a_write_of_ours_does_not_hide_what_came_after_it() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        written = await write(fake, value="two")
        fake.edit(KEY, "mallory", data={"password": "evil"})
        await watched.heard(KEY)
        watched.targets.remember(KEY, written)

        assert watched.targets.get(KEY) == await fake.observe(KEY)


async def test_a_write_of_ours_does_not_bring_back_what_was_deleted_after_it() -> None:
    fake = FakeKube()

    async with watching(fake) as watched:
        written = await write(fake)
        fake.delete(KEY)
        await watched.heard(KEY, KEY)
        watched.targets.remember(KEY, written)

        assert watched.targets.get(KEY) is None


async def test_a_tampering_that_our_write_overtook_is_no_news() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.edit(KEY, "mallory", data={"password": "evil"})
        healed = await write(fake, value="one")
        watched.targets.remember(KEY, healed)
        await watched.heard()

        assert watched.targets.get(KEY) == healed


async def test_a_change_that_shows_in_nothing_we_look_at_is_no_news() -> None:
    fake = FakeKube()
    await write(fake)
    fake.edit(KEY, "clock", annotations={"time": "1"})

    async with watching(fake) as watched:
        fake.edit(KEY, "clock", annotations={"time": "2"})
        await watched.heard()

        assert watched.targets.get(KEY) == await fake.observe(KEY)


async def test_a_watch_that_breaks_goes_on_where_it_was() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.fail(OUTAGE)
        await until(lambda: bool(watched.waits))
        fake.delete(KEY)
        fake.fail(None)
        await watched.heard(KEY)

        assert fake.calls["list_targets"] == 1


async def test_what_happened_while_history_was_lost_is_found_by_a_new_listing() -> None:
    fake = FakeKube()
    deleted, changed, same = KEY, OTHER, ELSEWHERE
    for key in (deleted, changed, same):
        await write(fake, key)

    async with watching(fake) as watched:
        fake.fail(OUTAGE)
        await until(lambda: bool(watched.waits))
        fake.delete(deleted)
        fake.edit(changed, "mallory", data={"password": "evil"})
        fake.forget_history()
        fake.fail(None)
        await until(lambda: len(watched.news) == 2)
        await turns(30)

        assert set(watched.news) == {deleted, changed}
        assert watched.targets.get(deleted) is None
        assert watched.targets.get(changed) == await fake.observe(changed)


async def test_after_a_new_listing_the_watch_goes_on() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.forget_history()
        await until(lambda: fake.calls["list_targets"] == 2)
        fake.delete(KEY)

        await watched.heard(KEY)


async def test_the_waits_in_an_outage_grow_to_half_a_minute_and_end_with_it() -> None:
    fake = FakeKube()

    async with watching(fake) as watched:
        fake.fail(OUTAGE)
        await until(lambda: len(watched.waits) == 7)
        fake.fail(None)
        await turns(30)
        first, watched.waits[:] = watched.waits[:7], []
        fake.fail(OUTAGE)
        await until(lambda: bool(watched.waits))

    assert first == [2, 4, 8, 16, 32, 32, 32]
    assert watched.waits[0] == 2


async def test_a_watch_that_ends_after_some_minutes_is_taken_up_again_at_once() -> None:
    fake = FakeKube()
    await write(fake)

    async with watching(fake) as watched:
        fake.end_watches()
        await until(lambda: fake.calls["watch_targets"] == 2)
        fake.delete(KEY)
        await watched.heard(KEY)

    assert watched.waits == []


class Mute:
    """A cluster whose watches end without a word."""

    async def list_targets(self, namespace: str | None) -> TargetList:
        return TargetList({}, "1")

    async def watch_targets(self, namespace: str | None, resource_version: str) -> AsyncGenerator[TargetEvent, None]:
        no_events: tuple[TargetEvent, ...] = ()
        for event in no_events:
            yield event


async def test_watches_that_end_without_a_word_are_not_opened_in_a_hot_loop() -> None:
    async with watching(Mute()) as watched:
        await until(lambda: len(watched.waits) >= 3)

    assert watched.waits[:3] == [2, 4, 8]


class Broken(Mute):
    """A cluster whose first watch brings what cannot be read."""

    def __init__(self) -> None:
        self.lists = 0

    async def list_targets(self, namespace: str | None) -> TargetList:
        self.lists += 1
        return await super().list_targets(namespace)

    async def watch_targets(self, namespace: str | None, resource_version: str) -> AsyncGenerator[TargetEvent, None]:
        if self.lists == 1:
            raise KeyError("metadata")
        yield Bookmark("2")
        await asyncio.Event().wait()


async def test_what_cannot_be_read_is_a_reason_to_list_again_and_no_end(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Broken()

    async with watching(cluster):
        await until(lambda: cluster.lists == 2)

    assert "the watch of targets broke" in [record.getMessage() for record in caplog.records]


async def test_an_outage_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fake = FakeKube()

    async with watching(fake) as watched:
        fake.fail(OUTAGE)
        await until(lambda: bool(watched.waits))

    assert [record.getMessage() for record in caplog.records] == ["targets are out of sight"]


async def test_nothing_is_synced_while_a_namespace_cannot_be_listed() -> None:
    fake = FakeKube()
    fake.fail(OUTAGE)
    watched = Watched(fake, "shop")

    watched.targets.start()
    await until(lambda: len(watched.waits) == 3)

    assert not watched.targets.synced.is_set()
    await watched.targets.stop()


async def test_each_of_the_namespaces_is_watched_and_no_other() -> None:
    fake = FakeKube()
    for key in (KEY, ELSEWHERE, ObjectKey("secret", "db")):
        await write(fake, key)

    async with watching(fake, "shop", "blog") as watched:
        known = [watched.targets.get(key) is not None for key in (KEY, ELSEWHERE, ObjectKey("secret", "db"))]
        fake.delete(ObjectKey("secret", "db"))
        fake.delete(ELSEWHERE)
        await watched.heard(ELSEWHERE)

    assert known == [True, True, False]


async def test_what_is_written_to_a_namespace_that_is_not_watched_is_not_remembered() -> None:
    fake = FakeKube()
    observed = await write(fake, ELSEWHERE)

    async with watching(fake, "shop") as watched:
        watched.targets.remember(ELSEWHERE, observed)

        assert watched.targets.get(ELSEWHERE) is None


async def test_nothing_is_followed_after_the_end() -> None:
    fake = FakeKube()
    await write(fake)
    async with watching(fake) as watched:
        pass

    fake.delete(KEY)
    await turns(30)

    assert watched.news == []


class Slow:
    """A cluster whose listings arrive some time after the moment that they show."""

    def __init__(self, fake: FakeKube, delay: int) -> None:
        self._fake = fake
        self._delay = delay

    async def list_targets(self, namespace: str | None) -> TargetList:
        listing = await self._fake.list_targets(namespace)
        await turns(self._delay)
        return listing

    def watch_targets(self, namespace: str | None, resource_version: str) -> AsyncGenerator[TargetEvent, None]:
        return self._fake.watch_targets(namespace, resource_version)


KEYS = st.sampled_from([KEY, OTHER])
STEPS = st.one_of(
    st.tuples(st.just("write"), KEYS, st.integers(0, 6)),
    st.tuples(st.sampled_from(["tamper", "extend", "delete", "unlabel"]), KEYS, st.just(0)),
    st.tuples(st.sampled_from(["outage", "recover", "end", "forget"]), st.just(KEY), st.just(0)),
    st.tuples(st.just("turns"), st.just(KEY), st.integers(1, 12)),
)


def disturb(fake: FakeKube, step: str, key: ObjectKey, number: int) -> None:
    """Do what others, or the weather, do to a cluster."""
    match step:
        case "outage":
            fake.fail(OUTAGE)
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


class Reconciler:
    """Stands where the reconciler stands: it knows of each target what it was called for, or has written itself."""

    def __init__(self, fake: FakeKube, delay: int) -> None:
        self.knows: dict[ObjectKey, Observed | None] = {}
        self.targets = Targets(
            Slow(fake, delay), namespaces=(), on_change=self.look, jitter=lambda _, high: high, sleep=lambda _: turns(1)
        )
        self._fake = fake
        self._writing: asyncio.Task[None] | None = None

    def look(self, key: ObjectKey) -> None:
        self.knows[key] = self.targets.get(key)

    async def write(self, key: ObjectKey, value: str, delay: int) -> None:
        """Write a target, one at a time; the answer takes a while to be taken in."""
        await self.finish()
        with suppress(SyncError):
            written = await write(self._fake, key, value)
            self._writing = asyncio.create_task(self._remember(key, written, delay))

    async def finish(self) -> None:
        if self._writing is not None:
            await self._writing

    async def _remember(self, key: ObjectKey, written: Observed, delay: int) -> None:
        await turns(delay)
        self.targets.remember(key, written)
        self.look(key)


@settings(max_examples=300)
@given(steps=st.lists(STEPS, max_size=25), delay=st.integers(0, 8))
async def test_in_any_weather_all_is_known_in_the_end_and_nothing_that_others_did_goes_unheard(
    steps: list[tuple[str, ObjectKey, int]], delay: int
) -> None:
    fake = FakeKube()
    await write(fake)
    reconciler = Reconciler(fake, delay)
    reconciler.targets.start()
    await reconciler.targets.synced.wait()
    reconciler.look(KEY)

    for number, (step, key, count) in enumerate(steps):
        if step == "turns":
            await turns(count)
        elif step == "write":
            await reconciler.write(key, f"value-{number}", count)
        else:
            disturb(fake, step, key, number)
    fake.fail(None)
    await reconciler.finish()
    await turns(60)

    there = (await fake.list_targets(None)).targets
    for key in (KEY, OTHER):
        assert reconciler.targets.get(key) == there.get(key)
        assert content(reconciler.knows.get(key)) == content(there.get(key))
    await reconciler.targets.stop()
