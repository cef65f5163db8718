"""Versions that are not active yet: the one that is active is synced meanwhile, and nothing else waits for them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from tests.harness import DB, Line, MemoryHarness, entry
from vaultsync.api import APPLIED_ANNOTATION
from vaultsync.errors import Reason

MONTH = timedelta(days=30)
TOKEN = entry("token", "api-token")
FOUND: Line = {"find": {"names": "app-*"}}


def in_a_month(harness: MemoryHarness) -> datetime:
    """A month from now, to the second, as the vault counts."""
    return harness.clock().replace(microsecond=0) + MONTH


def formatted(moment: datetime) -> str:
    """A moment as messages contain it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def deactivate(harness: MemoryHarness, name: str, following: str, versions: Sequence[str | None] = (None,)) -> None:
    """Disable versions of a secret, by default the newest, and set one that becomes active in a month."""
    for version in versions:
        harness.vault.disable(name, version and version.rpartition("/")[2])
    harness.vault.set(name, following, not_before=in_a_month(harness))


async def settle(harness: MemoryHarness) -> None:
    """Poll until what was read is settled, and reset all counts."""
    for _ in range(3):
        await harness.poll()
    harness.reset_counts()


async def come(harness: MemoryHarness, moment: datetime) -> None:
    """Let a moment come, and nothing be polled."""
    await harness.pass_time((moment - harness.clock()).total_seconds())
    await harness.drain()


async def test_the_active_version_is_synced_until_the_next_one_becomes_active(synced: MemoryHarness) -> None:
    await synced.pass_time()
    active = in_a_month(synced)
    following = synced.vault.set("db-password", "second", not_before=active).rpartition("/")[2]
    await synced.poll()

    assert synced.values() == {"password": "first"}
    ready = synced.ready()
    assert (ready.status, ready.reason) == ("True", Reason.SYNCED)
    assert f"version {following} of secret db-password becomes active at {formatted(active)}" in ready.message
    (one,) = synced.status().entries
    assert one.pending is not None
    assert (one.pending.version, one.pending.not_before, one.pending.none_active) == (following, active, False)

    await come(synced, active - timedelta(seconds=1))
    assert synced.values() == {"password": "first"}
    await come(synced, active)

    assert synced.values() == {"password": "second"}
    assert synced.status().entries[0].pending is None
    assert synced.ready().message == "1 key is in sync."
    await settle(synced)
    await synced.assert_idle()


async def test_versions_are_listed_once_more_and_not_at_each_poll(synced: MemoryHarness) -> None:
    await synced.pass_time()
    synced.vault.set("db-password", "second", not_before=in_a_month(synced))
    synced.vault.forget_calls()
    for _ in range(20):
        await synced.poll()

    assert (synced.vault.calls["list_versions"], synced.vault.calls["get"]) == (2, 4)
    await synced.assert_idle()


async def test_a_restart_reads_nothing_and_remembers_when_a_version_becomes_active(synced: MemoryHarness) -> None:
    await synced.pass_time()
    active = in_a_month(synced)
    synced.vault.set("db-password", "second", not_before=active)
    await settle(synced)

    await synced.restart()
    for _ in range(3):
        await synced.poll()

    assert (synced.reads, synced.writes) == (0, {})
    assert "becomes active at" in synced.ready().message
    await come(synced, active)
    assert synced.values() == {"password": "second"}


async def test_the_annotation_has_the_pending_version_once_the_target_is_written(synced: MemoryHarness) -> None:
    await synced.pass_time()
    synced.vault.set("db-password", "second", not_before=in_a_month(synced))
    await settle(synced)
    assert synced.writes == {}

    synced.apply(target={"labels": {"team": "shop"}})
    await settle(synced)

    applied = (synced.users.without_data(DB) or {})["metadata"]["annotations"][APPLIED_ANNOTATION]
    assert '"pending":{"version":' in applied


