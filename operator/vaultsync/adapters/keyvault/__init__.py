"""The vault edge: kvsecrets behind what reconcile and polls need; its errors become reasons here."""

from vaultsync.adapters.keyvault.clients import Vaults
from vaultsync.adapters.keyvault.rate_limit import Budget

__all__ = ["Budget", "Vaults"]
