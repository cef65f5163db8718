"""Azure identities through azure-identity: one credential for each identity, and the authority at which it logs in."""

from vaultsync.adapters.identities.authorities import Authorities
from vaultsync.adapters.identities.environment import WrongEnvironment, check_environment
from vaultsync.adapters.identities.shared import Credentials, VaultCredential, import_azure_identity

__all__ = [
    "Authorities",
    "Credentials",
    "VaultCredential",
    "WrongEnvironment",
    "check_environment",
    "import_azure_identity",
]
