"""Forged records: whoever may write a Secret or a status makes the operator believe, keep or delete nothing by that."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.builders import UID, a_vault_secret, an_observed, modified
from tests.harness import DB, MemoryHarness, entry, key_of
from vaultsync.api import APPLIED_ANNOTATION, FIELD_MANAGER, MANAGED_BY, MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.state.claims import MAX_NAMED_KEYS, MAX_TEXT, kept
from vaultsync.state.observed import MAX_OTHERS, Field, Observed, Unclaimed, observed_from

READ: dict[str, Any] = {"version": "1", "readTime": "2026-03-01T12:00:00Z"}
OURS = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsType": "FieldsV1"}


@pytest.fixture
async def harness() -> Any:  # noqa: ANN401  an asynchronous generator
    """An operator on a cluster in memory."""
    harness = MemoryHarness()
    await harness.start(())
    yield harness
    await harness.aclose()


def forged(count: int = 100_000, **metadata: object) -> dict[str, Any]:
    """Metadata by which the operator owns this many fields of a Secret, and has applied them."""
    fields: dict[str, Any] = {"f:data": {f"f:key-{number}": {} for number in range(count)}}
    return {
        "uid": "forged",
        "resourceVersion": "1000",
        "creationTimestamp": "2026-03-01T12:00:00Z",
        "labels": {MANAGED_BY_LABEL: MANAGED_BY},
        "managedFields": [{**OURS, "fieldsV1": fields}],
        **metadata,
    }


async def write_as_the_operator(harness: MemoryHarness, **changes: object) -> None:
    """Apply the target under the operator's field manager, with these changes of the annotation."""
    target = harness.kube.without_data(DB)
    observed = await harness.kube.get_target(DB)
    assert target is not None
    assert observed is not None
    metadata = target["metadata"]
    document = json.loads(metadata["annotations"][APPLIED_ANNOTATION]) | changes
    manifest = {
        "type": "Opaque",
        "metadata": {
            "labels": metadata["labels"],
            "annotations": {APPLIED_ANNOTATION: json.dumps(document)},
            "ownerReferences": metadata.get("ownerReferences", []),
        },
        "data": {"password": "Zmlyc3Q="},
    }
    await harness.kube.apply_target(DB, manifest, onto=observed)
    await harness.drain()


async def forge_status(harness: MemoryHarness, name: str = "db", **changes: Any) -> None:  # noqa: ANN401  any JSON
    """Write a status as a tenant who has that right."""
    status = harness.status(name).to_wire() | changes
    await harness.kube.patch_status(harness.users.vault_secret(key_of(name)), status)
    harness.observe(name)
    await harness.drain()


# What is kept in memory


async def test_a_secret_with_our_label_and_forged_fields_costs_no_memory(harness: MemoryHarness) -> None:
    """A tenant who may create Secrets fills the operator's memory with forged `managedFields`."""
    key = key_of("nobodys")

    harness.state.targets.handle_event(None, modified(key, observed_from(forged())))

    assert harness.state.targets.within(None)[key] == Unclaimed("forged", "1000", None, False, True)


async def test_a_vaultsecret_that_goes_away_leaves_no_fields_of_its_target_behind(harness: MemoryHarness) -> None:
    """A tenant names one forged Secret after the other as the target of a VaultSecret, to have each of them kept."""
    harness.apply()
    await harness.poll()
    await harness.poll()
    assert isinstance(harness.state.targets.within(None)[DB], Observed)

    harness.apply(target={"name": "other"})

    assert isinstance(harness.state.targets.within(None)[DB], Unclaimed)


def test_a_target_with_forged_fields_has_no_more_of_them_than_a_spec_can_have() -> None:
    """A tenant forges the fields of the target of a VaultSecret of his."""
    labels: dict[str, Any] = {f"f:label-{number}": {} for number in range(10_000)}
    metadata = forged()
    metadata["managedFields"][0]["fieldsV1"]["f:metadata"] = {"f:labels": labels}
    others = [{"manager": f"m-{n}", "operation": "Update", "fieldsV1": {"f:data": {f"f:{n}": {}}}} for n in range(9999)]

    bounded = kept(
        observed_from({**metadata, "managedFields": [*metadata["managedFields"], *others]}), [a_vault_secret()]
    )

    assert isinstance(bounded, Observed)
    assert (len(bounded.managers), len(bounded.foreign)) == (MAX_OTHERS, MAX_NAMED_KEYS)
    assert len(bounded.ours) <= MAX_NAMED_KEYS + 100


