"""Who has the operator's token, in a namespace that the operator serves, and is bound by the chart's policies."""

import base64
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.chart.renders import render_policies
from tests.controlplane.build import ensure_tools
from tests.controlplane.cluster import Rule
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.e2e.kubernetes import KubernetesApi, Object
from tests.manifests import manifest, spec
from tests.workloads import RESOURCES, a_workload
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    FIELD_MANAGER,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    PLURAL,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import WorkloadKind

_ENVIRON: Final = os.environ  # noqa: TID251 - where the built programs are kept is the caller's choice

CRDS: Final = Path(__file__).parents[2] / "crds"

APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"

RELEASE: Final[Object] = {
    "metadata": {
        "labels": {MANAGED_BY_LABEL: None, OWNER_UID_LABEL: None},
        "annotations": {APPLIED_ANNOTATION: None},
        "ownerReferences": None,
    }
}
"""A patch that removes all that marks a Secret as the operator's."""

RIGHTS: Final[Sequence[Rule]] = (
    {"apiGroups": ["vaultsync.dev"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["secrets", "events", "serviceaccounts/token"], "verbs": ["*"]},
    {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["*"], "verbs": ["*"]},
)
"""More than the chart grants: it is the policies that deny."""


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """A namespace that the operator serves, and who has its token."""

    plane: ControlPlane
    token: KubernetesApi
    admin: KubernetesApi
    namespace: str
    owner: Object
    """A VaultSecret."""

    @classmethod
    @contextmanager
    def start(cls, folder: Path, helm: Helm) -> Iterator[Self]:
        """Start a control plane that no operator serves, and return when the policies of one are enforced."""
        with ControlPlane(ensure_tools(_ENVIRON, sys.stderr), folder) as plane:
            plane.install(CRDS)
            plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "attacked"}})
            kubeconfig = plane.user("vaultsync", RIGHTS)
            watched = ["attacked"]
            plane.apply(*render_policies(helm, account="vaultsync", namespace="default", watched=watched, shards=2))
            plane.await_policies()
            with KubernetesApi(kubeconfig) as token, KubernetesApi(plane.kubeconfig) as admin:
                written = manifest(spec(suspend=True), namespace="attacked")
                owner = admin.create(f"/apis/{API_VERSION}/namespaces/attacked/{PLURAL}", written)
                yield cls(plane, token, admin, "attacked", owner)

    def clean(self) -> None:
        """Delete all Secrets, and the workloads of this module."""
        for one in self.admin.list(self.secrets()):
            self.admin.delete(self.secrets(one["metadata"]["name"]))
        for resource in RESOURCES.values():
            self.admin.delete(f"/apis/apps/v1/namespaces/{self.namespace}/{resource}/web")

    def secrets(self, name: str = "", namespace: str | None = None) -> str:
        """Where Secrets are, or one of them."""
        return f"/api/v1/namespaces/{namespace or self.namespace}/secrets{name and '/'}{name}"

    def target(self, name: str = "db", **fields: Any) -> Object:  # noqa: ANN401  fields of any type
        """A Secret as the operator writes it, except for the fields."""
        uid = self.owner["metadata"]["uid"]
        reference = {"apiVersion": API_VERSION, "kind": KIND, "name": self.owner["metadata"]["name"], "uid": uid}
        metadata = {
            "name": name,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: uid},
            "annotations": {APPLIED_ANNOTATION: "{}"},
            "ownerReferences": [{**reference, "controller": True}],
        }
        changed = {"name": name, **fields.pop("metadata", {})}
        body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"password": encoded("mine")}}
        return {**body, "metadata": metadata | changed, **fields}

    def create(self, secret: Object, namespace: str | None = None) -> httpx.Response:
        """Create a Secret with the token."""
        return self.token.attempt("POST", self.secrets(namespace=namespace), secret, fieldManager=FIELD_MANAGER)

    def apply(self, secret: Object) -> httpx.Response:
        """Apply a Secret by force with the token."""
        path = self.secrets(secret["metadata"]["name"])
        return self.token.attempt("PATCH", path, secret, media_type=APPLY, fieldManager=FIELD_MANAGER, force="true")

    def patch(self, path: str, body: object, media_type: str = MERGE) -> httpx.Response:
        """Patch an object with the token."""
        return self.token.attempt("PATCH", path, body, media_type=media_type, fieldManager=FIELD_MANAGER)

    def lease(self, name: str = "", namespace: str = "kube-system") -> str:
        """Where Leases are, or one of them."""
        return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases{name and '/'}{name}"

    def acquire(self, name: str, namespace: str = "kube-system") -> httpx.Response:
        """Create a Lease with the token."""
        return self.token.attempt("POST", self.lease(namespace=namespace), a_lease(name))

    def foreign(self, name: str = "foreign", **metadata: object) -> Object:
        """Create a Secret of somebody else."""
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}}
        return self.admin.create(self.secrets(), {**body, "data": {"password": encoded("theirs")}})

    def own(self, name: str = "db") -> Object:
        """Create a Secret of the operator's, as it does."""
        answer = self.apply(self.target(name))
        assert answer.is_success, answer.text
        document: Object = answer.json()
        return document

    def workload(self, kind: WorkloadKind = WorkloadKind.DEPLOYMENT) -> str:
        """Create a workload; returns its path."""
        folder = f"/apis/apps/v1/namespaces/{self.namespace}/{RESOURCES[kind]}"
        self.admin.create(folder, a_workload(kind, ObjectKey(self.namespace, "web")))
        return f"{folder}/web"


def a_lease(name: str) -> Object:
    """A Lease that has a holder."""
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 15, "renewTime": "2026-03-01T12:00:00.000000Z"}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}


def encoded(text: str) -> str:
    """A value as a Secret has it."""
    return base64.b64encode(text.encode()).decode()


def denied(answer: httpx.Response, why: str) -> bool:
    """Whether a policy of the chart refused a request for this reason."""
    by_policy = answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY and "ValidatingAdmissionPolicy" in answer.text
    assert by_policy, f"{answer.status_code}: {answer.text}"
    assert why in answer.text, answer.text
    return True
