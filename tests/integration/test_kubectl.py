"""kubectl on a real API server: columns of both kinds, field selectors, and statuses of earlier versions."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import pytest

from tests.builders import READ_AT, VAULT, a_grant, a_state, a_synced, a_vault_secret
from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.plane import ControlPlane
from tests.manifests import manifest, spec
from vaultsync.api import API_VERSION, GRANT_KIND
from vaultsync.api.schema import vault_secret_crd
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.status.next_status import status_after

EXPIRY: Final = READ_AT + timedelta(days=90)


def a_written_status() -> dict[str, Any]:
    """The status of a VaultSecret in sync whose secret expires."""
    synced = a_synced(a_state(expires=EXPIRY))
    status = status_after(a_vault_secret(), synced, now=READ_AT, polled_at=READ_AT, notice=timedelta(days=14))
    return status.to_wire()


def create(plane: ControlPlane, namespace: str, status: Mapping[str, Any], **fields: Any) -> None:  # noqa: ANN401
    plane.apply(manifest(spec(**fields), namespace=namespace))
    patch = json.dumps({"status": status})
    plane.kubectl("patch", "vaultsecret", "db", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


def table(plane: ControlPlane, *arguments: str) -> list[dict[str, str]]:
    """The rows of `kubectl get`, by heading; columns are two spaces apart at least."""
    heading, *lines = plane.kubectl("get", *arguments).splitlines()
    starts = [match.start() for match in re.finditer(r"\S+(?: \S+)*", heading)]
    bounds = list(zip(starts, [*starts[1:], None], strict=True))
    return [{heading[a:b].strip(): line[a:b].strip() for a, b in bounds} for line in lines]


def test_the_columns_of_a_vaultsecret(controlplane: ControlPlane, namespace: str) -> None:
    create(controlplane, namespace, a_written_status())

    (shown,) = table(controlplane, "vaultsecrets", "-n", namespace)
    (wide,) = table(controlplane, "vaultsecrets", "-n", namespace, "-o", "wide")

    expected = {"NAME": "db", "READY": "True", "REASON": "Synced", "TARGET": "db", "VAULT": VAULT}
    assert shown == expected | {"EXPIRES": EXPIRY.strftime("%Y-%m-%dT%H:%M:%SZ"), "AGE": shown["AGE"]}
    more = {"REFRESH": "2m", "KEYS": "1", "STALE": "False", "MESSAGE": "1 key is in sync."}
    assert wide == shown | more | {"WRITTEN": wide["WRITTEN"], "AGE": wide["AGE"]}


def skip_without_selectable_fields(plane: ControlPlane) -> None:
    """Skip the test on an API server that drops them."""
    if not plane.kubectl("get", "crd", "vaultsecrets.vaultsync.dev", "-o", "jsonpath={..selectableFields}"):
        pytest.skip("Kubernetes 1.31 is the first that keeps selectable fields")


def test_a_vaultgrant_is_selected_by_its_vault_and_has_columns(controlplane: ControlPlane, namespace: str) -> None:
    skip_without_selectable_fields(controlplane)
    granted = a_grant(namespace).spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    controlplane.apply(
        {"apiVersion": API_VERSION, "kind": GRANT_KIND, "metadata": {"name": namespace}, "spec": granted}
    )

    selector = f"metadata.name={namespace},spec.vaultUrl={VAULT}"
    (wide,) = table(controlplane, "vaultgrants", "--field-selector", selector, "-o", "wide")

    assert (wide["NAME"], wide["VAULT"]) == (namespace, VAULT)
    assert {"ANSWERED", "MESSAGE"} <= wide.keys()
    controlplane.kubectl("delete", "vaultgrant", namespace)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        (f"spec.vaultUrl={VAULT}", True),
        ("spec.vaultUrl=https://other.vault.azure.net", False),
        (f"spec.vaultUrl!={VAULT}", False),
        ("spec.target.name=credentials", True),
        ("spec.target.name=db", False),
        (f"spec.vaultUrl={VAULT},spec.target.name=credentials", True),
    ],
)
def test_vaultsecrets_are_selected_by_fields(
    controlplane: ControlPlane, namespace: str, selector: str, found: bool
) -> None:
    skip_without_selectable_fields(controlplane)
    create(controlplane, namespace, {}, target={"name": "credentials"})

    names = controlplane.kubectl("get", "vaultsecrets", "-n", namespace, "-o", "name", "--field-selector", selector)

    assert bool(names) is found


def as_of_0_1(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status of a VaultSecret in sync by the names of version 0.1."""
    (entry,) = status["entries"]
    former = {"updateTime": "updated", "expiryTime": "expires", "readTime": "readAt"}
    entry = {former.get(name, name): part for name, part in entry.items()}
    known = {name: part for name, part in status.items() if name not in {"keyCount", "expiryTime"}}
    return {**known, "entries": [entry], "expires": status["expiryTime"]}


def test_a_status_of_an_earlier_version_is_shown_and_read_and_keeps_no_change_from_being_applied(
    controlplane: ControlPlane, namespace: str
) -> None:
    status = a_written_status()
    create(controlplane, namespace, as_of_0_1(status))

    controlplane.apply(manifest(spec(refreshInterval="1m"), namespace=namespace))

    (shown,) = table(controlplane, "vaultsecrets", "-n", namespace)
    assert shown["EXPIRES"] == status["expiryTime"]
    stored = json.loads(controlplane.kubectl("get", "vaultsecret", "db", "-n", namespace, "-o", "json"))
    assert "readAt" in stored["status"]["entries"][0]
    assert VaultSecret.parse(stored).status.to_wire() == status


def test_an_api_server_that_does_not_know_a_field_of_a_crd_drops_it_unless_it_is_to_be_strict(
    controlplane: ControlPlane,
) -> None:
    """So will one with fields that a later version of ours adds; kubectl asks for strictness by default."""
    unknown = vault_secret_crd()
    unknown["spec"]["versions"][0]["fieldsOfTheFuture"] = [{"jsonPath": ".spec.vaultUrl"}]
    apply = ("apply", "--dry-run=server", "-o", "json", "-f", "-")

    with pytest.raises(KubectlFailed, match=r'unknown field "spec.versions\[0\].fieldsOfTheFuture"'):
        controlplane.kubectl(*apply, stdin=json.dumps(unknown))

    applied = json.loads(controlplane.kubectl(*apply, "--validate=warn", stdin=json.dumps(unknown)))
    assert "fieldsOfTheFuture" not in applied["spec"]["versions"][0]
