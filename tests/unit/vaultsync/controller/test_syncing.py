"""Syncs without failures: a target is written once and kept, and one that is in place causes no calls."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.harness import DB, MemoryHarness, entry, key_of
from vaultsync.api import REFRESH_ANNOTATION, ObjectKey
from vaultsync.errors import Reason
from vaultsync.policy.requeue import Result
from vaultsync.state.observed import Observed


async def test_a_new_vaultsecret_gets_its_target(harness: MemoryHarness) -> None:
    harness.apply()

    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert (harness.ready().status, harness.ready().reason, harness.ready().message) == (
        "True",
        "Synced",
        "1 key is in sync.",
    )
    assert harness.writes == {"apply_target": 1, "patch_status": 1, "create_event": 1}
    assert harness.events == [("Normal", "Created")]
    assert harness.reads == 1


async def test_what_is_in_sync_costs_nothing_more(synced: MemoryHarness) -> None:
    await synced.assert_idle()

    assert synced.kube.calls == {}


async def test_a_rotation_is_one_write(synced: MemoryHarness) -> None:
    version = await synced.rotate()

    await synced.poll()

    assert synced.values() == {"password": "second"}
    assert synced.status().entries[0].version == version
    assert (synced.writes["apply_target"], synced.reads) == (1, 1)
    assert synced.events == [("Normal", "Rotated")]
    await synced.assert_idle()


async def test_a_secret_that_was_read_in_the_second_of_its_change_is_read_once_more_and_not_written(
    harness: MemoryHarness,
) -> None:
    harness.apply()
    harness.vault.set("db-password", "changed just now")
    await harness.drain()
    harness.reset_counts()

    await harness.poll()

    assert harness.reads == 1
    assert harness.writes == {"patch_status": 1}
    await harness.assert_idle()


async def test_of_several_entries_all_are_read_and_written_together(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "token")
    harness.apply(entry(), entry("token", "api-token"))
    await harness.drain()
    await harness.poll()
    harness.reset_counts()
    await harness.rotate("new", "api-token")

    await harness.poll()

    assert harness.values() == {"password": "first", "token": "new"}
    assert (harness.writes["apply_target"], harness.reads) == (1, 2)
    await harness.assert_idle()


async def test_a_pinned_version_is_kept_though_there_are_newer_ones(harness: MemoryHarness) -> None:
    pinned = await harness.rotate("pinned")
    harness.apply(entry(version=pinned))
    await harness.drain()
    await harness.rotate("later")

    await harness.poll()

    assert harness.values() == {"password": "pinned"}
    await harness.assert_idle()


async def test_a_changed_spec_is_written(synced: MemoryHarness) -> None:
    synced.apply(entry("PASSWORD"), target={"labels": {"team": "shop"}})

    await synced.drain()

    assert synced.values() == {"PASSWORD": "first"}
    assert synced.events == [("Normal", "Updated")]
    await synced.assert_idle()


async def test_another_refresh_interval_does_not_change_the_target(synced: MemoryHarness) -> None:
    synced.apply(refreshInterval="10s")

    await synced.drain()

    assert (synced.reads, synced.writes) == (0, {"patch_status": 1})


async def test_a_restart_reads_nothing_and_writes_nothing(synced: MemoryHarness) -> None:
    await synced.restart()

    await synced.drain()
    await synced.poll()

    assert (synced.reads, synced.writes) == (0, {})
    await synced.assert_idle()


async def test_a_restart_notices_what_changed_meanwhile(synced: MemoryHarness) -> None:
    await synced.stop()
    await synced.rotate()
    synced.kube.edit(DB, "kubectl", data={"extra": "x"})
    await synced.restart()

    await synced.drain()

    assert synced.values() == {"password": "second"}
    await synced.poll()
    await synced.assert_idle()


async def test_everything_is_read_again_when_the_recheck_is_due(synced: MemoryHarness) -> None:
    after = await synced.reconcile()
    assert after.requeue_after is not None
    await synced.pass_time(after.requeue_after + 1)

    await synced.drain()

    assert synced.reads == 1
    assert "apply_target" not in synced.writes
    await synced.assert_idle()


async def test_each_reconcile_records_why_it_read_something(harness: MemoryHarness) -> None:
    async def reasons() -> list[str | None]:
        """Return those of the reconciles that are due."""
        await harness.drain()
        reasons = list(harness.recorded.read_reasons)
        harness.recorded.read_reasons.clear()
        return reasons

    harness.apply()
    assert await reasons() == ["the Secret does not exist"]
    await harness.poll()
    assert await reasons() == ["db-password: unsettled"]
    await harness.reconcile()
    assert await reasons() == [None]

    await harness.rotate()
    await harness.poll()
    assert await reasons() == ["db-password: changed in the vault"]
    harness.kube.edit(DB, "kubectl", data={"extra": "x"})
    assert await reasons() == ["the Secret has drifted"]
    harness.apply(entry("PASSWORD"))
    assert await reasons() == ["the spec of the VaultSecret has changed"]
    harness.apply(entry("PASSWORD"), annotations={REFRESH_ANNOTATION: "now"})
    assert await reasons() == ["a refresh was requested"]


async def test_a_reconcile_that_fails_records_why_it_read_too(synced: MemoryHarness) -> None:
    synced.recorded.read_reasons.clear()
    await synced.rotate()
    synced.vault.disable("db-password")

    await synced.poll()

    assert synced.ready().reason == "SecretDisabled"
    assert synced.recorded.read_reasons == ["db-password: cannot be read"]


async def test_a_suspended_vaultsecret_is_not_synced_until_it_is_resumed(synced: MemoryHarness) -> None:
    synced.apply(suspend=True)
    await synced.rotate()
    synced.kube.edit(DB, "kubectl", data={"password": "edited"})
    await synced.drain()
    await synced.poll()
    assert synced.values() == {"password": "edited"}
    assert (synced.ready().status, synced.ready().reason, synced.reads) == ("Unknown", "Suspended", 0)

    synced.apply()
    await synced.drain()

    assert synced.values() == {"password": "second"}


async def test_an_unknown_key_is_done(harness: MemoryHarness) -> None:
    assert await harness.controller.reconciler.reconcile(key_of("unknown"), 0) == Result.done()


async def test_an_unexpected_exception_is_an_internal_error_whose_text_appears_nowhere(synced: MemoryHarness) -> None:
    await synced.rotate("MARKED")

    async def fail(*_: object, **__: object) -> None:
        raise KeyError("MARKED")

    synced.vaults.get = fail  # type: ignore[assignment, method-assign]  # nothing real is known to break it
    await synced.poll()

    assert (synced.ready().reason, synced.ready().message) == ("InternalError", Reason.INTERNAL_ERROR.sentence)
    assert [type(error) for error in synced.recorded.errors] == [KeyError]
    assert "MARKED" not in str(synced.kube.events) + str(synced.recorded.outcomes)
    assert synced.values() == {"password": "first"}


async def test_an_exception_while_reporting_is_a_failed_reconcile_too(
    synced: MemoryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await synced.rotate()

    def fail(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise KeyError("MARKED")

    monkeypatch.setattr("vaultsync.controller.reconcile.events_for", fail)
    await synced.poll()

    assert synced.ready().reason == "InternalError"
    assert [type(error) for error in synced.recorded.errors] == [KeyError]
    await synced.pass_time()
    await synced.drain()
    assert synced.ready().reason == "Synced"


def an_unreadable_body(harness: MemoryHarness) -> dict[str, Any]:
    """What an API server with another version of the schema may have."""
    body = harness.body("db")
    metadata = {**body["metadata"], "resourceVersion": str(int(body["metadata"]["resourceVersion"]) + 1000)}
    return {**body, "metadata": metadata, "spec": {**body["spec"], "vaultUrl": "ftp://nowhere"}}


async def test_a_spec_that_is_not_accepted_is_reported_once(synced: MemoryHarness) -> None:
    body = an_unreadable_body(synced)

    synced.controller.source.handle_changed(body)
    await synced.drain()
    await synced.reconcile()

    assert synced.ready().reason == "InvalidSpec"
    assert "vaultUrl" in synced.ready().message
    assert synced.status().entries != ()
    assert synced.events == [("Warning", "InvalidSpec")]
    assert synced.values() == {"password": "first"}


async def test_the_status_of_one_that_is_not_accepted_is_retried(synced: MemoryHarness) -> None:
    synced.cut_off(away=True)
    synced.controller.source.handle_changed(an_unreadable_body(synced))
    (result,) = await synced.drain()
    assert result.failed
    synced.mend_cluster()

    await synced.pass_time()
    await synced.drain()

    assert synced.ready().reason == "InvalidSpec"


async def test_one_that_is_not_accepted_and_was_deleted_is_forgotten(synced: MemoryHarness) -> None:
    body = an_unreadable_body(synced)
    synced.controller.source.handle_changed(body)
    await synced.drain()
    assert synced.state.vaultsecrets.unreadable(DB) is not None

    synced.controller.source.handle_deleted(body)

    assert synced.state.vaultsecrets.find(DB) is None


async def test_a_write_that_the_watch_brings_before_the_response_wakes_nothing(
    harness: MemoryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[ObjectKey] = []
    apply = harness.kube.apply_target

    async def watched_first(key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Observed:
        written = await apply(key, manifest, onto=onto)
        harness.state.targets.wake_unless_ours(key, written.resource_version, lambda: woken.append(key))
        return written

    monkeypatch.setattr(harness.kube, "apply_target", watched_first)
    harness.apply(entry())
    await harness.drain()

    assert "apply_target" in harness.writes
    assert woken == []
