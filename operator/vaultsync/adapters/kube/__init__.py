"""The Kubernetes API, as far as vaultsync needs it: targets by their metadata, server-side apply, status, events."""

from vaultsync.adapters.kube.api import KubeApi, ListSnapshot, NotInstalled, TargetList
from vaultsync.adapters.kube.connection import Access, NoCluster
from vaultsync.adapters.kube.errors import Conflict, ResourceExpired
from vaultsync.adapters.kube.requests import Bookmark, Gone, Modified, TargetEvent

__all__ = [
    "Access",
    "Bookmark",
    "Conflict",
    "Gone",
    "KubeApi",
    "ListSnapshot",
    "Modified",
    "NoCluster",
    "NotInstalled",
    "ResourceExpired",
    "TargetEvent",
    "TargetList",
]
