"""ExternalSecrets of External Secrets: each field that has a counterpart, and each that has none."""

from typing import Any

import pytest

from tests.unit.vaultsync.convert.converting import documents, entry, external_secret, grant, run, texts, vault_secret
from tests.unit.vaultsync.convert.samples import CLUSTER_EXTERNAL_SECRET, EXTERNAL_SECRET, STORE

VERSION = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("remote", "fields"),
    [
        ({}, {}),
        ({"key": "secret/db-password"}, {}),
        ({"version": VERSION}, {"version": VERSION}),
        ({"version": ""}, {}),
        ({"property": "password"}, {"property": "password"}),
        ({"property": "db.hosts.0"}, {"property": "db.hosts.0"}),
        ({"property": r"tls\.crt"}, {"property": "/tls.crt"}),
        ({"property": r"db.tls\.crt"}, {"property": "/db/tls.crt"}),
        ({"decodingStrategy": "None"}, {}),
        ({"decodingStrategy": "Base64"}, {"encoding": "Base64"}),
        ({"conversionStrategy": "Unicode", "metadataPolicy": "None", "nullBytePolicy": "Ignore"}, {}),
    ],
    ids=str,
)
def test_an_entry_is_converted(remote: dict[str, Any], fields: dict[str, str]) -> None:
    conversion = entry(remote)

    assert vault_secret(conversion)["spec"] == {
        "vaultUrl": "https://shop.vault.azure.net",
        "data": [{"key": "password", "secretName": "db-password", **fields}],
    }
    assert conversion.exit_code == 0


@pytest.mark.parametrize(
    ("remote", "reason"),
    [
        ({"key": "cert/web"}, "the public part of a certificate as DER"),
        ({"key": "key/signing"}, "secrets, not keys"),
        ({"key": "thing/x"}, "not the name of a secret"),
        ({"metadataPolicy": "Fetch"}, "tags become labels and annotations"),
        ({"property": "users.#(name==app).password"}, "more than names and indexes"),
        ({"property": "a|@base64"}, "more than names and indexes"),
        ({"decodingStrategy": "Auto"}, "does not guess"),
        ({"decodingStrategy": "Base64URL"}, "no such encoding"),
    ],
    ids=str,
)
def test_an_entry_without_a_counterpart_suspends_the_vaultsecret(remote: dict[str, Any], reason: str) -> None:
    spec = {
        "data": [
            {"secretKey": "user", "remoteRef": {"key": "db-user"}},
            {"secretKey": "password", "remoteRef": {"key": "db-password", **remote}},
        ]
    }
    conversion = external_secret(spec)

    assert reason in " ".join(texts(conversion))
    assert vault_secret(conversion)["spec"]["suspend"] is True
    assert conversion.exit_code == 1


def test_null_bytes_are_a_finding_only() -> None:
    conversion = entry({"nullBytePolicy": "Fail"})

    assert texts(conversion) == [
        "ExternalSecret/login spec.data[0].remoteRef.nullBytePolicy: vaultsync does not look for null bytes"
    ]
    assert "suspend" not in vault_secret(conversion)["spec"]


@pytest.mark.parametrize(
    ("item", "fields"),
    [
        ({"extract": {"key": "config"}}, {"object": "config"}),
        ({"extract": {"key": "config", "version": VERSION}}, {"object": "config", "version": VERSION}),
        ({"find": {"name": {"regexp": "^shop-"}}}, {"find": {"names": "shop-*"}}),
        ({"find": {"name": {"regexp": ".*"}}}, {"find": {"names": "*"}}),
        ({"find": {}}, {"find": {"names": "*"}}),
        ({"find": {"tags": {"tier": "web"}}}, {"find": {"tags": {"tier": "web"}}}),
        (
            {"find": {"name": {"regexp": "x"}, "conversionStrategy": "Unicode", "decodingStrategy": "Base64"}},
            {"find": {"names": "*x*"}, "encoding": "Base64"},
        ),
        (
            {
                "find": {"name": {"regexp": "^app-.+$"}},
                "rewrite": [
                    {"regexp": {"source": "^app-(.*)", "target": "$1"}},
                    {"transform": {"template": '{{ .value | upper | replace "-" "_" }}'}},
                    {"regexp": {"source": "(.*)", "target": "APP_${1}"}},
                ],
            },
            {
                "find": {"names": "app-?*"},
                "rename": "^app-(?P<key>.*)$",
                "keyCase": "UpperSnake",
                "prefix": "APP_",
            },
        ),
    ],
    ids=str,
)
def test_an_item_of_data_from_is_converted(item: dict[str, Any], fields: dict[str, Any]) -> None:
    conversion = external_secret({"dataFrom": [item]})

    assert vault_secret(conversion)["spec"]["dataFrom"] == [fields]
    assert conversion.exit_code == 0


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"extract": {"key": "config", "property": "db"}}, "not those of a part"),
        ({"extract": {"key": "cert/web"}}, "as DER"),
        ({"find": {"name": {"regexp": "^(a|b)$"}}}, "no regular expressions"),
        ({"find": {"name": {"regexp": "x"}, "decodingStrategy": "Auto"}}, "does not guess"),
        (
            {"find": {"name": {"regexp": "x"}}, "rewrite": [{"merge": {"into": "all"}}]},
            "no counterpart in rename, keyCase and prefix",
        ),
        (
            {
                "extract": {"key": "x"},
                "rewrite": [{"transform": {"template": '{{ .value | upper | replace "-" "_" }}'}}],
            },
            "no counterpart in rename, keyCase and prefix",
        ),
        (
            {
                "find": {"name": {"regexp": "x"}},
                "rewrite": [
                    {"regexp": {"source": "(.*)", "target": "P_$1"}},
                    {"transform": {"template": "{{ .value | lower }}"}},
                ],
            },
            "no counterpart in rename, keyCase and prefix",
        ),
        ({"sourceRef": {"generatorRef": {"kind": "Password", "name": "x"}}}, "generates no values"),
        (
            {"extract": {"key": "x"}, "sourceRef": {"storeRef": {"kind": "ClusterSecretStore", "name": "other"}}},
            "reads one vault",
        ),
        ({}, "either extract or find"),
    ],
    ids=str,
)
def test_an_item_of_data_from_without_a_counterpart(item: dict[str, Any], reason: str) -> None:
    conversion = external_secret({"data": [{"secretKey": "a", "remoteRef": {"key": "a"}}], "dataFrom": [item]})

    assert reason in " ".join(texts(conversion))
    assert vault_secret(conversion)["spec"]["suspend"] is True


