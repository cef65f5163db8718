"""The Kubernetes API, as far as vaultsync needs it: targets by their metadata, server-side apply, status, events."""

from vaultsync.adapters.kube.api import KubeApi, NotInstalled
from vaultsync.adapters.kube.connection import Access, NoCluster
from vaultsync.adapters.kube.errors import Conflict, ResourceExpired

__all__ = [
    "Access",
    "Conflict",
    "KubeApi",
    "NoCluster",
    "NotInstalled",
    "ResourceExpired",
]
