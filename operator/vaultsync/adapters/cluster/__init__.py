"""The Kubernetes API, as far as vaultsync needs it: targets by their metadata, server-side apply, status, events."""

from vaultsync.adapters.cluster.connection import Access, NoCluster
from vaultsync.adapters.cluster.operations import Cluster, Listing, NotInstalled, Roll
from vaultsync.adapters.cluster.refusals import HistoryExpired, OutOfDate
from vaultsync.adapters.cluster.wire import Bookmark, Gone, Sighted, TargetEvent

__all__ = [
    "Access",
    "Bookmark",
    "Cluster",
    "Gone",
    "HistoryExpired",
    "Listing",
    "NoCluster",
    "NotInstalled",
    "OutOfDate",
    "Roll",
    "Sighted",
    "TargetEvent",
]
