"""VaultSecrets on a real API server: invalid ones are rejected with a message, valid ones are stored unchanged."""

import json
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings

from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.plane import ControlPlane
from tests.manifests import RIGHT, VERSION, WRONG, Spec, Wrong, as_stored, documented, manifest, spec, target
from tests.specs import specs
from vaultsync.api import API_VERSION, PLURAL
from vaultsync.api.v1alpha1 import Condition, InvalidSpec, StatusEntry, StatusTarget, VaultSecret, VaultSecretStatus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATUS = VaultSecretStatus(
    observed_generation=1,
    conditions=(
        Condition(
            type="Ready",
            status="True",
            reason="Synced",
            message="1 key is in sync.",
            last_transition_time=NOON,
            observed_generation=1,
        ),
    ),
    target=StatusTarget(name="db"),
    entries=(
        StatusEntry(
            key="password",
            secret_name="db-password",
            version=VERSION,
            updated=NOON,
            expires=NOON + timedelta(days=30),
            read_at=NOON,
        ),
    ),
    last_change_time=NOON,
)


@pytest.fixture(scope="module")
def api(controlplane: ControlPlane) -> Iterator[httpx.Client]:
    """A client for many quick dry-run requests; nothing is stored."""
    kubeconfig = json.loads(controlplane.kubeconfig.read_text())
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    with httpx.Client(
        base_url=cluster["server"],
        verify=ssl.create_default_context(cafile=cluster["certificate-authority"]),
        headers={"Authorization": f"Bearer {user['token']}"},
        params={"dryRun": "All"},
        trust_env=False,
        timeout=300.0,
    ) as client:
        yield client


def apply(plane: ControlPlane, written: dict[str, Any]) -> None:
    """Apply one manifest with kubectl; for a list, kubectl would print other messages."""
    plane.kubectl("apply", "-f", "-", stdin=json.dumps(written))


def get(plane: ControlPlane, namespace: str) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(plane.kubectl("get", "vaultsecret", "db", "-n", namespace, "-o", "json"))
    return stored


def write_status(plane: ControlPlane, namespace: str, status: VaultSecretStatus) -> None:
    patch = json.dumps({"status": status.to_wire()})
    plane.kubectl("patch", "vaultsecret", "db", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_an_invalid_manifest_is_rejected_with_a_message(api: httpx.Client, wrong: Wrong) -> None:
    written = manifest(wrong.spec, name="rejected", namespace="default")

    answer = api.post(f"/apis/{API_VERSION}/namespaces/default/{PLURAL}", json=written)

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert wrong.message in answer.json()["message"]


def test_kubectl_shows_the_message_and_the_manifest_is_not_stored(controlplane: ControlPlane) -> None:
    wrong = WRONG[-1]

    with pytest.raises(KubectlFailed) as error:
        apply(controlplane, manifest(wrong.spec, name="rejected", namespace="default"))

    assert wrong.message in str(error.value)
    assert controlplane.kubectl("get", "vaultsecret", "rejected", "-n", "default", "--ignore-not-found") == ""


@pytest.mark.parametrize(
    ("misspelt", "message"),
    [
        (spec(vaultURL="https://shop.vault.azure.net"), 'unknown field "spec.vaultURL"'),
        (spec(data=[{"key": "a", "secretName": "b", "secret": "c"}]), 'unknown field "spec.data[0].secret"'),
    ],
    ids=["of the spec", "of an entry"],
)
def test_a_misspelt_field_is_rejected_by_name(controlplane: ControlPlane, misspelt: Spec, message: str) -> None:
    with pytest.raises(KubectlFailed) as error:
        apply(controlplane, manifest(misspelt, name="rejected", namespace="default"))

    assert message in str(error.value)


def model_error(written: dict[str, Any]) -> str | None:
    """The error of the model, if the object is invalid."""
    try:
        VaultSecret.parse(as_stored(written))
    except InvalidSpec as error:
        return str(error)
    return None


@settings(max_examples=300)
@given(specs())
def test_the_api_server_accepts_what_the_model_accepts_and_nothing_else(api: httpx.Client, spec: object) -> None:
    written = manifest(spec, namespace="default")

    answer = api.post(f"/apis/{API_VERSION}/namespaces/default/{PLURAL}", json=written)

    expected = httpx.codes.UNPROCESSABLE_ENTITY if model_error(written) else httpx.codes.CREATED
    assert answer.status_code == expected, (model_error(written), answer.json().get("message"))


@pytest.mark.parametrize("right", RIGHT.values(), ids=RIGHT)
def test_a_valid_manifest_is_read_from_the_cluster_as_it_was_written(api: httpx.Client, right: Spec) -> None:
    written = manifest(right, namespace="default")

    stored = api.post(f"/apis/{API_VERSION}/namespaces/default/{PLURAL}", json=written).json()

    assert VaultSecret.parse(as_stored(stored)).spec == VaultSecret.parse(as_stored(written)).spec


@pytest.mark.parametrize("example", documented().values(), ids=documented())
def test_an_example_in_the_documentation_is_accepted(api: httpx.Client, example: dict[str, Any]) -> None:
    here = example | {"metadata": example["metadata"] | {"namespace": "default"}}

    answer = api.post(
        f"/apis/{API_VERSION}/namespaces/default/{PLURAL}", params={"fieldValidation": "Strict"}, json=here
    )

    assert answer.status_code == httpx.codes.CREATED, answer.json()["message"]


def test_the_api_server_sets_defaults_but_not_inside_lists(controlplane: ControlPlane, namespace: str) -> None:
    apply(controlplane, manifest(spec(), namespace=namespace))

    assert get(controlplane, namespace)["spec"] == spec(
        target={"type": "Opaque", "immutable": False, "replaceImmutable": False, "adopt": False},
        refreshInterval="2m",
        onSourceDeleted="Retain",
        deleteAfter="1h",
        onDelete="Delete",
        suspend=False,
    )


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["by the client", "by the server"])
@pytest.mark.parametrize("right", [RIGHT["minimal"], RIGHT["every field"]], ids=["minimal", "every field"])
def test_a_manifest_that_is_applied_already_shows_no_difference(
    controlplane: ControlPlane, namespace: str, right: Spec, how: tuple[str, ...]
) -> None:
    text = json.dumps(manifest(right, namespace=namespace))
    controlplane.kubectl("apply", *how, "-f", "-", stdin=text)
    write_status(controlplane, namespace, STATUS)
    before = get(controlplane, namespace)

    assert controlplane.kubectl("diff", *how, "-f", "-", stdin=text) == ""
    controlplane.kubectl("apply", *how, "-f", "-", stdin=text)
    assert get(controlplane, namespace) == before


