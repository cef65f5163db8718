"""What helm makes of the chart: golden renders, refusals, and what a real API server says to each value set."""

import json
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.chart.renders import (
    AZURE_MONITORS,
    CHART,
    MONITORS,
    NAMESPACE,
    RELEASE,
    VALUE_SETS,
    Manifest,
    golden,
    manifests,
    operator_rules,
    render,
    render_policies,
    render_set,
    the,
    without_crds,
)
from tests.controlplane.audit import Right, rights_of
from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.helm import Helm, HelmFailed
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import eventually
from vaultsync.api.grants import Allow, VaultGrantSpec
from vaultsync.api.schema import crd_files

CLIENT_ID: Final = "11111111-1111-1111-1111-111111111111"

REJECTED: Final[dict[str, tuple[Manifest, str]]] = {
    "a setting with a slip of the pen": (
        {"settings": {"concurency": 4}},
        "at '/settings': additional properties 'concurency' not allowed",
    ),
    "a value that there is not": ({"replicas": 2}, "additional properties 'replicas' not allowed"),
    "no shard": ({"shards": 0}, "at '/shards': minimum: got 0, want 1"),
    "a namespace that ends its quotes": (
        {"leaderElection": {"namespace": "a' || true || '"}},
        "at '/leaderElection/namespace': ",
    ),
    "a number in words": (
        {"settings": {"concurrency": "many"}},
        "at '/settings/concurrency': got string, want integer",
    ),
    "a number beyond its bounds": (
        {"settings": {"concurrency": 0}},
        "at '/settings/concurrency': minimum: got 0, want 1",
    ),
    "one name for a list": ({"settings": {"watchNamespaces": "shop"}}, "got string, want array"),
    "a type of Secret that is a credential": (
        {"admissionPolicies": {"secretTypes": ["kubernetes.io/service-account-token"]}},
        "at '/admissionPolicies/secretTypes/0': 'not' failed",
    ),
    "a type of Secret that ends its quotes": (
        {"admissionPolicies": {"secretTypes": ["Opaque'] || true || ['"]}},
        "at '/admissionPolicies/secretTypes/0': ",
    ),
    "no vault domain at all": ({"settings": {"vaultDnsSuffixes": []}}, "'/settings/vaultDnsSuffixes': minItems"),
    "a host among the vault domains": (
        {"settings": {"vaultDnsSuffixes": ["kv.example.com"]}},
        "at '/settings/vaultDnsSuffixes/0': 'kv.example.com' does not match pattern",
    ),
    "a vault's URL in place of its host": (
        {"settings": {"vaultHosts": ["https://kv.example.com"]}},
        "at '/settings/vaultHosts/0': 'https://kv.example.com' does not match pattern",
    ),
    "a vault's name in place of its URL": (
        {"grantAllNamespaces": ["shop"]},
        "at '/grantAllNamespaces/0': 'shop' does not match pattern",
    ),
    "a grant without a spec": (
        {"grants": [{"name": "shop", "vaultUrl": "https://shop.vault.azure.net"}]},
        "at '/grants/0': missing property 'spec'",
    ),
    "an unknown log level": ({"settings": {"logLevel": "loud"}}, "value must be one of 'debug', 'info', 'warning'"),
    "an address without a port": ({"settings": {"listen": "0.0.0.0"}}, "at '/settings/listen': '0.0.0.0' does not"),
    "a tag that YAML takes for a number": ({"image": {"tag": 1.5}}, "at '/image/tag': got number, want string"),
    "no image": ({"image": {"repository": ""}}, "image.repository is not set: no image is published with this chart"),
    "a part that is left out of nothing": ({"enabled": False}, "To stop the operator, set replicaCount to 0"),
    "an argument that the command does not have": ({"extraArgs": ["-v"]}, "properties 'extraArgs' not allowed"),
    "the name of an identity in place of its client id": (
        {"workloadIdentity": {"clientId": "vaultsync"}},
        "at '/workloadIdentity/clientId': 'vaultsync' is not valid uuid",
    ),
    "a field of the Service that the chart sets": (
        {"service": {"extraSpec": {"ports": []}}},
        "service.extraSpec.ports: the chart sets that itself",
    ),
    "a digest that is none": ({"image": {"digest": "latest"}}, "at '/image/digest': 'latest' does not match pattern"),
    "a label that YAML takes for a truth": (
        {"commonLabels": {"on": True}},
        "'/commonLabels/on': got boolean, want string",
    ),
    "less time to stop than the operator needs": (
        {"terminationGracePeriodSeconds": 5},
        "at '/terminationGracePeriodSeconds': minimum: got 5, want 10",
    ),
    "a ServiceMonitor without its API": (
        {"serviceMonitor": {"enabled": True}},
        "this cluster does not serve monitoring.coreos.com/v1: install the Prometheus operator first",
    ),
    "alerts without their API": (
        {"prometheusRule": {"enabled": True}},
        "or set prometheusRule.enabled to false",
    ),
    "a PodMonitor without AKS's API": (
        {"podMonitor": {"enabled": True, "apiVersion": "azmonitoring.coreos.com/v1"}},
        "this cluster does not serve azmonitoring.coreos.com/v1: enable AKS's managed Prometheus first",
    ),
    "a monitor of an unknown API": (
        {"podMonitor": {"enabled": True, "apiVersion": "monitoring.coreos.com/v1beta1"}},
        "at '/podMonitor/apiVersion': value must be one of",
    ),
    "an unknown alert": (
        {"prometheusRule": {"alerts": {"notSynched": {"enabled": False}}}},
        "additional properties 'notSynched' not allowed",
    ),
    "a PodMonitor without its API": (
        {"podMonitor": {"enabled": True}},
        "or set podMonitor.enabled to false",
    ),
}
"""Values that must be rejected, and a part of the message."""


