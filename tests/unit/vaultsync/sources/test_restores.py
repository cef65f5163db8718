"""A restore of the API server from a backup is noticed, and everything is put right after it."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from tests.clocks import settle
from tests.harness import UNAVAILABLE, MemoryHarness, key_of, longest
from vaultsync.adapters.kube import Forbidden
from vaultsync.sources.restores import FIRST_PAUSE, INTERVAL, MAX_PAUSE, RestoreCheck
from vaultsync.state.snapshots import CurrentVersions


class Restored:
    """An operator whose VaultSecrets `db` and `kept` were synced before a backup, and changed after it."""

    def __init__(self, *namespaces: str) -> None:
        self.harness = MemoryHarness(watched=namespaces, jitter=longest)
        self.restarts = 0
        self.check = RestoreCheck(
            self.harness.kube,
            self.harness.state,
            namespaces=namespaces,
            restart=self._restart,
            jitter=longest,
            clock=self.harness.clock.seconds,
        )

    def _restart(self) -> None:
        self.restarts += 1

    async def begin(self) -> None:
        await self.harness.start([])
        self.harness.apply()
        await self.harness.drain()
        self.backup = self.harness.kube.backup()

    async def change_and_restore(self) -> None:
        """Rotate the secret, create a VaultSecret, and then lose both by a restore."""
        await self.harness.rotate("second")
        await self.harness.poll()
        self.harness.apply(name="later")
        await self.harness.drain()
        self.harness.kube.restore(self.backup)
        self.harness.kube.end_watches()
        self.harness.names.remove("later")
        await self.harness.drain()

    async def relist(self) -> None:
        """Do what follows a check: the watches list everything again, and the resync runs."""
        self.harness.kube.end_watches()
        await settle()
        for name in self.harness.names:
            self.harness.controller.source.handle_listed(self.harness.body(name))
        await self.harness.controller.resync.resync()
        await self.harness.drain()


@pytest.fixture
async def restored() -> AsyncIterator[Restored]:
    restored = Restored()
    await restored.begin()
    yield restored
    await restored.harness.aclose()


async def test_what_a_restore_took_back_is_written_again(restored: Restored, caplog: pytest.LogCaptureFixture) -> None:
    harness = restored.harness
    await restored.change_and_restore()
    await harness.poll()
    assert harness.values() == {"password": "first"}, "without the check nothing notices it"

    await restored.check.check()
    await restored.relist()

    assert harness.values() == {"password": "second"}
    assert harness.ready().status == "True"
    assert restored.restarts == 1
    assert [record.getMessage() for record in caplog.records] == ["API server was restored"]
    caplog.clear()
    await restored.check.check()
    await harness.assert_idle()
    assert (restored.restarts, caplog.records) == (1, [])


async def test_a_vaultsecret_that_the_backup_does_not_have_is_forgotten(restored: Restored) -> None:
    await restored.change_and_restore()

    await restored.check.check()
    await restored.relist()

    assert [one.key.name for one in restored.harness.state.vaultsecrets.metas()] == ["db"]


async def test_a_spec_that_the_backup_has_replaces_the_newer_one_of_the_same_generation(restored: Restored) -> None:
    harness = restored.harness
    await restored.change_and_restore()
    harness.kube.put_vault_secret({**harness.body("db"), "spec": {**harness.body("db")["spec"], "suspend": True}})

    await restored.check.check()
    await restored.relist()

    cached = harness.state.vaultsecrets.get(key_of("db"))
    assert cached == harness.kube.vault_secret(key_of("db"))
    assert cached.spec.suspend


async def test_a_status_that_is_written_before_the_new_list_does_not_hide_it(restored: Restored) -> None:
    harness = restored.harness
    await restored.change_and_restore()
    await restored.check.check()

    harness.wake()
    await harness.drain()
    harness.kube.put_vault_secret({**harness.body("db"), "spec": {**harness.body("db")["spec"], "suspend": True}})
    await restored.relist()

    assert harness.state.vaultsecrets.get(key_of("db")) == harness.kube.vault_secret(key_of("db"))


async def test_events_of_a_watch_from_before_the_restore_do_not_count_until_the_new_list(restored: Restored) -> None:
    harness = restored.harness
    await restored.change_and_restore()
    await settle()
    await restored.check.check()

    harness.kube.edit(key_of("db"), "mallory", data={"password": "evil"})
    await settle()
    await restored.relist()

    assert harness.state.targets.get(key_of("db")) == await harness.kube.get_target(key_of("db"))
    assert harness.values() == {"password": "second"}


async def test_without_a_restore_nothing_is_listed_again(restored: Restored) -> None:
    harness = restored.harness
    await harness.rotate("second")
    await harness.poll()
    version = harness.state.targets.resource_version(None)

    await restored.check.check()

    assert (restored.restarts, harness.state.targets.resource_version(None)) == (0, version)
    assert not harness.resync_requested


@pytest.mark.parametrize(
    ("targets", "vaultsecrets", "expected"),
    [(10**9, 10**9, 0), (1, 10**9, 1), (10**9, 1, 1)],
    ids=["both ahead", "targets behind", "vaultsecrets behind"],
)
async def test_each_kind_is_compared_with_its_own_versions(
    restored: Restored, targets: int, vaultsecrets: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def current(_: str | None) -> CurrentVersions:
        return CurrentVersions(str(targets), str(vaultsecrets))

    monkeypatch.setattr(restored.harness.kube, "current_versions", current)

    await restored.check.check()

    assert restored.restarts == expected


async def test_the_versions_are_those_of_a_namespace_that_is_not_denied() -> None:
    restored = Restored("blog", "shop")
    await restored.begin()
    await restored.change_and_restore()
    restored.harness.kube.deny("blog")

    await restored.check.check()
    assert restored.restarts == 1

    restored.harness.kube.deny("blog", "shop")
    with pytest.raises(Forbidden):
        await restored.check.check()
    await restored.harness.aclose()


class Versions:
    """The current versions, as an API server shows them that is behind, or is not."""

    def __init__(self, restored: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
        self.behind = False
        self._restored = restored
        monkeypatch.setattr(restored.harness.kube, "current_versions", self._current)
        # As after each list by a server that is not behind.
        monkeypatch.setattr(restored.harness.state.targets, "newest_version", lambda: 100)

    async def _current(self, _: str | None) -> CurrentVersions:
        return CurrentVersions("1", "1") if self.behind else CurrentVersions(str(10**9), str(10**9))

    async def restarts_within(self, seconds: int) -> list[int]:
        """Check every 30 seconds, of an API server that is behind at every second check; return when it restarted."""
        moments: list[int] = []
        for moment in range(0, seconds, 30):
            self.behind = moment % 60 == 0
            before = self._restored.restarts
            await self._restored.check.check()
            moments += [moment] * (self._restored.restarts - before)
            self._restored.harness.clock.turn(30)
        return moments


async def test_what_looks_like_one_restore_after_another_has_everything_read_less_and_less_often(
    restored: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = Versions(restored, monkeypatch)

    assert await versions.restarts_within(1600) == [0, 60, 180, 420, 720, 1020, 1320]

    versions.behind = False
    restored.harness.clock.turn(MAX_PAUSE)
    await restored.check.check()
    restored.harness.clock.turn(2 * MAX_PAUSE)
    assert await versions.restarts_within(100) == [0, 60]


async def test_a_restore_soon_after_another_is_not_missed_although_the_versions_catch_up(
    restored: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = Versions(restored, monkeypatch)
    versions.behind = True
    await restored.check.check()
    restored.harness.clock.turn(1)
    await restored.check.check()
    versions.behind = False
    restored.harness.clock.turn(FIRST_PAUSE - 2)
    await restored.check.check()
    assert restored.restarts == 1

    restored.harness.clock.turn(1)
    for _ in range(2):
        await restored.check.check()

    assert restored.restarts == 2


async def test_a_deletion_from_before_the_restore_that_the_watch_has_brought_shows_it(restored: Restored) -> None:
    await restored.check.check()
    assert restored.restarts == 0

    restored.harness.state.vaultsecrets.observe(str(10**6), is_listing=False)
    await restored.check.check()

    assert restored.restarts == 1


# when it checks


async def test_it_checks_at_an_interval_and_at_once_after_an_interrupted_watch(restored: Restored) -> None:
    harness = restored.harness
    harness.kube.calls.clear()
    harness.run_beside(restored.check.run())
    await settle()
    await harness.pass_time(INTERVAL - 1)
    assert harness.kube.calls["list_vaultsecrets"] == 0
    await harness.pass_time(1)
    assert harness.kube.calls["list_vaultsecrets"] == 1

    harness.state.targets.interrupted.set()
    await settle()

    assert harness.kube.calls["list_vaultsecrets"] == 2


async def test_a_check_that_fails_is_repeated_with_backoff(
    restored: Restored, caplog: pytest.LogCaptureFixture
) -> None:
    harness = restored.harness
    await restored.change_and_restore()
    harness.run_beside(restored.check.run())
    await settle()
    harness.kube.fail(UNAVAILABLE)
    await harness.pass_time(INTERVAL)
    assert restored.restarts == 0

    harness.kube.fail(None)
    for _ in range(3):
        await harness.pass_time(32)

    assert restored.restarts == 1
    assert "restore check error" not in caplog.messages


async def test_an_unexpected_exception_does_not_end_it(
    restored: Restored, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = KeyError("MARKED")

    async def fail(_: str | None) -> CurrentVersions:
        raise error

    caplog.set_level(logging.ERROR)
    monkeypatch.setattr(restored.harness.kube, "current_versions", fail)
    task = asyncio.create_task(restored.check.run())
    await settle()
    await restored.harness.pass_time(INTERVAL)

    assert not task.done()
    task.cancel()
    assert caplog.messages == ["restore check error"]
    assert "MARKED" not in str(vars(caplog.records[0]))
