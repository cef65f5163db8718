"""The items of data and dataFrom: parsing, defaults and rules."""

import jsonschema
import pytest

from tests.manifests import ENTRY, as_stored, entry, manifest, source, spec
from vaultsync.api.schema import vault_secret_schema
from vaultsync.api.sources import MAX_SOURCES, DataFrom, Encoding, Format, OnCollision
from vaultsync.api.v1alpha1 import InvalidSpec, VaultSecret, VaultSecretSpec


def parsed(written: object) -> VaultSecretSpec:
    return VaultSecret.parse(as_stored(manifest(written))).spec


def test_omitted_fields_of_an_entry_have_the_documented_defaults() -> None:
    (line,) = parsed(spec()).data

    assert (line.encoding, line.format, line.optional) == (Encoding.UTF8, Format.JSON, False)
    assert (line.version, line.property, line.previous_key) == (None, None, None)


def test_omitted_fields_of_a_source_have_the_documented_defaults() -> None:
    (line,) = parsed(source(object="app")).data_from

    assert line == DataFrom(object="app")
    assert (line.format, line.optional, line.on_collision, line.ca) == (Format.JSON, False, OnCollision.FAIL, False)


@pytest.mark.parametrize(
    "path", ["db", "db.password", "a b.c-d", "hosts.0.name", "/db/password", "/", "/a~1b//c", "é.ü"], ids=str
)
def test_a_path_is_names_separated_by_dots_or_a_json_pointer(path: str) -> None:
    assert parsed(entry(property=path)).data[0].property == path


@pytest.mark.parametrize("path", [".", ".a", "a.", "a..b"], ids=str)
def test_a_path_has_no_empty_names_between_dots(path: str) -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.data\[0\]\.property: must be a path"):
        parsed(entry(property=path))


def test_two_entries_with_the_same_key_are_rejected() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.data: must not have two entries with the same key"):
        parsed(spec(data=[ENTRY, ENTRY]))


def test_a_certificate_field_of_an_object_is_rejected_even_if_false() -> None:
    """The rule in CEL tests whether the field is present, and so must the one in Python."""
    with pytest.raises(InvalidSpec, match="apply to certificate only"):
        parsed(source(object="app", ca=False))


def test_the_schema_bounds_the_lists() -> None:
    lines = [{"object": "app"}] * MAX_SOURCES

    jsonschema.validate(as_stored(manifest(spec(dataFrom=lines))), vault_secret_schema())
    assert len(parsed(spec(dataFrom=lines)).data_from) == MAX_SOURCES
