"""Attacks on the operator's connections: those that it opens, and those that it accepts."""

from tests.harness import running_harness
from vaultsync.errors import Reason

PORTS = range(8000, 8300)


async def test_a_tenant_who_names_300_ports_of_a_vaults_host_does_not_have_them_called() -> None:
    """A tenant names ports that accept connections and never answer, so that the operator waits at each of them."""
    async with running_harness() as harness:
        harness.run_beside(harness.controller.pollers.run())
        for port in PORTS:
            harness.apply(name=f"port-{port}", vaultUrl=f"https://shop.vault.azure.net:{port}")
        await harness.drain()
        await harness.pass_time()

        assert {harness.ready(f"port-{port}").reason for port in PORTS} == {Reason.INVALID_SPEC}
        assert harness.vaults.opened() == set()
        assert harness.traced.polled == []
