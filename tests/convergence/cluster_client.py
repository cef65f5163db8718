"""The actions of users on a real cluster, by HTTP: a process of kubectl for each call would take most of the time."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.e2e.kubernetes import KubernetesApi, Object
from tests.secrets import a_secret, decoded, encoded
from tests.workloads import a_workload
from vaultsync.api import API_VERSION, MANAGED_BY, MANAGED_BY_LABEL, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, WorkloadKind

SECRETS: Final = "/api/v1/namespaces/{}/secrets"
EVENTS: Final = "/api/v1/namespaces/{}/events"
DEPLOYMENTS: Final = "/apis/apps/v1/namespaces/{}/deployments"
VAULT_SECRETS: Final = f"/apis/{API_VERSION}/namespaces/{{}}/vaultsecrets"

_COLLECTED_WITHIN: Final = 300.0
"""Seconds that the garbage collector may take."""


class ClusterClient:
    """What other clients than vaultsync do to the API server; fits `tests.contract.other_client.OtherClient`."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    def create(
        self,
        key: ObjectKey,
        manager: str,
        data: Mapping[str, str],
        **metadata: Any,  # noqa: ANN401
    ) -> None:
        body = {**a_secret(key, data), "type": "Opaque"}
        body["metadata"] |= metadata
        self._api.create(SECRETS.format(key.namespace), body, manager=manager)

    def edit(
        self,
        key: ObjectKey,
        manager: str,
        *,
        data: Mapping[str, str | None] | None = None,
        labels: Mapping[str, str | None] | None = None,
        annotations: Mapping[str, str | None] | None = None,
    ) -> None:
        metadata = {"labels": labels or {}, "annotations": annotations or {}}
        self._api.patch(_path(SECRETS, key), {"metadata": metadata, "data": encoded(data or {})}, manager=manager)

    def own(self, key: ObjectKey, manager: str, reference: Mapping[str, Any]) -> None:
        references = (self.without_data(key) or {})["metadata"].get("ownerReferences", [])
        patch = {"metadata": {"ownerReferences": [*references, reference]}}
        self._api.patch(_path(SECRETS, key), patch, manager=manager)

    def apply_as(self, key: ObjectKey, manager: str, data: Mapping[str, str]) -> None:
        self._api.apply(_path(SECRETS, key), a_secret(key, data), manager=manager)

    def delete(self, key: ObjectKey) -> None:
        self._api.delete(_path(SECRETS, key))

    def hold(self, key: ObjectKey, *finalizers: str) -> None:
        self._api.patch(_path(SECRETS, key), {"metadata": {"finalizers": list(finalizers)}}, manager="kubectl")

    def values(self, key: ObjectKey) -> dict[str, str] | None:
        secret = self._api.get(_path(SECRETS, key))
        if secret is None:
            return None
        return decoded(secret.get("data", {}))

    def without_data(self, key: ObjectKey) -> dict[str, Any] | None:
        secret = self._api.get(_path(SECRETS, key))
        return None if secret is None else {name: part for name, part in secret.items() if name != "data"}

    def put_vault_secret(self, manifest: Mapping[str, Any]) -> VaultSecret:
        key = ObjectKey(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        return VaultSecret.parse(self._api.apply(_path(VAULT_SECRETS, key), manifest))

    def vault_secret(self, key: ObjectKey) -> VaultSecret:
        return VaultSecret.parse(self.vault_secret_body(key))

    def vault_secret_body(self, key: ObjectKey) -> Mapping[str, Any]:
        found = self._api.get(_path(VAULT_SECRETS, key))
        assert found is not None, f"there is no VaultSecret {key}"
        return found

    def delete_vault_secret(self, key: ObjectKey) -> None:
        """Delete a VaultSecret, and wait until the garbage collector has deleted the Secrets that only it owned."""
        self._api.delete(_path(VAULT_SECRETS, key))
        self.await_collection(key.namespace)

    def begin_deleting_namespace(self, namespace: str) -> None:
        self._api.delete(f"/api/v1/namespaces/{namespace}")

    def posted(self, key: ObjectKey) -> list[tuple[str, str, str]]:
        events = self._api.list(EVENTS.format(key.namespace))
        about = [event for event in events if event["involvedObject"]["name"] == key.name]
        return [(event["type"], event["reason"], event["message"]) for event in about]

    # beyond what the contract of fake and real cluster needs

    def make_namespace(self, name: str) -> None:
        self._api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def make_deployment(self, key: ObjectKey) -> None:
        self._api.create(DEPLOYMENTS.format(key.namespace), a_workload(WorkloadKind.DEPLOYMENT, key))

    def await_collection(self, namespace: str) -> None:
        """Wait until no Secret is left that has owners of which none exists."""
        until(lambda: not self._garbage(namespace), "the garbage collector did not act in time")

    def targets(self, namespace: str) -> dict[ObjectKey, str]:
        """Return the resource version of each Secret with our label."""
        listed = self._api.list(f"{SECRETS.format(namespace)}?labelSelector={MANAGED_BY_LABEL}%3D{MANAGED_BY}")
        return {ObjectKey(namespace, one["metadata"]["name"]): _version(one) for one in listed}

    def versions(self, namespace: str) -> dict[str, str]:
        """Return the resource version of everything that the operator may write, but for events."""
        paths = [path.format(namespace) for path in (SECRETS, VAULT_SECRETS, DEPLOYMENTS)]
        return {f"{path}/{one['metadata']['name']}": _version(one) for path in paths for one in self._api.list(path)}

    def events(self, namespace: str) -> dict[tuple[str, str], tuple[str, str]]:
        """Return type and reason of each event, by its name and resource version."""
        listed = self._api.list(EVENTS.format(namespace))
        return {(one["metadata"]["name"], _version(one)): (one["type"], one["reason"]) for one in listed}

    def _garbage(self, namespace: str) -> list[str]:
        uids = {one["metadata"]["uid"] for one in self._api.list(VAULT_SECRETS.format(namespace))}
        owners = {
            secret["metadata"]["name"]: {owner["uid"] for owner in secret["metadata"].get("ownerReferences", ())}
            for secret in self._api.list(SECRETS.format(namespace))
        }
        return [name for name, owned_by in owners.items() if owned_by and owned_by.isdisjoint(uids)]


def until(true: Callable[[], bool], otherwise: str) -> None:
    """Repeat a check until it holds."""
    deadline = time.monotonic() + _COLLECTED_WITHIN
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def _path(kind: str, key: ObjectKey) -> str:
    return f"{kind.format(key.namespace)}/{key.name}"


def _version(document: Object) -> str:
    version: str = document["metadata"]["resourceVersion"]
    return version
