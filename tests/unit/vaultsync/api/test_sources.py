"""The lines of data and dataFrom: what they read, what holds when something is left out, and which rules they have."""

import jsonschema
import pytest

from tests.manifests import ENTRY, as_stored, entry, manifest, source, spec
from vaultsync.api.schema import vault_secret_schema
from vaultsync.api.sources import MAX_SOURCES, DataFrom, Encoding, OnCollision
from vaultsync.api.v1alpha1 import InvalidSpec, VaultSecret, VaultSecretSpec


def parsed(written: object) -> VaultSecretSpec:
    return VaultSecret.parse(as_stored(manifest(written))).spec


def test_what_is_left_out_of_an_entry_has_the_documented_defaults() -> None:
    (line,) = parsed(spec()).data

    assert (line.encoding, line.optional) == (Encoding.UTF8, False)
    assert (line.version, line.property, line.previous_key) == (None, None, None)


def test_what_is_left_out_of_a_source_has_the_documented_defaults() -> None:
    (line,) = parsed(source(object="app")).data_from

    assert line == DataFrom(object="app")
    assert (line.optional, line.on_collision, line.ca) == (False, OnCollision.FAIL, False)


@pytest.mark.parametrize(
    "path", ["db", "db.password", "a b.c-d", "hosts.0.name", "/db/password", "/", "/a~1b//c", "é.ü"], ids=str
)
def test_a_path_is_names_with_dots_between_or_a_json_pointer(path: str) -> None:
    assert parsed(entry(property=path)).data[0].property == path


@pytest.mark.parametrize("path", [".", ".a", "a.", "a..b"], ids=str)
def test_a_path_has_no_empty_names_between_dots(path: str) -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.data\[0\]\.property: must be a path"):
        parsed(entry(property=path))


def test_two_entries_of_one_key_are_refused() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.data: must not have two entries with the same key"):
        parsed(spec(data=[ENTRY, ENTRY]))


def test_a_false_word_about_certificates_is_out_of_place_beside_an_object_too() -> None:
    """CEL sees that the field is there, and so must we."""
    with pytest.raises(InvalidSpec, match="are for a certificate"):
        parsed(source(object="app", ca=False))


def test_the_schema_bounds_the_lists() -> None:
    lines = [{"object": "app"}] * MAX_SOURCES

    jsonschema.validate(as_stored(manifest(spec(dataFrom=lines))), vault_secret_schema())
    assert len(parsed(spec(dataFrom=lines)).data_from) == MAX_SOURCES
