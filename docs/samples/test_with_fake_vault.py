"""How to test your code that uses the library: with FakeVault, in memory, without network, login or mocks.

Run it with pytest.
"""

from collections.abc import Iterator

import pytest

from kvsecrets import RetryPolicy, SecretClient, SecretNotFound, ServerFailed
from kvsecrets.testing import FakeCredential, FakeVault


def connection_string(client: SecretClient) -> str:
    """Code under test: returns a default if there is no password."""
    try:
        password = client.get_secret("db-password").value.reveal()
    except SecretNotFound:
        return "postgres://localhost/app"
    return f"postgres://app:{password}@db/app"


@pytest.fixture
def vault() -> FakeVault:
    """Create an empty vault for the test."""
    return FakeVault()


@pytest.fixture
def client(vault: FakeVault) -> Iterator[SecretClient]:
    """Create a client for that vault."""
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
