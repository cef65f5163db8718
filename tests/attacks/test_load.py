"""Tenants who cause work: many vaults, vaults that fail or hang, changes in a loop.

Each test counts calls, reads or turns on clocks that stand still unless it turns them. None measures time.
"""

from collections.abc import AsyncIterator

import pytest

from tests.attacks.tenants import Tenants
from vaultsync.controller.pace import BURST, SECONDS
from vaultsync.sources.poller import MAX_FIRST_POLLS


@pytest.fixture
async def tenants() -> AsyncIterator[Tenants]:
    """Yield an operator that runs, with its pollers; there is no VaultSecret yet."""
    tenants = Tenants()
    await tenants.start([])
    yield tenants
    await tenants.aclose()


async def test_1500_vaults_that_do_not_resolve_do_not_delay_another_tenant(tenants: Tenants) -> None:
    """A tenant names 1,500 vaults that do not exist, to have the operator do nothing but look them up."""
    for number in range(1500):
        tenants.request("attacker", name=f"db-{number}", vaultUrl=f"https://absent-{number}.vault.azure.net")
    tenants.request("victim")
    await tenants.settle()

    assert tenants.values_in("victim") == {"password": "first"}
    # As many as may run at once in the attacker's namespace, and those whose turn it was.
    assert tenants.order().index("victim") <= 16


async def test_300_vaults_that_hang_do_not_delay_another_tenant(tenants: Tenants) -> None:
    """A tenant names 300 vaults whose hosts accept no connection, so that each call lasts until its timeout."""
    for number in range(300):
        tenants.request("attacker", name=f"db-{number}", vaultUrl=f"https://hanging-{number}.vault.azure.net")
    await tenants.settle()
    assert tenants.polls == MAX_FIRST_POLLS

    tenants.request("victim")
    await tenants.settle()

    assert tenants.values_in("victim") == {"password": "first"}


async def test_namespaces_full_of_hanging_vaults_do_not_delay_a_tenant_whose_vault_responds(tenants: Tenants) -> None:
    """Tenants with many namespaces fill all slots for vaults that have not responded yet."""
    tenants.request("victim")
    await tenants.settle()
    for number in range(1000):
        url = f"https://hanging-{number}.vault.azure.net"
        tenants.request(f"attacker-{number % 50}", name=f"db-{number}", vaultUrl=url)
    await tenants.settle()

    tenants.request("victim", {"key": "user", "secretName": "db-password"})
    await tenants.settle()

    assert tenants.values_in("victim") == {"user": "first"}


@pytest.mark.parametrize("secret", ["db-password", "missing"])
async def test_1000_changed_vaultsecrets_do_not_delay_the_one_of_another_namespace(
    tenants: Tenants, secret: str
) -> None:
    """A tenant changes 1,000 VaultSecrets at once, which fail or not, before another one changes his only one."""
    tenants.request("victim")
    await tenants.settle()
    before = len(tenants.order())
    for number in range(1000):
        tenants.request("attacker", {"key": "password", "secretName": secret}, name=f"db-{number}")
    tenants.request("victim", {"key": "user", "secretName": "db-password"})
    await tenants.drain()

    order = tenants.order()[before:]
    assert order.count("attacker") >= 1000
    # As many as have started by then, and the one whose turn it was.
    assert order.index("victim") <= 32 + 1


async def test_1000_new_vaultsecrets_do_not_delay_the_healing_of_a_secret_of_their_own_namespace(
    tenants: Tenants,
) -> None:
    """A tenant applies 1,000 VaultSecrets at once; then a Secret in use beside them is changed."""
    tenants.request("shop")
    await tenants.settle()
    before = len(tenants.traced.results)
    for number in range(1000):
        tenants.request("shop", name=f"db-{number}", target={"name": f"db-{number}"})
    tenants.tamper("shop")
    await tenants.drain()

    order = [key.name for key, _ in tenants.traced.results[before:]]
    assert len(order) >= 1001
    # As many as have started by then.
    assert order.index("db") <= 32 + 1
    assert tenants.values_in("shop") == {"password": "first"}


async def test_refreshes_in_a_loop_cost_one_reconcile_in_some_seconds(tenants: Tenants) -> None:
    """A tenant writes another refresh-now annotation every second, to have everything read all the time."""
    for number in range(300):
        tenants.request("attacker", annotations={"vaultsync.dev/refresh-now": str(number)})
        await tenants.pass_time(1)

    assert tenants.reconciles_in("attacker") <= BURST + 300 / SECONDS + 1
    assert tenants.status_in("attacker").last_handled_refresh is not None


async def test_spec_changes_in_a_loop_cost_one_reconcile_in_some_seconds(tenants: Tenants) -> None:
    """A tenant changes the spec every second, to have the Secret written all the time."""
    for number in range(300):
        tenants.request("attacker", {"key": f"key-{number}", "secretName": "db-password"})
        await tenants.pass_time(1)
    await tenants.pass_time(SECONDS)

    assert tenants.reconciles_in("attacker") <= BURST + 300 / SECONDS + 1
    assert tenants.values_in("attacker") == {"key-299": "first"}


