"""Which fields of a target other writers changed."""

from dataclasses import dataclass
from typing import Any

from vaultsync.api import API_VERSION, APPLIED_ANNOTATION, KIND, MANAGED_BY, MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.api.v1alpha1 import OnDelete, VaultSecret
from vaultsync.state.applied import applied_keys
from vaultsync.state.observed import Field, Observed


@dataclass(frozen=True, slots=True)
class Tampering:
    """What others did to a target of ours."""

    fields: tuple[Field, ...]
    """Fields of ours that somebody changed or removed."""
    added: tuple[str, ...]
    """Keys that somebody added."""
    managers: tuple[str, ...]
    """Under which field managers' names."""

    @property
    def text(self) -> str:
        """Tell it in one sentence, by names alone."""
        changed = [_called(field) for field in self.fields]
        deeds = [f"changed or removed {', '.join(changed)}"] if changed else []
        deeds += [f"added {', '.join(self.added)}"] if self.added else []
        who = f"field manager {', '.join(self.managers)}" if self.managers else "somebody"
        return f"{who} {' and '.join(deeds)}"


def _called(field: Field) -> str:
    match field.area:
        case "data":
            return field.name
        case "ownerReferences":
            return "the owner reference"
        case _:
            return f"{field.area}/{field.name}"


def tampering_with(vault_secret: VaultSecret, observed: Observed) -> Tampering | None:
    """Tell what others changed of a target that we applied, or None while it is intact."""
    if observed.applied is None:
        return None
    keys = applied_keys(vault_secret, observed.applied)
    missing = tuple(sorted(expected_fields(vault_secret, keys) - observed.ours))
    added = tuple(sorted(field.name for field in observed.foreign if field.name not in keys))
    if not missing and not added:
        return None
    managers = {observed.foreign[field] for field in observed.foreign} or set(observed.managers)
    return Tampering(missing, added, tuple(sorted(managers)))


def expected_fields(vault_secret: VaultSecret, keys: frozenset[str]) -> frozenset[Field]:
    """Every field of the target that must be ours while nobody tampers with it; `keys` are those of its data."""
    labels, annotations = target_labels(vault_secret), vault_secret.spec.target.annotations
    fields = {Field("data", key) for key in keys}
    fields |= {Field("labels", name) for name in labels}
    fields |= {Field("annotations", name) for name in (*annotations, APPLIED_ANNOTATION)}
    fields |= {Field("ownerReferences", owner["uid"]) for owner in owner_references(vault_secret)}
    return frozenset(fields)


def target_labels(vault_secret: VaultSecret) -> dict[str, str]:
    """Return the target's labels: those of the spec, and ours."""
    return {
        **vault_secret.spec.target.labels,
        MANAGED_BY_LABEL: MANAGED_BY,
        OWNER_UID_LABEL: vault_secret.metadata.uid,
    }


def owner_references(vault_secret: VaultSecret) -> list[dict[str, Any]]:
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
