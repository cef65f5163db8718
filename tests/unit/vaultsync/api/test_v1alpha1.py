"""The models of VaultSecret: what they read, what they refuse and how, and the status that they write."""

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from pydantic import ValidationError

from tests.manifests import ENTRY, RIGHT, URL, WRONG, Spec, Wrong, as_stored, entry, manifest, spec, target
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import (
    Encoding,
    Entry,
    InvalidSpec,
    OnDelete,
    TargetSpec,
    VaultSecret,
    VaultSecretStatus,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def parsed(written: object) -> VaultSecret:
    return VaultSecret.parse(as_stored(manifest(written)))


def test_what_is_left_out_has_the_documented_defaults() -> None:
    vault_secret = parsed(spec())

    assert vault_secret.spec.vault_url == URL
    assert vault_secret.spec.data == (Entry(key="password", secret_name="db-password"),)
    assert vault_secret.spec.data[0].encoding is Encoding.UTF8
    assert vault_secret.spec.target == TargetSpec(name=None, type="Opaque", labels={}, annotations={}, adopt=False)
    assert vault_secret.spec.refresh_interval == timedelta(minutes=2)
    assert vault_secret.spec.on_delete is OnDelete.DELETE
    assert not vault_secret.spec.suspend
    assert vault_secret.status == VaultSecretStatus()


@pytest.mark.parametrize("right", RIGHT.values(), ids=RIGHT)
def test_what_is_right_is_read(right: Spec) -> None:
    vault_secret = parsed(right)

    assert len(vault_secret.spec.data) == len(right.get("data", ()))
    assert len(vault_secret.spec.data_from) == len(right.get("dataFrom", ()))


@pytest.mark.parametrize("wrong", [wrong for wrong in WRONG if not wrong.structural], ids=str)
def test_what_is_wrong_is_told_in_the_sentence_that_kubectl_shows(wrong: Wrong) -> None:
    with pytest.raises(InvalidSpec) as refused:
        parsed(wrong.spec)

    assert wrong.told in str(refused.value)


@pytest.mark.parametrize("wrong", [wrong for wrong in WRONG if wrong.structural], ids=str)
def test_what_has_the_wrong_structure_is_refused_by_the_fields_name(wrong: Wrong) -> None:
    with pytest.raises(InvalidSpec, match=r"^spec[.:]"):
        parsed(wrong.spec)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InvalidSpec) as refused:
        parsed(spec(vaultUrl="shop", data=[ENTRY, {"key": "a b", "secretName": "c"}], onDelete="Keep"))

    assert [problem.partition(":")[0] for problem in str(refused.value).split("; ")] == [
        "spec.vaultUrl",
        "spec.data[1].key",
        "spec.onDelete",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        entry(key="Pa55w0rd!"),
        entry(secretName="Pa55w0rd!"),
        entry(version="Pa55w0rd!"),
        entry(encoding="Pa55w0rd!"),
        entry(optional="Pa55w0rd!"),
        spec(vaultUrl="https://me:Pa55w0rd!@shop"),
        spec(refreshInterval="Pa55w0rd!"),
        target(name="Pa55w0rd!"),
        target(labels={"team": "Pa55w0rd!"}),
        target(annotations="Pa55w0rd!"),
    ],
    ids=str,
)
def test_a_refusal_shows_nothing_of_what_the_fields_hold(wrong: Spec) -> None:
    with pytest.raises(InvalidSpec) as refused:
        parsed(wrong)

    assert "Pa55w0rd" not in str(refused.value)
    assert refused.value.__context__ is None


def test_fields_of_tomorrow_are_read_over() -> None:
    vault_secret = parsed(spec(dataBy=[{"object": "app"}], data=[ENTRY | {"half": "first"}]))

    assert vault_secret == parsed(spec())


def test_the_wire_knows_one_name_for_each_field() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.data\[0\]\.secretName: Field required"):
        parsed(spec(data=[{"key": "password", "secret_name": "db-password"}]))


def test_any_mapping_is_read() -> None:
    document = as_stored(manifest(spec()))

    assert VaultSecret.parse(MappingProxyType(document)) == VaultSecret.parse(document)


def test_a_vault_secret_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parsed(spec()).spec.suspend = True


def test_the_key_is_namespace_and_name() -> None:
    assert parsed(spec()).key == ObjectKey("shop", "db")


@pytest.mark.parametrize(("fields", "name"), [({}, "db"), ({"name": "db-login"}, "db-login")], ids=["default", "given"])
def test_the_target_is_named_by_the_vault_secret_unless_it_has_a_name(fields: dict[str, str], name: str) -> None:
    assert parsed(target(**fields)).target_key == ObjectKey("shop", name)


def test_metadata_is_read() -> None:
    document = as_stored(manifest(spec()))
    document["metadata"] |= {"labels": {"team": "shop"}, "deletionTimestamp": "2026-03-01T12:00:01Z"}

    metadata = VaultSecret.parse(document).metadata

    assert (metadata.generation, metadata.resource_version) == (1, "7")
    assert metadata.creation_timestamp == NOON
    assert metadata.deletion_timestamp == NOON + timedelta(seconds=1)
    assert (metadata.labels, metadata.annotations) == ({"team": "shop"}, {})


@pytest.mark.parametrize(
    "status",
    ["broken", {"entries": [{"key": "a"}]}, {"conditions": {}}, {"lastChangeTime": "yesterday"}],
    ids=["no object", "an entry with too little", "conditions that are no list", "a moment in words"],
)
def test_a_status_that_cannot_be_read_counts_as_none(status: object) -> None:
    document = as_stored(manifest(spec())) | {"status": status}

    assert VaultSecret.parse(document).status == VaultSecretStatus()