def test_an_annotation_with_forged_secrets_has_none_that_the_spec_does_not_ask_for() -> None:
    """A tenant writes an annotation of a quarter of a megabyte to the target of a VaultSecret of his."""
    states = [{"name": f"s-{number}", "version": "1", "readAt": 1, "keys": ["a"]} for number in range(4000)]
    text = json.dumps({"spec": "x", "secrets": states}, separators=(",", ":"))
    observed = observed_from(forged(0, annotations={APPLIED_ANNOTATION: text}))
    assert observed.applied is not None

    bounded = kept(observed, [a_vault_secret()])

    assert isinstance(bounded, Observed)
    assert bounded.applied is not None
    assert bounded.applied.secrets == ()


def test_an_annotation_with_one_long_text_counts_as_damaged() -> None:
    """A tenant writes an annotation whose texts are as long as Kubernetes allows."""
    text = json.dumps({"spec": "x" * 200_000, "secrets": []})

    assert observed_from(forged(0, annotations={APPLIED_ANNOTATION: text})).applied is None


def test_labels_and_annotations_of_a_vaultsecret_are_not_kept(harness: MemoryHarness) -> None:
    """A tenant gives each of his VaultSecrets annotations of a quarter of a megabyte."""
    harness.apply(annotations={"notes": "x" * 200_000, "vaultsync.dev/refresh-now": "x" * 50_000})

    (known,) = harness.state.vaultsecrets.all()

    assert sum(map(len, known.metadata.annotations.values())) <= 1024


async def test_a_status_full_of_forged_texts_is_not_kept_and_is_replaced(harness: MemoryHarness) -> None:
    """A tenant who may write the status fills it with entries and texts as long as Kubernetes allows."""
    harness.apply()
    await harness.poll()
    entries = [{"key": f"key-{number}", "secretName": f"never-{number}", **READ} for number in range(3000)]
    condition = harness.status().to_wire()["conditions"][0] | {"message": "x" * 500_000}
    others = [condition | {"type": f"Forged{number}", "message": ""} for number in range(100)]

    await forge_status(harness, entries=entries, conditions=[condition, *others], lastHandledRefresh="x" * 100_000)

    (known,) = harness.state.vaultsecrets.all()
    assert len(known.model_dump_json()) < 4 * MAX_TEXT
    await harness.restart()
    await harness.poll()
    assert len(json.dumps(harness.status().to_wire())) < 4 * MAX_TEXT


# What is believed


async def test_a_forged_annotation_does_not_enter_the_status(harness: MemoryHarness) -> None:
    """A tenant applies an annotation under the operator's field manager, with secrets that his spec does not name."""
    harness.apply()
    await harness.poll()
    await harness.poll()
    forged_state = {"name": "prod-password", "version": "1", "readAt": 1, "keys": ["password"]}

    target = harness.kube.without_data(DB)
    assert target is not None
    real = json.loads(target["metadata"]["annotations"][APPLIED_ANNOTATION])["secrets"]
    await write_as_the_operator(harness, secrets=[*real, forged_state])
    await harness.poll()
    await harness.poll()

    assert {one.secret_name for one in harness.status().entries} == {"db-password"}
    assert harness.ready().reason == "Synced"


async def test_an_annotation_of_another_vault_is_not_believed(harness: MemoryHarness) -> None:
    """A tenant copies the annotation of a target with another vault onto the target of his VaultSecret."""
    harness.apply()
    await harness.poll()
    await harness.poll()

    await write_as_the_operator(harness, vault="https://other.vault.azure.net", spec="0" * 16)
    await harness.poll()

    assert harness.values() == {"password": "first"}
    assert harness.ready().reason == "Synced"


async def test_secrets_that_a_forged_status_names_do_not_keep_the_guard_of_others_from_tripping(
    harness: MemoryHarness,
) -> None:
    """A tenant writes into his status all names that the vault has, although his search finds none of them."""
    names = [f"shop-{number}" for number in range(6)]
    present = [f"public-{number}" for number in range(50)]
    for name in (*names, *present, "evil-one"):
        harness.vault.set(name, "x")
    harness.apply(*[entry(name, name, optional=True) for name in names])
    harness.apply(name="evil", data=[], dataFrom=[{"find": {"names": "evil-*"}}])
    await harness.poll()
    await harness.poll()
    entries = harness.status("evil").to_wire()["entries"]
    await forge_status(harness, "evil", entries=[*entries, *({"key": n, "secretName": n, **READ} for n in present)])

    for name in names:
        harness.vault.delete(name)
    await harness.poll()

    assert harness.values() == dict.fromkeys(names, "x")
    assert harness.ready().reason == "DeletionHeld"


