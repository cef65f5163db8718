"""The models of VaultSecret: what they read, what they refuse and how, and the status that they write."""

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.manifests import ENTRY, RIGHT, URL, VERSION, WRONG, Spec, Wrong, as_stored, entry, manifest, spec, target
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import (
    Condition,
    Encoding,
    Entry,
    InvalidSpec,
    OnDelete,
    StatusEntry,
    StatusTarget,
    TargetSpec,
    VaultSecret,
    VaultSecretStatus,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def parsed(written: object) -> VaultSecret:
    return VaultSecret.parse(as_stored(manifest(written)))


def status_entry(key: str, expires: datetime | None) -> StatusEntry:
    return StatusEntry(key=key, secret_name=key, version=VERSION, updated=NOON, expires=expires, read_at=NOON)


def condition(status: str, text: str, moment: datetime, generation: int | None) -> Condition:
    return Condition(
        type="Ready",
        status=status,
        reason=text,
        message=text,
        last_transition_time=moment,
        observed_generation=generation,
    )


GENERATIONS = st.none() | st.integers(1, 9)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
STATUSES = st.builds(
    VaultSecretStatus,
    observed_generation=GENERATIONS,
    conditions=st.tuples(
        st.builds(condition, st.sampled_from(["True", "False", "Unknown"]), st.text(), MOMENTS, GENERATIONS)
    ),
    target=st.none() | st.builds(StatusTarget, name=st.text()),
    entries=st.lists(st.builds(status_entry, st.text(), st.none() | MOMENTS), max_size=3).map(tuple),
    last_change_time=st.none() | MOMENTS,
)


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


@given(STATUSES)
def test_a_status_comes_back_from_the_wire_as_it_was(status: VaultSecretStatus) -> None:
    assert VaultSecretStatus.parse(status.to_wire()) == status


@given(STATUSES)
def test_a_status_on_the_wire_holds_no_nulls(status: VaultSecretStatus) -> None:
    def nothing_null(value: object) -> bool:
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return value is not None and all(map(nothing_null, children))

    assert nothing_null(status.to_wire())


def test_a_status_is_written_in_the_words_of_the_api() -> None:
    status = VaultSecretStatus(
        observed_generation=3,
        conditions=(
            Condition(type="Ready", status="True", reason="Synced", message="In sync.", last_transition_time=NOON),
        ),
        target=StatusTarget(name="db"),
        entries=(
            status_entry("password", NOON + timedelta(days=30)),
            StatusEntry(key="a", secret_name="a", read_at=NOON),
        ),
        last_change_time=NOON,
    )

    assert status.to_wire() == {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Synced",
                "message": "In sync.",
                "lastTransitionTime": "2026-03-01T12:00:00Z",
            }
        ],
        "target": {"name": "db"},
        "entries": [
            {
                "key": "password",
                "secretName": "password",
                "version": VERSION,
                "updated": "2026-03-01T12:00:00Z",
                "expires": "2026-03-31T12:00:00Z",
                "readAt": "2026-03-01T12:00:00Z",
            },
            {"key": "a", "secretName": "a", "readAt": "2026-03-01T12:00:00Z"},
        ],
        "lastChangeTime": "2026-03-01T12:00:00Z",
        "expires": "2026-03-31T12:00:00Z",
    }


def test_a_moment_is_written_to_the_second_however_it_came_into_the_status() -> None:
    status = VaultSecretStatus().model_copy(update={"last_change_time": NOON.replace(microsecond=7)})

    assert status.to_wire()["lastChangeTime"] == "2026-03-01T12:00:00Z"


def test_a_vault_secret_expires_with_the_first_of_its_secrets() -> None:
    entries = tuple(status_entry(f"key-{days}", NOON + timedelta(days=days)) for days in (30, 7, 90))

    assert VaultSecretStatus(entries=(*entries, status_entry("never", None))).expires == NOON + timedelta(days=7)


@pytest.mark.parametrize(
    "status",
    ["broken", {"entries": [{"key": "a"}]}, {"conditions": {}}, {"lastChangeTime": "yesterday"}],
    ids=["no object", "an entry with too little", "conditions that are no list", "a moment in words"],
)
def test_a_status_that_cannot_be_read_counts_as_none(status: object) -> None:
    document = as_stored(manifest(spec())) | {"status": status}

    assert VaultSecret.parse(document).status == VaultSecretStatus()
