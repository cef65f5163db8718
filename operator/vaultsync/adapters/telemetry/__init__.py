"""What administrators watch: happenings, counted and logged, and how things are when somebody scrapes."""

from vaultsync.adapters.telemetry.lag import measure_lag
from vaultsync.adapters.telemetry.record import Telemetry
from vaultsync.adapters.telemetry.scrape import Scrapes
from vaultsync.adapters.telemetry.states import State, VaultState

__all__ = ["Scrapes", "State", "Telemetry", "VaultState", "measure_lag"]