async def test_deleting_and_creating_in_a_loop_costs_one_reconcile_in_some_seconds(tenants: Tenants) -> None:
    """A tenant deletes and creates his VaultSecret every second, to get around limits per object."""
    for _ in range(300):
        tenants.request("attacker")
        await tenants.pass_time(1)
        tenants.withdraw("attacker")

    assert tenants.reconciles_in("attacker") <= BURST + 300 / SECONDS + 1


async def test_tampering_in_a_loop_costs_one_reconcile_in_some_seconds(tenants: Tenants) -> None:
    """A tenant changes the target every second, to have it healed all the time; a single change is healed at once."""
    tenants.request("attacker")
    await tenants.settle()
    tenants.tamper("attacker")
    await tenants.settle()
    assert tenants.values_in("attacker") == {"password": "first"}

    for _ in range(300):
        tenants.tamper("attacker")
        await tenants.pass_time(1)
    assert tenants.reconciles_in("attacker") <= BURST + 300 / SECONDS + 3
    await tenants.pass_time(SECONDS)

    assert tenants.values_in("attacker") == {"password": "first"}


async def test_vaultsecrets_of_256_entries_that_fail_after_reading_cost_no_further_reads(tenants: Tenants) -> None:
    """A tenant has ten VaultSecrets of 256 entries read again and again, as the last entry of each cannot be used."""
    for number in range(256):
        tenants.vault.set(f"secret-{number}", "x")
    await tenants.pass_time()
    lines = [{"key": f"key-{number}", "secretName": f"secret-{number}"} for number in range(256)]
    for number in range(10):
        tenants.request("attacker", *lines[:255], {**lines[255], "property": "user"}, name=f"db-{number}")
    await tenants.pass_time(300)
    assert tenants.ready_reason("attacker", "db-0") == "PropertyMissing"
    tenants.reset_counts()

    await tenants.pass_time(1000)

    assert tenants.polls > 0
    assert tenants.reads == 0


async def test_vaultsecrets_of_256_entries_of_which_one_is_disabled_cost_one_read_per_poll(tenants: Tenants) -> None:
    """A tenant has ten VaultSecrets of 256 entries read again and again, as one of the secrets cannot be read."""
    for number in range(256):
        tenants.vault.set(f"secret-{number}", "x", enabled=number != 255)
    await tenants.pass_time()
    lines = [{"key": f"key-{number}", "secretName": f"secret-{number}"} for number in range(256)]
    for number in range(10):
        tenants.request("attacker", *lines, name=f"db-{number}")
    await tenants.pass_time(300)
    assert tenants.ready_reason("attacker", "db-0") == "SecretDisabled"
    tenants.reset_counts()

    await tenants.pass_time(1000)

    assert tenants.polls > 0
    assert tenants.reads <= 10 * tenants.polls + 10 * 1000 / 120 + 10


async def test_a_search_for_more_than_fits_into_a_secret_stops_reading_and_is_not_repeated(tenants: Tenants) -> None:
    """A tenant searches for `*` in a vault with far more than 1 MiB, to have all of it read every minute."""
    for number in range(900):
        tenants.vault.set(f"secret-{number}", "x" * 25_000)
    await tenants.pass_time()
    tenants.reset_counts()
    tenants.request("attacker", dataFrom=[{"find": {"names": "*"}}], data=None)
    await tenants.pass_time(300)
    assert tenants.ready_reason("attacker") == "TargetTooLarge"
    assert tenants.reads <= 2 * (1024 * 1024 / 25_000 + 32 + 1)
    tenants.reset_counts()

    await tenants.pass_time(1000)

    assert tenants.polls > 0
    assert tenants.reads == 0
    assert tenants.values_in("attacker") is None


async def test_40_vaultsecrets_of_32_searches_are_planned_one_at_a_time_and_matched_once(tenants: Tenants) -> None:
    """A tenant stalls the operator by 1,280 different patterns over all names of a vault, at each poll."""
    for number in range(300):
        tenants.vault.set(f"secret-{number}", "x")
    await tenants.pass_time()
    for number in range(40):
        finds = [
            {"find": {"names": f"*{number}*{other}*"}, "optional": True, "onCollision": "Replace"}
            for other in range(32)
        ]
        tenants.request("attacker", dataFrom=finds, data=None, name=f"db-{number}")
    await tenants.pass_time(300)
    matched = tenants.matched_globs()

    await tenants.pass_time(300)

    assert len(matched) == 40 * 32
    assert tenants.matched_globs() is matched


@pytest.mark.parametrize("kind", ["absent", "hanging"])
async def test_a_url_that_is_changed_500_times_leaves_nothing_behind(tenants: Tenants, kind: str) -> None:
    """A tenant changes the vault's URL again and again, to have the operator keep something of every vault."""
    tenants.request("attacker")
    await tenants.settle()
    before = tenants.kept_per_vault()
    for number in range(500):
        tenants.request("attacker", vaultUrl=f"https://{kind}-{number}.vault.azure.net")
        await tenants.pass_time(1)
    tenants.request("attacker")
    await tenants.pass_time(60)

    assert tenants.kept_per_vault() == before
