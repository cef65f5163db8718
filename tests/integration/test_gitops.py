"""GitOps tools on a real API server: manifests show no difference, and the health of a VaultSecret can be awaited."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.builders import READ_AT, a_synced, a_vault_secret
from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.flux import Flux
from tests.controlplane.plane import ControlPlane
from tests.manifests import RIGHT, Spec, manifest, spec
from vaultsync.errors import Reason
from vaultsync.status.next_status import status_after
from vaultsync.status.outcome import Failed, Reported, Suspended

BARE_ITEMS = spec(dataFrom=[{"object": "app"}, {"find": {"names": "shop-*"}}, {"certificate": "shop-tls"}])
"""Items of lists with required fields only."""

SPECS = {**RIGHT, "bare items": BARE_ITEMS}


def lists(value: object, path: str = "spec") -> dict[str, list[Any]]:
    """Every list that is not part of another, by its path."""
    match value:
        case list():
            return {path: value}
        case dict():
            return {
                name: found for key, latched in value.items() for name, found in lists(latched, f"{path}.{key}").items()
            }
        case _:
            return {}


def stored(plane: ControlPlane, namespace: str) -> dict[str, Any]:
    """The VaultSecret with its status and its managed fields."""
    text = plane.kubectl("get", "vaultsecret", "db", "-n", namespace, "-o", "json", "--show-managed-fields")
    document: dict[str, Any] = json.loads(text)
    return document


def reconcile(plane: ControlPlane, namespace: str, *, generation: int = 1, outcome: Reported | None = None) -> None:
    """Write the status that vaultsync writes after an outcome in a generation; by default, it has synced it."""
    view = a_vault_secret(metadata={"generation": generation})
    status = status_after(view, outcome or a_synced(), now=READ_AT, polled_at=READ_AT, notice=timedelta(days=14))
    patch = json.dumps({"status": status.to_wire()})
    plane.kubectl("patch", "vaultsecret", "db", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


@pytest.mark.parametrize("right", SPECS.values(), ids=SPECS)
def test_no_list_gets_a_default(controlplane: ControlPlane, right: Spec) -> None:
    text = json.dumps(manifest(right, namespace="default"))

    created = json.loads(controlplane.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=text))

    assert lists(created["spec"]) == lists(right)


@pytest.mark.parametrize("name", ["minimal", "bare items", "every field"])
@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["by the client", "by the server"])
def test_a_synced_vaultsecret_shows_no_difference(
    controlplane: ControlPlane, namespace: str, how: tuple[str, ...], name: str
) -> None:
    text = json.dumps(manifest(SPECS[name], namespace=namespace))
    controlplane.kubectl("apply", *how, "-f", "-", stdin=text)
    reconcile(controlplane, namespace)

    assert controlplane.kubectl("diff", *how, "-f", "-", stdin=text) == ""


@pytest.mark.parametrize("name", ["minimal", "bare items", "every field"])
def test_a_server_side_apply_of_the_same_changes_nothing(controlplane: ControlPlane, namespace: str, name: str) -> None:
    text = json.dumps(manifest(SPECS[name], namespace=namespace))
    apply = ("apply", "--server-side", "--field-manager=kustomize-controller", "-f", "-")
    controlplane.kubectl(*apply, stdin=text)
    reconcile(controlplane, namespace)
    before = stored(controlplane, namespace)

    tried = controlplane.kubectl(*apply, "--dry-run=server", "-o", "json", "--show-managed-fields", stdin=text)

    assert json.loads(tried) == before


def test_kubectl_wait_waits_for_the_newest_generation(controlplane: ControlPlane, namespace: str) -> None:
    wait = ("wait", "vaultsecret/db", "-n", namespace, "--for=condition=Ready", "--timeout=0")
    controlplane.apply(manifest(spec(), namespace=namespace))
    reconcile(controlplane, namespace)
    assert "condition met" in controlplane.kubectl(*wait)

    controlplane.apply(manifest(spec(refreshInterval="1m"), namespace=namespace))
    with pytest.raises(KubectlFailed, match="condition not met"):
        controlplane.kubectl(*wait)

    reconcile(controlplane, namespace, generation=2)
    assert "condition met" in controlplane.kubectl(*wait)


def test_flux_waits_for_a_vaultsecret_without_status(controlplane: ControlPlane, flux: Flux, namespace: str) -> None:
    controlplane.apply(manifest(spec(), namespace=namespace))

    assert flux.health(stored(controlplane, namespace)).status == "InProgress"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (a_synced(), ("Current", "Resource is Ready")),
        (
            Failed(Reason.SECRET_NOT_FOUND, "There is no secret db-pasword."),
            ("Failed", "There is no secret db-pasword."),
        ),
        (Failed(Reason.VAULT_THROTTLED, "Too many requests."), ("InProgress", "Too many requests.")),
        (Suspended(), ("Failed", Reason.SUSPENDED.sentence)),
    ],
    ids=["in sync", "mistyped", "throttled", "suspended"],
)
def test_kstatus_rates_what_the_api_server_has_stored(
    controlplane: ControlPlane, flux: Flux, namespace: str, outcome: Reported, expected: tuple[str, str]
) -> None:
    controlplane.apply(manifest(spec(), namespace=namespace))
    reconcile(controlplane, namespace, outcome=outcome)

    found = stored(controlplane, namespace)

    assert (flux.health(found), flux.kstatus(found)) == (expected, expected)
