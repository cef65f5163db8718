"""Whoever has the operator's token, and more rights than the chart grants: admission policies stop him."""

import uuid
from collections.abc import Iterator

import pytest

from tests.attacks.stolen_token import APPLY, MERGE, RELEASE, TokenHolder, a_lease, denied, encoded
from tests.chart.renders import render_policies
from tests.controlplane.helm import Helm
from tests.e2e.kubernetes import KubernetesApi, Object
from tests.manifests import URL
from tests.workloads import a_workload
from vaultsync.adapters.kube.errors import api_error
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    GRANT_KIND,
    GRANT_PLURAL,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    PLURAL,
    RESTARTED_ANNOTATION,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import WorkloadKind
from vaultsync.errors import Reason

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def _bound(tmp_path_factory: pytest.TempPathFactory, helm: Helm) -> Iterator[TokenHolder]:
    with TokenHolder.start(tmp_path_factory.mktemp("plane"), helm) as thief:
        yield thief


@pytest.fixture
def thief(_bound: TokenHolder) -> Iterator[TokenHolder]:
    """Who has the operator's token."""
    yield _bound
    _bound.clean()


# Credentials


@pytest.mark.parametrize(
    "audiences",
    [[], ["https://kubernetes.default.svc"], ["api://AzureADTokenExchange", "https://kubernetes.default.svc"]],
    ids=["by default", "the API server", "both"],
)
def test_a_token_request_in_kube_system_does_not_mint_an_administrator(
    audiences: list[str], thief: TokenHolder
) -> None:
    """A thief of the token asks for a token of a controller's ServiceAccount."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "attacked"}}
    thief.admin.apply("/api/v1/namespaces/kube-system/serviceaccounts/attacked", account)
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": audiences} if audiences else {},
    }
    path = "/api/v1/namespaces/kube-system/serviceaccounts/attacked/token"

    assert denied(thief.token.attempt("POST", path, request), "audience")

    request["spec"] = {"audiences": ["api://AzureADTokenExchange"]}
    assert thief.token.attempt("POST", path, request).is_success


@pytest.mark.parametrize("namespace", ["kube-system", None], ids=["kube-system", "a served namespace"])
def test_a_secret_of_the_token_type_does_not_mint_an_administrator(namespace: str | None, thief: TokenHolder) -> None:
    """A thief of the token creates a Secret that Kubernetes fills with the token of a ServiceAccount."""
    secret = thief.target("minted", type="kubernetes.io/service-account-token")
    secret["metadata"]["annotations"]["kubernetes.io/service-account.name"] = "attacked"
    secret.pop("data")

    assert denied(thief.create(secret, namespace), "types of Secrets")


def test_a_bootstrap_token_does_not_let_a_node_join(thief: TokenHolder) -> None:
    """A thief of the token creates a credential with which nodes register."""
    data = {
        "token-id": encoded("abcdef"),
        "token-secret": encoded("0123456789abcdef"),
        "usage-bootstrap-authentication": encoded("true"),
    }
    secret = thief.target("bootstrap-token-abcdef", type="bootstrap.kubernetes.io/token", data=data)

    assert denied(thief.create(secret, "kube-system"), "types of Secrets")


def test_a_type_that_the_chart_does_not_allow_is_named_in_the_condition(thief: TokenHolder) -> None:
    """A tenant asks for a type that other controllers act on; his condition says which policy denies it."""
    answer = thief.apply(thief.target(type="example.com/credentials"))

    assert denied(answer, "types of Secrets")
    error = api_error(answer.status_code, answer.json(), "Secret shop/db")
    assert error.reason is Reason.TARGET_INVALID
    assert error.message.endswith(".secret-types.")


@pytest.mark.parametrize("annotation", ["vaultsync.dev/adopt-by", "vaultsync.dev/retained-by"])
def test_a_foreign_secret_is_adopted_by_consent_and_by_nobody_else(annotation: str, thief: TokenHolder) -> None:
    """A thief of the token takes a Secret that consents, or was released, for a VaultSecret of his own."""
    uid = thief.owner["metadata"]["uid"]
    thief.foreign(annotations={annotation: "db" if annotation.endswith("adopt-by") else uid})
    other = thief.target("foreign", metadata={"ownerReferences": []})
    other["metadata"]["labels"] = {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: "other"}

    if annotation.endswith("retained-by"):
        assert denied(thief.apply(other), "only Secrets that it wrote")
    assert denied(thief.token.attempt("DELETE", thief.secrets("foreign")), "only Secrets that it wrote")
    adopted = thief.apply(thief.target("foreign", metadata={"ownerReferences": []}))
    assert adopted.is_success, adopted.text


def test_a_release_of_helm_does_not_carry_a_manifest(thief: TokenHolder) -> None:
    """A thief of the token writes the record of a release, which an administrator's helm rolls back to."""
    assert denied(thief.create(thief.target("sh.helm.release.v1.db.v9", type="helm.sh/release.v1")), "types of Secrets")


