"""The CRDs in crds/, the documentation and Kubernetes' limits agree with the models."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.manifests import as_stored, documented, manifest, spec
from vaultsync.api import APPLIED_ANNOTATION
from vaultsync.api.schema import crd_files, vault_secret_schema
from vaultsync.api.sources import MAX_ENTRIES
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.render.metadata import MAX_ANNOTATION
from vaultsync.state.applied import MAX_TAGS, to_annotation
from vaultsync.state.secrets import SecretRef, SecretState

CRDS = Path(__file__).parents[2] / "crds"
ANNOTATIONS_LIMIT = 256 * 1024
"""https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set"""


def test_the_files_are_generated_from_the_models() -> None:
    assert {path.name: path.read_bytes() for path in CRDS.iterdir()} == crd_files(), "run `make generate`"


@pytest.mark.parametrize("example", documented().values(), ids=documented())
def test_an_example_in_the_documentation_is_valid(example: dict[str, Any]) -> None:
    jsonschema.validate(example, vault_secret_schema())
    VaultSecret.parse(as_stored(example))


@pytest.mark.parametrize("example", documented().values(), ids=documented())
def test_an_example_in_the_documentation_has_no_unknown_field(example: dict[str, Any]) -> None:
    assert unknown(example["spec"], vault_secret_schema()["properties"]["spec"]) == set()


def unknown(value: object, schema: dict[str, Any]) -> set[str]:
    """The names of fields that are not in a schema."""
    match value:
        case dict() if "properties" in schema:
            known = schema["properties"]
            nested = [unknown(child, known[name]) for name, child in value.items() if name in known]
            return set(value.keys() - known.keys()).union(*nested)
        case list():
            return set().union(*(unknown(child, schema["items"]) for child in value))
        case _:
            return set()


def test_the_readme_has_examples() -> None:
    assert any(place.startswith("README.md") for place in documented())


def test_the_annotations_of_a_secret_have_room_for_the_maximum_of_entries_with_the_longest_names() -> None:
    keys = [f"{number:0253}" for number in range(MAX_ENTRIES)]
    annotations = {f"{'a' * 253}/{number:063}": "x" * 2048 for number in range(32)}
    data = [{"key": key, "secretName": "a" * 127} for key in keys]
    vault_secret = VaultSecret.parse(as_stored(manifest(spec(data=data, target={"annotations": annotations}))))
    from_vault = {f"{'b' * 253}/{number:063}": "x" * MAX_ANNOTATION for number in range(16)}
    tags = {f"{number:07}": "x" * 256 for number in range(MAX_TAGS // 300)}
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    states = [SecretState(SecretRef("a" * 127, "f" * 32), (key,), "f" * 32, moment, moment, moment) for key in keys]

    states[0] = replace(states[0], tags=tags)
    written = {
        **vault_secret.spec.target.annotations,
        **from_vault,
        APPLIED_ANNOTATION: to_annotation(vault_secret, states, created=True, metadata="0" * 16),
    }

    assert sum(len(name) + len(text.encode()) for name, text in written.items()) <= ANNOTATIONS_LIMIT