@pytest.mark.parametrize("change", ["deleted", "edited"])
async def test_a_target_is_healed_while_a_version_is_pending(synced: MemoryHarness, change: str) -> None:
    await synced.pass_time()
    synced.vault.set("db-password", "second", not_before=in_a_month(synced))
    await settle(synced)

    if change == "deleted":
        synced.kube.delete(DB)
    else:
        synced.kube.edit(DB, "kubectl", data={"password": "guessed"})
    await synced.drain()

    assert (synced.values(), synced.ready().reason) == ({"password": "first"}, Reason.SYNCED)
    await settle(synced)
    await synced.assert_idle()


async def test_a_new_vaultsecret_gets_the_active_version(harness: MemoryHarness) -> None:
    await harness.pass_time()
    harness.vault.set("db-password", "second", not_before=in_a_month(harness))
    harness.apply()
    await harness.drain()

    assert (harness.values(), harness.ready().reason) == ({"password": "first"}, Reason.SYNCED)


async def test_a_search_follows_its_other_secrets(harness: MemoryHarness) -> None:
    for name in ("app-db", "app-api"):
        harness.vault.set(name, "v1")
    harness.apply(data=[], dataFrom=[FOUND])
    await settle(harness)
    active = in_a_month(harness)

    harness.vault.set("app-next-year", "x", not_before=active)
    await harness.poll()
    assert (harness.values(), harness.ready().status) == ({"app-db": "v1", "app-api": "v1"}, "True")
    assert "secret app-next-year has no version that is active before" in harness.ready().message
    assert harness.events == []

    harness.vault.set("app-db", "v2")
    await harness.poll()
    assert harness.values() == {"app-db": "v2", "app-api": "v1"}
    await settle(harness)
    await harness.assert_idle()

    await harness.restart()
    await harness.poll()
    assert harness.reads == 0
    await come(harness, active)
    assert harness.values() == {"app-db": "v2", "app-api": "v1", "app-next-year": "x"}


async def test_a_search_that_finds_only_inactive_secrets_reports_when_that_ends(harness: MemoryHarness) -> None:
    active = in_a_month(harness)
    harness.vault.set("app-next-year", "x", not_before=active)
    harness.apply(data=[], dataFrom=[FOUND])
    await harness.poll()
    await harness.poll()

    assert (harness.values(), harness.ready().reason) == (None, Reason.SECRET_NOT_YET_ACTIVE)
    assert f"{formatted(active)}" in harness.ready().message
    await come(harness, active + timedelta(minutes=5))
    assert harness.values() == {"app-next-year": "x"}


async def test_an_optional_secret_without_an_active_version_is_left_out(harness: MemoryHarness) -> None:
    active = in_a_month(harness)
    harness.vault.set("api-token", "x", not_before=active)
    harness.apply(entry(), {**TOKEN, "optional": True})
    await settle(harness)

    assert (harness.values(), harness.ready().status) == ({"password": "first"}, "True")
    harness.vault.set("db-password", "second")
    await harness.poll()
    assert harness.values() == {"password": "second"}
    await come(harness, active)
    assert harness.values() == {"password": "second", "token": "x"}
    await settle(harness)
    await harness.assert_idle()


async def test_a_new_vaultsecret_without_any_active_version_reports_when_that_ends(harness: MemoryHarness) -> None:
    active = in_a_month(harness)
    harness.vault.set("api-token", "x", not_before=active)
    harness.apply(entry(), TOKEN)
    await settle(harness)

    ready = harness.ready()
    assert (harness.values(), ready.status, ready.reason) == (None, "False", Reason.SECRET_NOT_YET_ACTIVE)
    assert "Secret api-token of vault" in ready.message
    assert f"has no version that is active before {formatted(active)}" in ready.message
    assert harness.reads == 0
    await come(harness, active)
    assert harness.values() == {"password": "first", "token": "x"}


@pytest.fixture(params=[False, True], ids=["required", "optional"])
async def deactivated(harness: MemoryHarness, request: pytest.FixtureRequest) -> MemoryHarness:
    """Two keys in sync, of which one has no active version any more: the next one is set, and the last one disabled."""
    harness.vault.set("api-token", "t1")
    harness.apply(entry(), {**TOKEN, "optional": request.param})
    await settle(harness)
    deactivate(harness, "api-token", "t2")
    await settle(harness)
    return harness


