"""The guide for users of azure-keyvault-secrets: both columns of its tables run, and return the same."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import azure.identity
import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.secrets import KeyVaultSecretIdentifier
from azure.keyvault.secrets import SecretClient as VendorsClient
from azure.keyvault.secrets._shared import http_challenge_cache

from kvsecrets import KeyVaultError, SecretClient
from tests.contract.vault.harness import FAST, ca_trusted, login, new_vault
from tests.emulator.client import Emulator

GUIDE: Final = (Path(__file__).parents[3] / "docs" / "kvsecrets.md").read_text()


def table(head: str) -> list[list[str]]:
    """The cells with code of the guide's table that begins so."""
    rows = GUIDE.partition(head)[2].partition("\n\n")[0].splitlines()[2:]
    return [re.findall(r"`([^`]+)`", row) for row in rows]


CALLS: Final = table("| azure-keyvault-secrets | kvsecrets |")
ERRORS: Final = table("| call | azure.core.exceptions | kvsecrets |")


@pytest.fixture
def clients(emulator: Emulator) -> Iterator[tuple[VendorsClient, SecretClient]]:
    """The vendor's client and ours, each with a vault of its own."""
    http_challenge_cache.clear()
    with ExitStack() as stack:
        vaults = [stack.enter_context(new_vault(emulator, {})) for _ in range(2)]
        for vault in vaults:
            vault.set("disabled", "s3cret")
            vault.disable("disabled")
            vault.set("deleted", "s3cret")
            vault.delete("deleted")
        stack.enter_context(ca_trusted(emulator))
        credential = stack.enter_context(azure.identity.ClientSecretCredential(**login(emulator)))
        theirs = VendorsClient(
            vaults[0].url, credential, connection_verify=str(emulator.ca_file), verify_challenge_resource=False
        )
        ours = SecretClient(vaults[1].url, credential, retry=FAST)
        yield stack.enter_context(theirs), stack.enter_context(ours)


def test_both_columns_return_the_same_line_by_line(clients: tuple[VendorsClient, SecretClient]) -> None:
    theirs, ours = (
        dict[str, Any](client=client, KeyVaultSecretIdentifier=KeyVaultSecretIdentifier) for client in clients
    )
    for number, (of_theirs, of_ours) in enumerate(CALLS):
        assert run(of_theirs, theirs) == run(of_ours, ours), (of_theirs, of_ours)
        if number == 0:
            for names in (theirs, ours):
                names["version"] = run('client.get_secret("db").properties.version', names)

    assert len(CALLS) == 15


@pytest.mark.parametrize(("call", "theirs", "ours"), ERRORS)
def test_the_errors_are_those_of_the_table(
    call: str, theirs: str, ours: str, clients: tuple[VendorsClient, SecretClient]
) -> None:
    for client, expected in zip(clients, (theirs, ours), strict=True):
        try:
            run(call, {"client": client})
        except (HttpResponseError, KeyVaultError, ValueError) as error:
            assert type(error).__name__ == expected  # noqa: PT017 - which class it is, is in the table
        else:
            pytest.fail(f"{call} did not raise {expected}")


def run(code: str, names: dict[str, Any]) -> object:
    return eval(code, names)  # noqa: S307 - our own guide