# Secrets of others


@pytest.mark.parametrize("with_marks", [False, True], ids=["as it is", "with the operator's labels"])
def test_a_foreign_secret_is_not_overwritten(with_marks: bool, thief: TokenHolder) -> None:
    """A thief of the token writes another's Secret, and marks it as the operator's in the same request."""
    before = thief.foreign()
    path = thief.secrets("foreign")
    secret = thief.target("foreign") if with_marks else {"data": {"password": encoded("mine")}}

    assert denied(thief.patch(path, secret), "only Secrets that it wrote")
    assert denied(thief.token.attempt("PUT", path, {**before, **secret}), "only Secrets that it wrote")
    if with_marks:
        assert denied(thief.apply(secret), "only Secrets that it wrote")
    assert thief.admin.get(path) == before


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: "x"}},
        {"annotations": {APPLIED_ANNOTATION: "{}"}},
        {"annotations": {"vaultsync.dev/adopt-by": "db"}},
    ],
    ids=["labels", "applied", "consent"],
)
def test_a_foreign_secret_is_not_marked_to_be_overwritten_later(metadata: Object, thief: TokenHolder) -> None:
    """A thief of the token first marks another's Secret and means to write it in a second request."""
    before = thief.foreign()

    assert denied(thief.patch(thief.secrets("foreign"), {"metadata": metadata}), "only Secrets that it wrote")
    assert thief.admin.get(thief.secrets("foreign")) == before


def test_a_foreign_secret_is_not_deleted(thief: TokenHolder) -> None:
    """A thief of the token deletes another's Secret, alone or with all of the namespace."""
    before = thief.foreign()

    assert denied(thief.token.attempt("DELETE", thief.secrets("foreign")), "only Secrets that it wrote")
    assert denied(thief.token.attempt("DELETE", thief.secrets()), "only Secrets that it wrote")
    assert thief.admin.get(thief.secrets("foreign")) == before


def test_a_released_secret_is_not_written_again(thief: TokenHolder) -> None:
    """A thief of the token overwrites a Secret that the operator wrote once and has released."""
    thief.own()
    thief.admin.patch(thief.secrets("db"), RELEASE)

    assert denied(thief.apply(thief.target()), "only Secrets that it wrote")


# Labels and owners


@pytest.mark.parametrize(
    "labels",
    [{OWNER_UID_LABEL: None}, {MANAGED_BY_LABEL: None}, {MANAGED_BY_LABEL: "Helm"}],
    ids=["no owner", "no manager", "another manager"],
)
def test_a_target_is_not_relabelled(labels: dict[str, str | None], thief: TokenHolder) -> None:
    """A thief of the token hides what he wrote from whoever lists the operator's Secrets."""
    thief.own()

    assert denied(thief.patch(thief.secrets("db"), {"metadata": {"labels": labels}}), "only Secrets with its labels")


def test_a_secret_without_labels_is_not_created(thief: TokenHolder) -> None:
    """A thief of the token creates a Secret that nothing marks as the operator's."""
    secret = thief.target("hidden", metadata={"labels": {}})

    assert denied(thief.create(secret), "only Secrets with its labels")


def test_a_release_does_not_change_the_content(thief: TokenHolder) -> None:
    """A thief of the token removes the marks of a Secret and changes its content in the same request."""
    thief.own()
    path = thief.secrets("db")

    assert denied(thief.patch(path, {**RELEASE, "data": {"more": encoded("x")}}), "only Secrets with its")
    assert denied(thief.patch(path, {**RELEASE, "data": None}), "only Secrets with its labels")
    assert thief.patch(path, RELEASE).is_success


def test_a_secret_is_not_owned_by_what_is_no_vaultsecret(thief: TokenHolder) -> None:
    """A thief of the token makes the garbage collector, or a controller, act on a Secret by its owner."""
    uid = thief.owner["metadata"]["uid"]
    ours = thief.target()["metadata"]["ownerReferences"][0]
    foreign = {"apiVersion": "v1", "kind": "Namespace", "name": "kube-system", "uid": "f00d"}
    for references, why in (
        ([ours, foreign], "adds no owner"),
        ([foreign], "adds no owner"),
        ([ours, {**ours, "name": "other", "uid": "other", "controller": False}], "owned by the VaultSecret"),
        ([{**ours, "kind": "VaultGrant"}], "owned by the VaultSecret"),
        ([{**ours, "uid": f"{uid}0"}], "owned by the VaultSecret"),
        ([{**ours, "apiVersion": "vaultsync.development/v1"}], "adds no owner"),
    ):
        assert denied(thief.create(thief.target(metadata={"ownerReferences": references})), why)


