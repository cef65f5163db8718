"""The CRD agrees with the models, and its bytes depend on nothing else."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from pydantic import ValidationError

from tests.manifests import RIGHT, WRONG, Wrong, as_stored, manifest
from tests.specs import specs
from vaultsync.api.checks import RULE, VALIDATIONS
from vaultsync.api.schema import crd_files, vault_grant_crd, vault_secret_crd, vault_secret_schema
from vaultsync.api.v1alpha1 import InvalidSpec, VaultSecret

SCHEMA = jsonschema.Draft202012Validator(vault_secret_schema())


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of a structural schema, with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from nodes(schema[keyword], f"{path}[]")


def error_types(document: dict[str, Any]) -> set[str]:
    """The types of the errors that pydantic reports."""
    try:
        VaultSecret.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        return {problem["type"] for problem in error.errors()}
    return set()


@given(specs())
def test_the_schema_accepts_every_spec_that_the_model_accepts(spec: object) -> None:
    document = as_stored(manifest(spec))

    if not error_types(document):
        SCHEMA.validate(document)


@given(specs())
def test_a_spec_that_the_schema_accepts_can_only_violate_rules(spec: object) -> None:
    document = as_stored(manifest(spec))

    if SCHEMA.is_valid(document):
        assert error_types(document) <= {RULE}


@pytest.mark.parametrize("spec", RIGHT.values(), ids=RIGHT)
def test_the_schema_accepts_a_valid_spec(spec: object) -> None:
    SCHEMA.validate(manifest(spec))


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_an_invalid_spec_violates_the_structure_or_a_rule(wrong: Wrong) -> None:
    document = as_stored(manifest(wrong.spec))
    unique = wrong.what not in {"one key twice", "one workload twice"}  # JSON Schema has no map lists

    assert SCHEMA.is_valid(document) is not (wrong.structural and unique)
    with pytest.raises(InvalidSpec):
        VaultSecret.parse(document)


def test_every_field_is_described() -> None:
    undescribed = {
        path
        for path, node in nodes(vault_secret_schema())
        if "description" not in node
        and path != ".metadata"
        and not path.endswith(("abels[]", "annotations[]", "template[]", "tags[]", "omit[]", "keys[]", "altered[]"))
    }

    assert undescribed == set()


def test_every_rule_has_a_message() -> None:
    rules = [rule for _, node in nodes(vault_secret_schema()) for rule in node.get(VALIDATIONS, ())]

    assert len(rules) > 15
    assert all(rule["rule"] and rule["message"] for rule in rules)


def test_only_the_spec_has_defaults_and_inside_lists_what_identifies_an_item() -> None:
    defaults = {path: node["default"] for path, node in nodes(vault_secret_schema()) if "default" in node}

    assert defaults == {
        ".status": {"observedGeneration": -1},
        ".status.missing[].key": "",
        ".spec.target": {},
        ".spec.target.type": "Opaque",
        ".spec.target.immutable": False,
        ".spec.target.replaceImmutable": False,
        ".spec.target.adopt": False,
        ".spec.refreshInterval": "2m",
        ".spec.onSourceDeleted": "Retain",
        ".spec.deleteAfter": "1h",
        ".spec.onDelete": "Delete",
        ".spec.suspend": False,
    }


def test_the_printer_columns() -> None:
    columns = vault_secret_crd()["spec"]["versions"][0]["additionalPrinterColumns"]

    shown = [column["name"] for column in columns if "priority" not in column]
    assert shown == ["Ready", "Reason", "Target", "Vault", "Expires", "Age"]
    wide = [column["name"] for column in columns if column.get("priority") == 1]
    assert wide == ["Written", "Refresh", "Keys", "Stale", "Message"]


def test_only_ages_are_of_type_date() -> None:
    columns = vault_secret_crd()["spec"]["versions"][0]["additionalPrinterColumns"]

    assert [column["name"] for column in columns if column["type"] == "date"] == ["Age", "Written"]


@pytest.mark.parametrize("crd", [vault_secret_crd(), vault_grant_crd()], ids=["VaultSecret", "VaultGrant"])
def test_times_are_named_so(crd: dict[str, Any]) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    times = [(path, node) for path, node in nodes(schema) if node.get("format") == "date-time"]

    assert times
    former = {path for path, node in times if node["description"].startswith("The former name of ")}
    assert [path for path, _ in times if not path.endswith("Time") and path not in former] == []


def test_a_renamed_field_is_known_by_both_names_and_required_by_neither() -> None:
    entry = vault_secret_schema()["properties"]["status"]["properties"]["entries"]["items"]

    assert {"readTime", "readAt"} <= entry["properties"].keys()
    assert entry["required"] == ["key", "secretName"]
    assert entry["properties"]["readAt"]["description"] == "The former name of readTime: read, but not written."


def test_a_file_names_its_source_and_contains_the_crd() -> None:
    files = crd_files()

    assert all(
        content.startswith(b"# Generated from operator/vaultsync/api by `vaultsync crds") for content in files.values()
    )
    assert {name: yaml.safe_load(content) for name, content in files.items()} == {
        "vaultgrants.yaml": vault_grant_crd(),
        "vaultsecrets.yaml": vault_secret_crd(),
    }


def test_the_short_name_does_not_collide_with_volumesnapshots_and_virtualservices() -> None:
    assert vault_secret_crd()["spec"]["names"]["shortNames"] == ["vsec"]


def test_rendering_twice_gives_the_same_bytes() -> None:
    assert crd_files() == crd_files()
