"""AzureKeyVaultSecrets of akv2k8s: each type of object and of Secret."""

from typing import Any

import pytest

from tests.unit.vaultsync.convert.converting import documents, grant, run, texts, vault_secret
from vaultsync.convert.core import Conversion, Options

VERSION = "0123456789abcdef0123456789abcdef"


def manifest(thing: dict[str, Any], output: dict[str, Any], name: str = "db", vault: str = "shop") -> dict[str, Any]:
    """An AzureKeyVaultSecret."""
    return {
        "apiVersion": "spv.no/v2beta1",
        "kind": "AzureKeyVaultSecret",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"vault": {"name": vault, "object": {"name": "thing", **thing}}, "output": output},
    }


def convert(thing: dict[str, Any], output: dict[str, Any]) -> Conversion:
    """Convert an AzureKeyVaultSecret."""
    return run(manifest(thing, output))


@pytest.mark.parametrize(
    ("thing", "secret", "fields"),
    [
        ({"type": "secret"}, {"dataKey": "a"}, {"data": [{"key": "a", "secretName": "thing"}]}),
        (
            {"type": "secret", "version": VERSION},
            {"dataKey": "a", "type": "Opaque"},
            {"data": [{"key": "a", "secretName": "thing", "version": VERSION}]},
        ),
        (
            {"type": "secret"},
            {"type": "kubernetes.io/dockerconfigjson"},
            {
                "data": [{"key": ".dockerconfigjson", "secretName": "thing"}],
                "target": {"type": "kubernetes.io/dockerconfigjson"},
            },
        ),
        (
            {"type": "secret"},
            {"type": "kubernetes.io/ssh-auth"},
            {"data": [{"key": "ssh-privatekey", "secretName": "thing"}], "target": {"type": "kubernetes.io/ssh-auth"}},
        ),
        (
            {"type": "secret"},
            {"type": "kubernetes.io/tls", "chainOrder": "ensureserverfirst"},
            {"dataFrom": [{"certificate": "thing"}], "target": {"type": "kubernetes.io/tls"}},
        ),
        (
            {"type": "certificate", "version": VERSION},
            {"type": "kubernetes.io/tls"},
            {"dataFrom": [{"certificate": "thing", "version": VERSION}], "target": {"type": "kubernetes.io/tls"}},
        ),
        (
            {"type": "multi-key-value-secret", "contentType": "application/x-json"},
            {},
            {"dataFrom": [{"object": "thing"}]},
        ),
        (
            {"type": "multi-key-value-secret", "contentType": "application/x-yaml"},
            {},
            {"dataFrom": [{"object": "thing", "format": "YAML"}]},
        ),
    ],
    ids=str,
)
def test_an_object_is_converted(thing: dict[str, Any], secret: dict[str, Any], fields: dict[str, Any]) -> None:
    conversion = convert(thing, {"secret": {"name": "db", **secret}})

    assert vault_secret(conversion)["spec"] == {"vaultUrl": "https://shop.vault.azure.net", **fields}
    assert conversion.exit_code == 0


@pytest.mark.parametrize(
    ("thing", "output", "reason", "is_suspended"),
    [
        ({"type": "key"}, {"secret": {"name": "db", "dataKey": "a"}}, "secrets, not keys", None),
        ({"type": "certificate"}, {"secret": {"name": "db", "dataKey": "a"}}, "as tls.crt and tls.key", None),
        (
            {"type": "multi-key-value-secret"},
            {"secret": {"name": "db"}},
            "neither JSON nor YAML",
            None,
        ),
        (
            {"type": "multi-key-value-secret", "contentType": "application/x-json"},
            {"secret": {"name": "db", "dataKey": "a"}},
            "akv2k8s ignores it",
            False,
        ),
        (
            {"type": "secret"},
            {"secret": {"name": "db", "dataKey": "a"}, "configMap": {"name": "x", "dataKey": "b"}},
            "writes Secrets only",
            False,
        ),
        ({"type": "secret"}, {"secret": {"name": "db"}}, "it has no dataKey", None),
        ({"type": "secret"}, {"secret": {"name": "db", "dataKey": "a"}, "transform": ["rot13"]}, "no such", None),
        ({"type": "secret"}, {}, "injection of variables", None),
    ],
    ids=str,
)
def test_what_has_no_counterpart(
    thing: dict[str, Any], output: dict[str, Any], reason: str, is_suspended: bool | None
) -> None:
    conversion = convert(thing, output)

    assert reason in " ".join(texts(conversion))
    made = documents(conversion, "VaultSecret")
    assert [one["spec"].get("suspend", False) for one in made] == ([] if is_suspended is None else [is_suspended])