def test_a_secret_without_an_owner_is_not_created_unless_it_is_a_target(thief: TokenHolder) -> None:
    """A thief of the token creates Secrets that nothing ever removes."""
    secret = thief.target(metadata={"ownerReferences": [], "annotations": {}})

    assert denied(thief.create(secret), "owned by the VaultSecret")


def test_a_finalizer_does_not_block_the_deletion_of_a_namespace(thief: TokenHolder) -> None:
    """A thief of the token creates a Secret that cannot be deleted."""
    assert denied(thief.create(thief.target(metadata={"finalizers": ["example.com/forever"]})), "adds no finalizer")


# Workloads


@pytest.mark.parametrize("kind", WorkloadKind)
@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "evil"}]}}}},
        {"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}},
        {"spec": {"template": {"spec": {"hostPID": True}}}},
        {"spec": {"template": {"metadata": {"annotations": {"example.com/inject": "yes"}}}}},
        {"spec": {"template": {"metadata": {"labels": {"example.com/admin": "yes"}}}}},
        {"spec": {"minReadySeconds": 9}},
        {"metadata": {"annotations": {"example.com/inject": "yes"}}},
        {"metadata": {"labels": {"example.com/admin": "yes"}}},
        {"metadata": {"finalizers": ["example.com/forever"]}},
    ],
    ids=[
        "image",
        "ServiceAccount",
        "host",
        "pod annotation",
        "pod label",
        "setting",
        "annotation",
        "label",
        "finalizer",
    ],
)
def test_a_workload_runs_nothing_else(change: Object, kind: WorkloadKind, thief: TokenHolder) -> None:
    """A thief of the token changes what the pods of a workload run, and as whom, under cover of a restart."""
    path = thief.workload(kind)
    before = thief.admin.get(path)
    restart = {"metadata": {"annotations": {RESTARTED_ANNOTATION: "2026-03-01T12:00:00Z"}}}

    answer = thief.patch(path, merged(restart, change), "application/strategic-merge-patch+json")

    assert denied(answer, "changes nothing of a workload")
    assert thief.admin.get(path) == before


def test_a_workload_is_not_scaled_created_or_deleted(thief: TokenHolder) -> None:
    """A thief of the token stops a workload, or starts one of his own."""
    path = thief.workload()
    folder = path.rpartition("/")[0]
    why = "changes nothing of a workload"

    assert denied(thief.patch(f"{path}/scale", {"spec": {"replicas": 0}}), why)
    assert denied(thief.token.attempt("DELETE", path), why)
    mine = a_workload(WorkloadKind.DEPLOYMENT, ObjectKey(thief.namespace, "mine"))
    assert denied(thief.token.attempt("POST", folder, mine), why)


def merged(one: Object, other: Object) -> Object:
    """Both patches as one."""
    both = {name: value for name, value in one.items() if name not in other}
    for name, value in other.items():
        both[name] = merged(one[name], value) if isinstance(one.get(name), dict) else value
    return both


# Events


def an_event(thief: TokenHolder, **fields: object) -> Object:
    """An event about the VaultSecret, except for the fields."""
    about = {"apiVersion": API_VERSION, "kind": KIND, "namespace": thief.namespace, "name": "db"}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"db.{uuid.uuid4().hex}", "namespace": thief.namespace},
        "involvedObject": about,
        "reason": "Synced",
        "type": "Normal",
        **fields,
    }


def test_an_event_tells_nothing_about_other_kinds(thief: TokenHolder) -> None:
    """A thief of the token forges what Kubernetes tells of pods, which administrators and controllers believe."""
    path = f"/api/v1/namespaces/{thief.namespace}/events"
    pod = {"apiVersion": "v1", "kind": "Pod", "namespace": thief.namespace, "name": "web"}

    assert thief.token.attempt("POST", path, an_event(thief)).is_success
    assert denied(thief.token.attempt("POST", path, an_event(thief, involvedObject=pod)), "creates events about")
    assert denied(thief.token.attempt("POST", path, an_event(thief, related=pod)), "creates events about")


def test_an_event_of_the_newer_api_tells_nothing_about_other_kinds(thief: TokenHolder) -> None:
    """A thief of the token forges an event by the other API, which stores the same objects."""
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"db.{uuid.uuid4().hex}", "namespace": thief.namespace},
        "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": thief.namespace, "name": "web"},
        "eventTime": "2026-03-01T12:00:00.000000Z",
        "reportingController": "kubelet",
        "reportingInstance": "node",
        "action": "Killing",
        "reason": "Killing",
        "type": "Warning",
    }
    path = f"/apis/events.k8s.io/v1/namespaces/{thief.namespace}/events"

    assert denied(thief.token.attempt("POST", path, event), "creates events about")


