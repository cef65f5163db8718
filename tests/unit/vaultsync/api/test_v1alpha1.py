"""The models of VaultSecret: parsing, validation errors, and the status."""

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from pydantic import ValidationError

from tests.manifests import ENTRY, RIGHT, URL, WORKLOAD, WRONG, Spec, Wrong, as_stored, entry, manifest, spec, target
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import (
    Encoding,
    Entry,
    InvalidSpec,
    OnDelete,
    Restart,
    TargetSpec,
    VaultSecret,
    VaultSecretMeta,
    VaultSecretStatus,
    WorkloadKind,
    with_copied_labels,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def parsed(written: object) -> VaultSecret:
    return VaultSecret.parse(as_stored(manifest(written)))


def test_omitted_fields_have_the_documented_defaults() -> None:
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
def test_a_valid_spec_is_read(right: Spec) -> None:
    vault_secret = parsed(right)

    assert len(vault_secret.spec.data) == len(right.get("data", ()))
    assert len(vault_secret.spec.data_from) == len(right.get("dataFrom", ()))


@pytest.mark.parametrize("wrong", [wrong for wrong in WRONG if not wrong.structural], ids=str)
def test_an_invalid_spec_has_the_message_that_kubectl_shows(wrong: Wrong) -> None:
    with pytest.raises(InvalidSpec) as error:
        parsed(wrong.spec)

    assert wrong.message in str(error.value)


@pytest.mark.parametrize("wrong", [wrong for wrong in WRONG if wrong.structural], ids=str)
def test_a_wrong_structure_is_rejected_with_the_path_of_the_field(wrong: Wrong) -> None:
    with pytest.raises(InvalidSpec, match=r"^spec[.:]"):
        parsed(wrong.spec)


def test_all_errors_are_reported_at_once() -> None:
    with pytest.raises(InvalidSpec) as error:
        parsed(spec(vaultUrl="shop", data=[ENTRY, {"key": "a b", "secretName": "c"}], onDelete="Keep"))

    assert [problem.partition(":")[0] for problem in str(error.value).split("; ")] == [
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
def test_an_error_does_not_contain_the_value_of_a_field(wrong: Spec) -> None:
    with pytest.raises(InvalidSpec) as error:
        parsed(wrong)

    assert "Pa55w0rd" not in str(error.value)
    assert error.value.__context__ is None


def test_unknown_fields_are_ignored() -> None:
    vault_secret = parsed(spec(dataBy=[{"object": "app"}], data=[ENTRY | {"half": "first"}]))

    assert vault_secret == parsed(spec())


def test_only_the_camel_case_name_of_a_field_is_read() -> None:
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
def test_the_targets_name_defaults_to_that_of_the_vault_secret(fields: dict[str, str], name: str) -> None:
    assert parsed(target(**fields)).target_key == ObjectKey("shop", name)


def test_metadata_is_read() -> None:
    document = as_stored(manifest(spec()))
    document["metadata"] |= {"labels": {"team": "shop"}, "deletionTimestamp": "2026-03-01T12:00:01Z"}

    metadata = VaultSecret.parse(document).metadata

    assert (metadata.generation, metadata.resource_version) == (1, "7")
    assert metadata.creation_timestamp == NOON
    assert metadata.deletion_timestamp == NOON + timedelta(seconds=1)
    assert metadata.annotations == {}


@pytest.mark.parametrize(
    "status",
    [
        "broken",
        {"entries": [{"key": "a"}]},
        {"conditions": {}},
        {"lastChangeTime": "yesterday"},
        {"lastChangeTime": "0001-01-01T00:00:00+14:00"},
    ],
    ids=[
        "not an object",
        "an entry with too little",
        "conditions that are not a list",
        "a time that is a word",
        "a time out of range",
    ],
)
def test_an_invalid_status_is_read_as_empty(status: object) -> None:
    document = as_stored(manifest(spec())) | {"status": status}

    assert VaultSecret.parse(document).status == VaultSecretStatus()


def test_a_workload_to_restart_is_read() -> None:
    restart = Restart.parse(WORKLOAD | {"minInterval": "1m30s"})

    assert (restart.kind, restart.name, restart.min_interval) == (
        WorkloadKind.DEPLOYMENT,
        "web",
        timedelta(seconds=90),
    )


def test_a_restart_interval_that_is_left_out_stays_out() -> None:
    """A default inside a list is a permanent difference for tools that compare manifests."""
    assert Restart.parse(WORKLOAD).min_interval is None


@pytest.mark.parametrize(
    ("copied", "kept"),
    [
        (["team", "none"], {"team": "shop"}),
        (None, {}),
        ([], {}),
    ],
)
def test_of_a_vaultsecrets_labels_only_those_are_kept_that_the_secret_has_too(
    copied: list[str] | None, kept: dict[str, str]
) -> None:
    """Others write labels, too, and all VaultSecrets are in memory."""
    written = as_stored(manifest(spec(target={} if copied is None else {"copyLabels": copied})))
    labels = {"team": "shop"} | {f"label-{number}": "x" for number in range(1000)}

    found = VaultSecret.parse({**written, "metadata": written["metadata"] | {"labels": labels}})

    assert (found.metadata.labels, found.copied_labels) == (kept, kept)


@pytest.mark.parametrize(
    "spec",
    [None, [], {"target": 1}, {"target": {"copyLabels": "team"}}, {"target": {"copyLabels": [["team"], {}]}}],
    ids=str,
)
def test_no_label_is_kept_by_a_spec_that_names_none(spec: object) -> None:
    written = as_stored(manifest({}))
    body = {**written, "spec": spec, "metadata": written["metadata"] | {"labels": {"team": "shop"}}}

    assert "labels" not in with_copied_labels(body)["metadata"]
    assert VaultSecretMeta.parse(body).metadata.labels == {}
