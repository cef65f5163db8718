"""A target from its metadata: who owns which field, and that any metadata can be read."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import UID, a_state, a_vault_secret
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.state.applied import to_annotation
from vaultsync.state.observed import Field, Owner, observed_from, unclaimed

PASSWORD = Field("data", "password")


def metadata(*records: dict[str, Any], **fields: object) -> dict[str, Any]:
    """A Secret's metadata as the API server returns it, with these records of ownership."""
    return {
        "uid": "secret-1",
        "resourceVersion": "9",
        "creationTimestamp": "2026-03-01T12:00:00Z",
        "managedFields": list(records),
        **fields,
    }


def record(manager: str, operation: str, *keys: str, **areas: object) -> dict[str, Any]:
    """What one manager owns: keys of the data, and areas of the metadata."""
    fields = {
        "f:data": {".": {}} | {f"f:{key}": {} for key in keys},
        "f:metadata": {f"f:{area}": names for area, names in areas.items()},
        "f:type": {},
    }
    return {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields}


def test_the_object_has_uid_resource_version_and_creation_time() -> None:
    observed = observed_from(metadata())

    assert (observed.uid, observed.resource_version) == ("secret-1", "9")
    assert observed.created == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("labels", "managed", "owner_uid"),
    [
        pytest.param({MANAGED_BY_LABEL: "vaultsync", OWNER_UID_LABEL: UID}, True, UID, id="ours"),
        pytest.param({MANAGED_BY_LABEL: "Helm"}, False, None, id="another tool's"),
        pytest.param({}, False, None, id="no label of ours"),
        pytest.param(None, False, None, id="without labels"),
    ],
)
def test_labels_name_manager_and_owner(labels: dict[str, str] | None, managed: bool, owner_uid: str | None) -> None:
    observed = observed_from(metadata(labels=labels))

    assert (observed.managed, observed.owner_uid) == (managed, owner_uid)


LAST_APPLIED, KAPP = "kubectl.kubernetes.io/last-applied-configuration", "kapp.k14s.io/original"


@pytest.mark.parametrize(
    ("annotations", "copies"),
    [
        pytest.param({}, (), id="none"),
        pytest.param({LAST_APPLIED: '{"data":{"password":"b2xk"}}'}, (LAST_APPLIED,), id="of data"),
        pytest.param({LAST_APPLIED: '{"stringData":{"password":"old"}}'}, (LAST_APPLIED,), id="of text"),
        pytest.param({LAST_APPLIED: '{"data":{},"metadata":{"labels":{"data":"x"}}}'}, (), id="of metadata only"),
        pytest.param({KAPP: "H4sIAAAAAAAA"}, (KAPP,), id="compressed"),
        pytest.param({KAPP: "[" * 100_000}, (KAPP,), id="too deep to be read"),
        pytest.param({KAPP: "[]"}, (KAPP,), id="no object"),
        pytest.param({"note": '{"data":{"password":"b2xk"}}'}, (), id="an annotation with a meaning of its own"),
    ],
)
def test_annotations_that_may_hold_a_copy_of_the_data_are_observed(
    annotations: dict[str, str], copies: tuple[str, ...]
) -> None:
    assert observed_from(metadata(annotations=annotations)).copies == copies


def test_an_annotation_that_we_applied_is_no_copy_of_others() -> None:
    ours = record("vaultsync", "Apply", annotations={f"f:{LAST_APPLIED}": {}})

    assert observed_from(metadata(ours, annotations={LAST_APPLIED: "x"})).copies == ()


@pytest.mark.parametrize(
    ("record_", "restored"),
    [
        (record("vaultsync", "Apply", "password") | {"time": "2026-02-28T00:00:00Z"}, True),
        (record("vaultsync", "Apply", "password") | {"time": "2026-03-01T11:59:30Z"}, False),
        (record("vaultsync", "Apply", "password") | {"time": "2026-03-02T00:00:00Z"}, False),
        (record("helm", "Apply", "password") | {"time": "2026-02-28T00:00:00Z"}, False),
        (record("vaultsync", "Apply", "password"), False),
        (record("vaultsync", "Apply", "password") | {"time": "yesterday"}, False),
        (record("vaultsync", "Apply", "password") | {"time": "2026-02-28T00:00:00"}, False),
        (record("vaultsync", "Apply", "password") | {"time": 7}, False),
    ],
    ids=[
        "from before it was created",
        "by a clock that is behind",
        "from after it was created",
        "of others",
        "without a time",
        "no time",
        "a time without a zone",
        "a number",
    ],
)
def test_a_secret_with_fields_from_before_it_was_created_was_restored(record_: dict[str, Any], restored: bool) -> None:
    observed = observed_from(metadata(record_, labels={OWNER_UID_LABEL: UID}))

    assert observed.restored == restored
    assert unclaimed(observed).is_retained == (not restored and bool(observed.ours))


def test_owner_references_are_read() -> None:
    reference = {"apiVersion": "vaultsync.dev/v1alpha1", "kind": "VaultSecret", "name": "db", "uid": UID}

    assert observed_from(metadata(ownerReferences=[reference])).owners == (
        Owner("VaultSecret", "db", UID, "vaultsync.dev/v1alpha1"),
    )


