"""Changes to secrets through the vault's own API, which the emulator's control port does not offer."""

import ssl
from datetime import datetime

import azure.identity
import httpx

from kvsecrets import SecretClient
from tests.emulator.client import EmulatedVault, Emulator


def set_dates(
    emulator: Emulator,
    vault: EmulatedVault,
    name: str,
    version: str,
    *,
    not_before: datetime | None = None,
    expires_on: datetime | None = None,
) -> None:
    """Change the dates of a version."""
    trusted = ssl.create_default_context(cafile=emulator.ca_file)
    with (
        azure.identity.ClientSecretCredential(
            emulator.tenant_id,
            emulator.client_id,
            emulator.client_secret,
            authority=emulator.login_url,
            connection_verify=str(emulator.ca_file),
            disable_instance_discovery=True,
        ) as credential,
        httpx.Client(verify=trusted, trust_env=False) as http,
        SecretClient(vault.url, credential, http_client=http) as client,
    ):
        client.update_secret_properties(name, version, not_before=not_before, expires_on=expires_on)
