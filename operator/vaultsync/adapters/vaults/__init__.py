"""The vault edge: kvsecrets behind what reconcile and polls need; its errors become reasons here."""

from vaultsync.adapters.vaults.governor import Budget
from vaultsync.adapters.vaults.reader import Vaults

__all__ = ["Budget", "Vaults"]