def documents(rendered: str) -> list[str]:
    """The documents of a render, in the order of their text: Helm 4 has another order than Helm 3."""
    return sorted(document.strip() for document in rendered.split("---\n# Source: "))


# The chart and helm


@pytest.mark.parametrize("name", VALUE_SETS)
def test_helm_finds_no_fault_with(name: str, helm: Helm) -> None:
    helm("lint", "--strict", "--kube-version", "1.36.0", CHART, "--values", VALUE_SETS[name])


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_render_is_the_golden_one(name: str, helm: Helm) -> None:
    rendered, expected = documents(without_crds(render_set(helm, name))), documents(golden(name).read_text())

    assert rendered == expected, "read the difference; `make generate`"


@pytest.mark.parametrize(("values", "message"), REJECTED.values(), ids=REJECTED)
def test_helm_rejects_with_a_message(values: Manifest, message: str, helm: Helm) -> None:
    with pytest.raises(HelmFailed) as caught:
        render(helm, values=values)

    assert message in str(caught.value)


def test_a_service_monitor_without_a_service_is_rejected(helm: Helm) -> None:
    values = {"serviceMonitor": {"enabled": True}, "service": {"enabled": False}}

    with pytest.raises(HelmFailed, match="needs service"):
        render(helm, "--api-versions", "monitoring.coreos.com/v1", values=values)


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
@pytest.mark.parametrize(("api", "limited"), [(MONITORS, False), (AZURE_MONITORS, True)])
def test_a_monitor_of_either_api_in_another_namespace_finds_the_operator(
    kind: str, api: str, limited: bool, helm: Helm
) -> None:
    values = {f"{kind[0].lower()}{kind[1:]}": {"enabled": True, "apiVersion": api, "namespace": "monitors"}}

    monitor = the(kind, render(helm, "--api-versions", api, values=values))

    assert monitor["apiVersion"] == api
    assert monitor["metadata"]["name"] == f"{RELEASE}.{NAMESPACE}"
    assert monitor["metadata"]["namespace"] == "monitors"
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NAMESPACE]}
    assert ("labelLimit" in monitor["spec"]) == limited


def test_a_kubernetes_version_that_is_too_old_is_rejected(helm: Helm) -> None:
    with pytest.raises(HelmFailed, match=r"incompatible with Kubernetes v1\.29\.15"):
        render(helm, "--kube-version", "1.29.15")


def test_the_oldest_version_of_a_vendor_is_accepted(helm: Helm) -> None:
    render(helm, "--kube-version", "1.30.0-gke.1")


def test_a_rendered_crd_says_what_the_operator_says(helm: Helm) -> None:
    rendered = [one for one in manifests(render(helm)) if one["kind"] == "CustomResourceDefinition"]

    assert [one["spec"] for one in rendered] == [yaml.safe_load(file)["spec"] for file in crd_files().values()]


