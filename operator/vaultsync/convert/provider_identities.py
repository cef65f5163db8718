"""The identity that a SecretProviderClass of Azure reads the vault with: by its parameters, the first that is there.

https://azure.github.io/secrets-store-csi-driver-provider-azure/docs/configurations/identity-access-modes/
"""

from typing import Final

from vaultsync.convert.drafts import Identity
from vaultsync.convert.nodes import Node
from vaultsync.convert.vaults import (
    IDENTITIES_PAGE,
    IDENTITY_NEEDED,
    UNKNOWN_IDENTITY,
    is_guid,
    managed_identity,
    workload_identity,
)

IDENTITY_FIELDS: Final = (
    "usePodIdentity",
    "useVMManagedIdentity",
    "userAssignedIdentityID",
    "useAzureTokenProxy",
    "clientID",
)

_POD_ACCOUNT: Final = "default"


def identity_of(parameters: Node, tenant_id: str, service_account: str | None) -> Identity:
    """Return the identity of pods with a ServiceAccount; None is a ServiceAccount that is not known."""
    client, assigned = parameters.child("clientID"), parameters.child("userAssignedIdentityID")
    client_id, assigned_id = _text(client), _text(assigned)
    if _is_set(parameters, "usePodIdentity", "Microsoft Entra pod identity"):
        return UNKNOWN_IDENTITY
    machine = parameters.child("useVMManagedIdentity")
    if machine is not None and _is_true(machine):
        if client is not None and client_id:
            client.remark("the provider does not use it with useVMManagedIdentity", "remove it")
        if is_guid(assigned_id):
            return managed_identity(assigned_id)
        (assigned or machine).remark("the managed identity of the node reads the vault", IDENTITY_NEEDED)
        return UNKNOWN_IDENTITY
    if assigned is not None and assigned_id:
        assigned.remark("the provider uses it with useVMManagedIdentity only", "remove it")
    if _is_set(parameters, "useAzureTokenProxy", "identity binding of AKS"):
        return UNKNOWN_IDENTITY
    if client is None or not client_id:
        parameters.remark("pods name the Secret with the service principal that reads the vault", IDENTITY_NEEDED)
        return UNKNOWN_IDENTITY
    if service_account is None:
        client.remark(
            "the ServiceAccount of the pods reads the vault, which the SecretProviderClass does not name",
            f"replace {_POD_ACCOUNT} in serviceAccountName of the VaultGrant: {IDENTITIES_PAGE}",
        )
    return workload_identity(tenant_id, client_id, service_account or _POD_ACCOUNT)


def _text(node: Node | None) -> str:
    return "" if node is None else node.text().strip()


def _is_true(flag: Node) -> bool:
    return _text(flag).lower() in {"true", "t", "1"}


def _is_set(parameters: Node, name: str, what: str) -> bool:
    flag = parameters.child(name)
    if flag is None or not _is_true(flag):
        return False
    flag.remark(f"vaultsync does not log in with {what}", IDENTITY_NEEDED)
    return True
