"""Every key that the vault does not fill any more keeps its value for a while, and the others follow the vault."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.harness import DB, Line, MemoryHarness, entry, key_of
from vaultsync.api import ADOPT_BY_ANNOTATION, APPLIED_ANNOTATION, RELEASE_ANNOTATION

HOUR = 3600
OBJECT: dict[str, Any] = {"data": [], "dataFrom": [{"object": "cfg"}]}
FIND: dict[str, Any] = {"data": [], "dataFrom": [{"find": {"names": "shop-*"}, "optional": True}]}
FAST: dict[str, Any] = {**FIND, "deleteAfter": "1m", "refreshInterval": "10s"}


def put(harness: MemoryHarness, **fields: object) -> None:
    harness.vault.set("cfg", json.dumps(fields))


async def synced(harness: MemoryHarness, **spec: Any) -> None:  # noqa: ANN401 - a spec has any fields
    harness.apply(**spec)
    for _ in range(3):
        await harness.poll()
    harness.reset_counts()


@pytest.fixture
async def with_object(harness: MemoryHarness) -> MemoryHarness:
    """Two keys of one object."""
    put(harness, user="app", password="p1")
    await synced(harness, **OBJECT)
    assert harness.values() == {"user": "app", "password": "p1"}
    return harness


# fields of an object


@pytest.mark.parametrize(
    ("fields", "kept", "in_sync"),
    [
        ({}, {"user": "app", "password": "p1"}, 0),
        ({"user": "app", "password": None}, {"user": "app", "password": "p1"}, 1),
        ({"user": "new"}, {"user": "new", "password": "p1"}, 1),
        ({"user": "new", "port": 5}, {"user": "new", "password": "p1", "port": "5"}, 2),
    ],
    ids=["all fields", "one is null", "one, and another rotates", "one, and another comes"],
)
async def test_fields_that_vanish_are_named_and_go_after_their_grace_period(
    with_object: MemoryHarness, fields: dict[str, object], kept: dict[str, str], in_sync: int
) -> None:
    harness = with_object
    put(harness, **fields)
    for _ in range(3):
        await harness.poll()
    assert harness.values() == kept
    gone = sorted(key for key in ("user", "password") if fields.get(key) is None)
    assert sorted((one.secret_name, one.key) for one in harness.status().missing) == [("cfg", key) for key in gone]
    ready = harness.ready()
    assert (ready.status, ready.reason) == ("True", "Synced")
    assert ready.message.startswith(f"{in_sync} key{'s are' if in_sync != 1 else ' is'} in sync; missing in the vault")
    (reported,) = (event for event in harness.kube.events if event.reason == "SourceMissing")
    for key in gone:
        assert f"{key} of secret cfg" in ready.message
        assert f"{key} of secret cfg" in reported.message
    await harness.assert_idle()

    await harness.poll(HOUR)
    assert harness.values() == {name: str(value) for name, value in fields.items() if value is not None}
    assert harness.events == [("Warning", "SourceDeleted")]
    assert all(f"{key} (secret cfg)" in harness.kube.events[-1].message for key in gone)
    assert "gone from the vault: " in harness.ready().message
    await harness.assert_idle()

    await harness.pass_time(24 * HOUR)
    await harness.drain()
    assert harness.status().missing == ()
    assert harness.ready().message == f"{in_sync} key{'s are' if in_sync != 1 else ' is'} in sync."


async def test_a_field_that_is_back_in_time_is_not_missing_any_more(with_object: MemoryHarness) -> None:
    put(with_object, user="app")
    await with_object.poll()
    await with_object.pass_time(HOUR / 2)
    put(with_object, user="app", password="p2")
    await with_object.poll()

    assert with_object.values() == {"user": "app", "password": "p2"}
    assert with_object.status().missing == ()
    put(with_object, user="app")
    await with_object.poll(HOUR / 2)
    await with_object.poll(HOUR / 2)
    assert with_object.values() == {"user": "app", "password": "p2"}


async def test_kept_keys_outlast_a_restart_a_refresh_and_an_edit_of_others(with_object: MemoryHarness) -> None:
    harness = with_object
    put(harness, port=1)
    await harness.poll()
    await harness.restart()
    harness.apply(**OBJECT, annotations={"vaultsync.dev/refresh-now": "1"})
    await harness.poll()
    harness.kube.edit(DB, "kubectl", data={"port": "forged"})
    await harness.poll()
    assert harness.values() == {"user": "app", "password": "p1", "port": "1"}

    await harness.poll(HOUR)
    assert harness.values() == {"port": "1"}


async def test_the_version_of_a_kept_key_does_not_count_as_a_rotation(with_object: MemoryHarness) -> None:
    harness = with_object
    before = {one.key: one.version for one in harness.status().entries}
    put(harness)
    await harness.poll()

    assert {one.key: one.version for one in harness.status().entries} == before
    assert harness.status().content_change_time is None
    assert ("Normal", "Rotated") not in harness.events


@pytest.mark.parametrize("how", ["deleted", "edited"])
async def test_a_key_that_the_secret_does_not_hold_any_more_does_not_block_the_others(
    with_object: MemoryHarness, how: str
) -> None:
    harness = with_object
    put(harness, user="app")
    await harness.poll()
    if how == "deleted":
        harness.kube.delete(DB)
    else:
        harness.kube.edit(DB, "kubectl", data={"password": "forged"})

    await harness.poll()
    assert harness.values() == {"user": "app"}


async def test_a_key_that_a_user_removes_from_the_spec_goes_at_once(with_object: MemoryHarness) -> None:
    harness = with_object
    put(harness, user="app")
    await harness.poll()
    assert harness.values() == {"user": "app", "password": "p1"}
    harness.apply(data=[entry("user", "cfg", property="user")])
    await harness.drain()

    assert harness.values() == {"user": "app"}
    assert harness.status().missing == ()


async def test_a_field_that_vanishes_while_another_is_kept_by_an_earlier_spec_is_kept_too(
    with_object: MemoryHarness,
) -> None:
    harness = with_object
    put(harness, user="app")
    await harness.poll()
    harness.apply(data=[entry("db")], dataFrom=OBJECT["dataFrom"])
    await harness.poll()
    put(harness, port=1)
    await harness.poll()

    assert harness.values() == {"user": "app", "password": "p1", "port": "1", "db": "first"}


async def test_a_field_that_vanishes_while_the_annotation_is_lost_is_kept(with_object: MemoryHarness) -> None:
    put(with_object, user="app")
    with_object.kube.edit(DB, "kubectl", annotations={APPLIED_ANNOTATION: None})
    await with_object.poll()

    assert with_object.values() == {"user": "app", "password": "p1"}


async def test_a_template_takes_the_place_of_a_key_that_is_kept(with_object: MemoryHarness) -> None:
    put(with_object, user="app")
    await with_object.poll()
    with_object.apply(**OBJECT, target={"template": {"password": "fixed"}})
    await with_object.poll()

    assert with_object.values() == {"user": "app", "password": "fixed"}
    assert with_object.ready().reason == "Synced"


async def test_the_grace_period_ends_though_what_is_kept_does_not_fit_beside_what_came(harness: MemoryHarness) -> None:
    large = "x" * 600_000
    put(harness, old=large)
    await synced(harness, **OBJECT)
    put(harness, new=large)
    await harness.poll()
    assert (harness.values() or {}).keys() == {"old"}
    assert harness.ready().reason == "TargetTooLarge"
    assert harness.ready().message.endswith("unless back by then: old of secret cfg.")

    await harness.poll(HOUR)
    assert (harness.values() or {}).keys() == {"new"}
    assert harness.ready().reason == "Synced"


async def test_a_field_that_replaced_another_source_keeps_its_value_before_that_takes_its_place(
    harness: MemoryHarness,
) -> None:
    put(harness, user="default", port=1)
    harness.vault.set("override", '{"user": "app"}')
    sources = [{"object": "cfg"}, {"object": "override", "onCollision": "Replace"}]
    await synced(harness, data=[], dataFrom=sources)
    harness.vault.set("override", '{"other": "x"}')
    for _ in range(2):
        await harness.poll()
    assert harness.values() == {"user": "app", "port": "1", "other": "x"}
    assert [(one.secret_name, one.key) for one in harness.status().missing] == [("override", "user")]

    put(harness, user="changed", port=2)
    await harness.poll()
    assert harness.values() == {"user": "app", "port": "2", "other": "x"}
    await harness.restart()
    await harness.poll()
    await harness.poll()
    await harness.assert_idle()

    await harness.poll(HOUR)
    assert harness.values() == {"user": "changed", "port": "2", "other": "x"}
    await harness.poll()
    await harness.assert_idle()


async def test_a_later_source_takes_the_place_of_a_field_that_vanishes_at_once(harness: MemoryHarness) -> None:
    put(harness, user="app")
    harness.vault.set("later", '{"port": 1}')
    sources = [{"object": "cfg", "onCollision": "Replace"}, {"object": "later", "onCollision": "Replace"}]
    await synced(harness, data=[], dataFrom=sources)
    harness.vault.set("later", '{"port": 1, "user": "moved"}')
    await harness.poll()
    put(harness, other="x")
    await harness.poll()

    assert harness.values() == {"user": "moved", "port": "1", "other": "x"}
    assert harness.status().missing == ()


# required secrets


@pytest.mark.parametrize("lines", [[], [entry()]], ids=["alone", "beside another"])
async def test_renaming_the_key_of_a_required_secret_that_is_missing_removes_no_key(
    harness: MemoryHarness, lines: list[Line]
) -> None:
    harness.vault.set("api-token", "token")
    await synced(harness, data=[*lines, entry("token", "api-token")], onSourceDeleted="Delete")
    harness.vault.delete("api-token")
    await harness.poll()
    harness.apply(data=[*lines, entry("TOKEN", "api-token")], onSourceDeleted="Delete")
    for _ in range(3):
        await harness.poll()
    assert (harness.values() or {})["token"] == "token"
    assert harness.ready().reason == "SecretSoftDeleted"

    harness.vault.recover("api-token")
    await harness.poll()
    assert (harness.values() or {}).keys() == {*(line["key"] for line in lines), "TOKEN"}
    assert harness.ready().reason == "Synced"


async def test_pinning_another_version_of_a_required_secret_that_is_missing_removes_no_key(
    harness: MemoryHarness,
) -> None:
    pin = harness.vault.set("db-root", "x").rpartition("/")[2]
    await synced(harness, data=[entry(), entry("root", "db-root", version=pin)], onSourceDeleted="Delete")
    harness.vault.delete("db-root")
    refresh = {"vaultsync.dev/refresh-now": "1"}
    harness.apply(data=[entry(), entry("root", "db-root", version=pin)], onSourceDeleted="Delete", annotations=refresh)
    await harness.poll()
    assert [one.secret_name for one in harness.status().missing] == ["db-root"]
    harness.apply(
        data=[entry(), entry("root", "db-root", version="0" * 32)], onSourceDeleted="Delete", annotations=refresh
    )
    for _ in range(3):
        await harness.poll()

    assert harness.values() == {"password": "first", "root": "x"}
    assert harness.ready().reason == "SecretSoftDeleted"


@pytest.mark.parametrize("deleted", [False, True], ids=["a Secret", "a Secret that was deleted"])
async def test_a_search_that_finds_nothing_keeps_no_secret_of_which_all_others_are_gone(
    harness: MemoryHarness, deleted: bool
) -> None:
    harness.vault.set("shop-a", "x")
    find = {"find": {"names": "shop-*"}}
    await synced(harness, data=[entry()], dataFrom=[find], onSourceDeleted="Delete")
    for name in ("db-password", "shop-a"):
        harness.vault.delete(name)
    await harness.poll()
    await harness.poll()
    assert harness.values() == {"password": "first", "shop-a": "x"}
    if deleted:
        harness.kube.delete(DB)
    await harness.poll(HOUR)

    assert (harness.values(), harness.ready().reason) == (None, "SecretSoftDeleted")


async def test_a_required_pinned_secret_that_is_gone_stays_listed_and_stops_no_other(harness: MemoryHarness) -> None:
    pin = harness.vault.set("db-root", "x").rpartition("/")[2]
    spec: dict[str, Any] = {"data": [entry(), entry("root", "db-root", version=pin)], "onSourceDeleted": "Delete"}
    await synced(harness, **spec)
    harness.vault.delete("db-root")
    harness.apply(**spec, annotations={"vaultsync.dev/refresh-now": "1"})
    for seconds in (60, HOUR, 60, 25 * HOUR, 60):
        await harness.poll(seconds)
    assert harness.values() == {"password": "first"}
    assert harness.ready().message.endswith("gone from the vault: root of secret db-root.")

    await harness.rotate()
    await harness.poll()
    assert (harness.values(), harness.ready().reason) == ({"password": "second"}, "Synced")


# other targets


async def test_a_kept_key_goes_along_to_a_secret_that_is_adopted(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "token")
    lines = [entry(), entry("token", "api-token", optional=True)]
    await synced(harness, data=lines)
    harness.vault.delete("api-token")
    await harness.poll()
    consent = {ADOPT_BY_ANNOTATION: "db"}
    harness.kube.create(key_of("new"), "helm", {"password": "theirs"}, annotations=consent)
    harness.apply(data=lines, target={"name": "new", "adopt": True})
    for _ in range(2):
        await harness.poll()

    assert harness.values("new") == {"password": "first", "token": "token"}
    assert harness.values() is None


async def test_most_fields_of_the_objects_of_a_vault_are_held(harness: MemoryHarness) -> None:
    put(harness, **{f"key-{number}": "x" for number in range(8)})
    await synced(harness, **OBJECT, deleteAfter="1m")
    put(harness)
    for _ in range(5):
        await harness.poll()

    assert len(harness.values() or {}) == 8
    assert harness.ready().reason == "DeletionHeld"
    assert "key-0 of secret cfg" in harness.ready().message

    put(harness, **{f"key-{number}": "y" for number in range(8)})
    await harness.poll()
    await harness.poll()
    assert (harness.values(), harness.ready().reason) == ({f"key-{n}": "y" for n in range(8)}, "Synced")


# optional keys


async def test_an_optional_property_that_vanishes_goes_after_its_grace_period(harness: MemoryHarness) -> None:
    put(harness, a="1", b="2")
    lines = [entry("a", "cfg", property="a", optional=True), entry("b", "cfg", property="b", optional=True)]
    await synced(harness, data=lines)
    put(harness, a="3")
    await harness.poll()
    assert harness.values() == {"a": "3", "b": "2"}
    assert [(one.secret_name, one.key) for one in harness.status().missing] == [("cfg", "b")]

    await harness.poll(HOUR)
    assert harness.values() == {"a": "3"}


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_while_an_optional_key_is_kept_the_others_follow_the_vault(harness: MemoryHarness, policy: str) -> None:
    harness.vault.set("api-token", "token")
    await synced(harness, data=[entry(), entry("token", "api-token", optional=True)], onSourceDeleted=policy)
    harness.vault.delete("api-token")
    await harness.poll()
    await harness.rotate("second")
    await harness.poll()

    assert harness.values() == {"password": "second", "token": "token"}
    assert harness.ready().status == "True"
    assert "token of secret api-token" in harness.ready().message
    await harness.assert_idle()


async def test_a_pinned_secret_that_is_back_and_disabled_is_not_missing(harness: MemoryHarness) -> None:
    pin = harness.vault.set("db-root", "x")
    await synced(harness, data=[entry(), entry("root", "db-root", version=pin)], onSourceDeleted="Delete")
    harness.vault.delete("db-root")
    harness.apply(
        data=[entry(), entry("root", "db-root", version=pin)],
        onSourceDeleted="Delete",
        annotations={"vaultsync.dev/refresh-now": "1"},
    )
    await harness.poll()
    assert [one.secret_name for one in harness.status().missing] == ["db-root"]
    harness.vault.recover("db-root")
    harness.vault.disable("db-root")
    await harness.poll()

    assert harness.ready().reason == "SecretDisabled"
    assert harness.status().missing == ()


# secrets that a search found


@pytest.mark.parametrize("how", ["deleted", "disabled", "untagged"])
async def test_a_find_that_is_lost_is_kept_while_the_others_follow_the_vault(harness: MemoryHarness, how: str) -> None:
    tags = {"app": "shop"}
    for name in ("shop-a", "shop-b"):
        harness.vault.set(name, "1", tags=tags)
    await synced(harness, data=[], dataFrom=[{"find": {"tags": tags}}])
    if how == "untagged":
        harness.vault.set("shop-a", "1")
    else:
        (harness.vault.delete if how == "deleted" else harness.vault.disable)("shop-a")
    await harness.poll()
    await harness.pass_time()
    harness.vault.set("shop-b", "2", tags=tags)
    await harness.poll()
    assert harness.values() == {"shop-a": "1", "shop-b": "2"}
    assert [one.secret_name for one in harness.status().missing] == ["shop-a"]
    harness.reset_counts()
    for _ in range(5):
        await harness.poll()
    assert (harness.reads, harness.writes, harness.events) == (0, {}, [])

    await harness.poll(HOUR)
    assert harness.values() == {"shop-b": "2"}
    await harness.assert_idle()


@pytest.mark.parametrize("restarts", [False, True], ids=["one process", "a restart after each poll"])
@pytest.mark.parametrize(("secrets", "each", "most"), [(60, 9, 30), (8, 1, 5)], ids=["a script", "a loop"])
async def test_the_guard_trips_however_slowly_secrets_are_deleted(
    harness: MemoryHarness, secrets: int, each: int, most: int, restarts: bool
) -> None:
    names = [f"shop-{number:02}" for number in range(secrets)]
    for name in names:
        harness.vault.set(name, "x")
    await synced(harness, **FAST)

    while names[1:]:
        for name in names[:each]:
            harness.vault.delete(name)
        del names[:each]
        if restarts:
            await harness.restart()
        for _ in range(4):
            await harness.poll(35)
    for _ in range(5):
        await harness.poll(100)

    assert len(harness.values() or {}) >= secrets - most
    assert harness.ready().reason == "DeletionHeld"


async def test_what_is_kept_already_is_reported_as_held_when_the_guard_trips_and_as_kept_when_it_resets(
    harness: MemoryHarness,
) -> None:
    names = [f"shop-{number}" for number in range(8)]
    for name in names:
        harness.vault.set(name, "x")
    harness.apply(name="other", data=[entry(name, name, optional=True) for name in names[:3]])
    await synced(harness, data=[entry(name, name, optional=True) for name in names[3:]])
    for name in names[:3]:
        harness.vault.delete(name)
    await harness.poll()
    assert harness.ready("other").status == "True"

    for name in names[3:6]:
        harness.vault.delete(name)
    await harness.poll()
    assert {harness.ready(name).reason for name in ("db", "other")} == {"DeletionHeld"}

    for name in names[3:6]:
        harness.vault.recover(name)
    await harness.poll()
    assert {harness.ready(name).reason for name in ("db", "other")} == {"Synced"}
    assert len(harness.status("other").missing) == 3


async def test_what_was_removed_a_day_ago_does_not_count_any_more(harness: MemoryHarness) -> None:
    names = [f"shop-{number}" for number in range(8)]
    for name in names:
        harness.vault.set(name, "x")
    await synced(harness, **FAST)
    for name in names[:7]:
        harness.vault.delete(name)
        for _ in range(4):
            await harness.poll(100)
        await harness.poll(5 * HOUR)

    assert (harness.values(), harness.ready().status) == ({names[7]: "x"}, "True")


async def test_a_restart_does_not_forget_what_is_held_though_most_was_released(harness: MemoryHarness) -> None:
    names = [f"shop-{number}" for number in range(9)]
    for name in names:
        harness.vault.set(name, "x")
    first = {**FAST, "dataFrom": [{"find": {"names": f"shop-{range_}"}, "optional": True} for range_ in "012345"]}
    second = {**FAST, "dataFrom": [{"find": {"names": f"shop-{range_}"}, "optional": True} for range_ in "678"]}
    harness.apply(name="other", **second)
    await synced(harness, **first)
    for name in names:
        harness.vault.delete(name)
    await harness.poll()
    assert {harness.ready(name).reason for name in ("db", "other")} == {"DeletionHeld"}
    harness.apply(**first, annotations={RELEASE_ANNOTATION: harness.clock().isoformat()})
    for _ in range(3):
        await harness.poll(100)
    assert harness.values() == {}

    await harness.restart()
    for _ in range(5):
        await harness.poll(100)
    assert harness.values("other") == dict.fromkeys(names[6:], "x")
    assert harness.ready("other").reason == "DeletionHeld"

    release = (harness.clock() + timedelta(seconds=1)).isoformat()
    harness.apply(name="other", **second, annotations={RELEASE_ANNOTATION: release})
    await harness.poll(100)
    assert harness.values("other") == {}


async def test_a_status_of_an_earlier_version_keeps_its_dates(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "token")
    lines = [entry(), entry("token", "api-token")]
    await synced(harness, data=lines, onSourceDeleted="Delete")
    harness.vault.delete("api-token")
    await harness.poll()
    status = harness.status().to_wire()
    for one in status["missing"]:
        del one["key"]
    await harness.kube.patch_status(harness.users.vault_secret(DB), status)
    harness.observe("db")
    await harness.restart()
    await harness.poll(HOUR / 2)
    assert harness.values() == {"password": "first", "token": "token"}

    await harness.poll(HOUR / 2)
    await harness.poll()
    assert harness.values() == {"password": "first"}
