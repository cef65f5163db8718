"""Admission policies that change what is written, and writes whose responses are lost."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.ownership import Path
from tests.harness import DB, MemoryHarness, entry
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL

Fields = dict[Path, Any]


def drop_empty(fields: Fields) -> None:
    """Remove the keys without a value, as some policies do."""
    for path in [path for path, value in fields.items() if path.area == "data" and not value]:
        del fields[path]


def change(fields: Fields) -> None:
    fields[Path("data", "password")] = "ZXZpbA=="


def drop_label(fields: Fields) -> None:
    fields.pop(Path("labels", MANAGED_BY_LABEL), None)


def drop_annotation(fields: Fields) -> None:
    fields.pop(Path("annotations", APPLIED_ANNOTATION), None)


@pytest.fixture
async def with_empty(harness: MemoryHarness) -> MemoryHarness:
    """A VaultSecret with two keys, one of them without a value, in sync."""
    harness.vault.set("empty", "")
    harness.apply(entry(), entry("empty", "empty"))
    await harness.drain()
    await harness.poll()
    harness.reset_counts()
    return harness


async def test_keys_that_a_policy_removes_are_reported_and_written_again_once_it_allows_them(
    with_empty: MemoryHarness,
) -> None:
    harness = with_empty
    harness.kube.mutate = drop_empty
    await harness.rotate()
    await harness.poll()

    assert harness.values() == {"password": "second"}
    assert harness.ready().reason == "TargetChanged"
    assert "changed or removed empty." in harness.ready().message
    assert harness.status().altered == ("empty",)
    assert [reason for _, reason in harness.events] == ["Rotated", "TargetChanged"]

    harness.kube.mutate = None
    await harness.poll()

    assert harness.values() == {"password": "second", "empty": ""}
    assert (harness.ready().reason, harness.status().altered) == ("Synced", ())
    assert [reason for _, reason in harness.events] == ["Rotated", "TargetChanged", "Synced"]
    await harness.poll()
    await harness.assert_idle()


@pytest.mark.parametrize("mutate", [drop_empty, change, drop_label, drop_annotation])
async def test_a_policy_that_lasts_is_reported_once_and_tried_once_a_minute(
    mutate: Callable[[Fields], None], with_empty: MemoryHarness
) -> None:
    harness = with_empty
    harness.kube.mutate = mutate
    await harness.rotate()
    await harness.poll()
    harness.reset_counts()

    for _ in range(30):
        await harness.poll(10)

    assert harness.ready().reason == "TargetChanged"
    assert harness.events == []
    assert 4 <= harness.kube.calls["apply_target"] <= 6


async def test_a_refresh_writes_an_altered_target_at_once(with_empty: MemoryHarness) -> None:
    harness = with_empty
    harness.kube.mutate = drop_empty
    await harness.rotate()
    await harness.poll()
    harness.kube.mutate = None

    harness.apply(entry(), entry("empty", "empty"), annotations={"vaultsync.dev/refresh-now": "1"})
    await harness.drain()

    assert harness.values() == {"password": "second", "empty": ""}
    assert harness.ready().reason == "Synced"


async def test_a_refresh_finds_what_a_policy_has_changed_without_being_noticed(with_empty: MemoryHarness) -> None:
    harness = with_empty
    harness.kube.mutate = drop_empty

    harness.apply(entry(), entry("empty", "empty"), annotations={"vaultsync.dev/refresh-now": "1"})
    await harness.drain()

    assert harness.ready().reason == "TargetChanged"


@pytest.mark.parametrize("outage", [False, True], ids=["a restart", "a restart and an outage of the vault"])
async def test_an_altered_target_is_known_after(outage: bool, with_empty: MemoryHarness) -> None:
    harness = with_empty
    harness.kube.mutate = drop_empty
    await harness.rotate()
    await harness.poll()

    await harness.restart()
    if outage:
        harness.vault.close_door()
        await harness.poll()
        await harness.poll()
        assert harness.ready().reason == "VaultUnreachable"
        harness.vault.open_door()
    await harness.poll()

    assert harness.ready().reason == "TargetChanged"


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_write_whose_response_is_lost_is_compared_with_the_next(
    restarts: bool, with_empty: MemoryHarness
) -> None:
    harness = with_empty
    harness.kube.mutate = drop_empty
    await harness.pass_time()
    harness.vault.set("db-password", "second")
    harness.kube.lost_answers = 1
    await harness.poll()
    if restarts:
        await harness.restart()

    await harness.pass_time(30)
    await harness.poll()

    assert harness.ready().reason == "TargetChanged"
    assert harness.values() == {"password": "second"}


async def test_an_altered_secret_is_not_reported_as_tampered_and_a_change_by_others_is(
    with_empty: MemoryHarness,
) -> None:
    harness = with_empty
    harness.kube.mutate = drop_label
    await harness.rotate()
    await harness.poll()
    harness.kube.mutate = None
    await harness.poll()
    assert ("Warning", "Tampered") not in harness.events

    harness.kube.edit(DB, "kubectl", data={"password": "guessed"})
    await harness.drain()

    assert harness.events[-1] == ("Warning", "Tampered")