@pytest.mark.parametrize(("keep", "policy"), [(True, {"helm.sh/resource-policy": "keep"}), (False, {})])
def test_crds_are_kept_if_the_values_say_so(keep: bool, policy: Manifest, helm: Helm) -> None:
    rendered = render(helm, values={"crds": {"keep": keep}})
    crds = [one for one in manifests(rendered) if one["kind"] == "CustomResourceDefinition"]

    of_the_release = {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": NAMESPACE}
    assert [crd["metadata"]["annotations"] for crd in crds] == [policy | of_the_release] * len(crd_files())


def test_a_grant_to_all_namespaces_allows_everything_that_there_is(helm: Helm) -> None:
    own = {"secretTypes": ["Opaque", "example.com/own"]}
    values = {"grantAllNamespaces": ["https://Shop.vault.azure.net/"], "admissionPolicies": own}

    made = the("VaultGrant", render(helm, values=values))

    assert made["metadata"]["name"] == "all-namespaces-shop.vault.azure.net"
    granted = VaultGrantSpec.parse(made["spec"])
    assert granted.vault_url == "https://shop.vault.azure.net"
    assert (granted.namespaces.names, granted.secrets, granted.types) == (("*",), ("*",), tuple(own["secretTypes"]))
    assert {name: getattr(granted.allow, name) for name in Allow.model_fields} == {
        "adopt": True,
        "restart": True,
        "delete": True,
        "labels": ("*",),
        "annotations": ("*",),
    }


def test_with_named_namespaces_all_namespaces_are_those(helm: Helm) -> None:
    values = {"grantAllNamespaces": ["https://shop.vault.azure.net"], "settings": {"watchNamespaces": ["shop", "web"]}}

    assert the("VaultGrant", render(helm, values=values))["spec"]["namespaces"] == {"names": ["shop", "web"]}


def test_admission_policies_bind_the_service_account_of_the_values(helm: Helm) -> None:
    values = {"serviceAccount": {"create": False, "name": "others"}, "namespaceOverride": "platform"}

    rendered = render(helm, values=values)

    assert "'system:serviceaccount:platform:others'" in rendered
    assert "'system:serviceaccount:platform:vaultsync'" not in rendered


@pytest.mark.parametrize(("enabled", "kinds"), [(True, 2), (False, 0)])
def test_admission_policies_are_left_out_where_they_are_not_wanted(enabled: bool, kinds: int, helm: Helm) -> None:
    rendered = render(helm, values={"admissionPolicies": {"enabled": enabled}})

    found = {one["kind"] for one in manifests(rendered) if one["kind"].startswith("ValidatingAdmissionPolicy")}
    assert len(found) == kinds


def test_with_named_namespaces_the_status_is_protected_there(helm: Helm) -> None:
    rendered = render_policies(helm, account="vaultsync", namespace="platform", watched=["shop", "web"])

    (policy,) = [
        one
        for one in rendered
        if one["metadata"]["name"] == "vaultsync.platform.status" and "Binding" not in one["kind"]
    ]
    selected = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert selected == [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "web"]}]


@pytest.mark.parametrize("wanted", [True, False])
def test_the_operator_may_restart_workloads_if_the_values_say_so(wanted: bool, helm: Helm) -> None:
    rendered = render(helm, values={"rbac": {"restartWorkloads": wanted}})

    rights = rights_of(operator_rules(rendered))
    assert (Right("apps", "deployments", "patch") in rights) is wanted
    groups = {"", "vaultsync.dev", "coordination.k8s.io"}
    assert {right.group for right in rights} == groups | ({"apps"} if wanted else set())


NAMED_BY_OTHERS: Final = {"CustomResourceDefinition", "VaultGrant"}
"""Kinds of which the chart does not choose the names: those are the API's, or in the values."""


