"""Which vault is called, with which identity, under which grant: the key of all that is known of a vault.

Nothing that one grant's VaultSecrets cause or learn is shared with another grant: neither polls nor cached reads.
"""

from dataclasses import dataclass
from typing import assert_never


@dataclass(frozen=True, slots=True)
class OwnIdentity:
    """The operator's own identity, from its environment."""


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """An Azure identity that trusts a ServiceAccount in the namespace of the VaultSecret."""

    tenant_id: str
    client_id: str
    namespace: str
    service_account: str


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """A user-assigned managed identity of the node."""

    client_id: str


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """An Entra application with a client secret or certificate in a Secret of the operator's namespace."""

    tenant_id: str
    client_id: str
    secret_name: str
    key: str
    is_certificate: bool
    """Whether the key holds a certificate with its private key, and not a client secret."""


@dataclass(frozen=True, slots=True)
class UserLogin:
    """The Azure login of whoever runs a command: that of their environment, or of the Azure CLI."""


Identity = OwnIdentity | UserLogin | WorkloadIdentity | ManagedIdentity | ServicePrincipal


def described(identity: Identity) -> str:
    """Return an identity as messages name it."""
    match identity:
        case OwnIdentity():
            return "the operator's identity"
        case UserLogin():
            return "your Azure identity"
        case WorkloadIdentity(client_id=client_id, namespace=namespace, service_account=account):
            return f"identity {client_id} of ServiceAccount {namespace}/{account}"
        case ManagedIdentity(client_id=client_id):
            return f"managed identity {client_id}"
        case ServicePrincipal(client_id=client_id):
            return f"service principal {client_id}"
        case _:
            assert_never(identity)


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """Who a token is for, as Microsoft Entra names it; None for what the token does not name."""

    client_id: str | None = None
    object_id: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """One vault, as the VaultSecrets of one grant reach it with one identity."""

    grant: str
    """The name of the VaultGrant."""
    vault_url: str
    """The canonical URL of the vault, with the port unless it is 443."""
    identity: Identity
