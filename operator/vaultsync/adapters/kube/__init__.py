"""The Kubernetes API: metadata of targets, server-side apply, status, events, workloads, token reviews."""

from vaultsync.adapters.kube.api import KubeApi, NotInstalled
from vaultsync.adapters.kube.connection import NoCluster
from vaultsync.adapters.kube.errors import Conflict, Forbidden, ResourceExpired

__all__ = [
    "Conflict",
    "Forbidden",
    "KubeApi",
    "NoCluster",
    "NotInstalled",
    "ResourceExpired",
]
