"""The target as it should be: a Secret's manifest from a VaultSecret and the values read for it; writes nothing."""

import base64
from typing import Any

from vaultsync.api import (
    APPLIED_ANNOTATION,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretSpec
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.drift import owner_references, target_labels
from vaultsync.render.entries import Filled, fill, states_of
from vaultsync.render.template import render
from vaultsync.render.type_checks import check_contents
from vaultsync.state.applied import to_annotation
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Observed
from vaultsync.state.secrets import Readings, SecretState
from vaultsync.state.vaults import VaultView

MAX_BYTES = 1024 * 1024
"""What Kubernetes lets the values of one Secret weigh: https://kubernetes.io/docs/concepts/configuration/secret/"""

MAX_ANNOTATIONS = 256 * 1024
"""https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set"""


def desired_secret(vault_secret: VaultSecret, readings: Readings, view: VaultView) -> Desired:
    """Build the Secret, the same for the same input but for the salts of stores.

    `readings` are in the order of the spec, and what searches find in `seen` is among them.

    Raises:
        SyncError: As `fill` and `render` do; TargetInvalid, if the content is of no use for the Secret's type;
            TargetTooLarge, if Kubernetes would not take so much.
    """
    spec, target = vault_secret.spec, vault_secret.target_key
    filled = fill(spec, readings, view)
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


def foreign_keys(written: Observed, desired: Desired) -> tuple[str, ...]:
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
        "labels": target_labels(vault_secret),
        "annotations": annotations,
        "ownerReferences": owner_references(vault_secret),
    }
