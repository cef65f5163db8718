"""What the status of a VaultGrant says: vault, identity, use; and how often it is checked and written."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.builders import EVERYTHING, VAULT, a_grant
from tests.harness import MemoryHarness
from vaultsync.controller.grant_status import CHECK_AFTER, RETRY_AFTER
from vaultsync.errors import Reason, SyncError
from vaultsync.state.access import Access, TokenClaims
from vaultsync.state.snapshots import ClusterKind

CLIENT = "11111111-1111-1111-1111-111111111111"
WORKLOAD = {"workloadIdentity": {"tenantId": CLIENT, "clientId": CLIENT, "serviceAccountName": "reader"}}


async def status(harness: MemoryHarness, name: str = "shop") -> Mapping[str, Any]:
    """Report, and return the status of a grant."""
    await harness.controller.grant_status.report()
    objects = (await harness.kube.list_cluster(ClusterKind.GRANTS)).objects
    found: Mapping[str, Any] = objects[name]["status"]
    return found


def ready(found: Mapping[str, Any]) -> tuple[str, str]:
    condition = found["conditions"][0]
    return condition["status"], condition["reason"]


def waiting(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The conditions beside Ready, by which tools wait, with status and reason."""
    assert found["conditions"][0]["type"] == "Ready"
    return [(one["type"], one["status"], one["reason"]) for one in found["conditions"][1:]]


def lists(harness: MemoryHarness) -> int:
    return harness.vault.calls["list"]


async def test_a_grant_is_ready_before_anyone_uses_it(harness: MemoryHarness) -> None:
    await harness.set_grants(a_grant())

    found = await status(harness)

    assert ready(found) == ("True", "Reachable")
    assert (found["vault"]["clientId"], found["vault"]["reachable"]) == (CLIENT, True)
    assert (found["vaultSecrets"], found["observedGeneration"]) == (0, 2)
    assert harness.vaults.opened() == set()


async def test_who_uses_it_is_counted(harness: MemoryHarness) -> None:
    await harness.set_grants(a_grant(**EVERYTHING))
    harness.apply()
    harness.apply(name="other")
    await harness.drain()

    found = await status(harness)

    assert (found["vaultSecrets"], found["usage"]) == (2, [{"namespace": "shop", "vaultSecrets": 2}])
    assert harness.vaults.opened() != set()


async def test_it_is_written_once_and_checked_seldom(harness: MemoryHarness) -> None:
    await harness.set_grants(a_grant())
    await status(harness)
    calls = lists(harness)
    harness.reset_counts()
    for _ in range(10):
        harness.clock.turn(CHECK_AFTER / 20)
        await status(harness)

    assert (lists(harness), harness.writes) == (0, {})
    harness.clock.turn(CHECK_AFTER)
    await status(harness)
    assert (lists(harness), harness.writes) == (calls, {"patch_grant_status": 1})


@pytest.mark.parametrize(
    ("failure", "expected", "progress"),
    [
        (SyncError(Reason.LOGIN_FAILED, "AADSTS700016."), ("False", "LoginFailed"), "Reconciling"),
        (SyncError(Reason.VAULT_NOT_FOUND, "No such host."), ("False", "VaultNotFound"), "Reconciling"),
        (SyncError(Reason.FIREWALL_DENIED, "Not from here."), ("False", "FirewallDenied"), "Stalled"),
        (SyncError(Reason.ACCESS_DENIED, "No permission to list."), ("Unknown", "AccessDenied"), "Reconciling"),
    ],
)
async def test_a_failure_is_reported_and_retried(
    harness: MemoryHarness,
    failure: SyncError,
    expected: tuple[str, str],
    progress: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def probe(_: Access) -> TokenClaims:
        raise failure

    await harness.set_grants(a_grant())
    await status(harness)
    with monkeypatch.context() as patched:
        patched.setattr(harness.vaults, "probe", probe)
        harness.clock.turn(CHECK_AFTER)
        found = await status(harness)
        assert (ready(found), waiting(found)) == (expected, [(progress, "True", expected[1])])
        assert failure.message in found["conditions"][0]["message"]
        assert (found["vault"]["reachable"], "lastSuccessTime" in found["vault"]) == (False, True)

    harness.clock.turn(RETRY_AFTER)
    found = await status(harness)
    assert (ready(found), waiting(found)) == (("True", "Reachable"), [])


async def test_a_vault_that_may_not_be_called_is_not_called(harness: MemoryHarness) -> None:
    await harness.set_grants(a_grant(vaultUrl="https://evil.example"))

    found = await status(harness)

    assert (ready(found), waiting(found)) == (("False", "InvalidSpec"), [("Stalled", "True", "InvalidSpec")])
    assert harness.vaults.opened() == set()


@pytest.mark.parametrize(("names", "expected"), [(["shop"], ("True", "Reachable")), (["shop-*"], ("True", "Unused"))])
async def test_a_service_account_is_that_of_a_namespace(
    harness: MemoryHarness, names: list[str], expected: tuple[str, str]
) -> None:
    await harness.set_grants(a_grant(namespaces={"names": names}, identity=WORKLOAD))

    assert ready(await status(harness)) == expected


async def test_a_vault_that_hangs_does_not_delay_the_others(
    harness: MemoryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe, hanging = harness.vaults.probe, asyncio.Event()

    async def slow(access: Access) -> TokenClaims:
        if access.vault_url != VAULT:
            await hanging.wait()
        return await probe(access)

    others = [a_grant(f"other-{number}", vaultUrl=f"https://v{number}.vault.azure.net") for number in range(3)]
    await harness.set_grants(*others, a_grant())
    monkeypatch.setattr(harness.vaults, "probe", slow)
    reporting = asyncio.create_task(harness.controller.grant_status.report())
    await harness.settle()

    objects = (await harness.kube.list_cluster(ClusterKind.GRANTS)).objects
    assert ["status" in objects[name] for name in ("other-0", "shop")] == [False, True]
    reporting.cancel()


async def test_a_changed_grant_is_checked_again(harness: MemoryHarness) -> None:
    await harness.set_grants(a_grant(vaultUrl="https://evil.example"))
    await status(harness)

    await harness.set_grants(a_grant())

    assert ready(await status(harness)) == ("True", "Reachable")
