"""What a tenant writes into a spec to leave its namespace, its vault, or what a Secret may be.

Each is refused twice: by the API server at `kubectl apply`, and by the operator when it reads an object that an older
CustomResourceDefinition accepted.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import pytest

from tests.e2e.kubernetes import KubernetesApi
from tests.manifests import VERSION, Spec, as_stored, entry, manifest, source, spec, target
from vaultsync.api import API_VERSION, PLURAL
from vaultsync.api.v1alpha1 import InvalidSpec, VaultSecret

Refusal = Callable[[Spec], str]

PATHS: Final = (
    "../keys/db",
    "db/../../certificates/db",
    "db%2f..%2f..%2fkeys",
    "db/versions",
    "db?maxresults=1",
    "db#1",
)
LOOK_ALIKES: Final = ("\uff44\uff42", "d\u0432", "db\u200b", "\u202ebd", "db.", "db\n", " db", "db\x00", "D\u212aey")
"""Full-width letters, a Cyrillic letter, an invisible one, a change of direction, blanks, and a Kelvin sign."""


def refusal_of_the_model(written: Spec) -> str:
    """The operator's message for an object that the API server has stored."""
    try:
        VaultSecret.parse(as_stored(manifest(written)))
    except InvalidSpec as error:
        return str(error)
    return ""


@pytest.fixture(params=["operator", pytest.param("server", marks=pytest.mark.cluster)])
def refusal(request: pytest.FixtureRequest) -> Refusal:
    """The message that refuses a spec, by the operator or by the API server; empty if it is accepted."""
    if request.param == "operator":
        return refusal_of_the_model
    api: KubernetesApi = request.getfixturevalue("api")

    path = f"/apis/{API_VERSION}/namespaces/default/{PLURAL}"

    def refusal_of_the_server(written: Spec) -> str:
        answer = api.try_create(path, manifest(written, namespace="default"))
        assert answer.status_code in {HTTPStatus.CREATED, HTTPStatus.UNPROCESSABLE_ENTITY}, answer.text
        return "" if answer.is_success else answer.text

    return refusal_of_the_server


def accepted(refusal: Refusal, *written: Spec) -> list[Spec]:
    """The specs that are not refused; one without a trick is not refused, or the test would prove nothing."""
    assert refusal(spec()) == ""
    return [one for one in written if not refusal(one)]


@pytest.mark.parametrize("name", [*PATHS, *LOOK_ALIKES, "..", ".", ""])
def test_a_name_with_a_path_or_a_look_alike_does_not_reach_another_object_of_the_vault(
    refusal: Refusal, name: str
) -> None:
    """A tenant names a secret by a path, an encoded path, or letters that look like others."""
    tricks = (entry(secretName=name), source(object=name), source(certificate=name))

    assert accepted(refusal, *tricks) == []


@pytest.mark.parametrize(
    "version", ["../deleted", "latest", VERSION.upper(), VERSION + "\n", f"{VERSION}/..", "\uff10" * 32, "%2e%2e", ""]
)
def test_a_version_that_is_a_path_does_not_reach_another_object_of_the_vault(refusal: Refusal, version: str) -> None:
    """A tenant pins a version that is a path, or digits of another script."""
    assert accepted(refusal, entry(version=version), source(object="db", version=version)) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.vault.azure.net@attacker.example",
        "https://shop.vault.azure.net:443@attacker.example",
        "https://attacker.example\\@shop.vault.azure.net",
        "https://attacker.example/?.vault.azure.net",
        "https://attacker.example#.vault.azure.net",
        "https://attacker.example%2f.vault.azure.net",
        "https://shop.vault.azure.net/../..",
        "https://shop.vault.azure.net.",
        "https://shop\u3002vault\u3002azure\u3002net",
        "https://\u0455hop.vault.azure.net",
        "https://shop.vault.azure.net\n.attacker.example",
        "https://shop.vault.azure.net attacker.example",
        "https://[fe80::1]",
        "HTTPS://shop.vault.azure.net",
        "//shop.vault.azure.net",
        "file:///shop.vault.azure.net",
    ],
)
def test_a_url_that_reads_as_a_vault_does_not_lead_elsewhere(refusal: Refusal, url: str) -> None:
    """A tenant writes a URL that parsers read in different ways, so that a token goes to a host of their own."""
    assert accepted(refusal, spec(vaultUrl=url)) == []