async def test_forged_losses_do_not_hold_the_deletions_of_others(harness: MemoryHarness) -> None:
    """A tenant writes into his status secrets that never existed and that his search cannot find, as if lost."""
    harness.vault.set("shop-one", "x")
    harness.vault.set("evil-one", "x")
    harness.apply(entry(), entry("one", "shop-one", optional=True))
    harness.apply(name="evil", data=[], dataFrom=[{"find": {"names": "evil-*"}}])
    await harness.poll()
    await harness.poll()
    entries = harness.status("evil").to_wire()["entries"]
    await forge_status(
        harness, "evil", entries=[*entries, *({"key": f"k{n}", "secretName": f"gone-{n}", **READ} for n in range(99))]
    )

    harness.vault.delete("shop-one")
    for _ in range(5):
        await harness.poll(1000)

    assert harness.values() == {"password": "first"}


async def test_deletions_that_a_forged_status_claims_to_be_held_hold_none_of_others(harness: MemoryHarness) -> None:
    """A tenant writes into his status that his deletions are held, so that no tenant loses keys after a restart."""
    for name in ("shop-one", "evil-one", "evil-two"):
        harness.vault.set(name, "x")
    harness.apply(entry(), entry("one", "shop-one", optional=True))
    harness.apply(name="evil", data=[], dataFrom=[{"find": {"names": "evil-*"}}])
    await harness.poll()
    await harness.poll()
    harness.vault.delete("shop-one")
    harness.vault.delete("evil-one")
    await harness.poll()
    held = harness.condition("Ready", "evil").to_wire() | {"status": "False", "reason": "DeletionHeld"}
    missing = [{"secretName": name, "key": "", "sinceTime": READ["readTime"]} for name in ("evil-one", "shop-one")]
    await harness.stop()
    status = harness.status("evil").to_wire() | {"conditions": [held], "missing": missing}
    await harness.kube.patch_status(harness.users.vault_secret(key_of("evil")), status)
    await harness.restart()

    for _ in range(5):
        await harness.poll(1000)

    assert harness.values() == {"password": "first"}


async def test_copies_with_the_uid_of_a_vaultsecret_cost_no_requests(harness: MemoryHarness) -> None:
    """A tenant creates many Secrets whose label names the VaultSecret of somebody else as their owner."""
    harness.apply()
    await harness.poll()
    await harness.poll()
    uid = harness.users.vault_secret(DB).metadata.uid
    labels = {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: uid}
    for number in range(50):
        harness.kube.create(key_of(f"copy-{number}"), "kubectl", {"password": "x"}, labels=labels)
    await harness.drain()
    harness.kube.calls.clear()

    await harness.rotate()
    await harness.poll()
    await harness.poll()

    assert harness.values() == {"password": "second"}
    assert harness.kube.calls["get_target"] <= 1
    assert harness.kube.without_data(key_of("copy-0")) is not None


async def test_an_owner_reference_behind_many_others_still_keeps_a_target_from_being_released() -> None:
    """A tenant adds many owner references before that of the VaultSecret, to have the target released."""
    references = [{"kind": "ConfigMap", "name": f"c-{n}", "uid": f"uid-{n}"} for n in range(100)]
    ours = {"kind": "VaultSecret", "name": "db", "uid": UID}
    labels = {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: UID}

    known = kept(observed_from(forged(1, labels=labels, ownerReferences=[*references, ours])), ())

    assert isinstance(known, Unclaimed)
    assert not known.is_retained


def test_a_forged_name_of_a_field_is_no_field() -> None:
    """A tenant forges a field whose name is as long as the API server stores it."""
    metadata = forged(0)
    metadata["managedFields"][0]["fieldsV1"] = {"f:data": {"f:" + "x" * 1_000_000: {}, "f:password": {}}}

    assert observed_from(metadata).ours == {Field("data", "password")}


def test_a_bounded_target_that_is_intact_stays_as_it_is() -> None:
    """The bounds do not touch what the operator itself has written."""
    observed = an_observed()

    assert kept(observed, [a_vault_secret()]) == replace(observed, foreign=dict(observed.foreign))
