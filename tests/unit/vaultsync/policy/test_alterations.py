"""Which fields of a target an admission policy has changed, and when a target may not be as it was sent."""

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    KEY,
    READ_AT,
    SECOND,
    UID,
    a_status,
    a_status_entry,
    a_synced,
    a_vault_secret,
    an_observed,
)
from vaultsync.api.v1alpha1 import VaultSecretStatus
from vaultsync.errors import Reason, Retry
from vaultsync.policy.alterations import (
    altered_fields,
    altered_target,
    is_explained,
    is_unconfirmed,
    reported_alterations,
)
from vaultsync.policy.drift import Drift
from vaultsync.state.observed import Field, Observed

SENT: dict[str, Any] = {
    "type": "Opaque",
    "immutable": True,
    "metadata": {
        "name": "db",
        "labels": {"team": "shop"},
        "annotations": {"note": "x"},
        "ownerReferences": [{"kind": "VaultSecret", "name": "db", "uid": UID, "controller": True}],
    },
    "data": {"password": "czNjcmV0", "empty": ""},
}


def stored(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  any part of a Secret
    """The Secret in the response; `None` removes a part."""
    secret = deepcopy(SENT)
    for path, content in changes.items():
        *areas, name = path.split("__")
        part = secret
        for area in areas:
            part = part[area]
        if content is None:
            del part[name]
        else:
            part[name] = content
    return secret


@pytest.mark.parametrize(
    ("answer", "altered"),
    [
        (stored(), ()),
        (stored(data__empty=None), (Field("data", "empty"),)),
        (stored(data__password="eA=="), (Field("data", "password"),)),
        (stored(data=None), (Field("data", "empty"), Field("data", "password"))),
        (stored(data__extra="eA=="), ()),
        (stored(metadata__labels__team="ops"), (Field("labels", "team"),)),
        (stored(metadata__labels=None), (Field("labels", "team"),)),
        (stored(metadata__annotations__note=None), (Field("annotations", "note"),)),
        (stored(metadata__labels__added="x", metadata__annotations__added="x"), ()),
        (stored(metadata__ownerReferences=[]), (Field("ownerReferences", UID),)),
        (stored(metadata__uid="1", metadata__resourceVersion="7", metadata__managedFields=[]), ()),
        (stored(type="example.com/other"), (Field("", "type"),)),
        (stored(immutable=None), (Field("", "immutable"),)),
    ],
    ids=[
        "nothing",
        "a key without a value is removed",
        "a value is changed",
        "all keys are removed",
        "a key of others",
        "a label is changed",
        "all labels are removed",
        "an annotation is removed",
        "labels and annotations of others",
        "the owner reference is removed",
        "what the API server adds",
        "the type",
        "immutable",
    ],
)
def test_what_the_response_lacks_or_has_otherwise_is_altered(
    answer: dict[str, Any], altered: tuple[Field, ...]
) -> None:
    assert altered_fields(SENT, answer) == altered


def test_what_the_api_server_writes_as_a_default_is_not_altered() -> None:
    owner = {**SENT["metadata"]["ownerReferences"][0], "blockOwnerDeletion": False}

    assert altered_fields(SENT, stored(metadata__ownerReferences=[owner])) == ()


TEXTS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["", "eA==", "eQ=="]))


@given(sent=TEXTS, answer=TEXTS)
def test_exactly_the_keys_that_differ_are_altered(sent: dict[str, str], answer: dict[str, str]) -> None:
    altered = altered_fields({"metadata": {}, "data": sent}, {"metadata": {}, "data": answer})

    assert {field.name for field in altered} == {key for key in sent if answer.get(key) != sent[key]}


def test_the_outcome_names_the_fields_and_never_what_they_hold() -> None:
    written = an_observed(altered=(Field("data", "empty"), Field("labels", "team"), Field("ownerReferences", UID)))

    outcome = altered_target(KEY, written, a_synced())

    assert (outcome.reason, outcome.retry, outcome.retry_after) == (Reason.TARGET_CHANGED, Retry.LATER, 60.0)
    assert "changed or removed empty, labels/team, the owner reference. " in outcome.message


def test_the_status_lists_no_more_than_some_fields() -> None:
    keys = tuple(Field("data", f"key-{number}") for number in range(100))

    assert reported_alterations(an_observed(altered=keys)) == tuple(f"key-{number}" for number in range(16))


ALTERED = a_status().model_copy(update={"altered": ("password",)})


@pytest.mark.parametrize(
    ("status", "observed", "unconfirmed"),
    [
        (a_status(), an_observed(), False),
        (a_status(a_status_entry(read_at=READ_AT + timedelta(hours=1))), an_observed(), False),
        (a_status(), an_observed(applied=None), False),
        (VaultSecretStatus(), an_observed(), True),
        (a_status(a_status_entry(version=SECOND)), an_observed(), True),
        (a_status(a_status_entry(read_at=READ_AT - timedelta(seconds=1))), an_observed(), True),
        (a_status(), an_observed(altered=(Field("data", "password"),)), True),
        (ALTERED, an_observed(), True),
    ],
    ids=[
        "reported as it was written",
        "read again since",
        "without our annotation",
        "never reported",
        "another version was reported",
        "a later write was not reported",
        "altered, and not reported yet",
        "reported as altered",
    ],
)
def test_a_target_is_confirmed_once_the_status_has_what_was_written(
    status: VaultSecretStatus, observed: Observed, unconfirmed: bool
) -> None:
    assert is_unconfirmed(a_vault_secret(status=status), observed) == unconfirmed


PASSWORD = Drift((Field("data", "password"),), (), ())


@pytest.mark.parametrize(
    ("drift", "status", "explained"),
    [
        (PASSWORD, ALTERED, True),
        (PASSWORD, a_status(), False),
        (replace(PASSWORD, fields=(*PASSWORD.fields, Field("labels", "team"))), ALTERED, False),
        (replace(PASSWORD, added=("extra",)), ALTERED, False),
        (replace(PASSWORD, owners=("ExternalSecret db",)), ALTERED, False),
    ],
    ids=["known", "not known", "another field too", "an added key", "an added owner"],
)
def test_what_a_policy_is_known_to_change_is_no_drift(drift: Drift, status: VaultSecretStatus, explained: bool) -> None:
    assert is_explained(drift, a_vault_secret(status=status)) == explained
