"""Renders the chart with each of its value sets, and knows where the golden renders are; checks nothing."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.controlplane.helm import Helm

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "vaultsync"
VALUES: Final = CHART / "values.yaml"
README: Final = CHART / "README.md"
GOLDEN: Final = ROOT / "tests" / "contract" / "golden"
TABLE_BEGINS: Final = "<!-- made from values.yaml by `make generate` -->\n"

VALUE_SETS: Final = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*.yaml"))}
"""The value sets to render the chart with, by name."""

RELEASE: Final = "vaultsync"
NAMESPACE: Final = "vaultsync-system"

IMAGE: Final = "registry.example.com/vaultsync"

LEASE_NAMESPACE: Final = "kube-system"
"""Where the Leases of all installations are, unless the values say otherwise."""

_OLDEST_KUBERNETES: Final = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=")

MONITORS: Final = "monitoring.coreos.com/v1"
"""The API of the Prometheus operator."""

AZURE_MONITORS: Final = "azmonitoring.coreos.com/v1"
"""The API of AKS's managed Prometheus."""

Manifest = dict[str, Any]


def with_image(values: Mapping[str, Any]) -> Manifest:
    """Values with an image, if they name none: without one, the chart renders nothing."""
    return {**values, "image": {"repository": IMAGE, **values.get("image", {})}}


def render(helm: Helm, *arguments: str | Path, values: Mapping[str, Any] | None = None) -> str:
    """Render the chart with these arguments, values and an image for the oldest Kubernetes that it supports.

    Raises:
        HelmFailed: The chart cannot be rendered.
    """
    return _render(helm, *arguments, "--values", "-", stdin=json.dumps(with_image(values or {})))


def render_set(helm: Helm, name: str, *arguments: str) -> str:
    """The render of a value set, on a cluster that has both kinds of Prometheus."""
    cluster = ("--api-versions", f"{MONITORS},{AZURE_MONITORS}")
    return _render(helm, "--values", VALUE_SETS[name], *arguments, *cluster)


def _render(helm: Helm, *arguments: str | Path, stdin: str = "") -> str:
    command = ("template", RELEASE, CHART, "--namespace", NAMESPACE, "--kube-version", _OLDEST_KUBERNETES)
    return helm(*command, *arguments, stdin=stdin)


def render_policies(
    helm: Helm, *, account: str, namespace: str, watched: Sequence[str] = (), shards: int = 1
) -> list[Manifest]:
    """The admission policies for an operator.

    Args:
        helm: The program.
        account: Its ServiceAccount, by name.
        namespace: Where the ServiceAccount is.
        watched: The namespaces that it serves; none: all.
        shards: Into how many shards they are divided.
    """
    values = {
        "fullnameOverride": account,
        "namespaceOverride": namespace,
        "settings": {"watchNamespaces": list(watched)},
        "shards": shards,
    }
    rendered = render(helm, values=values)
    return [one for one in manifests(rendered) if one["kind"].startswith("ValidatingAdmissionPolicy")]


def manifests(rendered: str) -> list[Manifest]:
    """The objects of a render."""
    return [document for document in yaml.safe_load_all(rendered) if document]


def the(kind: str, rendered: str) -> Manifest:
    """The one object of a kind in a render."""
    (found,) = [manifest for manifest in manifests(rendered) if manifest["kind"] == kind]
    return found


def rule_groups(helm: Helm, **values: object) -> list[Manifest]:
    """The groups of alerts and recording rules, with these values."""
    wanted = {"prometheusRule": {"enabled": True, "runbooks": "https://docs.example.com"}, **values}
    found: list[Manifest] = the("PrometheusRule", render(helm, "--api-versions", MONITORS, values=wanted))["spec"][
        "groups"
    ]
    return found


def operator_rules(rendered: str) -> list[Manifest]:
    """The rules of all roles that a render binds to the operator; those of the same role in several namespaces once."""
    found = manifests(rendered)
    bound = {one["roleRef"]["name"] for one in found if "roleRef" in one}
    rules = {one["metadata"]["name"]: one["rules"] for one in found if "rules" in one}
    return [rule for name in rules if name in bound for rule in rules[name]]


def container(rendered: str) -> Manifest:
    """The operator's container in a render."""
    (found,) = the("Deployment", rendered)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def golden(name: str) -> Path:
    """The golden render of a value set."""
    return GOLDEN / f"{name}.yaml"


def without_crds(rendered: str) -> str:
    """A render without its CustomResourceDefinitions, which are rendered elsewhere."""
    parts = rendered.split("---\n# Source: ")
    return "".join(f"---\n# Source: {part}" for part in parts[1:] if "\nkind: CustomResourceDefinition\n" not in part)


def readme_with(values_table: str) -> str:
    """The chart's README with this table in it."""
    before, marker, _ = README.read_text().partition(TABLE_BEGINS)
    assert marker, f"{README} does not say where the table begins"
    return f"{before}{marker}{values_table}\n"
