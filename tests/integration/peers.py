"""Secrets as other operators write them, and what those do when they are told to stop; each names its source.

The kinds of these operators are unknown to the cluster, so the garbage collector leaves their Secrets alone: that an
adopted Secret has no owner reference is what keeps it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from tests.e2e.kubernetes import KubernetesApi
from tests.secrets import encoded
from vaultsync.api import ObjectKey

_UID: Final = "0b0f2a2e-5a52-4a24-9d1f-7a0b8e1c3d11"


def path(key: ObjectKey) -> str:
    """Return the path of a Secret."""
    return f"/api/v1/namespaces/{key.namespace}/secrets/{key.name}"


class Peer(ABC):
    """An operator that has written a Secret."""

    manager: ClassVar[str]
    """The field manager of its writes."""
    labels: ClassVar[Mapping[str, str]]

    def __init__(self, api: KubernetesApi, key: ObjectKey) -> None:
        self.api = api
        self.key = key

    @abstractmethod
    def owner(self) -> dict[str, Any]:
        """Return the owner reference that it sets."""

    def write(self, value: str) -> None:
        """Write the Secret, whether it exists or not."""
        manifest = self.manifest(value)
        if self.api.get(path(self.key)) is None:
            self.api.create(path(self.key).rpartition("/")[0], manifest, manager=self.manager)
        else:
            self.api.patch(path(self.key), manifest, manager=self.manager)

    def manifest(self, value: str) -> dict[str, Any]:
        """Return the Secret."""
        metadata = {
            "name": self.key.name,
            "namespace": self.key.namespace,
            "labels": dict(self.labels),
            "ownerReferences": [self.owner()],
        }
        data = encoded({"password": value})
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}

    @abstractmethod
    def stop(self) -> None:
        """Do what the operator does when it is told to stop for this Secret."""


class ExternalSecrets(Peer):
    """External Secrets 2.9: pkg/controllers/externalsecret/externalsecret_controller.go, `applyOwnership`."""

    manager = "externalsecrets.external-secrets.io/db"
    labels: ClassVar[Mapping[str, str]] = {
        "reconcile.external-secrets.io/created-by": "5e237f4810493d0e53516b4ebd307d8bf12d34edc8d4c24694828103",
        "reconcile.external-secrets.io/managed": "true",
    }

    def owner(self) -> dict[str, Any]:
        return {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "name": "db",
            "uid": _UID,
            "controller": True,
            "blockOwnerDeletion": True,
        }

    def manifest(self, value: str) -> dict[str, Any]:
        manifest = super().manifest(value)
        manifest["metadata"]["annotations"] = {"reconcile.external-secrets.io/data-hash": f"hash of {len(value)}"}
        return manifest

    def stop(self) -> None:
        """With `creationPolicy: Orphan`, it removes its reference and its label."""
        metadata = {"ownerReferences": None, "labels": {"reconcile.external-secrets.io/created-by": None}}
        self.api.patch(path(self.key), {"metadata": metadata}, manager=self.manager)


class Akv2k8s(Peer):
    """akv2k8s 1.8: cmd/azure-keyvault-controller/controller/secret.go, `createNewSecret`."""

    manager = "azure-keyvault-controller"
    labels: ClassVar[Mapping[str, str]] = {"team": "shop"}

    def owner(self) -> dict[str, Any]:
        return {
            "apiVersion": "spv.no/v2beta1",
            "kind": "AzureKeyVaultSecret",
            "name": "db",
            "uid": _UID,
            "controller": False,
            "blockOwnerDeletion": True,
        }

    def stop(self) -> None:
        """Scaled to zero, it does nothing."""


class CsiDriver(Peer):
    """The driver 1.6: controllers/secretproviderclasspodstatus_controller.go, `createOrUpdateK8sSecret` and `Patcher`.

    The ReplicaSets of the pods own the Secret.
    """

    manager = "secrets-store-csi"
    labels: ClassVar[Mapping[str, str]] = {"secrets-store.csi.k8s.io/managed": "true"}

    def owner(self) -> dict[str, Any]:
        collection = f"/apis/apps/v1/namespaces/{self.key.namespace}/replicasets"
        found = self.api.get(f"{collection}/web")
        if found is None:
            labels = {"app": "web"}
            template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
            spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
            body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}, "spec": spec}
            found = self.api.create(collection, body)
        return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": found["metadata"]["uid"]}

    def stop(self) -> None:
        """Without the Secret in its SecretProviderClass, it does nothing."""


class SyncController(Peer):
    """secrets-store-sync-controller: internal/controller/secretsync_controller.go, `serverSidePatchSecret`."""

    manager = "secrets-store-sync-controller"
    labels: ClassVar[Mapping[str, str]] = {"secrets-store.sync.x-k8s.io": ""}

    def owner(self) -> dict[str, Any]:
        return {"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync", "name": "db", "uid": _UID}

    def write(self, value: str) -> None:
        self.api.apply(path(self.key), self.manifest(value), manager=self.manager)

    def stop(self) -> None:
        """Without its SecretSync, it does nothing; the owner reference stays if that is orphaned slowly."""


PEERS: Final = (ExternalSecrets, Akv2k8s, CsiDriver, SyncController)