async def test_a_key_without_an_active_version_keeps_its_content(deactivated: MemoryHarness) -> None:
    harness = deactivated
    (optional,) = (one["optional"] for one in harness.body("db")["spec"]["data"] if one["key"] == "token")
    reason = Reason.SYNCED if optional else Reason.SECRET_NOT_YET_ACTIVE
    assert (harness.values(), harness.ready().reason) == ({"password": "first", "token": "t1"}, reason)
    await harness.assert_idle()

    harness.vault.set("db-password", "second")
    await harness.poll()
    assert (harness.values(), harness.ready().reason) == ({"password": "second", "token": "t1"}, reason)

    harness.kube.edit(DB, "kubectl", data={"password": "guessed"})
    await harness.drain()
    assert harness.values() == {"password": "second", "token": "t1"}
    await settle(harness)
    await harness.assert_idle()

    await harness.restart()
    await harness.poll()
    assert (harness.reads, harness.ready().reason) == (0, reason)
    await come(harness, harness.clock() + MONTH)
    assert (harness.values(), harness.ready().reason) == ({"password": "second", "token": "t2"}, Reason.SYNCED)
    assert harness.ready().message == "2 keys are in sync."


async def test_a_deleted_target_is_restored_without_what_is_optional_and_inactive(deactivated: MemoryHarness) -> None:
    harness = deactivated
    (optional,) = (one["optional"] for one in harness.body("db")["spec"]["data"] if one["key"] == "token")

    harness.kube.delete(DB)
    await harness.drain()

    assert harness.values() == ({"password": "first"} if optional else None)


async def test_an_edited_key_that_is_optional_and_inactive_is_removed_and_stops_no_other(
    deactivated: MemoryHarness,
) -> None:
    harness = deactivated
    (optional,) = (one["optional"] for one in harness.body("db")["spec"]["data"] if one["key"] == "token")

    harness.kube.edit(DB, "kubectl", data={"token": "guessed"})
    harness.vault.set("db-password", "second")
    await harness.poll()

    assert harness.values() == ({"password": "second"} if optional else {"password": "first", "token": "guessed"})
    assert harness.ready().reason == (Reason.SYNCED if optional else Reason.SECRET_NOT_YET_ACTIVE)


async def test_fields_that_vanished_before_keep_their_content_without_an_active_version(
    harness: MemoryHarness,
) -> None:
    first = harness.vault.set("cfg", '{"user": "app"}')
    harness.apply(entry(), dataFrom=[{"object": "cfg", "optional": True}])
    await settle(harness)
    second = harness.vault.set("cfg", "{}")
    await settle(harness)
    assert harness.values() == {"password": "first", "user": "app"}

    deactivate(harness, "cfg", "{}", versions=(first, second))
    await settle(harness)
    assert harness.values() == {"password": "first", "user": "app"}


async def test_a_found_key_without_an_active_version_keeps_its_content(harness: MemoryHarness) -> None:
    for name in ("app-db", "app-api"):
        harness.vault.set(name, "v1")
    harness.apply(data=[], dataFrom=[FOUND])
    await settle(harness)

    deactivate(harness, "app-api", "later")
    harness.vault.set("app-db", "v2")
    await harness.poll()

    assert (harness.values(), harness.ready().status) == ({"app-db": "v2", "app-api": "v1"}, "True")
    await settle(harness)
    await harness.assert_idle()


async def test_the_previous_key_has_the_version_before_the_active_one(harness: MemoryHarness) -> None:
    await harness.pass_time()
    harness.vault.set("db-password", "second")
    await harness.pass_time()
    active = in_a_month(harness)
    harness.vault.set("db-password", "third", not_before=active)
    harness.apply(entry(previousKey="old"))
    await settle(harness)
    assert harness.values() == {"password": "second", "old": "first"}

    await come(harness, active)

    assert harness.values() == {"password": "third", "old": "second"}


