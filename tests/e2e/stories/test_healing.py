"""What others do to a target is put right at once, and told; what they do beside it is left alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pytest

from tests.e2e.kubernetes import Object
from tests.e2e.scene import NEXT_POLL, POLL, Scene, eventually, resource_version
from tests.e2e.together import story
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL, OWNER_UID_LABEL

HAND: Final = "Field manager kubectl-patch"
NO_HAND: Final = "Somebody"
"""Kubernetes records who set a field, and not who removed it."""

TAMPERED: Final = {
    "a changed value": ({"stringData": {"password": "guessed"}}, f"{HAND} changed or removed password"),
    "a removed key": ({"data": {"password": None}}, f"{NO_HAND} changed or removed password"),
    "a foreign key": ({"stringData": {"backdoor": "open"}}, f"{HAND} added backdoor"),
    "both": (
        {"stringData": {"password": "guessed", "backdoor": "open"}},
        f"{HAND} changed or removed password and added backdoor",
    ),
    "a removed label": (
        {"metadata": {"labels": {OWNER_UID_LABEL: None}}},
        f"{NO_HAND} changed or removed labels/{OWNER_UID_LABEL}",
    ),
    "the label that our watch goes by": (
        {"metadata": {"labels": {MANAGED_BY_LABEL: None}}},
        f"{NO_HAND} changed or removed labels/{MANAGED_BY_LABEL}",
    ),
    "a changed label of the user's": (
        {"metadata": {"labels": {"team": "other"}}},
        f"{HAND} changed or removed labels/team",
    ),
    "a removed annotation of the user's": (
        {"metadata": {"annotations": {"note": None}}},
        f"{NO_HAND} changed or removed annotations/note",
    ),
    "our removed annotation": (
        {"metadata": {"annotations": {APPLIED_ANNOTATION: None}}},
        f"{NO_HAND} changed or removed annotations/{APPLIED_ANNOTATION}",
    ),
    "our spoiled annotation": (
        {"metadata": {"annotations": {APPLIED_ANNOTATION: "{}"}}},
        f"{HAND} changed or removed annotations/{APPLIED_ANNOTATION}",
    ),
    "a removed owner": (
        {"metadata": {"ownerReferences": None}},
        f"{NO_HAND} changed or removed the owner reference",
    ),
}


class Looks(NamedTuple):
    """What a target is like, but for the moments and records of its writes."""

    data: Mapping[str, str]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owners: Sequence[Mapping[str, object]]


def looks(secret: Object | None) -> Looks:
    """What a Secret is like."""
    assert secret is not None
    metadata = secret["metadata"]
    annotations = {name: text for name, text in metadata["annotations"].items() if name != APPLIED_ANNOTATION}
    return Looks(secret["data"], metadata["labels"], annotations, metadata["ownerReferences"])


@pytest.mark.parametrize(("patch", "deed"), TAMPERED.values(), ids=TAMPERED)
@story
def test_tampering_is_healed_and_told(scene: Scene, patch: Mapping[str, Any], deed: str) -> None:
    scene.put()
    scene.apply(target={"labels": {"team": "shop"}, "annotations": {"note": "ours"}})
    before = looks(scene.await_synced())

    scene.tamper(**patch)

    scene.await_event("Warning", "Tampered", f"{deed}; restored it.")
    assert looks(scene.secret()) == before
    assert scene.told() == {"Created": 1, "Tampered": 1}


@story
def test_a_deleted_target_comes_back(scene: Scene) -> None:
    value = scene.put()
    scene.apply()
    first = scene.await_content(password=value)

    scene.api.delete(scene.path("secrets", "db"))

    second = scene.await_content(password=value)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    scene.await_told(Created=1, Tampered=1)


@story
def test_what_others_add_beside_the_data_is_left_alone(scene: Scene) -> None:
    scene.put()
    scene.apply()
    scene.await_synced()

    scene.tamper(metadata={"labels": {"backup": "daily"}, "annotations": {"seen-by": "audit"}})

    scene.await_calls("list", more=2)
    secret = scene.secret()
    assert secret is not None
    assert secret["metadata"]["labels"]["backup"] == "daily"
    assert secret["metadata"]["annotations"]["seen-by"] == "audit"
    assert scene.told() == {"Created": 1}


@story
def test_tampering_while_the_vault_is_away_is_healed_when_it_is_back(scene: Scene) -> None:
    value = scene.put()
    scene.apply()
    scene.await_content(password=value)
    scene.vault.close_door()
    scene.await_reason("VaultUnreachable", within=NEXT_POLL + POLL)

    scene.tamper(stringData={"password": "guessed"})
    scene.vault.open_door()

    scene.await_content(password=value, within=90)
    scene.await_reason("Synced")
    eventually(lambda: scene.told()["Tampered"] == 1, "it is told")


@story
def test_a_target_that_was_made_immutable_is_told_of_once_it_has_to_change(scene: Scene) -> None:
    scene.put()
    scene.apply()
    scene.await_synced()
    scene.tamper(immutable=True)
    frozen = resource_version(scene.secret())

    value = scene.put()

    ready = scene.await_reason("TargetImmutable", within=30)
    assert "delete it" in ready.message
    assert resource_version(scene.secret()) == frozen
    scene.api.delete(scene.path("secrets", "db"))
    scene.await_content(password=value)
