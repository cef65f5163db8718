"""SecretStores of External Secrets: the identity of the VaultGrant, and what somebody has to do about it."""

from typing import Any

import pytest
import yaml

from tests.unit.vaultsync.convert.converting import documents, external_secret, grant, run, texts
from tests.unit.vaultsync.convert.samples import STORE
from vaultsync.convert.core import Conversion

TENANT = "22222222-2222-2222-2222-222222222222"
CLIENT = "11111111-1111-1111-1111-111111111111"
NOBODY = "00000000-0000-0000-0000-000000000000"
SECRET = {"clientId": {"name": "azure", "key": "id"}, "clientSecret": {"name": "azure", "key": "secret"}}


def with_store(fields: dict[str, Any], kind: str = "SecretStore", spec: dict[str, Any] | None = None) -> Conversion:
    """Convert an ExternalSecret with a store that has these fields."""
    azure = {"vaultUrl": "https://shop.vault.azure.net", **fields}
    store = {
        "apiVersion": "external-secrets.io/v1",
        "kind": kind,
        "metadata": {"name": "azure", "namespace": "shop"} if kind == "SecretStore" else {"name": "azure"},
        "spec": {"provider": {"azurekv": azure}, **(spec or {})},
    }
    secret = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "login", "namespace": "shop"},
        "spec": {
            "secretStoreRef": {"name": "azure", "kind": kind},
            "data": [{"secretKey": "a", "remoteRef": {"key": "a"}}],
        },
    }
    return run(STORE.split("---\n")[1], store, secret)


@pytest.mark.parametrize(
    ("fields", "identity", "findings"),
    [
        (
            {"authType": "WorkloadIdentity", "serviceAccountRef": {"name": "vault-reader"}},
            {"workloadIdentity": {"tenantId": TENANT, "clientId": CLIENT, "serviceAccountName": "vault-reader"}},
            0,
        ),
        (
            {"authType": "WorkloadIdentity", "serviceAccountRef": {"name": "unknown"}},
            {"workloadIdentity": {"tenantId": NOBODY, "clientId": NOBODY, "serviceAccountName": "unknown"}},
            1,
        ),
        (
            {
                "authType": "WorkloadIdentity",
                "tenantId": TENANT,
                "serviceAccountRef": {"name": "unknown"},
                "authSecretRef": {"clientId": {"name": "ids", "key": "client"}},
            },
            {"workloadIdentity": {"tenantId": TENANT, "clientId": NOBODY, "serviceAccountName": "unknown"}},
            1,
        ),
        ({"authType": "WorkloadIdentity"}, None, 1),
        ({"authType": "ManagedIdentity"}, {"managedIdentity": {"clientId": NOBODY}}, 1),
        ({"authType": "Unknown"}, {"managedIdentity": {"clientId": NOBODY}}, 1),
        ({"authType": "ServicePrincipal"}, {"managedIdentity": {"clientId": NOBODY}}, 1),
        ({"authSecretRef": {"clientId": SECRET["clientId"]}}, {"managedIdentity": {"clientId": NOBODY}}, 2),
        ({"authType": "ManagedIdentity", "identityId": CLIENT}, {"managedIdentity": {"clientId": CLIENT}}, 0),
        (
            {"tenantId": TENANT, "authSecretRef": SECRET},
            {
                "servicePrincipal": {
                    "tenantId": TENANT,
                    "clientId": NOBODY,
                    "clientSecretRef": {"name": "shop.azure", "key": "secret"},
                }
            },
            2,
        ),
        (
            {
                "authType": "ServicePrincipal",
                "tenantId": TENANT,
                "authSecretRef": {
                    "clientId": {"name": "azure", "key": "id"},
                    "clientCertificate": {"name": "azure", "key": "pem", "namespace": "eso"},
                },
            },
            {
                "servicePrincipal": {
                    "tenantId": TENANT,
                    "clientId": NOBODY,
                    "certificateRef": {"name": "shop.azure", "key": "pem"},
                }
            },
            2,
        ),
    ],
    ids=str,
)
def test_an_identity_is_converted(fields: dict[str, Any], identity: dict[str, Any] | None, findings: int) -> None:
    conversion = with_store(fields)

    assert grant(conversion)["spec"].get("identity") == identity
    assert len(conversion.findings) == findings


@pytest.mark.parametrize(
    ("fields", "name"), [({}, "azure"), ({"namespace": "eso"}, "eso.azure")], ids=["without", "with"]
)
def test_a_client_secret_of_a_cluster_secret_store_keeps_its_namespace(fields: dict[str, str], name: str) -> None:
    """Secrets of several namespaces often have one name: in the operator's they must not become one."""
    selectors = {one: {**selector, **fields} for one, selector in SECRET.items()}
    conversion = with_store({"tenantId": TENANT, "authSecretRef": selectors}, "ClusterSecretStore")

    assert grant(conversion)["spec"]["identity"]["servicePrincipal"]["clientSecretRef"]["name"] == name
    assert any(f"copy Secret {name.replace('.', '/')} there" in one.advice for one in conversion.findings)


@pytest.mark.parametrize(
    "fields",
    [
        {"environmentType": "ChinaCloud"},
        {"environmentType": "AzureStackCloud", "customCloudConfig": {"activeDirectoryEndpoint": "https://x"}},
    ],
    ids=str,
)
def test_a_cloud_that_the_domain_does_not_say_is_a_finding(fields: dict[str, Any]) -> None:
    conversion = with_store({"authType": "ManagedIdentity", "identityId": CLIENT, **fields})

    assert "follows from the vault's domain" in " ".join(texts(conversion))


def test_a_cloud_that_the_domain_says_is_none() -> None:
    fields = {"environmentType": "USGovernmentCloud", "vaultUrl": "https://gov.vault.usgovcloudapi.net/"}

    assert with_store({"authType": "ManagedIdentity", "identityId": CLIENT, **fields}).findings == []


