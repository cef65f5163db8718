"""The observed state of a target, from its metadata alone: owner, applied annotation, and the managers of fields.

Values are never read. Kubernetes records in `managedFields` which manager owns which field; a changed value takes the
ownership away from us, so that drift is detected without reading the Secret.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from vaultsync.api import APPLIED_ANNOTATION, FIELD_MANAGER, MANAGED_BY, MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.state.applied import Applied, from_annotation

_OWNER = re.compile(r'k:\{"uid":"([^"\\]+)"\}')


class Field(NamedTuple):
    """One owned field of a target: an area (`data`, `labels`, `annotations`, `ownerReferences`) and a name in it."""

    area: str
    name: str


class Owner(NamedTuple):
    """An owner reference of the target."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Observed:
    """A target's metadata, as last observed."""

    uid: str
    resource_version: str
    created: datetime
    managed: bool
    """It carries our label."""
    owner_uid: str | None
    """The uid of the VaultSecret that its label names."""
    owners: tuple[Owner, ...]
    applied: Applied | None
    ours: frozenset[Field]
    """The fields that we applied and that no other manager has changed since."""
    foreign: Mapping[Field, str]
    """Fields of `data` that other managers own and we do not → the name of their manager."""
    managers: tuple[str, ...]
    """All other managers that have written to it."""


def observed_from(metadata: Mapping[str, Any]) -> Observed:
    """Parse a Secret's `metadata` as the API server returns it."""
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    ours: set[Field] = set()
    others: dict[Field, str] = {}
    managers: list[str] = []
    for record in metadata.get("managedFields") or ():
        fields = _fields(record.get("fieldsV1"))
        if record.get("manager") == FIELD_MANAGER and record.get("operation") == "Apply":
            ours.update(fields)
        else:
            managers.append(record.get("manager", "unknown"))
            others.update((field, managers[-1]) for field in fields)
    return Observed(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        managed=labels.get(MANAGED_BY_LABEL) == MANAGED_BY,
        owner_uid=labels.get(OWNER_UID_LABEL),
        owners=tuple(Owner(o["kind"], o["name"], o["uid"]) for o in metadata.get("ownerReferences") or ()),
        applied=from_annotation(annotations.get(APPLIED_ANNOTATION)),
        ours=frozenset(ours),
        foreign={field: name for field, name in others.items() if field.area == "data" and field not in ours},
        managers=tuple(dict.fromkeys(managers)),
    )


def _fields(tree: object) -> Iterator[Field]:
    """Walk a FieldsV1 tree: `f:name` is a field, `k:{…}` a list item by its key, `.` the container itself.

    Users can write `managedFields` too, and the API server stores malformed ones: what is not a field is skipped.
    """
    metadata = _branch(tree, "f:metadata")
    for area, branch in (
        ("data", _branch(tree, "f:data")),
        ("labels", _branch(metadata, "f:labels")),
        ("annotations", _branch(metadata, "f:annotations")),
    ):
        yield from (Field(area, path.removeprefix("f:")) for path in branch if path.startswith("f:"))
    for path in _branch(metadata, "f:ownerReferences"):
        if match := _OWNER.fullmatch(path):
            yield Field("ownerReferences", match[1])


def _branch(tree: object, name: str) -> Mapping[str, Any]:
    branch = tree.get(name) if isinstance(tree, dict) else None
    return branch if isinstance(branch, dict) else {}
