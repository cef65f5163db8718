"""The Helm chart agrees with the operator that it installs, and with its own papers."""

import re
from collections.abc import Iterator
from typing import Any, Final

import jsonschema
import pytest
import yaml

from tests.chart.commented import CommentedValue, commented_values, table
from tests.chart.renders import (
    CHART,
    README,
    VALUES,
    Manifest,
    container,
    manifests,
    operator_rules,
    readme_with,
    render,
    render_policies,
)
from tests.controlplane.helm import Helm, HelmFailed
from vaultsync import __version__
from vaultsync.__main__ import main
from vaultsync.adapters.identities.credentials import AUDIENCE
from vaultsync.api import (
    APPLIED_ANNOTATION,
    GRANT_KIND,
    GROUP,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    RESTARTED_ANNOTATION,
    VERSION,
)
from vaultsync.api.grants import CONTENT_TYPES
from vaultsync.api.schema import crd_files
from vaultsync.api.secret_types import TOKEN_TYPES
from vaultsync.settings import PREFIX, Settings


def documented() -> list[CommentedValue]:
    """The values that values.yaml explains."""
    return commented_values(VALUES.read_text())


def defaults() -> Manifest:
    """The values as they come."""
    values: Manifest = yaml.safe_load(VALUES.read_text())
    return values


def schema() -> Manifest:
    """What the chart accepts."""
    document: Manifest = yaml.safe_load((CHART / "values.schema.json").read_text())
    return document


def chart() -> Manifest:
    """What the chart says about itself."""
    document: Manifest = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return document


def environment(rendered: str) -> dict[str, str]:
    """The settings that the operator's container gets."""
    return {each["name"]: each["value"] for each in container(rendered)["env"] if each["name"].startswith(PREFIX)}


OF_THE_ELECTION: Final = {"VAULTSYNC_SHARDS", "VAULTSYNC_LEASE_NAMESPACE", "VAULTSYNC_INSTALLATION"}
"""The settings with values outside of `settings:`, since roles and admission policies depend on them, too."""


def as_variable(value: str) -> str:
    """The variable of a value under `settings:`: VAULTSYNC_VAULT_CALLS_PER_10S of vaultCallsPer10s."""
    return PREFIX + re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", value).upper()


def as_text(value: object) -> str:
    """What a variable says for a value."""
    match value:
        case list():
            return ",".join(value)
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def closed_paths(node: Manifest, document: Manifest, prefix: str = "") -> Iterator[str]:
    """The paths of values that a schema knows, down to where anything goes."""
    if "$ref" in node:
        node = document["definitions"][node["$ref"].removeprefix("#/definitions/")]
    if "properties" not in node:
        yield prefix
    for name, child in node.get("properties", {}).items():
        yield from closed_paths(child, document, f"{prefix}.{name}" if prefix else name)


# The chart and the operator


def test_the_chart_installs_the_version_that_it_lies_beside() -> None:
    assert chart()["appVersion"] == __version__


def test_the_charts_crds_are_the_operators_byte_by_byte() -> None:
    copies = {path.name: path.read_bytes() for path in (CHART / "files" / "crds").iterdir()}

    assert copies == crd_files(), "run `make generate`"


def test_each_setting_has_one_value(helm: Helm) -> None:
    assert {as_variable(value) for value in defaults()["settings"]} | OF_THE_ELECTION == {
        f"{PREFIX}{field.upper()}" for field in Settings.model_fields
    }


def test_without_values_the_operator_gets_the_settings_that_it_has_by_itself(helm: Helm) -> None:
    given = Settings.from_env(environment(render(helm)))

    assert given == Settings(installation="vaultsync.vaultsync-system")


def test_leaders_are_elected_as_the_values_say(helm: Helm) -> None:
    elected = {"shards": 3, "leaderElection": {"namespace": "leases"}}

    rendered = render(helm, values={**elected, "fullnameOverride": "secrets", "namespaceOverride": "platform"})

    given = {name: text for name, text in environment(rendered).items() if name in OF_THE_ELECTION}
    assert given == {
        "VAULTSYNC_SHARDS": "3",
        "VAULTSYNC_LEASE_NAMESPACE": "leases",
        "VAULTSYNC_INSTALLATION": "secrets.platform",
    }


