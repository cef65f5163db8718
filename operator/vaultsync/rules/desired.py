"""The target as it should be: a Secret's manifest from a VaultSecret and the values read for it; writes nothing."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import OnDelete, VaultSecret, VaultSecretSpec
from vaultsync.rules.applied import to_annotation
from vaultsync.rules.changes import Seen
from vaultsync.rules.contents import check_contents
from vaultsync.rules.filling import Filled, fill, states_of
from vaultsync.rules.observed import Field, Observed
from vaultsync.rules.outcome import Reason, SecretState, SyncError
from vaultsync.rules.readings import Readings
from vaultsync.rules.template import render

MAX_BYTES = 1024 * 1024
"""What Kubernetes lets the values of one Secret weigh: https://kubernetes.io/docs/concepts/configuration/secret/"""

MAX_ANNOTATIONS = 256 * 1024
"""https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set"""


@dataclass(frozen=True, slots=True)
class Desired:
    """A target as it should be; its text form does not show the values."""

    secrets: tuple[SecretState, ...]
    manifest: Mapping[str, Any] = field(repr=False)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of its data."""
        return frozenset(self.manifest["data"])


def desired_secret(vault_secret: VaultSecret, readings: Readings, seen: Seen) -> Desired:
    """Build the Secret, the same for the same input but for the salts of stores.

    `readings` are in the order of the spec, and what searches find in `seen` is among them.

    Raises:
        SyncError: As `fill` and `render` do; TargetInvalid, if the content is of no use for the Secret's type;
            TargetTooLarge, if Kubernetes would not take so much.
    """
    spec, target = vault_secret.spec, vault_secret.target_key
    filled = fill(spec, readings, seen)
    contents = filled.contents | _templates(spec, filled)
    check_contents(spec.target.type, contents, target=str(target))
    size = sum(map(len, contents.values()))
    if size > MAX_BYTES:
        raise _too_large(target, f"the values weigh {size} bytes; Kubernetes allows {MAX_BYTES}")
    secrets = states_of(filled, readings)
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": spec.target.type,
        "metadata": _metadata(vault_secret, secrets),
        "data": {key: base64.b64encode(content).decode("ascii") for key, content in sorted(contents.items())},
        # Left out where it is not wanted, or the Secret's owner could not make it immutable by another hand.
        **({"immutable": True} if spec.target.immutable else {}),
    }
    return Desired(secrets, manifest)


def _templates(spec: VaultSecretSpec, filled: Filled) -> dict[str, bytes]:
    for key in spec.target.template:
        if key in filled.contents:
            raise SyncError(
                Reason.INVALID_SPEC,
                f"Key {key} is filled twice: from secret {filled.fillers[key].name} of vault {spec.vault_url} and by "
                "target.template; use another key for one of them.",
            )
    return render(spec.target.template, filled.contents)


def _too_large(target: ObjectKey, why: str) -> SyncError:
    return SyncError(
        Reason.TARGET_TOO_LARGE, f"Secret {target} would be too large: {why}. Split it over several VaultSecrets."
    )


def expected_fields(vault_secret: VaultSecret, keys: frozenset[str]) -> frozenset[Field]:
    """Every field of the target that must be ours while nobody tampers with it; `keys` are those of its data."""
    labels, annotations = _labels(vault_secret), vault_secret.spec.target.annotations
    fields = {Field("data", key) for key in keys}
    fields |= {Field("labels", name) for name in labels}
    fields |= {Field("annotations", name) for name in (*annotations, APPLIED_ANNOTATION)}
    fields |= {Field("ownerReferences", owner["uid"]) for owner in _owners(vault_secret)}
    return frozenset(fields)


def strange_keys(written: Observed, desired: Desired) -> tuple[str, ...]:
    """Keys that others left in the target: an apply, even a forced one, does not remove them."""
    return tuple(sorted(field.name for field in written.foreign if field.name not in desired.keys))


def _metadata(vault_secret: VaultSecret, secrets: tuple[SecretState, ...]) -> dict[str, Any]:
    target = vault_secret.target_key
    annotations = {**vault_secret.spec.target.annotations, APPLIED_ANNOTATION: to_annotation(vault_secret, secrets)}
    size = sum(len(name) + len(text.encode()) for name, text in annotations.items())
    if size > MAX_ANNOTATIONS:
        raise _too_large(
            target,
            f"the names of its keys and annotations weigh {size} bytes; Kubernetes allows {MAX_ANNOTATIONS}",
        )
    return {
        "name": target.name,
        "namespace": target.namespace,
        "labels": _labels(vault_secret),
        "annotations": annotations,
        "ownerReferences": _owners(vault_secret),
    }


def _labels(vault_secret: VaultSecret) -> dict[str, str]:
    return {
        **vault_secret.spec.target.labels,
        MANAGED_BY_LABEL: MANAGED_BY,
        OWNER_UID_LABEL: vault_secret.metadata.uid,
    }


def _owners(vault_secret: VaultSecret) -> list[dict[str, Any]]:
    """Let the garbage collector delete the target with its VaultSecret, unless it is to be retained."""
    if vault_secret.spec.on_delete is OnDelete.RETAIN:
        return []
    return [
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": vault_secret.metadata.name,
            "uid": vault_secret.metadata.uid,
            "controller": True,
        }
    ]
