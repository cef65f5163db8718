"""The names of the API: group, version, labels, annotations, and the key of an object; no models and no logic."""

from typing import NamedTuple

GROUP = "vaultsync.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "VaultSecret"
PLURAL = "vaultsecrets"

FIELD_MANAGER = "vaultsync"
"""Owns what we apply to targets; Kubernetes tells by it whose hand changed a field."""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "vaultsync"
OWNER_UID_LABEL = f"{GROUP}/owner-uid"
"""On a target: the uid of the VaultSecret that it belongs to."""

APPLIED_ANNOTATION = f"{GROUP}/applied"
"""On a target: which versions, never values, were last written to it."""

REFRESH_ANNOTATION = f"{GROUP}/refresh-now"
"""On a VaultSecret, set by people: another text than before has everything read again at once."""

RELEASE_ANNOTATION = f"{GROUP}/release-brake"
"""On a VaultSecret, set by people: the moment up to which secrets may have vanished without holding up deletions."""

RESTARTED_ANNOTATION = f"{GROUP}/restarted-at"
"""On a workload and its pod template: when we last restarted it."""


class ObjectKey(NamedTuple):
    """Namespace and name of one object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
