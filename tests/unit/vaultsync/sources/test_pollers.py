"""Which vaults are polled: those that VaultSecrets use and that may be called; and what happens when a poller ends."""

import asyncio

import pytest

from tests.builders import ACCESS, VAULT, a_granted, a_vault_secret, an_access
from tests.harness import MemoryHarness, key_of
from vaultsync.sources.poller import Poller
from vaultsync.state.access import Access
from vaultsync.state.secrets import SecretRef
from vaultsync.state.vaults import UNKNOWN


def add(harness: MemoryHarness, name: str, vault_url: str = VAULT) -> None:
    """Observe a VaultSecret that uses a vault."""
    harness.state.vaultsecrets.put(
        a_vault_secret(metadata={"name": name, "uid": name}, vault_url=vault_url), a_granted(vault_url)
    )
    harness.controller.pollers.sync()


def remove(harness: MemoryHarness, name: str) -> None:
    """Observe that it was deleted."""
    harness.state.vaultsecrets.delete(key_of(name))
    harness.controller.pollers.sync()


@pytest.fixture
def closed(harness: MemoryHarness, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """The vaults whose clients were closed, and whether something was still known of them."""
    closed: list[tuple[str, bool]] = []

    async def close_vault(access: Access) -> None:
        closed.append((access.vault_url, harness.state.vaults.view(access) is not UNKNOWN))

    monkeypatch.setattr(harness.vaults, "close_vault", close_vault)
    return closed


@pytest.fixture
async def running(harness: MemoryHarness, closed: list[tuple[str, bool]]) -> MemoryHarness:
    harness.run_beside(harness.controller.pollers.run())
    await harness.settle()
    return harness


async def test_a_vault_is_polled_while_vaultsecrets_ask_it(
    running: MemoryHarness, closed: list[tuple[str, bool]]
) -> None:
    assert running.recorded.polls == []

    add(running, "first")
    add(running, "second")
    await running.settle()
    assert len(running.recorded.polls) == 1
    assert running.state.vaults.view(ACCESS).secrets.keys() == {"db-password"}

    remove(running, "first")
    await running.pass_time(120)
    assert (len(running.recorded.polls), closed) == (2, [])

    remove(running, "second")
    await running.pass_time(300)
    assert (len(running.recorded.polls), closed) == (2, [(VAULT, False)])
    assert running.state.vaults.view(ACCESS) is UNKNOWN


async def test_a_vault_that_is_asked_again_is_polled_again_as_if_for_the_first_time(running: MemoryHarness) -> None:
    add(running, "first")
    await running.settle()
    remove(running, "first")
    await running.settle()

    add(running, "second")
    await running.settle()

    assert len(running.recorded.polls) == 2
    assert running.state.vaults.view(ACCESS).polls == 1
    running.state.vaults.request_poll(ACCESS, after=1)
    await running.settle()
    assert len(running.recorded.polls) == 3


async def test_a_vault_that_a_late_reconcile_has_opened_again_is_closed_with_the_next_change(
    harness: MemoryHarness,
) -> None:
    harness.run_beside(harness.controller.pollers.run())
    add(harness, "first")
    await harness.settle()
    remove(harness, "first")
    await harness.settle()
    assert harness.vaults.opened() == set()

    await harness.vaults.get(ACCESS, SecretRef("db-password"))
    assert harness.vaults.opened() == {ACCESS}
    harness.controller.pollers.sync()
    await harness.settle()

    assert harness.vaults.opened() == set()


async def test_a_poll_that_is_under_way_is_cancelled_when_no_vaultsecret_asks_the_vault_any_more(
    running: MemoryHarness, closed: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Poller] = []

    async def hang(poller: Poller) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(poller)

    monkeypatch.setattr("vaultsync.sources.poller.Poller._follow_pages", hang)
    add(running, "first")
    await running.settle()
    assert ended == []

    remove(running, "first")
    await running.settle()

    assert (len(ended), closed, running.recorded.polls) == (1, [(VAULT, False)], [])


async def test_a_vault_outside_the_known_domains_is_never_called(running: MemoryHarness) -> None:
    add(running, "evil", "https://evil.example")
    running.state.vaults.request_poll(an_access("https://evil.example"), after=0)
    await running.pass_time(300)

    assert running.recorded.polls == []


async def test_pollers_end_together(running: MemoryHarness) -> None:
    add(running, "first")
    await running.settle()

    await running.stop()
    await running.pass_time(300)

    assert len(running.recorded.polls) == 1


async def test_a_poller_that_fails_ends_all_pollers(harness: MemoryHarness) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    harness.recorded.polled = fail  # type: ignore[method-assign]  # a poll itself records every failure and goes on
    add(harness, "first")
    add(harness, "second", "https://other.vault.azure.net")

    with pytest.raises(ExceptionGroup) as caught:
        await harness.controller.pollers.run()

    assert {type(error) for error in caught.value.exceptions} == {ZeroDivisionError}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_poller_that_is_cancelled_by_what_it_awaits_ends_all_pollers(harness: MemoryHarness) -> None:
    def cancelled(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    harness.recorded.polled = cancelled  # type: ignore[method-assign]  # as a library's own task that was cancelled
    add(harness, "first")

    with pytest.raises(ExceptionGroup) as caught:
        await harness.controller.pollers.run()

    assert [str(error) for error in caught.value.exceptions] == [f"The poller of vault {VAULT} has ended."]
