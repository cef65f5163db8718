"""SecretProviderClasses of the CSI driver and SecretSyncs: files become keys, and pods' identities the grant's."""

from typing import Any

import pytest
import yaml

from tests.unit.vaultsync.convert.converting import documents, grant, run, texts, vault_secret
from tests.unit.vaultsync.convert.samples import SECRET_SYNC
from vaultsync.convert.core import Conversion

VERSION = "0123456789abcdef0123456789abcdef"
CLIENT = "11111111-1111-1111-1111-111111111111"
TENANT = "22222222-2222-2222-2222-222222222222"
UNKNOWN = {"managedIdentity": {"clientId": "00000000-0000-0000-0000-000000000000"}}
ASSIGNED = {"useVMManagedIdentity": "true", "userAssignedIdentityID": CLIENT}


def provider_class(
    objects: list[dict[str, Any]], secrets: list[dict[str, Any]], parameters: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A SecretProviderClass."""
    inner = {"array": [yaml.safe_dump(one) for one in objects]}
    return {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": {"name": "azure", "namespace": "shop"},
        "spec": {
            "provider": "azure",
            "secretObjects": secrets,
            "parameters": {
                "keyvaultName": "shop",
                "tenantID": TENANT,
                "objects": yaml.safe_dump(inner),
                **(ASSIGNED if parameters is None else parameters),
            },
        },
    }


def convert(thing: dict[str, Any], name: str = "thing", **secret: Any) -> Conversion:  # noqa: ANN401  fields
    """Convert a SecretProviderClass with one object and one Secret."""
    body = {"secretName": "db", "type": "Opaque", "data": [{"objectName": name, "key": "a"}], **secret}
    return run(provider_class([{"objectName": "thing", "objectType": "secret", **thing}], [body]))


@pytest.mark.parametrize(
    ("thing", "name", "fields"),
    [
        ({}, "thing", {}),
        ({"objectAlias": "other"}, "other", {}),
        ({"objectAlias": ""}, "thing", {}),
        ({"objectVersion": VERSION}, "thing", {"version": VERSION}),
        ({"objectVersion": ""}, "thing", {}),
        ({"objectEncoding": "utf-8", "objectFormat": "pfx"}, "thing", {}),
        ({"objectEncoding": "base64"}, "thing", {"encoding": "Base64"}),
        ({"objectEncoding": "hex"}, "thing", {"encoding": "Hex"}),
        ({"objectVersionHistory": 1}, "thing", {}),
        ({"objectVersionHistory": 3}, "thing/0", {}),
    ],
    ids=str,
)
def test_a_file_becomes_a_key(thing: dict[str, Any], name: str, fields: dict[str, str]) -> None:
    conversion = convert(thing, name)

    assert vault_secret(conversion)["spec"]["data"] == [{"key": "a", "secretName": "thing", **fields}]
    assert conversion.exit_code == 0


@pytest.mark.parametrize(
    ("thing", "name", "reason"),
    [
        ({"objectType": "key"}, "thing", "thing is read as a key"),
        ({"objectType": "cert"}, "thing", "thing is read as a cert"),
        ({}, "unknown", "no object with the file unknown"),
        ({"objectVersionHistory": 3}, "thing", "no object with the file thing"),
        ({"objectVersionHistory": 3}, "thing/2", "the newest version, and with previousKey the one before it"),
        ({"objectEncoding": "rot13"}, "thing", "no such encoding"),
        ({"filePermission": "0400"}, "thing", "a Secret has no permissions"),
    ],
    ids=str,
)
def test_a_file_without_a_counterpart_is_a_finding(thing: dict[str, Any], name: str, reason: str) -> None:
    assert reason in " ".join(texts(convert(thing, name)))


def test_the_version_before_is_the_previous_key() -> None:
    data = [{"objectName": "thing/0", "key": "now"}, {"objectName": "thing/1", "key": "before"}]
    conversion = convert({"objectVersionHistory": 2}, data=data)

    assert vault_secret(conversion)["spec"]["data"] == [{"key": "now", "secretName": "thing", "previousKey": "before"}]


def test_a_certificate_is_one_item() -> None:
    data = [{"objectName": "thing", "key": "tls.crt"}, {"objectName": "thing", "key": "tls.key"}]
    conversion = convert({}, type="kubernetes.io/tls", data=data)

    assert vault_secret(conversion)["spec"]["dataFrom"] == [{"certificate": "thing"}]
    assert conversion.exit_code == 0


def test_two_certificates_are_none() -> None:
    objects = [{"objectName": "one", "objectType": "secret"}, {"objectName": "two", "objectType": "secret"}]
    data = [{"objectName": "one", "key": "tls.crt"}, {"objectName": "two", "key": "tls.key"}]
    conversion = run(provider_class(objects, [{"secretName": "db", "type": "kubernetes.io/tls", "data": data}]))

    assert documents(conversion, "VaultSecret") == []
    assert "not of one certificate" in " ".join(texts(conversion))


@pytest.mark.parametrize(
    ("parameters", "identity", "reason"),
    [
        (ASSIGNED, {"managedIdentity": {"clientId": CLIENT}}, None),
        ({"useVMManagedIdentity": "true"}, UNKNOWN, "the managed identity of the node"),
        ({"usePodIdentity": "true"}, UNKNOWN, "pod identity"),
        ({"useAzureTokenProxy": "true", "clientID": CLIENT}, UNKNOWN, "identity binding"),
        ({}, UNKNOWN, "service principal"),
        (
            {"clientID": CLIENT, "usePodIdentity": "false"},
            {"workloadIdentity": {"tenantId": TENANT, "clientId": CLIENT, "serviceAccountName": "default"}},
            "the ServiceAccount of the pods",
        ),
    ],
    ids=str,
)
def test_the_identity_of_pods(parameters: dict[str, str], identity: dict[str, Any], reason: str | None) -> None:
    secret = {"secretName": "db", "type": "Opaque", "data": [{"objectName": "thing", "key": "a"}]}
    conversion = run(provider_class([{"objectName": "thing", "objectType": "secret"}], [secret], parameters))

    assert grant(conversion)["spec"]["identity"] == identity
    found = " ".join(texts(conversion))
    assert found == "" if reason is None else reason in found


def test_what_pods_only_mount_is_a_finding() -> None:
    conversion = run(provider_class([{"objectName": "thing", "objectType": "secret"}], []))

    assert conversion.text == ""
    assert texts(conversion) == [
        "SecretProviderClass/azure spec.parameters.objects.array[0]: pods mount thing as a file, and no Secret has it"
    ]


def test_another_provider_is_a_finding() -> None:
    other = provider_class([], [])
    other["spec"]["provider"] = "vault"

    assert texts(run(other)) == ["SecretProviderClass/azure: its provider is not azure"]


def test_objects_that_are_no_yaml_are_a_finding() -> None:
    broken = provider_class([], [])
    broken["spec"]["parameters"]["objects"] = "array: ["

    assert "this is not YAML" in " ".join(texts(run(broken)))


def test_a_secret_sync_names_the_service_account() -> None:
    conversion = run(SECRET_SYNC)

    assert grant(conversion)["spec"]["identity"] == {
        "workloadIdentity": {"tenantId": TENANT, "clientId": CLIENT, "serviceAccountName": "vault-reader"}
    }
    assert conversion.exit_code == 0


def test_a_secret_sync_without_its_class_is_not_converted() -> None:
    conversion = run(SECRET_SYNC.split("---\n")[1])

    assert conversion.text == ""
    assert "the input does not have SecretProviderClass shop" in " ".join(texts(conversion))


@pytest.mark.parametrize("field", ["forceSynchronization", "secretSyncControllerName"])
def test_settings_of_a_secret_sync_are_findings(field: str) -> None:
    conversion = run(SECRET_SYNC.replace("  serviceAccountName:", f"  {field}: x\n  serviceAccountName:"))

    assert [one.subject for one in conversion.findings] == [f"SecretSync/login spec.{field}"]


def test_a_secret_sync_with_an_identity_of_the_nodes_has_that() -> None:
    parameters = f'    useVMManagedIdentity: "true"\n    userAssignedIdentityID: {CLIENT}\n'
    conversion = run(SECRET_SYNC.replace(f"    clientID: {CLIENT}\n", parameters))

    assert grant(conversion)["spec"]["identity"] == {"managedIdentity": {"clientId": CLIENT}}


def test_an_id_that_the_provider_does_not_use_is_a_finding() -> None:
    secret = {"secretName": "db", "type": "Opaque", "data": [{"objectName": "thing", "key": "a"}]}
    parameters = {**ASSIGNED, "clientID": CLIENT}
    conversion = run(provider_class([{"objectName": "thing", "objectType": "secret"}], [secret], parameters))

    assert "the provider does not use it with useVMManagedIdentity" in " ".join(texts(conversion))
