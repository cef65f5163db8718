"""What other clients of a cluster do and read, by kubectl; `FakeKube` implements the same."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from tests.controlplane.cluster import Cluster, KubectlFailed
from tests.secrets import a_secret, decoded, encoded
from vaultsync.api import KIND, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret


class OtherClient(Protocol):
    """Another client of the cluster; `FakeKube` implements it itself."""

    def create(
        self,
        key: ObjectKey,
        manager: str,
        data: Mapping[str, str],
        **metadata: Any,  # noqa: ANN401
    ) -> None: ...

    def edit(
        self,
        key: ObjectKey,
        manager: str,
        *,
        data: Mapping[str, str | None] | None = None,
        labels: Mapping[str, str | None] | None = None,
        annotations: Mapping[str, str | None] | None = None,
    ) -> None: ...

    def own(self, key: ObjectKey, manager: str, reference: Mapping[str, Any]) -> None: ...

    def apply_as(self, key: ObjectKey, manager: str, data: Mapping[str, str]) -> None: ...

    def delete(self, key: ObjectKey) -> None: ...

    def hold(self, key: ObjectKey, *finalizers: str) -> None: ...

    def values(self, key: ObjectKey) -> dict[str, str] | None: ...

    def without_data(self, key: ObjectKey) -> dict[str, Any] | None: ...

    def put_vault_secret(self, manifest: Mapping[str, Any]) -> VaultSecret: ...

    def vault_secret(self, key: ObjectKey) -> VaultSecret: ...

    def vault_secret_body(self, key: ObjectKey) -> Mapping[str, Any]: ...

    def delete_vault_secret(self, key: ObjectKey) -> None: ...

    def begin_deleting_namespace(self, namespace: str) -> None: ...

    def posted(self, key: ObjectKey) -> list[tuple[str, str, str]]: ...


class Kubectl:
    """Another client of a real cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def create(
        self,
        key: ObjectKey,
        manager: str,
        data: Mapping[str, str],
        **metadata: Any,  # noqa: ANN401
    ) -> None:
        manifest = {**a_secret(key, data), "type": "Opaque"}
        manifest["metadata"] |= metadata
        self._cluster.kubectl("create", f"--field-manager={manager}", "-f", "-", stdin=json.dumps(manifest))

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
        patch = json.dumps({"metadata": metadata, "data": encoded(data or {})})
        self._kubectl(key, "patch", f"--field-manager={manager}", "--type=merge", f"--patch={patch}")

    def own(self, key: ObjectKey, manager: str, reference: Mapping[str, Any]) -> None:
        patch = json.dumps({"metadata": {"ownerReferences": [reference]}})
        self._kubectl(key, "patch", f"--field-manager={manager}", "--type=strategic", f"--patch={patch}")

    def apply_as(self, key: ObjectKey, manager: str, data: Mapping[str, str]) -> None:
        how = ("--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-")
        self._cluster.kubectl("apply", *how, stdin=json.dumps(a_secret(key, data)))

    def delete(self, key: ObjectKey) -> None:
        self._kubectl(key, "delete", "--wait=false")

    def hold(self, key: ObjectKey, *finalizers: str) -> None:
        patch = json.dumps({"metadata": {"finalizers": finalizers}})
        self._kubectl(key, "patch", "--type=merge", f"--patch={patch}")

    def values(self, key: ObjectKey) -> dict[str, str] | None:
        try:
            secret = json.loads(self._kubectl(key, "get", "-o", "json"))
        except KubectlFailed:
            return None
        return decoded(secret.get("data", {}))

    def without_data(self, key: ObjectKey) -> dict[str, Any] | None:
        try:
            secret = json.loads(self._kubectl(key, "get", "-o", "json", "--show-managed-fields"))
        except KubectlFailed:
            return None
        return {name: part for name, part in secret.items() if name != "data"}

    def put_vault_secret(self, manifest: Mapping[str, Any]) -> VaultSecret:
        self._cluster.apply(manifest)
        return self.vault_secret(ObjectKey(manifest["metadata"]["namespace"], manifest["metadata"]["name"]))

    def vault_secret(self, key: ObjectKey) -> VaultSecret:
        return VaultSecret.parse(self.vault_secret_body(key))

    def vault_secret_body(self, key: ObjectKey) -> Mapping[str, Any]:
        body: dict[str, Any] = json.loads(self._kubectl(key, "get", "-o", "json", kind="vaultsecret"))
        return body

    def delete_vault_secret(self, key: ObjectKey) -> None:
        self._kubectl(key, "delete", kind="vaultsecret")

    def begin_deleting_namespace(self, namespace: str) -> None:
        self._cluster.kubectl("delete", "namespace", namespace, "--wait=false")

    def posted(self, key: ObjectKey) -> list[tuple[str, str, str]]:
        about = f"--field-selector=involvedObject.kind={KIND},involvedObject.name={key.name}"
        events = json.loads(self._cluster.kubectl("get", "events", "-n", key.namespace, about, "-o", "json"))["items"]
        return [(event["type"], event["reason"], event["message"]) for event in events]

    def _kubectl(self, key: ObjectKey, verb: str, *arguments: str, kind: str = "secret") -> str:
        return self._cluster.kubectl(verb, kind, key.name, f"--namespace={key.namespace}", *arguments)
