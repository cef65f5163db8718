"""Failures of a vault or of its secrets: the target stays, the condition says why, and it recovers by itself."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import DB, MemoryHarness, entry
from vaultsync.policy.requeue import Result

FAILURES = pytest.mark.parametrize(
    ("fail", "recover", "reason"),
    [
        (lambda vault: vault.delete("db-password"), lambda vault: vault.recover("db-password"), "SecretSoftDeleted"),
        (lambda vault: vault.disable("db-password"), lambda vault: vault.enable("db-password"), "SecretDisabled"),
        (lambda vault: vault.close_firewall(), lambda vault: vault.open_firewall(), "FirewallDenied"),
        (lambda vault: vault.close_door(), lambda vault: vault.open_door(), "VaultUnreachable"),
    ],
    ids=["it is deleted", "it is disabled", "the firewall closes", "the vault is unreachable"],
)


@FAILURES
async def test_the_target_stays_the_condition_says_why_and_it_recovers_by_itself(
    synced: MemoryHarness, fail: Callable[[Any], None], recover: Callable[[Any], None], reason: str
) -> None:
    await synced.pass_time()
    fail(synced.vault)

    for _ in range(3):
        await synced.poll()

    assert synced.values() == {"password": "first"}
    assert (synced.ready().status, synced.ready().reason) == ("False", reason)
    assert synced.status().entries != ()
    assert synced.events == [("Warning", reason)]
    assert synced.writes == {"patch_status": 1, "create_event": 1}

    synced.reset_counts()
    recover(synced.vault)
    await synced.poll()
    await synced.poll()

    assert synced.ready().status == "True"
    assert synced.events == [("Normal", "Synced")]
    assert synced.kube.writes["apply_target"] == 0
    await synced.poll()
    await synced.assert_idle()


@FAILURES
async def test_a_restart_during_a_failure_does_not_report_success_before_the_vault_was_polled(
    synced: MemoryHarness, fail: Callable[[Any], None], recover: Callable[[Any], None], reason: str
) -> None:
    await synced.pass_time()
    fail(synced.vault)
    for _ in range(3):
        await synced.poll()
    synced.reset_counts()

    await synced.restart()
    await synced.drain()

    assert (synced.ready().reason, synced.events, synced.writes) == (reason, [], {})
    recover(synced.vault)
    await synced.poll(300)
    await synced.poll(300)
    assert synced.ready().status == "True"
    assert [event for event in synced.events if event != ("Warning", "Stale")] == [("Normal", "Synced")]


@FAILURES
async def test_a_deleted_target_waits_for_the_vault(
    synced: MemoryHarness, fail: Callable[[Any], None], recover: Callable[[Any], None], reason: str
) -> None:
    await synced.pass_time()
    fail(synced.vault)
    synced.kube.delete(DB)
    await synced.drain()
    assert synced.values() is None
    assert synced.ready().reason == reason

    recover(synced.vault)
    await synced.poll()
    await synced.reconcile()

    assert synced.values() == {"password": "first"}


@pytest.mark.parametrize(
    ("permission", "reason"), [("get", "AccessDenied"), ("list", None)], ids=["to read", "to list, which is not needed"]
)
async def test_a_lost_permission_keeps_the_last_good_target(
    synced: MemoryHarness, permission: str, reason: str | None
) -> None:
    synced.vault.deny(permission)
    await synced.rotate()

    for _ in range(3):
        await synced.poll()

    if reason is None:
        assert synced.values() == {"password": "second"}
    else:
        assert synced.values() == {"password": "first"}
        assert synced.ready().reason == reason


async def test_a_secret_that_does_not_exist_is_reported_by_name(harness: MemoryHarness) -> None:
    harness.apply(entry(name="absent"))

    (after,) = await harness.drain()

    assert harness.values() is None
    assert harness.ready().reason == "SecretNotFound"
    assert "ecret absent of vault https://shop.vault.azure.net" in harness.ready().message
    assert after == Result(120.0)

    harness.vault.set("absent", "here")
    await harness.poll()
    assert harness.values() == {"password": "here"}


async def test_of_several_failures_the_first_entrys_is_reported_every_time(harness: MemoryHarness) -> None:
    harness.vault.disable("db-password")
    harness.apply(entry("b", "missing"), entry("a", "db-password"))

    for _ in range(5):
        await harness.reconcile()

    assert harness.ready().reason == "SecretNotFound"
    assert len(harness.events) == 1


async def test_what_is_due_is_read_first_and_the_rest_only_if_that_succeeds(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "token")
    harness.apply(entry(), entry("token", "api-token"))
    await harness.drain()
    await harness.poll()
    harness.reset_counts()
    harness.vault.disable("api-token")

    await harness.poll()

    assert (harness.ready().reason, harness.reads) == ("SecretDisabled", 1)


async def test_a_throttled_vault_is_not_called_before_its_retry_after(harness: MemoryHarness) -> None:
    harness.vault.throttle(retry_after=30)
    harness.apply()

    (first,) = await harness.drain()
    second = await harness.reconcile()

    assert (first, second) == (Result(31.0, failed=True), Result(31.0, failed=True))
    assert harness.ready().reason == "VaultThrottled"
    assert harness.reads == 1


async def test_an_optional_secret_may_be_missing_and_is_synced_once_it_exists(harness: MemoryHarness) -> None:
    harness.apply(entry(), entry("token", "api-token", optional=True))
    await harness.drain()
    assert harness.values() == {"password": "first"}
    assert harness.ready().message == "1 key is in sync."
    await harness.poll()
    await harness.assert_idle()

    harness.vault.set("api-token", "token")
    await harness.poll()

    assert harness.values() == {"password": "first", "token": "token"}


async def test_the_key_of_an_optional_secret_is_deleted_after_it(harness: MemoryHarness) -> None:
    harness.vault.set("api-token", "token")
    harness.apply(entry(), entry("token", "api-token", optional=True))
    await harness.drain()
    harness.vault.delete("api-token")

    await harness.poll()
    assert harness.values() == {"password": "first", "token": "token"}

    await harness.poll(3600)
    assert harness.values() == {"password": "first"}
    await harness.poll()
    await harness.assert_idle()


async def test_an_optional_secret_that_is_disabled_is_a_failure(harness: MemoryHarness) -> None:
    harness.vault.disable("db-password")
    harness.apply(entry(optional=True))

    await harness.drain()

    assert harness.ready().reason == "SecretDisabled"


async def test_a_vault_outside_the_known_domains_is_not_called(harness: MemoryHarness) -> None:
    harness.apply(vaultUrl="https://evil.example")

    await harness.drain()

    assert harness.ready().reason == "InvalidSpec"
    assert sum(harness.vault.calls.values()) == 0


async def test_a_value_that_cannot_be_written_appears_in_no_status_and_no_event(harness: MemoryHarness) -> None:
    harness.vault.set("db-password", "MARKED, not base64")
    harness.apply(entry(encoding="Base64"))

    await harness.drain()

    assert harness.ready().reason == "EncodingInvalid"
    assert "MARKED" not in str(harness.status().to_wire()) + str(harness.kube.events)


async def test_a_vault_that_returns_a_value_after_its_last_poll_failed_is_polled_soon(synced: MemoryHarness) -> None:
    synced.vault.close_door()
    await synced.poll()
    await synced.reconcile()
    assert not synced.poll_requested

    synced.vault.open_door()
    synced.kube.delete(DB)
    await synced.drain()

    assert synced.values() == {"password": "first"}
    assert synced.poll_requested


async def test_a_vault_that_returns_a_value_while_polls_succeed_is_not_polled_for_that(synced: MemoryHarness) -> None:
    await synced.pass_time()
    synced.kube.delete(DB)
    await synced.drain()

    assert synced.reads == 1
    assert not synced.poll_requested
