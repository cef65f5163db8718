"""Tenants who cause work, on a real API server: vaults that do not exist."""

from typing import Final

from tests.e2e.harness import Harness, entry
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.recorder import ObjectRecorder
from tests.emulator.client import Emulator

VAULTS: Final = 1500


def test_1500_vaults_that_do_not_exist_do_not_delay_the_secret_of_another_namespace(
    harness: Harness, operator: RunningOperator, api: KubernetesApi, recorder: ObjectRecorder, emulator: Emulator
) -> None:
    """A tenant names 1,500 vaults that do not exist, while another one creates his first VaultSecret and changes it."""
    attacker = Harness.new(api, recorder, emulator)
    first = harness.put()
    for number in range(VAULTS):
        attacker.apply(name=f"db-{number}", vaultUrl=f"https://absent-{number}.invalid")
    failed = lines_of(operator, attacker)
    harness.apply()
    harness.await_content(password=first)
    harness.change(data=[entry("renamed")])
    harness.await_content(renamed=first)

    assert lines_of(operator, attacker) - failed < VAULTS / 2
    api.delete(f"/api/v1/namespaces/{attacker.namespace}")


def lines_of(operator: RunningOperator, tenant: Harness) -> int:
    """How many failed reconciles of a tenant the operator has logged."""
    failed = (line.get("vaultsecret", "") for line in operator.lines() if line["message"] == "not in sync")
    return sum(key.startswith(f"{tenant.namespace}/") for key in failed)
