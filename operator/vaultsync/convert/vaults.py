"""Vaults and identities as the peers name them; what several peers have in common."""

import re
from collections.abc import Mapping
from typing import Any, Final

from vaultsync.convert.drafts import Identity

IDENTITIES_PAGE: Final = "docs/identities.md"

UNKNOWN_ID: Final = "00000000-0000-0000-0000-000000000000"
"""Stands for an id that the input does not have: with it, every login fails, and nothing else happens."""

SUFFIXES: Final[Mapping[str, str]] = {
    "": "vault.azure.net",
    "azurecloud": "vault.azure.net",
    "azurepubliccloud": "vault.azure.net",
    "publiccloud": "vault.azure.net",
    "azureusgovernment": "vault.usgovcloudapi.net",
    "azureusgovernmentcloud": "vault.usgovcloudapi.net",
    "usgovernmentcloud": "vault.usgovcloudapi.net",
    "azurechinacloud": "vault.azure.cn",
    "chinacloud": "vault.azure.cn",
}
"""The domain of the vaults of a cloud, by its name in lower case."""

IDENTITY_NEEDED: Final = (
    f"complete identity in the VaultGrant, or remove it to read the vault with vaultsync's own: {IDENTITIES_PAGE}"
)

UNKNOWN_IDENTITY: Final = Identity(
    {"managedIdentity": {"clientId": UNKNOWN_ID}}, f"Nobody can log in with this identity: {IDENTITY_NEEDED}"
)
"""Stands for an identity that the input does not have. vaultsync's own may read more than that one."""

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def is_guid(text: str) -> bool:
    """Return whether a text is an id, and not a placeholder such as $CLIENT_ID."""
    return _GUID.fullmatch(text) is not None


def workload_identity(tenant_id: str, client_id: str, service_account: str) -> Identity:
    """Return the identity that trusts a ServiceAccount in the VaultSecret's namespace."""
    fields: dict[str, Any] = {
        "tenantId": tenant_id or UNKNOWN_ID,
        "clientId": client_id or UNKNOWN_ID,
        "serviceAccountName": service_account,
    }
    return Identity(
        {"workloadIdentity": fields},
        f"The chart's value identities.serviceAccounts has to name ServiceAccount {service_account}: {IDENTITIES_PAGE}",
    )


def managed_identity(client_id: str) -> Identity:
    """Return a managed identity of the nodes."""
    remark = f"The nodes that vaultsync runs on need this managed identity: {IDENTITIES_PAGE}"
    return Identity({"managedIdentity": {"clientId": client_id}}, remark)
