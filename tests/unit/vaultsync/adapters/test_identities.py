"""The operator's own identity: which ways it tries, by what the environment says."""

import pytest

from vaultsync.adapters.identities import own_identity

WORKLOAD = {
    "AZURE_TENANT_ID": "00000000-0000-0000-0000-000000000001",
    "AZURE_CLIENT_ID": "00000000-0000-0000-0000-000000000002",
    "AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/tokens/azure-identity-token",
}


NOT_HERE = "AsyncFailedDACCredential"
"""Stands in the chain for a way whose environment is not there."""


async def ways() -> list[str]:
    async with own_identity() as identity:
        names = [type(credential).__name__ for credential in identity.credentials]
    return [name for name in names if name != NOT_HERE]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_CLIENT_SECRET", "AZURE_TOKEN_CREDENTIALS", *WORKLOAD):
        monkeypatch.delenv(name, raising=False)


async def test_no_way_asks_a_person_or_a_developers_tool() -> None:
    assert await ways() == ["EnvironmentCredential", "ManagedIdentityCredential"]


async def test_a_pod_with_workload_identity_uses_it_before_the_nodes_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WORKLOAD.items():
        monkeypatch.setenv(name, value)

    assert await ways() == ["EnvironmentCredential", "WorkloadIdentityCredential", "ManagedIdentityCredential"]
