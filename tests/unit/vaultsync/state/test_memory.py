"""The memory of what is kept for each VaultSecret: ten thousand of them must fit beside each other."""

import gc
import json
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.builders import KEY, a_state, a_status
from tests.manifests import manifest, spec
from vaultsync.api import APPLIED_ANNOTATION, FIELD_MANAGER, MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.state.applied import to_annotation
from vaultsync.state.observed import Observed, observed_from

COUNT: Final = 200


def bytes_of(make: Callable[[int], object]) -> float:
    """Return the bytes that each of many objects takes."""
    make(0)
    tracemalloc.start()
    kept = [make(number) for number in range(COUNT)]
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(kept)


def received(body: Mapping[str, Any]) -> Any:  # noqa: ANN401  JSON
    """Return a body with texts of its own, as each response has them."""
    return json.loads(json.dumps(body))


def a_vault_secret(number: int) -> VaultSecret:
    """A VaultSecret with a status, as the watch reports it."""
    body = manifest(spec(), name=f"db-{number}")
    body["metadata"] |= {
        "namespace": KEY.namespace,
        "uid": f"6f0c0c56-7d3a-4b54-9d0c-{number:012}",
        "generation": 1,
        "resourceVersion": str(number),
        "creationTimestamp": "2026-03-01T12:00:00Z",
    }
    return VaultSecret.parse(received({**body, "status": a_status().to_wire()}))


def an_observed(number: int) -> Observed:
    """A target, as the watch reports it."""
    vault_secret = a_vault_secret(number)
    uid = vault_secret.metadata.uid
    labels = {MANAGED_BY_LABEL: "vaultsync", OWNER_UID_LABEL: uid}
    metadata_fields: dict[str, dict[str, object]] = {
        "f:labels": {f"f:{name}": {} for name in labels},
        "f:annotations": {f"f:{APPLIED_ANNOTATION}": {}},
        "f:ownerReferences": {f'k:{{"uid":"{uid}"}}': {}},
    }
    return observed_from(
        received(
            {
                "name": vault_secret.key.name,
                "namespace": KEY.namespace,
                "uid": f"uid-{number}",
                "resourceVersion": str(number),
                "creationTimestamp": "2026-03-01T12:00:00Z",
                "labels": labels,
                "annotations": {APPLIED_ANNOTATION: to_annotation(vault_secret, [a_state()], created=True)},
                "ownerReferences": [
                    {"apiVersion": "vaultsync.dev/v1alpha1", "kind": "VaultSecret", "name": KEY.name, "uid": uid}
                ],
                "managedFields": [
                    {
                        "manager": FIELD_MANAGER,
                        "operation": "Apply",
                        "time": "2026-03-01T12:00:00Z",
                        "fieldsV1": {"f:data": {"f:password": {}}, "f:metadata": metadata_fields},
                    }
                ],
            }
        )
    )


def test_a_vaultsecret_takes_less_than_six_kilobytes() -> None:
    assert bytes_of(a_vault_secret) < 6000


def test_a_target_takes_less_than_three_kilobytes() -> None:
    assert bytes_of(an_observed) < 3000