def test_an_event_of_others_is_not_changed_or_deleted(thief: TokenHolder) -> None:
    """A thief of the token removes the traces that others have left in events."""
    folder = f"/api/v1/namespaces/{thief.namespace}/events"
    event = thief.admin.create(folder, an_event(thief))
    path = f"{folder}/{event['metadata']['name']}"

    assert denied(thief.patch(path, {"message": "nothing"}), "creates events about")
    assert denied(thief.token.attempt("DELETE", path), "creates events about")


# Leases


@pytest.mark.parametrize("holder", ["kube-scheduler", "vaultsync.other-0", "vaultsync.default-00"])
def test_a_lease_of_others_is_not_taken(holder: str, thief: TokenHolder) -> None:
    """A thief of the token takes the Lease of the control plane's scheduler, or deletes it: it stops."""
    path = thief.lease(holder)
    before = thief.admin.apply(path, a_lease(holder))

    assert denied(thief.token.attempt("PUT", path, before), "only the Leases of its own")
    assert denied(thief.patch(path, {"spec": {"holderIdentity": "thief"}}), "only the Leases of its own")
    assert denied(thief.token.attempt("DELETE", path), "only the Leases of its own")
    assert denied(thief.token.attempt("DELETE", thief.lease()), "only the Leases of its own")
    assert thief.admin.get(path) == before
    thief.admin.delete(path)


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("cloud-controller-manager", "kube-system"),
        ("vaultsync.default-100", "kube-system"),
        ("vaultsync.default-a", "kube-system"),
        ("vaultsync.default-0", "attacked"),
        ("some-controller", "attacked"),
        ("some-controller", "default"),
        ("vaultsync.default.other-0", "default"),
        ("node", "kube-node-lease"),
    ],
)
def test_no_lease_is_created_but_the_operators(name: str, namespace: str, thief: TokenHolder) -> None:
    """A thief of the token creates the Lease of a controller before that does, which then never leads."""
    assert denied(thief.acquire(name, namespace), "only the Leases of its own")


# Status


def test_a_tenant_does_not_write_the_status_of_his_vaultsecret(thief: TokenHolder) -> None:
    """A tenant with every right on VaultSecrets claims in their status what the operator believes and others read."""
    everything = {"apiGroups": ["vaultsync.dev"], "resources": ["*"], "verbs": ["*"]}
    path = f"/apis/{API_VERSION}/namespaces/{thief.namespace}/{PLURAL}/db"
    forged = {"status": {"target": {"name": "forged"}}}
    before = thief.admin.get(path)
    with KubernetesApi(thief.plane.user("tenant", [everything], thief.namespace)) as tenant:
        for media_type in (MERGE, APPLY):
            named = {"apiVersion": API_VERSION, "kind": KIND, **forged}
            answer = tenant.attempt("PATCH", f"{path}/status", named, media_type=media_type, fieldManager="vaultsync")
            assert denied(answer, "only the operator")
        assert denied(tenant.attempt("PUT", f"{path}/status", {**(before or {}), **forged}), "only the operator")
        # A write of the object itself changes no status: it is a subresource.
        assert tenant.attempt("PATCH", path, forged, media_type=MERGE).is_success
    assert (thief.admin.get(path) or {})["status"] == (before or {})["status"]
    assert thief.patch(f"{path}/status", {"status": {"observedGeneration": 1}}).is_success


def test_an_administrator_does_not_write_the_status_of_a_grant(thief: TokenHolder, helm: Helm) -> None:
    """Who may write grants claims that one is ready; the operator serves all namespaces."""
    path = f"/apis/{API_VERSION}/{GRANT_PLURAL}/all"
    secrets = {"vaultUrl": URL, "namespaces": {"names": ["*"]}, "secrets": ["*"]}
    thief.admin.apply(
        path, {"apiVersion": API_VERSION, "kind": GRANT_KIND, "metadata": {"name": "all"}, "spec": secrets}
    )
    status: Object = {"status": {"conditions": []}}
    policies = render_policies(helm, account="vaultsync", namespace="default")
    thief.plane.apply(*policies)
    thief.plane.await_policies()

    answer = thief.admin.attempt("PATCH", f"{path}/status", status, media_type=MERGE)

    assert denied(answer, "only the operator")
    written = thief.patch(f"{path}/status", status)
    assert written.is_success, written.text