def test_each_setting_reaches_the_operator(helm: Helm) -> None:
    values = {
        "watchNamespaces": ["shop", "web"],
        "vaultDnsSuffixes": [".example.net"],
        "vaultHosts": ["kv.example.com:8443"],
        "vaultAuthorities": [".example.net=https://login.example.net:8443", "kv.example.com=https://login.example.com"],
        "vaultResources": ["kv.example.com=https://vault.azure.net"],
        "caFile": "/ca/ca.crt",
        "listen": "[::]:9090",
        "probesListen": "[::]:9091",
        "tlsCertFile": "/tls/tls.crt",
        "tlsKeyFile": "/tls/tls.key",
        "metricsAuthorization": True,
        "concurrency": 8,
        "vaultCallsPer10s": 100,
        "recheckInterval": "1h30m",
        "expiryNotice": "720h",
        "metricsPerVaultsecret": False,
        "logLevel": "debug",
        "logFormat": "json",
    }
    assert values.keys() == defaults()["settings"].keys()

    rendered = render(helm, values={"settings": values})

    given = {name: text for name, text in environment(rendered).items() if name not in OF_THE_ELECTION}
    assert given == {as_variable(name): as_text(value) for name, value in values.items()}
    Settings.from_env(environment(rendered))


@pytest.mark.parametrize(
    ("values", "source"),
    [
        (
            {"configMap": "private-ca"},
            {"configMap": {"name": "private-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        ),
        (
            {"secret": "private-ca", "key": "bundle.pem"},
            {"secret": {"secretName": "private-ca", "items": [{"key": "bundle.pem", "path": "ca.crt"}]}},
        ),
    ],
)
def test_further_authorities_are_mounted_from_a_config_map_or_a_secret(
    helm: Helm, values: Manifest, source: Manifest
) -> None:
    others: dict[str, list[Manifest]] = {
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    }

    rendered = render(helm, values={"caBundle": values, **others})

    (pod,) = [one["spec"]["template"]["spec"] for one in manifests(rendered) if one["kind"] == "Deployment"]
    mount, more = pod["containers"][0]["volumeMounts"]
    assert pod["volumes"] == [{"name": mount["name"], **source}, *others["extraVolumes"]]
    assert more == others["extraVolumeMounts"][0]
    assert "subPath" not in mount  # Kubernetes would not update the file
    assert environment(rendered)["VAULTSYNC_CA_FILE"] == f"{mount['mountPath']}/ca.crt"


@pytest.mark.parametrize(
    "values",
    [
        {"caBundle": {"configMap": "one", "secret": "another"}},
        {"caBundle": {"secret": "one"}, "settings": {"caFile": "/another"}},
    ],
)
def test_further_authorities_come_from_one_place(helm: Helm, values: Manifest) -> None:
    with pytest.raises(HelmFailed, match="cannot both be set"):
        render(helm, values=values)


def rules(rendered: str, kind: str) -> dict[tuple[str | None, str], list[Manifest]]:
    """The rules of all roles of a kind, by namespace and name."""
    roles = [each for each in yaml.safe_load_all(rendered) if each and each["kind"] == kind]
    return {(role["metadata"].get("namespace"), role["metadata"]["name"]): role["rules"] for role in roles}


def test_the_operator_may_request_tokens_of_named_accounts_and_read_named_secrets(helm: Helm) -> None:
    accounts = [{"namespace": "shop", "name": "reader"}, {"namespace": "web", "name": "reader"}]
    accounts.append({"namespace": "shop", "name": "writer"})
    named = {"serviceAccounts": accounts, "secrets": ["shop-reader"]}

    unasked = rules(render(helm), "Role")
    made = rules(render(helm, values={"identities": named}), "Role")

    tokens = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}
    assert made == unasked | {
        ("shop", "vaultsync.vaultsync-system.account-tokens"): [{**tokens, "resourceNames": ["reader", "writer"]}],
        ("web", "vaultsync.vaultsync-system.account-tokens"): [{**tokens, "resourceNames": ["reader"]}],
        ("vaultsync-system", "vaultsync.vaultsync-system.identity-secrets"): [
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["shop-reader"]}
        ],
    }


def test_without_identities_the_operator_may_request_no_tokens(helm: Helm) -> None:
    assert "serviceaccounts/token" not in str(rules(render(helm), "ClusterRole"))
    assert {each for role in rules(render(helm), "Role").values() for rule in role for each in rule["resources"]} == {
        "leases"
    }


def test_tokens_of_all_accounts_need_the_policies_that_limit_them(helm: Helm) -> None:
    values = {"identities": {"allServiceAccounts": True}}

    granted = operator_rules(render(helm, values=values))
    assert {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]} in granted
    with pytest.raises(HelmFailed, match=r"identities.allServiceAccounts requires admissionPolicies.enabled"):
        render(helm, values={**values, "admissionPolicies": {"enabled": False}})


def test_the_settings_bounds_are_those_of_the_operator() -> None:
    values = schema()["properties"]
    elsewhere = {
        "shards": values["shards"],
        "leaseNamespace": values["leaderElection"]["properties"]["namespace"],
        "installation": {},
    }
    ours = values["settings"]["properties"] | elsewhere
    theirs = Settings.model_json_schema()
    camel = {field: re.sub(r"_(\w)", lambda letter: letter[1].upper(), field) for field in Settings.model_fields}

    for field, rule in theirs["properties"].items():
        word = theirs["$defs"][rule["$ref"].rpartition("/")[2]] if "$ref" in rule else {}
        for bound in ("enum", "minimum", "maximum"):
            assert ours[camel[field]].get(bound) == (rule | word).get(bound), f"{field}: {bound}"