def test_a_source_with_the_same_store_is_that_of_the_whole() -> None:
    source = {"storeRef": {"kind": "SecretStore", "name": "azure"}}
    conversion = external_secret({"data": [{"secretKey": "a", "remoteRef": {"key": "a"}, "sourceRef": source}]})

    assert vault_secret(conversion)["spec"]["data"] == [{"key": "a", "secretName": "a"}]
    assert conversion.exit_code == 0


@pytest.mark.parametrize(
    ("interval", "ours"),
    [("1h", "1h"), ("1h0m0s", "1h"), ("15m", "15m"), ("90s", "1m30s"), ("1.5h", "1h30m"), ("10000ms", "10s")],
)
def test_an_interval_is_converted(interval: str, ours: str) -> None:
    conversion = external_secret({"data": [{"secretKey": "a", "remoteRef": {"key": "a"}}], "refreshInterval": interval})

    assert vault_secret(conversion)["spec"]["refreshInterval"] == ours
    assert conversion.exit_code == 0


@pytest.mark.parametrize(
    ("interval", "ours"), [("1s", "10s"), ("48h", "24h"), ("10.4s", "10s"), ("99999999999h", None)]
)
def test_an_interval_out_of_range_is_the_nearest_one(interval: str, ours: str | None) -> None:
    conversion = external_secret({"data": [{"secretKey": "a", "remoteRef": {"key": "a"}}], "refreshInterval": interval})

    assert vault_secret(conversion)["spec"].get("refreshInterval") == ours
    assert conversion.exit_code == 1


@pytest.mark.parametrize(
    "time",
    [
        {"refreshInterval": "0"},
        {"refreshInterval": "0s"},
        {"refreshPolicy": "CreatedOnce"},
        {"refreshPolicy": "OnChange"},
        {"syncWindows": {"kind": "allow", "windows": [{"schedule": "0 1 * * *", "duration": "1h"}]}},
        {"refreshInterval": "soon"},
    ],
    ids=str,
)
def test_values_that_do_not_follow_the_vault_suspend(time: dict[str, Any]) -> None:
    conversion = external_secret({"data": [{"secretKey": "a", "remoteRef": {"key": "a"}}], **time})

    assert vault_secret(conversion)["spec"]["suspend"] is True


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ({}, {}),
        ({"name": "login"}, {}),
        ({"name": "other"}, {"target": {"name": "other"}}),
        ({"immutable": True}, {"target": {"immutable": True}}),
        ({"creationPolicy": "Owner", "deletionPolicy": "Retain"}, {}),
        ({"creationPolicy": "Orphan"}, {"onDelete": "Retain"}),
        ({"deletionPolicy": "Delete"}, {"onSourceDeleted": "Delete"}),
        ({"template": {"type": "kubernetes.io/tls"}}, None),
        ({"template": {"metadata": {"labels": {"a": "yes"}}}}, {"target": {"labels": {"a": "yes"}}}),
        ({"template": {"metadata": {"annotations": {"a": "1:30"}}}}, {"target": {"annotations": {"a": "1:30"}}}),
    ],
    ids=str,
)
def test_a_target_is_converted(target: dict[str, Any], fields: dict[str, Any] | None) -> None:
    conversion = external_secret({"data": [{"secretKey": "a", "remoteRef": {"key": "a"}}], "target": target})

    if fields is None:
        assert "tls.crt and tls.key for kubernetes.io/tls" in texts(conversion)[0]
        assert conversion.text == ""
        return
    spec = vault_secret(conversion)["spec"]
    assert {name: value for name, value in spec.items() if name not in {"vaultUrl", "data"}} == fields
    assert conversion.exit_code == 0