def test_a_service_account_of_another_namespace_is_never_used() -> None:
    account = {"name": "vault-reader", "namespace": "shop"}
    conversion = with_store({"authType": "WorkloadIdentity", "serviceAccountRef": account}, kind="ClusterSecretStore")

    assert [one.reason for one in conversion.findings] == ["a ServiceAccount of another namespace is never used"]


@pytest.mark.parametrize(
    "setting",
    [
        {"controller": "mine"},
        {"refreshInterval": 300},
        {"retrySettings": {"maxRetries": 5}},
        {"conditions": [{"namespaces": ["shop"]}]},
    ],
    ids=str,
)
def test_settings_of_a_store_are_findings(setting: dict[str, Any]) -> None:
    conversion = with_store({"authType": "ManagedIdentity", "identityId": CLIENT}, spec=setting)

    assert [one.subject for one in conversion.findings] == [f"SecretStore/azure spec.{next(iter(setting))}"]


@pytest.mark.parametrize(
    ("conditions", "is_for"),
    [
        ([], True),
        ([{"namespaces": ["web"]}, {"namespaces": ["shop"]}], True),
        ([{"namespaces": ["web"]}], False),
        ([{"namespaces": ["web"]}, {"namespaceRegexes": ["sh.*"]}], True),
        ([{"namespaceSelector": {"matchLabels": {"team": "web"}}}], True),
    ],
    ids=str,
)
def test_a_store_is_not_for_namespaces_that_its_conditions_leave_out(
    conditions: list[dict[str, Any]], is_for: bool
) -> None:
    """Anybody may write an ExternalSecret that names the store of others: there must be no VaultGrant for it."""
    conversion = with_store(
        {"authType": "ManagedIdentity", "identityId": CLIENT}, "ClusterSecretStore", {"conditions": conditions}
    )

    assert bool(documents(conversion, "VaultGrant")) is is_for
    said = "ExternalSecret/login spec.secretStoreRef: ClusterSecretStore azure is not for namespace shop"
    assert is_for or f"{said}, so this is not converted" in texts(conversion)


def test_a_store_that_nothing_uses_is_a_finding() -> None:
    conversion = run(STORE)

    assert conversion.text == ""
    assert texts(conversion) == [
        "SecretStore/azure: no ExternalSecret of the input uses this store, so there is no VaultGrant for its vault"
    ]


def test_a_store_of_another_provider_is_a_finding() -> None:
    other = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": "azure", "namespace": "shop"},
        "spec": {"provider": {"vault": {"server": "https://vault"}}},
    }
    secret = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "login", "namespace": "shop"},
        "spec": {"secretStoreRef": {"name": "azure"}, "data": []},
    }
    conversion = run(other, secret)

    assert conversion.text == ""
    assert [one.subject for one in conversion.findings] == [
        "SecretStore/azure spec.provider",
        "ExternalSecret/login spec.secretStoreRef",
    ]


def test_namespaces_with_different_secrets_have_different_grants() -> None:
    conversion = run(
        STORE.replace("kind: SecretStore", "kind: ClusterSecretStore").replace(", namespace: shop}", "}", 1),
        *(
            {
                "apiVersion": "external-secrets.io/v1",
                "kind": "ExternalSecret",
                "metadata": {"name": "login", "namespace": namespace},
                "spec": {
                    "secretStoreRef": {"name": "azure", "kind": "ClusterSecretStore"},
                    "data": [{"secretKey": "a", "remoteRef": {"key": secret}}],
                },
            }
            for namespace, secret in (("a", "one"), ("b", "ONE"), ("c", "two"))
        ),
    )

    made = {one["metadata"]["name"][: len("shop-a")]: one["spec"] for one in documents(conversion, "VaultGrant")}
    assert {name: (spec["namespaces"]["names"], spec["secrets"]) for name, spec in made.items()} == {
        "shop-a": (["a", "b"], ["one"]),
        "shop-c": (["c"], ["two"]),
    }


def test_more_names_than_a_grant_may_have_become_several() -> None:
    spec = {"data": [{"secretKey": f"k{n}", "remoteRef": {"key": f"s{n}"}} for n in range(150)]}
    conversion = external_secret(spec)

    grants = documents(conversion, "VaultGrant")
    assert sorted(name for one in grants for name in one["spec"]["secrets"]) == sorted(f"s{n}" for n in range(150))
    assert len({one["metadata"]["name"] for one in grants}) == 2


def test_a_grant_of_another_run_is_not_replaced() -> None:
    entry = {"secretKey": "a", "remoteRef": {"key": "one"}}
    runs = ([entry], [entry | {"remoteRef": {"key": "two"}}], [entry])
    names = [grant(external_secret({"data": data}))["metadata"]["name"] for data in runs]

    assert names[0] != names[1]
    assert names[0] == names[2]


def test_a_type_that_the_chart_has_to_allow_is_named() -> None:
    data = [{"secretKey": "a", "remoteRef": {"key": "a"}}]
    conversion = external_secret({"data": data, "target": {"template": {"type": "example.com/x"}}})

    assert grant(conversion)["spec"]["types"][-1] == "example.com/x"
    assert "# The chart's value admissionPolicies.secretTypes has to have example.com/x, too.\n" in conversion.text


def test_the_manifest_of_a_store_that_is_no_url_is_not_converted() -> None:
    conversion = with_store({"vaultUrl": "$VAULT", "authType": "ManagedIdentity", "identityId": CLIENT})

    assert yaml.safe_load(conversion.text) is None
    assert "the VaultSecret would be invalid (spec.vaultUrl: must be the vault's URI" in " ".join(texts(conversion))
