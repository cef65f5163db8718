"""Drift: what others change in a target is corrected and reported; what they add beside the data is left alone.

Every field that can be changed, and how it is reported, is in the unit tests of planning and in the contract tests of
the cluster; here is one of each way in which the API server makes it known.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pytest

from tests.e2e.concurrency import scenario
from tests.e2e.harness import Harness, resource_version
from tests.e2e.kubernetes import Object
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL

MANAGER: Final = "kubectl-patch"
"""Kubernetes records which manager set a field, and none for a field that was removed."""

DRIFT: Final = {
    "a changed value and a foreign key": (
        {"stringData": {"password": "guessed", "backdoor": "open"}},
        (MANAGER, "password", "backdoor"),
    ),
    "a removed key": ({"data": {"password": None}}, ("password",)),
    "the label that the watch selects": (
        {"metadata": {"labels": {MANAGED_BY_LABEL: None}}},
        (f"labels/{MANAGED_BY_LABEL}",),
    ),
    "the operator's changed annotation": (
        {"metadata": {"annotations": {APPLIED_ANNOTATION: "{}"}}},
        (MANAGER, f"annotations/{APPLIED_ANNOTATION}"),
    ),
    "a removed owner": ({"metadata": {"ownerReferences": None}}, ("owner reference",)),
}


class Fields(NamedTuple):
    """The fields of a target that are the operator's, without times and records of writes."""

    data: Mapping[str, str]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owners: Sequence[Mapping[str, object]]


def fields(secret: Object | None) -> Fields:
    """The fields of a Secret."""
    assert secret is not None
    metadata = secret["metadata"]
    annotations = {name: text for name, text in metadata["annotations"].items() if name != APPLIED_ANNOTATION}
    return Fields(secret["data"], metadata["labels"], annotations, metadata["ownerReferences"])


@pytest.mark.parametrize(("patch", "parts"), DRIFT.values(), ids=DRIFT)
@scenario
def test_drift_is_corrected_and_reported(harness: Harness, patch: Mapping[str, Any], parts: Sequence[str]) -> None:
    harness.put_long_ago()
    harness.apply(target={"labels": {"team": "shop"}, "annotations": {"note": "ours"}})
    before = fields(harness.await_synced())

    harness.tamper(**patch)

    harness.await_event("Warning", "Tampered", *parts)
    assert fields(harness.secret()) == before
    harness.await_event_counts(Created=1, Tampered=1)


@scenario
def test_a_deleted_target_is_created_again(harness: Harness) -> None:
    value = harness.put()
    harness.apply()
    first = harness.await_content(password=value)

    harness.api.delete(harness.path("secrets", "db"))

    second = harness.await_content(password=value)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    harness.await_event_counts(Created=1, Tampered=1)


@scenario
def test_labels_and_annotations_of_others_are_left_alone(harness: Harness) -> None:
    harness.put()
    harness.apply()
    harness.await_synced()

    harness.tamper(metadata={"labels": {"backup": "daily"}, "annotations": {"seen-by": "audit"}})

    harness.await_calls("list", more=2)
    secret = harness.secret()
    assert secret is not None
    assert secret["metadata"]["labels"]["backup"] == "daily"
    assert secret["metadata"]["annotations"]["seen-by"] == "audit"
    harness.await_event_counts(Created=1)


@scenario
def test_drift_during_a_vault_outage_is_corrected_after_it(harness: Harness) -> None:
    value = harness.put()
    harness.apply()
    harness.await_content(password=value)
    harness.vault.close_door()
    harness.await_reason("VaultUnreachable")

    harness.tamper(stringData={"password": "guessed"})
    harness.vault.open_door()

    harness.await_content(password=value)
    harness.await_reason("Synced")
    harness.eventually(lambda: harness.event_counts()["Tampered"] == 1, "the event of the drift")


@scenario
def test_a_target_made_immutable_by_others_is_reported_when_it_has_to_change(harness: Harness) -> None:
    harness.put()
    harness.apply()
    harness.await_synced()
    harness.tamper(immutable=True)
    frozen = resource_version(harness.secret())

    value = harness.put()

    assert "delete it" in harness.await_reason("TargetImmutable").message
    assert resource_version(harness.secret()) == frozen
    harness.api.delete(harness.path("secrets", "db"))
    harness.await_content(password=value)