@pytest.mark.parametrize(
    ("target", "is_suspended"),
    [
        ({"creationPolicy": "Merge"}, True),
        ({"creationPolicy": "CreateOrMerge"}, True),
        ({"creationPolicy": "None"}, True),
        ({"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}}, True),
        ({"template": {"engineVersion": "v1"}}, True),
        ({"template": {"templateFrom": [{"configMap": {"name": "x", "items": [{"key": "y"}]}}]}}, True),
        ({"template": {"metadata": {"labels": {"a": "{{ .a }}"}}}}, True),
        ({"template": {"metadata": {"finalizers": ["example.com/x"]}}}, False),
        ({"template": {"metadata": {"labels": {"app.kubernetes.io/managed-by": "x"}}}}, False),
        ({"deletionPolicy": "Merge"}, False),
    ],
    ids=str,
)
def test_a_target_without_a_counterpart_is_a_finding(target: dict[str, Any], is_suspended: bool) -> None:
    conversion = external_secret({"data": [{"secretKey": "a", "remoteRef": {"key": "a"}}], "target": target})

    assert len(conversion.findings) == 1
    assert vault_secret(conversion)["spec"].get("suspend", False) is is_suspended


def test_without_a_template_the_secret_has_the_labels_of_the_external_secret() -> None:
    labels = {"team": "payments", "app.kubernetes.io/managed-by": "Helm", "example.com/tier": "web"}
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "x"}
    body = {
        "apiVersion": "external-secrets.io/v1beta1",
        "kind": "ExternalSecret",
        "metadata": {"name": "login", "namespace": "shop", "labels": labels, "annotations": annotations},
        "spec": {"secretStoreRef": {"name": "azure"}, "dataFrom": [{"extract": {"key": "config"}}]},
    }
    conversion = run(STORE, body)

    made = vault_secret(conversion)
    assert made["metadata"]["labels"] == labels
    assert made["metadata"]["annotations"] == {"note": "x"}
    assert made["spec"]["target"] == {
        "labels": {"team": "payments", "example.com/tier": "web"},
        "annotations": {"note": "x"},
    }
    assert grant(conversion)["spec"]["allow"] == {"labels": ["example.com/tier"]}
    assert conversion.exit_code == 0


def test_a_cluster_external_secret_becomes_one_for_each_namespace() -> None:
    conversion = run(CLUSTER_EXTERNAL_SECRET)

    made = [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in documents(conversion, "VaultSecret")]
    assert made == [("shop", "pull"), ("web", "pull")]
    assert grant(conversion)["spec"]["namespaces"] == {"names": ["shop", "web"]}


def test_a_cluster_external_secret_with_a_selector_is_not_converted() -> None:
    conversion = run(
        CLUSTER_EXTERNAL_SECRET.replace("namespaces: [shop, web]", "namespaceSelector: {matchLabels: {a: b}}")
    )

    assert documents(conversion, "VaultSecret") == []
    assert "a VaultSecret is for one namespace" in " ".join(texts(conversion))


def test_what_a_cluster_external_secret_has_made_is_not_converted() -> None:
    owned = EXTERNAL_SECRET.replace(
        "  namespace: shop\n",
        "  namespace: shop\n  ownerReferences: [{kind: ClusterExternalSecret, name: x, uid: u, controller: true}]\n",
    )
    conversion = run(STORE, owned)

    assert conversion.text == ""
    assert "ExternalSecret/login: a ClusterExternalSecret has made it" in texts(conversion)


def test_without_its_store_nothing_is_converted() -> None:
    conversion = run(EXTERNAL_SECRET)

    assert conversion.text == ""
    (finding,) = conversion.findings
    assert finding.subject == "ExternalSecret/login spec.secretStoreRef"
    assert finding.reason.startswith("the input does not have SecretStore azure")


def test_a_push_secret_is_one_finding() -> None:
    push = {
        "apiVersion": "external-secrets.io/v1alpha1",
        "kind": "PushSecret",
        "metadata": {"name": "up", "namespace": "shop"},
        "spec": {
            "selector": {"secret": {"name": "x"}},
            "secretStoreRefs": [{"name": "azure"}],
            "data": [{"match": {}}],
        },
    }
    conversion = run(push)

    assert texts(conversion) == ["PushSecret/up: vaultsync writes nothing to a vault"]