def test_the_operator_may_write_the_types_that_a_grant_allows_by_default_and_never_a_credential() -> None:
    types = schema()["properties"]["admissionPolicies"]["properties"]["secretTypes"]

    assert set(defaults()["admissionPolicies"]["secretTypes"]) == set(CONTENT_TYPES)
    assert types["items"]["not"]["enum"] == list(TOKEN_TYPES)


def test_the_admission_policies_name_what_the_operator_writes(helm: Helm) -> None:
    spoken = "\n".join(_texts(render_policies(helm, account="vaultsync", namespace="system")))

    names = {
        f"{GROUP}/adopt-by",
        f"{GROUP}/retained-by",
        APPLIED_ANNOTATION,
        MANAGED_BY_LABEL,
        OWNER_UID_LABEL,
        RESTARTED_ANNOTATION,
    }
    assert set(re.findall(rf"{re.escape(GROUP)}/[a-z-]+", spoken)) | {MANAGED_BY_LABEL} == names
    for quoted in (MANAGED_BY_LABEL, MANAGED_BY, KIND, GRANT_KIND, AUDIENCE, *TOKEN_TYPES):
        assert f"'{quoted}'" in spoken
    # So that they fit the operator of another version, too.
    assert VERSION not in spoken


def test_each_admission_policy_denies_also_if_it_cannot_be_evaluated(helm: Helm) -> None:
    rendered = render_policies(helm, account="vaultsync", namespace="system")
    policies = {one["metadata"]["name"]: one for one in rendered if one["kind"] == "ValidatingAdmissionPolicy"}
    bindings = [one for one in rendered if one["kind"] == "ValidatingAdmissionPolicyBinding"]

    assert {one["spec"]["failurePolicy"] for one in policies.values()} == {"Fail"}
    assert [binding["spec"]["policyName"] for binding in bindings] == list(policies)
    assert all("Deny" in binding["spec"]["validationActions"] for binding in bindings)


def _texts(node: Any) -> Iterator[str]:  # noqa: ANN401 - a manifest holds anything
    match node:
        case dict() | list():
            for child in node.values() if isinstance(node, dict) else node:
                yield from _texts(child)
        case str():
            yield node


def test_the_arguments_are_ones_that_the_command_line_knows(helm: Helm, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*container(render(helm))["args"], "--help"])

    assert end.value.code == 0


def test_the_ports_follow_the_addresses_that_are_listened_on(helm: Helm) -> None:
    rendered = render(helm, values={"settings": {"listen": "[::]:9090", "probesListen": "[::]:9091"}})

    assert container(rendered)["ports"] == [
        {"name": "metrics", "containerPort": 9090},
        {"name": "probes", "containerPort": 9091},
    ]


def test_probes_use_neither_the_port_nor_the_tls_of_the_metrics(helm: Helm) -> None:
    files = {"tlsCertFile": "/tls/tls.crt", "tlsKeyFile": "/tls/tls.key"}

    described = container(render(helm, values={"settings": files}))

    assert described["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "probes"}
    assert described["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "probes"}


# The chart and its own papers


def test_every_value_is_explained() -> None:
    assert [value.path for value in documented() if not value.comment] == []


def test_each_value_is_read_by_a_template() -> None:
    read = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    as_one = ("settings.", "prometheusRule.alerts.")  # a loop passes all of these on

    paths = [value.path for value in documented() if not value.path.startswith(as_one)]
    assert [path for path in paths if not re.search(rf"[.]{path.rpartition('.')[2]}\b", read)] == []


def test_the_schema_knows_the_values_that_the_chart_has_and_no_others() -> None:
    known = set(closed_paths(schema(), schema()))
    explained = [value.path for value in documented()]

    assert [path for path in explained if not any(f"{each}.".startswith(f"{path}.") for each in known)] == []
    assert [path for path in known if not any(f"{path}.".startswith(f"{each}.") for each in explained)] == []


def test_the_schema_leaves_no_object_of_ours_open() -> None:
    shared = schema()["properties"]["global"]  # other charts have properties there
    objects = [node for node in _nodes(schema()) if "properties" in node and node != shared]

    assert [sorted(node["properties"]) for node in objects if node.get("additionalProperties") is not False] == []


def _nodes(node: Any) -> Iterator[Manifest]:  # noqa: ANN401 - a schema holds anything
    if isinstance(node, dict):
        if "type" in node:
            yield node
        for child in node.values():
            yield from _nodes(child)


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(schema())


def test_the_readmes_table_is_what_the_values_say() -> None:
    assert README.read_text() == readme_with(table(documented())), "run `make generate`"
