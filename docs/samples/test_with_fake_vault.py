"""How to test code of yours that uses the library: with FakeVault, in memory, without network, login or mocks.

Run it with pytest.
"""

from collections.abc import Iterator

import pytest

from kvsecrets import RetryPolicy, SecretClient, SecretNotFound, ServerFailed
from kvsecrets.testing import FakeCredential, FakeVault


def connection_string(client: SecretClient) -> str:
    """Stand in for the code that is tested: fall back to a default when there is no password."""
    try:
        password = client.get_secret("db-password").value.reveal()
    except SecretNotFound:
        return "postgres://localhost/app"
    return f"postgres://app:{password}@db/app"


@pytest.fixture
def vault() -> FakeVault:
    """Make a vault of the test's own, without secrets."""
    return FakeVault()


@pytest.fixture
def client(vault: FakeVault) -> Iterator[SecretClient]:
    """Make a client that talks to that vault and to nothing else."""
    with SecretClient(
        vault.url, FakeCredential(), transport=vault.transport(), retry=RetryPolicy(attempts=1)
    ) as client:
        yield client


def test_the_password_of_the_vault_is_used(client: SecretClient, vault: FakeVault) -> None:
    vault.set("db-password", "hunter2")

    assert connection_string(client) == "postgres://app:hunter2@db/app"


def test_without_a_password_there_is_a_default(client: SecretClient) -> None:
    assert connection_string(client) == "postgres://localhost/app"


def test_a_vault_that_fails_is_not_taken_for_one_without_a_password(client: SecretClient, vault: FakeVault) -> None:
    vault.fail(status=503)

    with pytest.raises(ServerFailed):
        connection_string(client)