@pytest.mark.parametrize(
    "name", ["../kube-system/db", "kube-system/db", "db/../db", "db%2f", "DB", ".db", *LOOK_ALIKES]
)
def test_a_target_with_a_path_does_not_leave_the_namespace(refusal: Refusal, name: str) -> None:
    """A tenant names a target so that the request for it is one for another namespace or another resource."""
    assert accepted(refusal, target(name=name)) == []


@pytest.mark.parametrize(
    "key", ["..", ".", "../../etc/passwd", "..data", "..2026_01_01", "a/b", "a\\b", *LOOK_ALIKES[:4]]
)
def test_a_key_that_is_a_path_does_not_leave_the_volume_of_a_pod(refusal: Refusal, key: str) -> None:
    """A tenant names keys so that a mounted Secret overwrites files outside its folder, or kubelet's own link in it."""
    tricks = (
        entry(key=key),
        entry(previousKey=key),
        target(template={key: ""}),
        source(certificate="tls", keyStore={"key": key, "passwordKey": "password"}),
        source(certificate="tls", trustStore={"key": "store", "passwordKey": key}),
        source(certificate="tls", passwordKey=key),
    )

    assert accepted(refusal, *tricks) == []


@pytest.mark.parametrize("kind", ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"])
@pytest.mark.parametrize("disguise", ["{}", " {}", "{} ", "{}\n", "\t{}", "{}\u200b", "{}\x00", "\ufeff{}"])
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_a_disguised_token_type_does_not_make_a_credential_for_the_cluster(
    refusal: Refusal, kind: str, disguise: str, case: Callable[[str], str]
) -> None:
    """A tenant asks for a token of a ServiceAccount by a type with blanks, invisible characters or other case."""
    assert accepted(refusal, target(type=disguise.format(case(kind)))) == []


@pytest.mark.parametrize(
    "key",
    [
        "vaultsync.dev/owner-uid",
        "vaultsync.dev/applied",
        "vaultsync.dev/anything",
        "VaultSync.dev/owner-uid",
        "vaultsync.dev./owner-uid",
        "vaultsync\u3002dev/owner-uid",
        "app.kubernetes.io/managed-by",
        "App.Kubernetes.io/managed-by",
        "app.kubernetes.io/managed-by ",
        "a/vaultsync.dev/owner-uid",
    ],
)
def test_a_label_or_annotation_that_imitates_the_operators_own_is_not_written(refusal: Refusal, key: str) -> None:
    """A tenant labels a target so that it counts as that of another VaultSecret, or as one of another operator."""
    tricks = (
        target(labels={key: "x"}),
        target(annotations={key: "x"}),
        target(copyLabels=[key]),
        target(metadataFrom={"labels": {key: "x"}}),
        target(metadataFrom={"annotations": {key: "x"}}),
    )

    assert accepted(refusal, *tricks) == []


def test_a_label_from_the_vault_does_not_hide_behind_one_of_the_spec(refusal: Refusal) -> None:
    """A tenant writes a label twice, once as a reviewer is to see it and once from a tag."""
    tricks = (
        target(labels={"team": "x"}, metadataFrom={"labels": {"team": "y"}}),
        target(copyLabels=["team"], metadataFrom={"labels": {"team": "y"}}),
        target(labels={"team": "x"}, copyLabels=["team"]),
        target(annotations={"team": "x"}, metadataFrom={"annotations": {"team": "y"}}),
    )

    assert accepted(refusal, *tricks) == []
