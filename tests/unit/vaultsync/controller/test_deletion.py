"""Secrets that are deleted in the vault: their keys follow after a grace period, and not while most of it is lost."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kvsecrets import SecretValue
from tests.builders import ACCESS
from tests.harness import DB, Line, MemoryHarness, entry, key_of
from tests.manifests import manifest, spec
from vaultsync.api import ADOPT_BY_ANNOTATION, RELEASE_ANNOTATION, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.errors import Reason
from vaultsync.state.observed import Observed
from vaultsync.state.vaults import LossReport
from vaultsync.status.outcome import Failed

HOUR = 3600
TOKEN = entry("token", "api-token")
USER = entry("user", "db-user")
MANY = [f"shop-{number}" for number in range(6)]


@pytest.fixture
async def deleting(harness: MemoryHarness) -> MemoryHarness:
    """Two keys in sync, which are deleted with their secrets."""
    harness.vault.set("api-token", "token")
    harness.apply(entry(), TOKEN, onSourceDeleted="Delete")
    await harness.drain()
    await harness.poll()
    harness.reset_counts()
    return harness


async def test_a_key_is_deleted_after_an_hour_without_its_secret(deleting: MemoryHarness) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    assert deleting.values() == {"password": "first", "token": "token"}
    assert (deleting.ready().status, deleting.ready().reason) == ("False", "SecretSoftDeleted")

    await deleting.pass_time(HOUR - 1)
    await deleting.drain()
    assert deleting.values() == {"password": "first", "token": "token"}
    await deleting.pass_time(121)
    await deleting.drain()

    assert deleting.values() == {"password": "first"}
    assert deleting.ready().status == "True"
    assert deleting.events[-1] == ("Warning", "SourceDeleted")
    await deleting.assert_idle()


async def test_the_target_is_deleted_with_its_last_key_and_created_again_with_its_secret(
    harness: MemoryHarness,
) -> None:
    harness.apply(onSourceDeleted="Delete")
    await harness.poll()
    harness.vault.delete("db-password")
    await harness.poll()

    await harness.poll(HOUR)
    assert harness.values() is None
    assert harness.ready().reason == "SecretSoftDeleted"
    assert harness.condition("Stale").status == "Unknown"

    harness.vault.recover("db-password")
    await harness.poll()
    await harness.reconcile()
    assert harness.values() == {"password": "first"}


async def test_nothing_is_deleted_if_the_secret_is_recovered_in_time(deleting: MemoryHarness) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    deleting.vault.recover("api-token")
    await deleting.poll()

    await deleting.poll(2 * HOUR)

    assert deleting.values() == {"password": "first", "token": "token"}
    assert deleting.status().missing == ()
    assert deleting.kube.writes["apply_target"] == 0


async def test_a_secret_that_never_existed_is_a_failure_however_long_it_is_missing(harness: MemoryHarness) -> None:
    harness.apply(entry(), TOKEN, onSourceDeleted="Delete")
    await harness.drain()

    for _ in range(3):
        await harness.poll(2 * HOUR)

    assert (harness.values(), harness.ready().reason) == (None, "SecretNotFound")


async def test_a_restart_does_not_start_the_grace_period_again(deleting: MemoryHarness) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    await deleting.pass_time(HOUR / 2)

    await deleting.restart()
    await deleting.poll(HOUR / 2)
    assert deleting.values() == {"password": "first", "token": "token"}
    await deleting.poll()

    assert deleting.values() == {"password": "first"}


@pytest.mark.parametrize("hours", [-2, 2], ids=["back", "ahead"])
async def test_a_jump_of_the_operators_clock_does_not_change_the_grace_period(
    deleting: MemoryHarness, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    monkeypatch.setattr(deleting.clock, "error", timedelta(hours=hours))

    for _ in range(4):
        await deleting.poll(HOUR / 5)
        assert deleting.values() == {"password": "first", "token": "token"}
    await deleting.poll(HOUR / 5)

    assert deleting.values() == {"password": "first"}


async def test_a_clock_that_is_ahead_after_a_restart_does_not_cut_the_grace_period_short(
    deleting: MemoryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    monkeypatch.setattr(deleting.clock, "error", timedelta(hours=2))

    await deleting.restart()
    for _ in range(4):
        await deleting.poll(HOUR / 5)
        assert deleting.values() == {"password": "first", "token": "token"}
    await deleting.poll(HOUR / 5)

    assert deleting.values() == {"password": "first"}


@pytest.fixture
async def many(harness: MemoryHarness) -> MemoryHarness:
    """A search that has found six secrets, and may find none."""
    for name in MANY:
        harness.vault.set(name, "x")
    harness.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}, "optional": True}])
    await harness.poll()
    await harness.poll()
    harness.reset_counts()
    return harness


async def test_while_most_of_the_vault_is_lost_nothing_is_deleted_until_a_user_confirms_it(many: MemoryHarness) -> None:
    for name in MANY:
        many.vault.delete(name)
    await many.poll()
    assert many.values() == dict.fromkeys(MANY, "x")
    assert many.ready().reason == "DeletionHeld"
    assert many.events == [("Warning", "DeletionHeld")]

    release = {RELEASE_ANNOTATION: many.clock().isoformat()}
    many.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}, "optional": True}], annotations=release)
    await many.drain()
    assert many.values() == dict.fromkeys(MANY, "x")

    await many.poll(HOUR)
    assert many.values() == {}
    assert "shop-0 (secret shop-0), " in many.kube.events[-1].message


async def test_deletions_are_held_too_if_the_secrets_were_lost_while_the_operator_was_down(many: MemoryHarness) -> None:
    await many.stop()
    for name in MANY:
        many.vault.delete(name)

    await many.restart()
    await many.drain()
    await many.poll()

    assert many.values() == dict.fromkeys(MANY, "x")
    assert many.ready().reason == "DeletionHeld"


async def test_deletions_of_optional_entries_are_held_too(harness: MemoryHarness) -> None:
    for name in MANY:
        harness.vault.set(name, "x")
    harness.apply(*(entry(name, name, optional=True) for name in MANY))
    await harness.poll()
    for name in MANY:
        harness.vault.delete(name)

    await harness.poll()

    assert harness.values() == dict.fromkeys(MANY, "x")
    assert harness.ready().reason == "DeletionHeld"


async def test_deletions_are_not_held_any_more_once_the_secrets_are_recovered(many: MemoryHarness) -> None:
    for name in MANY:
        many.vault.delete(name)
    await many.poll()
    for name in MANY:
        many.vault.recover(name)

    await many.poll()

    assert many.ready().status == "True"
    assert many.kube.values(DB) == dict.fromkeys(MANY, "x")


# what does not delete anything


async def test_the_grace_period_starts_again_if_the_secret_was_recovered_while_another_failed(
    deleting: MemoryHarness,
) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    assert [one.secret_name for one in deleting.status().missing] == ["api-token"]

    deleting.vault.disable("db-password")
    deleting.vault.recover("api-token")
    await deleting.poll()
    await deleting.poll(2 * HOUR)
    assert deleting.ready().reason == "SecretDisabled"
    deleting.vault.delete("api-token")
    deleting.vault.enable("db-password")
    await deleting.poll()
    await deleting.poll()

    assert deleting.values() == {"password": "first", "token": "token"}


@pytest.mark.parametrize("change", [{"suspend": True}, {"onSourceDeleted": "Retain"}], ids=["suspend", "retain"])
async def test_nothing_is_deleted_that_a_user_has_just_decided_to_keep_though_that_is_not_observed_yet(
    deleting: MemoryHarness, change: dict[str, object]
) -> None:
    deleting.vault.delete("api-token")
    await deleting.poll()
    wanted = manifest(spec(**{"data": [entry(), TOKEN], "onSourceDeleted": "Delete", **change}))
    deleting.users.put_vault_secret(wanted)

    await deleting.poll(HOUR)
    await deleting.poll()

    assert deleting.values() == {"password": "first", "token": "token"}


async def test_nothing_is_deleted_from_a_retained_target_whose_vaultsecret_was_deleted_and_not_observed(
    harness: MemoryHarness,
) -> None:
    harness.vault.set("api-token", "token")
    harness.apply(entry(), {**TOKEN, "optional": True}, onDelete="Retain")
    await harness.drain()
    await harness.poll()
    harness.remove("db", observed=False)
    harness.vault.delete("api-token")

    await harness.poll()
    await harness.poll()

    assert harness.values() == {"password": "first", "token": "token"}


async def test_what_another_vaultsecret_left_behind_is_not_deleted_for_what_that_one_had_missed(
    harness: MemoryHarness,
) -> None:
    harness.apply(name="old", target={"name": "shared"}, onDelete="Retain")
    await harness.drain()
    await harness.poll()
    harness.vault.delete("db-password")
    await harness.poll()
    harness.apply(name="new", target={"name": "shared"}, onSourceDeleted="Delete", deleteAfter="1m")
    await harness.drain()
    harness.remove("old")
    harness.kube.edit(key_of("shared"), "kubectl", annotations={ADOPT_BY_ANNOTATION: "new"})

    for _ in range(6):
        await harness.poll()

    assert harness.values("shared") == {"password": "first"}
    assert harness.ready("new").reason == "SecretSoftDeleted"


DELETES: dict[str, Any] = {"onSourceDeleted": "Delete", "deleteAfter": "30m"}


async def two_lost(harness: MemoryHarness) -> None:
    """Sync three secrets and a template, and lose two of the secrets ten minutes apart."""
    harness.vault.set("api-token", "token")
    lines = [entry(), TOKEN, USER]
    await lose_in_turn(harness, *lines, second="api-token", target={"template": {"LINE": "{{ token }}"}})


async def lose_in_turn(harness: MemoryHarness, *lines: Line, second: str, **changes: object) -> None:
    """Sync these lines, and lose `db-password`, and ten minutes later a second secret."""
    merged: dict[str, Any] = {**DELETES, **changes}
    harness.vault.set("db-user", "shop")
    harness.apply(*lines, **merged)
    await harness.drain()
    await harness.poll()
    harness.vault.delete("db-password")
    await harness.poll(60)
    await harness.poll(60)
    harness.vault.delete(second)
    await harness.poll(600)
    await harness.poll(60)


async def test_of_two_lost_secrets_each_loses_its_key_when_its_own_grace_period_is_over(
    harness: MemoryHarness,
) -> None:
    await two_lost(harness)
    lost = {one.secret_name: one.since for one in harness.status().missing}
    assert harness.ready().reason == "SecretSoftDeleted"
    first = lost["db-password"] + timedelta(minutes=30)
    assert f"{first:%H:%M:%S}" in harness.ready().message
    harness.vault.set("db-user", "depot")

    await harness.poll((first - harness.clock()).total_seconds() + 1)

    assert harness.values() == {"token": "token", "user": "depot", "LINE": "token"}
    assert harness.ready().reason == "SecretSoftDeleted"
    second = lost["api-token"] + timedelta(minutes=30)
    assert f"{second:%H:%M:%S}" in harness.ready().message
    assert ("Warning", "SourceDeleted") in harness.events
    harness.apply(entry("token", "api-token"), entry("user", "db-user"), **DELETES)
    await harness.poll((second - harness.clock()).total_seconds() + 1)
    assert harness.values() == {"user": "depot"}
    await harness.poll()
    await harness.assert_idle()


async def test_a_lost_secret_that_comes_back_while_its_key_is_carried_over_is_followed_again(
    harness: MemoryHarness,
) -> None:
    await two_lost(harness)
    await harness.poll(1200)
    await harness.poll(120)
    assert harness.values() == {"token": "token", "user": "shop", "LINE": "token"}

    harness.vault.recover("api-token")
    harness.vault.set("api-token", "new")
    await harness.poll()

    assert harness.values() == {"token": "new", "user": "shop", "LINE": "new"}
    assert harness.ready().reason == "Synced"


async def test_an_edit_of_the_target_while_a_key_is_carried_over_is_a_conflict_that_is_retried(
    harness: MemoryHarness,
) -> None:
    await two_lost(harness)
    original = harness.kube.get_target_data

    async def edited_meanwhile(key: ObjectKey, *, observed: Observed) -> Mapping[str, SecretValue]:
        harness.kube.edit(key, "kubectl", labels={"edited": "true"})
        return await original(key, observed=observed)

    harness.kube.get_target_data = edited_meanwhile  # type: ignore[method-assign]  # in the very moment
    harness.recorded.outcomes.clear()
    await harness.poll(1300)

    reasons = [outcome.reason for outcome in harness.recorded.outcomes if isinstance(outcome, Failed)]
    assert reasons.count(Reason.CLUSTER_UNAVAILABLE) == 1
    assert harness.values() == {"token": "token", "user": "shop", "LINE": "token"}


async def test_the_target_is_not_deleted_before_the_last_grace_period_is_over(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "token")
    await lose_in_turn(harness, entry(), TOKEN, second="api-token")

    await harness.poll(1200)
    assert harness.values() == {"token": "token"}

    await harness.poll(900)
    assert harness.values() is None


async def test_a_renamed_target_takes_along_what_is_within_its_grace_period(
    harness: MemoryHarness,
) -> None:
    harness.vault.set("api-token", "token")
    await lose_in_turn(harness, entry(), TOKEN, second="api-token")
    harness.apply(entry(), TOKEN, target={"name": "other"}, **DELETES)
    await harness.drain()
    assert (harness.values(), harness.values("other")) == (None, {"password": "first", "token": "token"})

    await harness.poll(HOUR)

    assert harness.values("other") is None
    assert harness.events.count(("Warning", "SourceDeleted")) == 1


@pytest.mark.parametrize(
    ("line", "kept", "recovered"),
    [
        (entry("x", "object", property="b"), {"x": "1"}, {"x": "2"}),
        (entry("y", "object", property="a"), {"x": "1"}, {"y": "1"}),
    ],
    ids=["property", "key"],
)
async def test_a_key_is_kept_for_a_changed_spec_that_still_asks_for_it_and_filled_by_that_later(
    harness: MemoryHarness, line: Line, kept: dict[str, str], recovered: dict[str, str]
) -> None:
    harness.vault.set("object", '{"a": "1", "b": "2"}')
    await lose_in_turn(harness, entry(), entry("x", "object", property="a"), USER, second="object")
    harness.apply(entry(), line, USER, **DELETES)

    await harness.poll(1200)
    assert harness.values() == {"user": "shop", **kept}

    harness.vault.recover("object")
    await harness.poll()
    assert harness.values() == {"user": "shop", **recovered}
    assert ("Warning", "Tampered") not in harness.events


async def test_a_value_of_another_writer_is_not_carried_over_as_if_it_were_the_secrets(harness: MemoryHarness) -> None:
    await two_lost(harness)
    harness.kube.edit(DB, "kubectl", data={"token": "forged"})
    await harness.drain()

    await harness.poll(1200)
    harness.vault.recover("api-token")
    await harness.poll()

    assert harness.values() == {"token": "token", "user": "shop", "LINE": "token"}
    assert harness.ready().reason == "Synced"


async def test_the_keys_of_a_lost_secret_that_fills_several_sources_are_carried_over(harness: MemoryHarness) -> None:
    harness.vault.set("object", '{"a": "1"}')
    sources = [{"object": "object", "prefix": prefix} for prefix in ("x-", "y-")]
    await lose_in_turn(harness, entry(), USER, second="object", dataFrom=sources)

    await harness.poll(1200)

    assert harness.values() == {"x-a": "1", "y-a": "1", "user": "shop"}


async def test_the_previous_version_is_kept_as_long_as_the_newest(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "older")
    await harness.pass_time()
    harness.vault.set("api-token", "token")
    lines = [entry(), {**TOKEN, "previousKey": "old"}, {**USER, "previousKey": "old-user"}]
    await lose_in_turn(harness, *lines, second="api-token")

    await harness.poll(1200)
    assert harness.values() == {"token": "token", "old": "older", "user": "shop"}

    await harness.poll(900)
    assert harness.values() == {"user": "shop"}


async def test_a_lost_secret_without_a_previous_version_is_carried_over(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "token")
    await lose_in_turn(harness, entry(), {**TOKEN, "previousKey": "old"}, USER, second="api-token")

    await harness.poll(1200)

    assert harness.values() == {"token": "token", "user": "shop"}


async def test_a_longer_grace_period_does_not_hold_what_is_deleted_already(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "token")
    await lose_in_turn(harness, entry(), TOKEN, USER, second="api-token")
    await harness.poll(2 * HOUR)
    assert harness.values() == {"user": "shop"}
    harness.vault.set("db-user", "depot")

    harness.apply(entry(), TOKEN, USER, **{**DELETES, "deleteAfter": "24h"})
    await harness.poll()

    assert harness.values() == {"user": "depot"}
    assert harness.ready().reason == "Synced"


async def test_an_immutable_target_is_not_replaced_while_it_alone_holds_a_value(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "token")
    target = {"immutable": True, "replaceImmutable": True}
    await lose_in_turn(harness, entry(), TOKEN, USER, second="api-token", target=target)

    await harness.poll(1200)
    assert harness.values() == {"password": "first", "token": "token", "user": "shop"}
    assert harness.kube.writes["delete_target"] == 0

    await harness.poll(900)
    assert harness.values() == {"user": "shop"}


async def test_an_optional_key_has_its_own_grace_period_beside_a_required_one(
    harness: MemoryHarness,
) -> None:
    harness.vault.set("api-token", "token")
    harness.vault.set("db-user", "shop")
    harness.apply(entry(), {**TOKEN, "optional": True}, USER, onSourceDeleted="Delete")
    await harness.drain()
    await harness.poll()
    harness.vault.delete("db-password")
    await harness.poll()

    await harness.pass_time(HOUR / 2)
    harness.vault.delete("api-token")
    await harness.poll()
    harness.vault.set("db-user", "depot")
    await harness.poll()
    assert harness.values() == {"password": "first", "token": "token", "user": "depot"}
    assert harness.ready().reason == "SecretSoftDeleted"

    await harness.poll(HOUR / 2)
    assert harness.values() == {"token": "token", "user": "depot"}
    assert harness.ready().reason == "Synced"
    await harness.assert_idle()
    await harness.poll(HOUR / 2)
    assert harness.values() == {"user": "depot"}
    await harness.assert_idle()


async def test_a_suspension_starts_the_grace_period_again(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "token")
    lines = [entry(), entry("token", "api-token")]
    harness.apply(*lines, **DELETES)
    await harness.drain()
    await harness.poll()
    harness.vault.delete("db-password")
    await harness.poll()
    await harness.poll()
    harness.apply(*lines, suspend=True, **DELETES)
    await harness.drain()
    harness.vault.recover("db-password")
    await harness.poll(7200)
    harness.vault.delete("db-password")
    await harness.poll()

    harness.apply(*lines, **DELETES)
    await harness.drain()
    await harness.poll()
    await harness.poll()
    assert harness.values() == {"password": "first", "token": "token"}

    await harness.poll(1800)
    await harness.poll()
    assert harness.values() == {"token": "token"}


async def lose_the_only_secret(harness: MemoryHarness) -> None:
    """Sync one key and lose its secret; its grace period is over in less than 200 seconds."""
    harness.apply(**DELETES)
    await harness.drain()
    await harness.poll()
    harness.vault.delete("db-password")
    await harness.poll()
    await harness.poll()
    assert harness.ready().reason == "SecretSoftDeleted"
    await harness.pass_time(1600)
    assert harness.values() == {"password": "first"}


async def test_a_target_is_not_deleted_for_an_outdated_spec(harness: MemoryHarness) -> None:
    await lose_the_only_secret(harness)
    harness.kube.put_vault_secret(manifest(spec(data=[entry()], onSourceDeleted="Retain")))

    await harness.poll(300)

    assert harness.values() == {"password": "first"}


async def test_a_target_is_not_deleted_if_the_guard_trips_while_the_spec_is_checked(harness: MemoryHarness) -> None:
    await lose_the_only_secret(harness)
    original = harness.kube.ensure_current

    async def trip(vault_secret: VaultSecretMeta) -> None:
        view = harness.state.vaults.view(ACCESS)
        losses = LossReport(latched=frozenset({"db-password"}), most=1)
        harness.state.vaults.publish(ACCESS, replace(view, losses=losses))
        return await original(vault_secret)

    harness.kube.ensure_current = trip  # type: ignore[method-assign]  # a poll ends in that very moment
    await harness.pass_time(300)
    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert harness.ready().reason == "DeletionHeld"


# what a missing secret costs


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
@pytest.mark.parametrize(
    "others",
    [[], [TOKEN, USER], [{**TOKEN, "previousKey": "old"}, USER]],
    ids=["alone", "beside others", "beside others, with a previous version"],
)
async def test_a_secret_that_stays_missing_is_reconciled_once_in_each_poll_and_not_read_again(
    harness: MemoryHarness, policy: str, others: list[Line]
) -> None:
    harness.vault.set("api-token", "token")
    harness.vault.set("db-user", "shop")
    harness.apply(entry(), *others, onSourceDeleted=policy)
    await harness.drain()
    await harness.poll()
    harness.vault.delete("db-password")
    for _ in range(7):
        await harness.poll()
    assert harness.condition("Stale").status == "True"
    harness.reset_counts()

    for number in range(1, 11):
        await harness.poll()
        assert len(harness.recorded.outcomes) <= number

    assert harness.ready().reason == "SecretSoftDeleted"
    assert (harness.reads, harness.writes, harness.events) == (0, {}, [])


async def test_after_the_first_of_two_lost_keys_was_deleted_nothing_is_read_until_the_second_is_due(
    harness: MemoryHarness,
) -> None:
    harness.vault.set("api-token", "token")
    await lose_in_turn(harness, entry(), TOKEN, USER, second="api-token")
    await harness.poll(1200)
    assert harness.values() == {"token": "token", "user": "shop"}
    await harness.poll()
    harness.reset_counts()

    for _ in range(5):
        await harness.poll()

    assert (harness.reads, harness.writes, harness.events) == (0, {}, [])
    assert harness.kube.calls["get_target_data"] == 0
    await harness.poll(600)
    assert harness.values() == {"user": "shop"}
