"""What is read together, which failure is reported, and when a missing secret is a failure."""

import pytest

from tests.builders import ACCESS, VAULT, a_vault_secret, an_entry
from tests.harness import MemoryHarness
from vaultsync.api.v1alpha1 import VaultSecretSpec
from vaultsync.controller.fetch import read_secrets
from vaultsync.errors import Reason, SyncError
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import MissingReading, Reading, SecretRef, SecretsUnread

A, B, C = (SecretRef(name) for name in "abc")


def requests(*refs: SecretRef, optional: bool = False) -> list[SecretRequest]:
    return [SecretRequest(ref, optional=optional) for ref in refs]


@pytest.fixture
def vault_spec() -> VaultSecretSpec:
    return a_vault_secret().spec


async def test_all_are_read_and_returned_in_order(harness: MemoryHarness, vault_spec: VaultSecretSpec) -> None:
    for name in "abc":
        harness.vault.set(name, f"value of {name}")

    readings = await read_secrets(harness.vaults, harness.state.vaults, ACCESS, vault_spec, requests(A, B, C))

    assert list(readings) == [A, B, C]
    assert [one.value.reveal() for one in readings.values() if isinstance(one, Reading)] == [
        f"value of {name}" for name in "abc"
    ]
    assert harness.reads == 3


async def test_of_several_failures_the_first_is_raised_though_all_are_read(
    harness: MemoryHarness, vault_spec: VaultSecretSpec
) -> None:
    for name in "abc":
        harness.vault.set(name, "x")
    for name in "bc":
        harness.vault.disable(name)

    with pytest.raises(SyncError, match="ecret b ") as caught:
        await read_secrets(harness.vaults, harness.state.vaults, ACCESS, vault_spec, requests(A, B, C))

    assert (caught.value.reason, harness.reads) == (Reason.SECRET_DISABLED, 3)


async def test_a_found_secret_that_is_disabled_by_now_is_no_failure(
    harness: MemoryHarness, vault_spec: VaultSecretSpec
) -> None:
    harness.vault.set("a", "x", enabled=False)

    assert not await read_secrets(
        harness.vaults, harness.state.vaults, ACCESS, vault_spec, [SecretRequest(A, optional=True, unlisted=True)]
    )


@pytest.mark.parametrize(
    ("optional", "policy", "is_failure"),
    [(False, "Retain", True), (True, "Retain", False), (False, "Delete", False)],
    ids=["required", "optional", "its key is deleted with it"],
)
async def test_a_missing_secret_is_a_failure_or_a_reading(
    harness: MemoryHarness, optional: bool, policy: str, is_failure: bool
) -> None:
    spec = a_vault_secret(an_entry(), vault_url=VAULT, on_source_deleted=policy).spec
    requested = requests(A, optional=optional)

    if is_failure:
        with pytest.raises(SecretsUnread) as unread:
            await read_secrets(harness.vaults, harness.state.vaults, ACCESS, spec, requested)
        assert unread.value.refs == {A}
    else:
        reading = (await read_secrets(harness.vaults, harness.state.vaults, ACCESS, spec, requested))[A]
        assert isinstance(reading, MissingReading)
        assert (reading.read_at, reading.error.vault_time) == (harness.clock(), harness.vault_time())
        assert "ecret a " in reading.error.message