def test_what_was_applied_is_read_from_its_annotation() -> None:
    vault_secret = a_vault_secret()
    annotations = {APPLIED_ANNOTATION: to_annotation(vault_secret, [a_state()], created=True)}

    observed = observed_from(metadata(annotations=annotations))

    assert observed.applied is not None
    assert observed.applied.secrets == (a_state(),)


def test_fields_that_we_applied_are_ours_in_every_area() -> None:
    ours = record(
        "vaultsync",
        "Apply",
        "password",
        labels={"f:app.kubernetes.io/managed-by": {}},
        annotations={".": {}, "f:vaultsync.dev/applied": {}},
        ownerReferences={f'k:{{"uid":"{UID}"}}': {}},
    )

    assert observed_from(metadata(ours)).ours == {
        PASSWORD,
        Field("labels", MANAGED_BY_LABEL),
        Field("annotations", APPLIED_ANNOTATION),
        Field("ownerReferences", UID),
    }


@pytest.mark.parametrize(
    ("records", "ours", "foreign", "managers"),
    [
        pytest.param([record("vaultsync", "Apply", "password")], {PASSWORD}, {}, (), id="no other manager"),
        pytest.param(
            [record("vaultsync", "Apply"), record("kubectl-edit", "Update", "password")],
            set(),
            {PASSWORD: "kubectl-edit"},
            ("kubectl-edit",),
            id="another manager changed a value",
        ),
        pytest.param(
            [record("vaultsync", "Apply", "password"), record("kubectl-edit", "Update", "extra")],
            {PASSWORD},
            {Field("data", "extra"): "kubectl-edit"},
            ("kubectl-edit",),
            id="another manager added a key",
        ),
        pytest.param(
            [record("argo", "Apply", "password"), record("vaultsync", "Apply", "password")],
            {PASSWORD},
            {},
            ("argo",),
            id="another manager owns a key with us",
        ),
        pytest.param(
            [record("vaultsync", "Update", "password")],
            set(),
            {PASSWORD: "vaultsync"},
            ("vaultsync",),
            id="a client updates under our name",
        ),
        pytest.param(
            [record("vaultsync", "Apply", "password"), record("ci", "Update", labels={"f:team": {}})],
            {PASSWORD},
            {},
            ("ci",),
            id="another manager added a label",
        ),
        pytest.param(
            [record("a", "Update", "x"), record("a", "Apply", "x"), record("b", "Update", "x")],
            set(),
            {Field("data", "x"): "b"},
            ("a", "b"),
            id="managers with several records are named once",
        ),
    ],
)
def test_managed_fields_say_who_owns_which_field(
    records: list[dict[str, Any]], ours: set[Field], foreign: dict[Field, str], managers: tuple[str, ...]
) -> None:
    observed = observed_from(metadata(*records))

    assert (set(observed.ours), dict(observed.foreign), observed.managers) == (ours, foreign, managers)


@pytest.mark.parametrize(
    "reference",
    [
        'k:{"foo":1}',
        'k:{"uid":["a"]}',
        'k:{"uid":1}',
        'k:{"name":"a","uid":"b"}',
        "k:junk",
        "k:" + "[" * 5000,
        "v:1",
        ".",
    ],
)
def test_an_owner_reference_without_a_plain_uid_is_not_a_field(reference: str) -> None:
    ours = record("vaultsync", "Apply", "password", ownerReferences={reference: {}})

    assert observed_from(metadata(ours)).ours == {PASSWORD}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def near(shape: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Something of that shape, or anything at all."""
    return shape | JSON


FIELD_NAMES = st.text(max_size=3) | st.text(max_size=3).map(lambda name: f"f:{name}")
OWNER_NAMES = near(st.dictionaries(st.just("uid") | st.text(max_size=2), JSON, max_size=2)).map(
    lambda value: f"k:{json.dumps(value)}"
)
TREES = st.fixed_dictionaries(
    {},
    optional={
        "f:data": near(st.dictionaries(FIELD_NAMES, JSON, max_size=3)),
        "f:metadata": near(
            st.fixed_dictionaries(
                {},
                optional={
                    "f:labels": near(st.dictionaries(FIELD_NAMES, JSON, max_size=2)),
                    "f:annotations": near(st.dictionaries(FIELD_NAMES, JSON, max_size=2)),
                    "f:ownerReferences": near(st.dictionaries(OWNER_NAMES, JSON, max_size=2)),
                },
            )
        ),
    },
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "manager": st.sampled_from(["vaultsync", "kubectl", ""]),
        "operation": st.sampled_from(["Apply", "Update", ""]),
        "fieldsV1": near(TREES),
    },
)


@given(records=st.lists(RECORDS, max_size=4), annotation=st.text() | JSON.map(json.dumps))
def test_any_managed_fields_and_any_annotation_can_be_read(records: list[dict[str, Any]], annotation: str) -> None:
    observed = observed_from(metadata(*records, annotations={APPLIED_ANNOTATION: annotation}))

    assert not observed.foreign.keys() & observed.ours
    assert all(field.area == "data" for field in observed.foreign)
