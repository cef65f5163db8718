"""The state of vaults as metrics show it."""

from tests.harness import MemoryHarness
from vaultsync.adapters.metrics.snapshot import families
from vaultsync.manager.snapshot import snapshot


async def samples(harness: MemoryHarness) -> dict[str, float]:
    """Return what metrics show of the vault, by the name of the metric."""
    metrics = [metric for metric in families(snapshot(harness.controller, harness.vaults)) if "vault_" in metric.name]
    return {sample.name: sample.value for metric in metrics for sample in metric.samples}


async def test_metrics_show_the_state_of_each_vault() -> None:
    harness = MemoryHarness()
    names = [f"shop-{number}" for number in range(6)]
    for name in names:
        harness.vault.set(name, "x")
    await harness.start([])
    harness.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}, "optional": True}])
    await harness.drain()
    assert "vaultsync_vault_up" not in await samples(harness)

    await harness.poll()
    first = await samples(harness)
    for name in names:
        harness.vault.delete(name)
    await harness.poll()
    lost = await samples(harness)
    polled_at = harness.clock.seconds()
    harness.vault.close_door()
    await harness.poll()
    unreachable = await samples(harness)
    await harness.aclose()

    assert (first["vaultsync_vault_up"], first["vaultsync_vault_listed_secrets"]) == (1, 7)
    assert (first["vaultsync_vault_deletion_brake"], lost["vaultsync_vault_deletion_brake"]) == (0, 1)
    assert lost["vaultsync_vault_listed_secrets"] == 1
    assert unreachable["vaultsync_vault_up"] == 0
    assert unreachable["vaultsync_vault_last_poll_timestamp_seconds"] == polled_at
