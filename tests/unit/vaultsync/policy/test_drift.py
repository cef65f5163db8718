"""Drift: which changes by other writers count, how they are described, and which fields an intact target has."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import UID, a_state, a_vault_secret, an_entry, an_observed
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL, OWNER_NAME_LABEL, OWNER_UID_LABEL
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.policy.drift import drift_of, expected_fields, foreign_keys, owner_name
from vaultsync.state.applied import Applied, fingerprint
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Field, Observed, Owner

PASSWORD = Field("data", "password")


def without(*fields: Field) -> frozenset[Field]:
    """The fields of an intact target, without some."""
    return an_observed().ours - set(fields)


def test_an_intact_target_has_not_drifted() -> None:
    assert drift_of(a_vault_secret(), an_observed()) is None


@pytest.mark.parametrize(
    ("observed", "text"),
    [
        (
            an_observed(ours=without(PASSWORD), managers=("kubectl-edit",)),
            "field manager kubectl-edit changed or removed password",
        ),
        (
            an_observed(foreign={Field("data", "extra"): "helm"}, managers=("kubectl-edit", "helm")),
            "field manager helm added extra",
        ),
        (
            an_observed(
                ours=without(PASSWORD, Field("labels", MANAGED_BY_LABEL)),
                foreign={Field("data", "z"): "b", Field("data", "a"): "a"},
            ),
            f"field manager a, b changed or removed password, labels/{MANAGED_BY_LABEL} and added a, z",
        ),
        (
            an_observed(ours=without(Field("ownerReferences", UID))),
            "another writer changed or removed the owner reference",
        ),
    ],
    ids=["a changed value", "an added key", "both at once", "an unknown manager"],
)
def test_drift_is_described_by_names(observed: Observed, text: str) -> None:
    drift = drift_of(a_vault_secret(), observed)

    assert drift is not None
    assert drift.text == text


def test_another_manager_of_a_key_that_we_still_own_is_not_drift() -> None:
    assert drift_of(a_vault_secret(), an_observed(foreign={PASSWORD: "helm"})) is None


def test_an_annotation_that_may_hold_a_copy_of_the_data_is_drift() -> None:
    drift = drift_of(a_vault_secret(), an_observed(copies=("kapp.k14s.io/original",), managers=("kapp",)))

    assert drift is not None
    assert drift.text == "field manager kapp added annotations/kapp.k14s.io/original"


def test_a_target_without_our_annotation_cannot_be_compared() -> None:
    assert drift_of(a_vault_secret(), an_observed(applied=None, ours=frozenset())) is None


def test_a_missing_optional_key_is_drift_only_when_another_writer_adds_it() -> None:
    vault_secret = a_vault_secret(an_entry(optional=True))
    applied = Applied(fingerprint(vault_secret), (a_state(version=None, updated=None),))
    ours = without(PASSWORD)

    assert drift_of(vault_secret, an_observed(applied=applied, ours=ours)) is None
    assert drift_of(vault_secret, an_observed(applied=applied, ours=ours, foreign={PASSWORD: "kubectl"})) is not None


def test_an_intact_target_has_every_field_of_the_spec_and_ours() -> None:
    vault_secret = a_vault_secret(target={"labels": {"team": "shop"}, "annotations": {"note": "x"}})

    assert expected_fields(vault_secret, frozenset({"password"}), created=True) == {
        PASSWORD,
        Field("labels", "team"),
        Field("labels", MANAGED_BY_LABEL),
        Field("labels", OWNER_UID_LABEL),
        Field("labels", OWNER_NAME_LABEL),
        Field("annotations", "note"),
        Field("annotations", APPLIED_ANNOTATION),
        Field("ownerReferences", UID),
    }


def test_a_target_of_an_earlier_version_without_the_owners_name_is_intact_and_a_newer_one_is_not() -> None:
    """An upgrade writes no target; its next write adds the label."""
    before = an_observed()
    assert before.applied is not None
    named = replace(before, applied=replace(before.applied, named=True))

    assert drift_of(a_vault_secret(), before) is None
    drift = drift_of(a_vault_secret(), named)
    assert drift is not None
    assert drift.fields == (Field("labels", OWNER_NAME_LABEL),)


def test_a_copied_label_is_expected_while_the_vaultsecret_has_it() -> None:
    labels = {"team": "shop", "other": "x"}
    vault_secret = a_vault_secret(metadata={"labels": labels}, target={"copy_labels": ["team", "cost"]})

    fields = expected_fields(vault_secret, frozenset(), created=True)

    expected = {"team", MANAGED_BY_LABEL, OWNER_UID_LABEL, OWNER_NAME_LABEL}
    assert {field.name for field in fields if field.area == "labels"} == expected


@pytest.mark.parametrize("name", ["db", "a" * 63])
def test_the_label_of_the_owners_name_is_the_name(name: str) -> None:
    assert owner_name(name) == name


@given(st.from_regex(r"[a-z0-9]([-.a-z0-9]{62,251})[a-z0-9]", fullmatch=True))
def test_a_name_that_is_too_long_for_a_label_is_cut_and_differs_by_its_end(name: str) -> None:
    value = owner_name(name)

    assert re.fullmatch("([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]", value)
    assert value[:52] == name[:52]
    assert value != owner_name(f"{name[:-1]}{'b' if name[-1] == 'a' else 'a'}")


@pytest.mark.parametrize(
    ("vault_secret", "created"),
    [(a_vault_secret(on_delete="Retain"), True), (a_vault_secret(), False)],
    ids=["retained", "adopted"],
)
def test_a_target_that_outlives_its_vaultsecret_has_no_owner_reference(
    vault_secret: VaultSecret, created: bool
) -> None:
    fields = expected_fields(vault_secret, frozenset(), created=created)

    assert {field.area for field in fields} == {"labels", "annotations"}


def test_an_owner_that_is_added_to_an_adopted_target_is_drift() -> None:
    """The garbage collector would delete it with that owner."""
    applied = Applied(fingerprint(a_vault_secret()), (a_state(),), owner=UID)
    adopted = an_observed(applied=applied, owners=(), ours=without(Field("ownerReferences", UID)))
    owned = replace(adopted, owners=(Owner("ExternalSecret", "db", "u", controller=True),), managers=("es",))

    drift = drift_of(a_vault_secret(), owned)

    assert drift_of(a_vault_secret(), adopted) is None
    assert drift is not None
    assert drift.text == "field manager es added the owner ExternalSecret db"


def test_foreign_keys_are_those_that_are_not_desired() -> None:
    desired = Desired((), {"data": {"password": ""}})
    written = an_observed(foreign={Field("data", name): "kubectl" for name in ("z", "password", "a")})

    assert foreign_keys(written, desired) == ("a", "z")
