"""Prometheus metrics and the log of outcomes: events are counted, the state is read at the time of a scrape."""

from vaultsync.adapters.metrics.lag import measure_lag
from vaultsync.adapters.metrics.recorder import Recorder
from vaultsync.adapters.metrics.scrape import Scrapes
from vaultsync.adapters.metrics.snapshot import ALL_NAMESPACES, Snapshot, VaultSnapshot

__all__ = ["ALL_NAMESPACES", "Recorder", "Scrapes", "Snapshot", "VaultSnapshot", "measure_lag"]
