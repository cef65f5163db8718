"""Forged status: of a VaultSecret, by whoever may write its status without being the operator.

The chart's admission policy lets only the operator write it. These hold without that policy, too, for clusters that do
not serve such policies.
"""

from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from tests.builders import START, VAULT, a_status, a_status_entry, a_vault_secret
from tests.harness import MemoryHarness, entry, key_of, running_harness
from vaultsync.adapters.metrics import Snapshot
from vaultsync.adapters.metrics.per_vaultsecret import exposition

LONG_AGO: Final = "2020-01-01T00:00:00Z"
FORGED_KEY: Final = 'x"} 1\nvaultsync_vaultsecret_ready{name="forged",namespace="shop"} 1\n# {y="\\'
"""A key that ends its sample and begins others, if it is not escaped."""


async def forge(harness: MemoryHarness, name: str = "db", **status: Any) -> None:  # noqa: ANN401 - any JSON
    """Write fields of the status as another user, and let the watch report it."""
    vault_secret = harness.users.vault_secret(harness.key_of(name))
    await harness.kube.patch_status(vault_secret, {**vault_secret.status.to_wire(), **status})
    harness.observe(name)
    await harness.drain()


async def test_a_forged_target_does_not_delete_the_secret_of_another_owner() -> None:
    """Who may write status names the Secrets of others as the previous targets, which the operator deletes."""
    async with running_harness() as harness:
        harness.users.create(key_of("theirs"), "kubectl-create", {"theirs": "by hand"})
        harness.apply(entry(), name="other")
        harness.apply(entry())
        await harness.drain()

        for victim in ("theirs", "other"):
            await forge(harness, target={"name": victim, "vaultUrl": VAULT})
            await harness.reconcile()

        assert harness.values("theirs") == {"theirs": "by hand"}
        assert harness.values("other") == {"password": "first"}


async def test_a_forged_version_does_not_keep_a_rotation_from_the_target() -> None:
    """Who may write status claims that the target has the newest version already."""
    async with running_harness() as harness:
        harness.apply(entry())
        await harness.drain()
        version = await harness.rotate("second")

        await forge(
            harness,
            entries=[{"key": "password", "secretName": "db-password", "version": version, "readTime": LONG_AGO}],
        )
        await harness.poll()

        assert harness.values() == {"password": "second"}


async def test_a_forged_success_does_not_keep_the_target_from_being_created() -> None:
    """Who may write status claims that a target exists and is in sync."""
    async with running_harness() as harness:
        harness.apply(entry(), suspend=True)
        await harness.drain()
        await forge(
            harness,
            observedGeneration=2,
            target={"name": "db", "vaultUrl": VAULT},
            lastHandledRefresh="now",
            lastChangeTime=LONG_AGO,
        )

        harness.apply(entry())
        await harness.drain()
        await harness.poll()

        assert harness.values() == {"password": "first"}


async def test_a_forged_absence_does_not_end_the_grace_period() -> None:
    """Who may write status claims that a secret has been missing for years, so that one answer deletes its key."""
    async with running_harness() as harness:
        harness.apply(entry(), entry("user", "db-user"), onSourceDeleted="Delete")
        harness.vault.set("db-user", "u")
        await harness.poll()
        assert harness.values() == {"password": "first", "user": "u"}
        await forge(harness, missing=[{"secretName": "db-user", "sinceTime": LONG_AGO, "vaultSinceTime": LONG_AGO}])

        harness.vault.delete("db-user")
        await harness.poll()

        assert harness.values() == {"password": "first", "user": "u"}


async def test_a_forged_restart_time_does_not_restart_a_workload_again_and_again() -> None:
    """Who may write status removes the time of the last restart, and so restarts a workload without a right on it."""
    async with running_harness() as harness:
        harness.make_workload("web")
        harness.apply(entry(), restart=[{"kind": "Deployment", "name": "web"}])
        await harness.drain()
        await harness.rotate()
        await harness.poll()
        before = len(harness.kube.restarts)

        for _ in range(5):
            await forge(harness, restarts=[], contentChangeTime="2026-03-01T12:01:00Z")
            await harness.reconcile()

        assert len(harness.kube.restarts) - before <= 1


def test_a_forged_key_does_not_add_a_sample_to_the_metrics() -> None:
    """Who may write status chooses the key of an entry so that it ends its sample, and adds samples of others."""
    vault_secret = a_vault_secret(status=a_status(a_status_entry(key=FORGED_KEY, expires=START)))

    families = text_string_to_metric_families(exposition(Snapshot((vault_secret,), {})))

    samples = [sample for family in families for sample in family.samples]
    assert {sample.labels["name"] for sample in samples} == {"db"}
    assert [sample.labels["key"] for sample in samples if "key" in sample.labels] == [FORGED_KEY]