@pytest.mark.parametrize(
    ("transform", "filters"),
    [
        (["trim"], "strip"),
        (["trim", "base64decode"], "strip | b64decode"),
        (["base64encode"], "b64encode"),
    ],
)
def test_a_transformation_becomes_a_template(transform: list[str], filters: str) -> None:
    conversion = convert({"type": "secret"}, {"secret": {"name": "db", "dataKey": "a"}, "transform": transform})

    spec = vault_secret(conversion)["spec"]
    assert spec["data"] == [{"key": "a.value", "secretName": "thing"}]
    assert spec["target"] == {"template": {"a": f'{{{{ entries["a.value"] | {filters} }}}}'}}
    assert "also has the key that the template uses" in texts(conversion)[0]


def test_base64_is_decoded_by_the_entry() -> None:
    output = {"secret": {"name": "db", "dataKey": "a"}, "transform": ["base64decode"]}

    assert vault_secret(convert({"type": "secret"}, output))["spec"]["data"] == [
        {"key": "a", "secretName": "thing", "encoding": "Base64"}
    ]


def test_a_login_is_split_by_templates() -> None:
    conversion = convert({"type": "secret"}, {"secret": {"name": "db", "type": "kubernetes.io/basic-auth"}})

    spec = vault_secret(conversion)["spec"]
    assert spec["data"] == [{"key": "login", "secretName": "thing"}]
    assert spec["target"]["template"] == {
        "username": '{{ login | split: ":" | first }}',
        "password": '{{ login | split: ":" | last }}',
    }


def test_several_that_write_one_secret_become_one() -> None:
    conversion = run(
        manifest({"type": "secret"}, {"secret": {"name": "both", "dataKey": "a"}}, "a"),
        manifest({"type": "secret"}, {"secret": {"name": "both", "dataKey": "b"}, "transform": ["trim"]}, "b"),
    )

    made = vault_secret(conversion)
    assert made["metadata"]["name"] == "both"
    assert [entry["key"] for entry in made["spec"]["data"]] == ["a", "b.value"]
    assert list(made["spec"]["target"]["template"]) == ["b"]
    assert "# From AzureKeyVaultSecret shop/a (in.yaml:1)\n# From AzureKeyVaultSecret shop/b" in conversion.text


def test_several_of_different_vaults_do_not_fit_into_one() -> None:
    conversion = run(
        manifest({"type": "secret"}, {"secret": {"name": "both", "dataKey": "a"}}, "a"),
        manifest({"type": "secret"}, {"secret": {"name": "both", "dataKey": "b"}}, "b", vault="other"),
    )

    assert vault_secret(conversion)["spec"]["suspend"] is True
    assert "keys of several vaults" in texts(conversion)[0]


def test_an_identity_of_its_own_is_not_that_of_the_operator() -> None:
    """Nor does it get into the VaultSecret of another that has none."""
    named = manifest({"type": "secret"}, {"secret": {"name": "both", "dataKey": "a"}}, "a")
    named["spec"]["vault"]["azureIdentity"] = "team"
    other = manifest({"type": "secret"}, {"secret": {"name": "both", "dataKey": "b"}}, "b")

    conversion = run(named, other)

    unknown = {"managedIdentity": {"clientId": "00000000-0000-0000-0000-000000000000"}}
    assert grant(conversion)["spec"]["identity"] == unknown
    assert [entry["key"] for entry in vault_secret(conversion)["spec"]["data"]] == ["a"]
    assert "keys of several vaults or identities" in " ".join(texts(conversion))


def test_the_domain_of_vaults_is_an_option() -> None:
    conversion = run(
        manifest({"type": "secret"}, {"secret": {"name": "db", "dataKey": "a"}}),
        options=Options(vault_suffix="vault.azure.cn"),
    )

    assert vault_secret(conversion)["spec"]["vaultUrl"] == "https://shop.vault.azure.cn"
