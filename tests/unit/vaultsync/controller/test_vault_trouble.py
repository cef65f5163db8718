"""The vault in trouble, or a secret of it: the target stays, the condition says why, and it recovers by itself."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.vaultsync.world import DB, World, entry
from vaultsync.policy.requeue import Result

TROUBLES = pytest.mark.parametrize(
    ("trouble", "mend", "reason"),
    [
        (lambda vault: vault.delete("db-password"), lambda vault: vault.recover("db-password"), "SecretSoftDeleted"),
        (lambda vault: vault.disable("db-password"), lambda vault: vault.enable("db-password"), "SecretDisabled"),
        (lambda vault: vault.close_firewall(), lambda vault: vault.open_firewall(), "FirewallDenied"),
        (lambda vault: vault.close_door(), lambda vault: vault.open_door(), "VaultUnreachable"),
    ],
    ids=["it is deleted", "it is disabled", "the firewall closes", "the vault is away"],
)


@TROUBLES
async def test_in_trouble_the_target_stays_and_the_condition_says_why_and_it_recovers_by_itself(
    synced: World, trouble: Callable[[Any], None], mend: Callable[[Any], None], reason: str
) -> None:
    await synced.later()
    trouble(synced.vault)

    for _ in range(3):
        await synced.poll()

    assert synced.values() == {"password": "first"}
    assert (synced.ready().status, synced.ready().reason) == ("False", reason)
    assert synced.status().entries != ()
    assert synced.events == [("Warning", reason)]
    assert synced.writes == {"write_status": 1, "post_event": 1}

    synced.count_anew()
    mend(synced.vault)
    await synced.poll()
    await synced.poll()

    assert synced.ready().status == "True"
    assert synced.events == [("Normal", "Synced")]
    assert synced.cluster.writes["apply"] == 0
    await synced.poll()
    await synced.rests()


@TROUBLES
async def test_after_a_restart_in_trouble_nothing_is_said_to_be_well_before_the_vault_was_looked_at(
    synced: World, trouble: Callable[[Any], None], mend: Callable[[Any], None], reason: str
) -> None:
    await synced.later()
    trouble(synced.vault)
    for _ in range(3):
        await synced.poll()
    synced.count_anew()

    await synced.restart()
    await synced.work()

    assert (synced.ready().reason, synced.events, synced.writes) == (reason, [], {})
    mend(synced.vault)
    await synced.poll(300)
    await synced.poll(300)
    assert (synced.ready().status, synced.events) == ("True", [("Normal", "Synced")])


@TROUBLES
async def test_in_trouble_even_a_deleted_target_waits_for_the_vault(
    synced: World, trouble: Callable[[Any], None], mend: Callable[[Any], None], reason: str
) -> None:
    await synced.later()
    trouble(synced.vault)
    synced.cluster.delete(DB)
    await synced.work()
    assert synced.values() is None
    assert synced.ready().reason == reason

    mend(synced.vault)
    await synced.poll()
    await synced.reconcile()

    assert synced.values() == {"password": "first"}


@pytest.mark.parametrize(
    ("permission", "reason"), [("get", "AccessDenied"), ("list", None)], ids=["to read", "to list, which is not needed"]
)
async def test_a_lost_permission_blanks_nothing(synced: World, permission: str, reason: str | None) -> None:
    synced.vault.deny(permission)
    await synced.rotate()

    for _ in range(3):
        await synced.poll()

    if reason is None:
        assert synced.values() == {"password": "second"}
    else:
        assert synced.values() == {"password": "first"}
        assert synced.ready().reason == reason


async def test_a_secret_that_is_not_there_is_told_by_name(world: World) -> None:
    world.apply(entry(name="nobody"))

    (after,) = await world.work()

    assert world.values() is None
    assert world.ready().reason == "SecretNotFound"
    assert "secret nobody of vault https://shop.vault.azure.net" in world.ready().message
    assert after == Result(120.0)

    world.vault.set("nobody", "here")
    await world.poll()
    assert world.values() == {"password": "here"}


async def test_of_several_failures_the_first_entrys_is_told_every_time(world: World) -> None:
    world.vault.disable("db-password")
    world.apply(entry("b", "missing"), entry("a", "db-password"))

    for _ in range(5):
        await world.reconcile()

    assert world.ready().reason == "SecretNotFound"
    assert len(world.events) == 1


async def test_what_is_due_is_read_first_and_the_rest_not_in_vain(world: World) -> None:
    world.vault.set("api-token", "token")
    world.apply(entry(), entry("token", "api-token"))
    await world.work()
    await world.poll()
    world.count_anew()
    world.vault.disable("api-token")

    await world.poll()

    assert (world.ready().reason, world.reads) == ("SecretDisabled", 1)


async def test_a_throttled_vault_is_left_alone_as_long_as_it_asked(world: World) -> None:
    world.vault.throttle(retry_after=30)
    world.apply()

    (first,) = await world.work()
    second = await world.reconcile()

    assert (first, second) == (Result(31.0, failed=True), Result(31.0, failed=True))
    assert world.ready().reason == "VaultThrottled"
    assert world.reads == 1


async def test_an_optional_secret_may_be_absent_and_is_taken_in_when_it_appears(world: World) -> None:
    world.apply(entry(), entry("token", "api-token", optional=True))
    await world.work()
    assert world.values() == {"password": "first"}
    assert world.ready().message == "1 key is in sync."
    await world.poll()
    await world.rests()

    world.vault.set("api-token", "token")
    await world.poll()

    assert world.values() == {"password": "first", "token": "token"}


async def test_an_optional_secret_that_vanishes_takes_its_key_along(world: World) -> None:
    world.vault.set("api-token", "token")
    world.apply(entry(), entry("token", "api-token", optional=True))
    await world.work()
    world.vault.delete("api-token")

    await world.poll()

    assert world.values() == {"password": "first"}
    await world.poll()
    await world.rests()


async def test_an_optional_secret_that_is_disabled_is_a_failure(world: World) -> None:
    world.vault.disable("db-password")
    world.apply(entry(optional=True))

    await world.work()

    assert world.ready().reason == "SecretDisabled"


async def test_a_vault_outside_the_known_domains_is_not_spoken_to(world: World) -> None:
    world.apply(vaultUrl="https://evil.example")

    await world.work()

    assert world.ready().reason == "InvalidSpec"
    assert sum(world.vault.calls.values()) == 0


async def test_values_that_cannot_be_written_are_refused_without_a_trace_of_them(world: World) -> None:
    world.vault.set("db-password", "MARKED, not base64")
    world.apply(entry(encoding="Base64"))

    await world.work()

    assert world.ready().reason == "EncodingInvalid"
    assert "MARKED" not in str(world.status().to_wire()) + str(world.cluster.events)
