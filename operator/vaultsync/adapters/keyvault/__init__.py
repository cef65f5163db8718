"""Azure Key Vault through kvsecrets: reads, listings, rate limits, and errors as reasons."""

from vaultsync.adapters.keyvault.clients import VaultClients
from vaultsync.adapters.keyvault.rate_limit import Budget

__all__ = ["Budget", "VaultClients"]
