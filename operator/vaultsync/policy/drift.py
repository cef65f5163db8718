"""Drift: which fields of a target other writers changed, by its metadata alone; corrects nothing."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_NAME_LABEL,
    OWNER_UID_LABEL,
)
from vaultsync.api.v1alpha1 import OnDelete, VaultSecret
from vaultsync.policy.evidence import is_created
from vaultsync.state.applied import applied_keys
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Field, Observed
from vaultsync.texts import listed

MAX_LABEL: Final = 63
"""Characters of a label's value; a name may have 253."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What other writers changed in a target of ours."""

    fields: tuple[Field, ...]
    """Fields of ours that were changed or removed."""
    added: tuple[str, ...]
    """Keys that were added, and annotations that may hold a copy of the data."""
    managers: tuple[str, ...]
    """The field managers that have written to the target."""
    owners: tuple[str, ...] = ()
    """Owners that were added to a target that must outlive them."""

    @property
    def text(self) -> str:
        """The drift as part of a sentence; it has names, never values."""
        changed = [name_of(field) for field in self.fields]
        actions = [f"changed or removed {', '.join(changed)}"] if changed else []
        added = [*self.added, *([f"the owner {listed(self.owners)}"] if self.owners else [])]
        actions += [f"added {', '.join(added)}"] if added else []
        writer = f"field manager {listed(self.managers)}" if self.managers else "another writer"
        return f"{writer} {' and '.join(actions)}"


def name_of(field: Field) -> str:
    """Return the name of a field in a sentence: that of a key is the key."""
    match field.area:
        case "data" | "":
            return field.name
        case "ownerReferences":
            return "the owner reference"
        case _:
            return f"{field.area}/{field.name}"


def drift_of(vault_secret: VaultSecret, observed: Observed) -> Drift | None:
    """Return what other writers changed in a target that we applied; None while it is intact."""
    if observed.applied is None:
        return None
    keys, created = applied_keys(vault_secret, observed.applied), is_created(vault_secret, observed)
    expected = expected_fields(vault_secret, keys, created=created)
    if not observed.applied.named:
        expected -= {Field("labels", OWNER_NAME_LABEL)}  # the next write adds it: an upgrade is no reason for one
    missing = tuple(sorted(expected - observed.ours))
    added = tuple(sorted(field.name for field in observed.foreign if field.name not in keys))
    added += tuple(f"annotations/{name}" for name in observed.copies)
    owners = () if created else tuple(f"{owner.kind} {owner.name}" for owner in observed.owners)
    if not missing and not added and not owners:
        return None
    managers = {observed.foreign[field] for field in observed.foreign} or set(observed.managers)
    return Drift(missing, added, tuple(sorted(managers)), owners)


def foreign_keys(written: Observed, desired: Desired) -> tuple[str, ...]:
    """Return keys that other managers own in the target, sorted: an apply, even a forced one, does not remove them."""
    return tuple(sorted(field.name for field in written.foreign if field.name not in desired.keys))


def expected_fields(vault_secret: VaultSecret, keys: frozenset[str], *, created: bool) -> frozenset[Field]:
    """Return every field of an intact target that we own; `keys` are those of its data."""
    target = vault_secret.spec.target
    annotations = (*target.annotations, *target.annotations_from, APPLIED_ANNOTATION)
    fields = {Field("data", key) for key in keys}
    fields |= {Field("labels", name) for name in (*target_labels(vault_secret), *target.labels_from)}
    fields |= {Field("annotations", name) for name in annotations}
    fields |= {Field("ownerReferences", owner["uid"]) for owner in owner_references(vault_secret, created=created)}
    return frozenset(fields)


def target_labels(vault_secret: VaultSecret) -> dict[str, str]:
    """Return the labels of the target that do not come from the vault: those of spec and VaultSecret, and ours."""
    return {
        **vault_secret.spec.target.labels,
        **vault_secret.copied_labels,
        MANAGED_BY_LABEL: MANAGED_BY,
        OWNER_UID_LABEL: vault_secret.metadata.uid,
        OWNER_NAME_LABEL: owner_name(vault_secret.metadata.name),
    }


def owner_name(name: str) -> str:
    """Return the label's value for a VaultSecret's name: one that is too long is cut, and ends in part of its hash."""
    if len(name) <= MAX_LABEL:
        return name
    digest = sha256(name.encode()).hexdigest()[:10]
    return f"{name[: MAX_LABEL - len(digest) - 1]}-{digest}"


def owner_references(vault_secret: VaultSecret, *, created: bool) -> list[dict[str, Any]]:
    """Return the target's owner references, by which the garbage collector deletes it.

    There is none with `onDelete: Retain`, nor on a Secret that we did not create.
    """
    if not created or vault_secret.spec.on_delete is OnDelete.RETAIN:
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
