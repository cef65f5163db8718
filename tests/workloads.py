"""Deployments, StatefulSets and DaemonSets as manifests, and where the API server keeps them; makes none."""

from typing import Any, Final

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import WorkloadKind

RESOURCES: Final = {
    WorkloadKind.DEPLOYMENT: "deployments",
    WorkloadKind.STATEFUL_SET: "statefulsets",
    WorkloadKind.DAEMON_SET: "daemonsets",
}
"""The names of kinds in paths and roles."""


def a_workload(kind: WorkloadKind, key: ObjectKey) -> dict[str, Any]:
    """A workload whose pod has a password that must not be read; there is no node that would run it."""
    labels = {"app": key.name}
    container = {"name": "app", "image": "example.invalid/app", "env": [{"name": "PASSWORD", "value": "n0t-ours"}]}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    if kind is WorkloadKind.STATEFUL_SET:
        spec["serviceName"] = key.name
    metadata = {"name": key.name, "namespace": key.namespace}
    return {"apiVersion": "apps/v1", "kind": kind.value, "metadata": metadata, "spec": spec}
