"""What administrators watch: happenings, counted and logged, and how things are when somebody scrapes."""

from vaultsync.adapters.metrics.lag import measure_lag
from vaultsync.adapters.metrics.recorder import Recorder
from vaultsync.adapters.metrics.scrape import Scrapes
from vaultsync.adapters.metrics.snapshot import State, VaultState

__all__ = ["Recorder", "Scrapes", "State", "VaultState", "measure_lag"]