@pytest.mark.parametrize("name", VALUE_SETS)
def test_releases_of_the_same_name_in_two_namespaces_share_no_object(name: str, helm: Helm) -> None:
    first, second = (
        {
            (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
            for one in manifests(
                render_set(helm, name, "--set", f"namespaceOverride={namespace}", "--set-json", "extraObjects=[]")
            )
            if one["kind"] not in NAMED_BY_OTHERS
        }
        for namespace in ("one", "another")
    )

    assert first
    assert not first & second


@pytest.mark.parametrize("namespaces", [[], ["shop"]], ids=["in the cluster", "in one namespace"])
def test_unasked_the_operator_may_do_nothing_to_workloads(namespaces: list[str], helm: Helm) -> None:
    rendered = render(helm, values={"settings": {"watchNamespaces": namespaces}})

    roles = [manifest for manifest in manifests(rendered) if manifest["kind"] in {"Role", "ClusterRole"}]
    groups = {group for role in roles for rule in role["rules"] for group in rule["apiGroups"]}
    assert groups == {"", "vaultsync.dev", "coordination.k8s.io"}


LEASES: Final = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
MOST_SHARDS: Final = json.loads((CHART / "values.schema.json").read_text())["properties"]["shards"]["maximum"]
"""The operator may write the Leases of as many: before an upgrade that lowers the number its pods hold more."""


def test_the_operator_may_write_the_leases_of_its_shards_by_name(helm: Helm) -> None:
    roles = {one["metadata"]["namespace"]: one["rules"] for one in manifests(render(helm)) if one["kind"] == "Role"}

    assert roles == {
        "kube-system": [
            {**LEASES, "verbs": ["list", "create"]},
            {
                **LEASES,
                "resourceNames": [f"vaultsync.{NAMESPACE}-{number}" for number in range(MOST_SHARDS)],
                "verbs": ["get", "update"],
            },
        ]
    }


@pytest.mark.parametrize("namespace", ["kube-system", NAMESPACE])
def test_with_shards_there_are_leases_for_each_and_for_the_pods(namespace: str, helm: Helm) -> None:
    rendered = render(helm, values={"shards": 3, "leaderElection": {"namespace": namespace}})

    roles = [one for one in manifests(rendered) if one["kind"] == "Role"]
    of_shards, of_members = [
        [one for one in roles if one["metadata"]["name"].endswith(kind)] for kind in (".shards", ".members")
    ]
    ((shards,), (members,)) = of_shards, of_members
    assert shards["metadata"]["namespace"] == namespace
    assert len(shards["rules"][1]["resourceNames"]) == MOST_SHARDS
    assert members["metadata"]["namespace"] == NAMESPACE
    assert members["rules"] == [{**LEASES, "verbs": ["get", "list", "create", "update", "delete"]}]


def test_a_constraint_without_a_selector_spreads_the_pods_of_the_deployment(helm: Helm) -> None:
    own = {"matchLabels": {"tier": "secrets"}}
    constraints: list[Manifest] = [
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"},
        {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": own},
    ]

    deployment = the("Deployment", render(helm, values={"topologySpreadConstraints": constraints}))["spec"]

    assert deployment["template"]["spec"]["topologySpreadConstraints"] == [
        {**constraints[0], "labelSelector": deployment["selector"]},
        constraints[1],
    ]


def test_workload_identity_is_configured_for_its_webhook(helm: Helm) -> None:
    rendered = render(helm, values={"workloadIdentity": {"clientId": CLIENT_ID}})

    account, template = the("ServiceAccount", rendered), the("Deployment", rendered)["spec"]["template"]
    assert account["metadata"]["annotations"] == {"azure.workload.identity/client-id": CLIENT_ID}
    assert template["metadata"]["labels"]["azure.workload.identity/use"] == "true"


def test_no_label_of_a_users_breaks_the_deployments_selector(helm: Helm) -> None:
    strange = {"app.kubernetes.io/name": "mine", "app.kubernetes.io/instance": "mine"}

    deployment = the("Deployment", render(helm, values={"podLabels": strange, "commonLabels": strange}))["spec"]

    assert deployment["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()


# The chart and Kubernetes


@pytest.fixture(scope="module")
def kubernetes(controlplane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> ControlPlane:
    """A cluster with the namespaces of the value sets, VaultGrants, and the APIs of both kinds of Prometheus."""
    controlplane.install(CHART / "files" / "crds")
    *monitors, rules = Path(__file__).with_name("monitoring-crds.yaml").read_text().split("\n---\n")
    azure = [monitor.replace("monitoring.coreos.com", "azmonitoring.coreos.com") for monitor in monitors]
    apis = tmp_path_factory.mktemp("crds") / "monitoring.yaml"
    apis.write_text("\n---\n".join([*monitors, rules, *azure]))
    controlplane.install(apis)
    namespaces = (NAMESPACE, "platform", "shop", "web", "leases", "monitors")
    controlplane.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces))
    return controlplane


def accept(kubernetes: ControlPlane, rendered: str) -> str:
    """What the API server says to a render, which it checks strictly and does not store."""
    return kubernetes.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-", stdin=rendered
    )


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_api_server_accepts(name: str, helm: Helm, kubernetes: ControlPlane) -> None:
    rendered = render_set(helm, name)

    answer = accept(kubernetes, without_crds(rendered))

    assert len(answer.splitlines()) == len(manifests(without_crds(rendered)))


def test_kubernetes_finds_no_fault_with_the_types_in_admission_policies(helm: Helm, kubernetes: ControlPlane) -> None:
    rendered = render_policies(helm, account="typed", namespace=NAMESPACE, watched=["shop"])
    kubernetes.apply(*rendered)
    kind, names = "validatingadmissionpolicy", {one["metadata"]["name"] for one in rendered}

    def checked() -> list[Manifest]:
        found = json.loads(kubernetes.kubectl("get", kind, "-o", "json", *sorted(names)))["items"]
        return [one["status"]["typeChecking"] for one in found if "typeChecking" in one.get("status", {})]

    eventually(lambda: len(checked()) == len(names), "the policies are checked")
    assert checked() == [{}] * len(names)
    for one in rendered:
        kubernetes.kubectl("delete", one["kind"], one["metadata"]["name"])


def test_the_api_server_sees_a_slip_of_the_pen_in_what_is_passed_on(helm: Helm, kubernetes: ControlPlane) -> None:
    rendered = render(helm, values={"securityContext": {"runAsNonRot": True}})

    with pytest.raises(KubectlFailed, match=r'unknown field "spec\.template\.spec\.containers.*runAsNonRot"'):
        accept(kubernetes, without_crds(rendered))