def test_a_status_is_stored_as_it_was_written(controlplane: ControlPlane, namespace: str) -> None:
    apply(controlplane, manifest(spec(), namespace=namespace))

    write_status(controlplane, namespace, STATUS)

    assert get(controlplane, namespace)["status"] == STATUS.to_wire()
    assert VaultSecret.parse(get(controlplane, namespace)).status == STATUS


def test_a_list_shows_the_printer_columns(controlplane: ControlPlane, namespace: str) -> None:
    apply(controlplane, manifest(spec(), namespace=namespace))
    write_status(controlplane, namespace, STATUS)

    header, row = controlplane.kubectl("get", "vsec", "-n", namespace).splitlines()

    assert header.split() == ["NAME", "READY", "REASON", "TARGET", "VAULT", "EXPIRES", "AGE"]
    assert row.split()[:-1] == ["db", "True", "Synced", "db", "https://shop.vault.azure.net", "2026-03-31T12:00:00Z"]


def test_the_type_of_a_secret_that_does_not_exist_yet_can_be_changed(
    controlplane: ControlPlane, namespace: str
) -> None:
    apply(controlplane, manifest(spec(), namespace=namespace))
    write_status(controlplane, namespace, STATUS.model_copy(update={"target": None}))

    apply(controlplane, manifest(target(type="example.com/login"), namespace=namespace))

    assert get(controlplane, namespace)["spec"]["target"]["type"] == "example.com/login"


def test_the_type_of_a_secret_that_exists_cannot_change(controlplane: ControlPlane, namespace: str) -> None:
    apply(controlplane, manifest(spec(), namespace=namespace))
    write_status(controlplane, namespace, STATUS)

    with pytest.raises(KubectlFailed, match=r"cannot change: use another target\.name, or delete"):
        apply(controlplane, manifest(target(type="example.com/login"), namespace=namespace))


@pytest.mark.parametrize(
    "changed", [target(type="example.com/login", name="login"), spec(suspend=True)], ids=["another Secret", "no type"]
)
def test_all_else_can_change_while_the_secret_exists(controlplane: ControlPlane, namespace: str, changed: Spec) -> None:
    apply(controlplane, manifest(spec(), namespace=namespace))
    write_status(controlplane, namespace, STATUS)

    apply(controlplane, manifest(changed, namespace=namespace))

    assert get(controlplane, namespace)["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        ("spec.data", ["-required-", "The secret's name in the vault.", "enum: Utf8, Base64"]),
        ("spec.target.adopt", ["with the reason", "TargetConflict"]),
        ("spec.refreshInterval", ["such as 30s, 2m or 1h30m"]),
        ("status.expiryTime", ["When the first of the secrets and their certificates expires"]),
    ],
    ids=["spec.data", "spec.target.adopt", "spec.refreshInterval", "status.expiryTime"],
)
def test_kubectl_explains(controlplane: ControlPlane, field: str, texts: list[str]) -> None:
    text = " ".join(explain(controlplane, field).split())

    assert [words for words in texts if words not in text] == []


def explain(plane: ControlPlane, field: str) -> str:
    """The output of `kubectl explain`; the API server publishes a new CRD's schema with some delay."""
    deadline = time.monotonic() + 300
    while True:
        try:
            return plane.kubectl("explain", f"vaultsecret.{field}")
        except KubectlFailed:
            if time.monotonic() > deadline:
                raise