async def test_a_previous_key_without_an_active_version_keeps_its_content(harness: MemoryHarness) -> None:
    versions = [harness.vault.set("db-user", "first")]
    await harness.pass_time()
    versions += [harness.vault.set("db-user", "second")]
    harness.apply(entry(name="db-user", previousKey="old"), TOKEN)
    harness.vault.set("api-token", "t1")
    await settle(harness)

    deactivate(harness, "db-user", "third", versions)
    harness.vault.set("api-token", "t2")
    await harness.poll()

    assert harness.values() == {"password": "second", "old": "first", "token": "t2"}


async def test_without_permission_to_list_the_secret_stays_and_the_condition_says_so(synced: MemoryHarness) -> None:
    await synced.pass_time()
    synced.vault.deny("list")
    synced.vault.set("db-password", "second", not_before=in_a_month(synced))
    await synced.poll()

    assert (synced.values(), synced.ready().reason) == ({"password": "first"}, Reason.ACCESS_DENIED)
    assert "needs the permission to list secrets" in synced.ready().message


async def test_a_pinned_version_that_is_not_active_waits_and_the_others_do_not(harness: MemoryHarness) -> None:
    active = in_a_month(harness)
    pin = harness.vault.set("api-token", "pinned", not_before=active).rpartition("/")[2]
    harness.apply(entry(), {**TOKEN, "version": pin, "optional": True})
    await settle(harness)
    assert harness.values() == {"password": "first"}

    await come(harness, active)

    assert harness.values() == {"password": "first", "token": "pinned"}


async def test_the_first_of_several_pending_versions_becomes_active_first(harness: MemoryHarness) -> None:
    moments = [in_a_month(harness), in_a_month(harness) + MONTH]
    for value, moment in zip(("second", "third"), moments, strict=True):
        await harness.pass_time()
        harness.vault.set("db-password", value, not_before=moment)
    harness.apply()
    await settle(harness)

    for value, moment in zip(("second", "third"), moments, strict=True):
        await come(harness, moment)
        assert harness.values() == {"password": value}


async def test_a_newer_version_replaces_the_one_that_waits(synced: MemoryHarness) -> None:
    await synced.pass_time()
    active = in_a_month(synced)
    synced.vault.set("db-password", "second", not_before=active)
    await settle(synced)

    synced.vault.set("db-password", "third")
    await synced.poll()
    assert synced.values() == {"password": "third"}

    await settle(synced)
    await come(synced, active)
    assert (synced.values(), synced.ready().message) == ({"password": "third"}, "1 key is in sync.")


async def test_a_version_stays_in_use_though_the_operators_clock_is_set_back(synced: MemoryHarness) -> None:
    await synced.pass_time()
    active = in_a_month(synced)
    synced.vault.set("db-password", "second", not_before=active)
    await settle(synced)
    await come(synced, active)
    await settle(synced)
    assert synced.values() == {"password": "second"}

    synced.clock.error = timedelta(hours=-2)
    synced.kube.edit(DB, "kubectl", data={"more": "x"})
    for _ in range(10):
        await synced.poll()
    assert (synced.values() or {})["password"] == "second"
    assert synced.ready().message.startswith("Waiting for the operator's clock, by which the version of secret db-pass")

    synced.clock.error = timedelta()
    await synced.poll()
    assert (synced.values(), synced.ready().reason) == ({"password": "second"}, Reason.SYNCED)


async def test_the_operators_clock_is_ahead_of_the_vaults(synced: MemoryHarness) -> None:
    """The version waits for the vault's clock, and is read again every few seconds until then."""
    await synced.pass_time()
    synced.clock.error = timedelta(minutes=2)
    active = (synced.vault_time() + timedelta(minutes=1)).replace(microsecond=0)
    synced.vault.set("db-password", "second", not_before=active)
    await synced.poll(5)
    assert synced.values() == {"password": "first"}
    synced.vault.forget_calls()

    for _ in range(7):
        await synced.pass_time(10)
        await synced.drain()

    assert synced.values() == {"password": "second"}
    assert synced.vault.calls["list_versions"] <= 7
