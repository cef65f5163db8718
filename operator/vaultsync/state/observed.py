"""The observed state of a target, from its metadata alone: owner, applied annotation, and the managers of fields.

Values are never read. Kubernetes records in `managedFields` which manager owns which field; a changed value takes the
ownership away from us, so that drift is detected without reading the Secret.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple

from vaultsync import bounded_json
from vaultsync.api import (
    ADOPT_BY_ANNOTATION,
    APPLIED_ANNOTATION,
    FIELD_MANAGER,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    RETAINED_BY_ANNOTATION,
)
from vaultsync.state.applied import Applied, annotation_hash, from_annotation
from vaultsync.texts import shared

MAX_FIELDS: Final = 6_000
"""Fields that are read of those that we own, and of those that others own: more than the keys that fit in a Secret with
their annotation."""

MAX_OTHERS: Final = 16
"""Managers, owners and finalizers that are read: they are only named in messages."""

_MAX_NAME: Final = 320
"""Characters of a field's name: a label's may have 317. A longer one is no field of a Secret."""

COPIES: Final = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kapp.k14s.io/original",
    "objectset.rio.cattle.io/applied",
    "banzaicloud.com/last-applied",
)
"""Annotations in which tools keep all that they applied, a Secret's data included.

https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-last-applied-configuration
"""

_MAX_SKEW: Final = timedelta(minutes=1)
"""By how much the clocks of two API servers may differ."""

_OWNER = re.compile(r'k:\{"uid":"([^"\\]{1,128})"\}')


class Field(NamedTuple):
    """One field of a target: an area (`data`, `labels`, `annotations`, `ownerReferences`) and a name in it.

    Fields without an area are those of the Secret itself, such as `type`.
    """

    area: str
    name: str


class Owner(NamedTuple):
    """An owner reference of the target."""

    kind: str
    name: str
    uid: str
    api_version: str = "v1"
    controller: bool = False


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
    applied_hash: str = ""
    """The hash of the annotation from which `applied` is, which may have more than is kept."""
    adopt_by: str | None = None
    """The name of the VaultSecret that may take it over, by those who may write it."""
    retained_by: str | None = None
    """The uid of the VaultSecret for which it was kept when it was released."""
    finalizers: tuple[str, ...] = ()
    """What delays its deletion."""
    terminating: bool = False
    """Whether it is being deleted: it is there only until its finalizers are removed."""
    restored: bool = False
    """Whether it has fields that we applied before it was created: it was restored from a backup."""
    altered: tuple[Field, ...] = field(default=(), compare=False)
    """Fields that are not as they were sent. Only the response to our own write shows them."""
    copies: tuple[str, ...] = ()
    """Annotations of others that may hold a copy of its data."""


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """All that is kept of a Secret with our label that is no VaultSecret's target: anybody may have made it."""

    uid: str
    resource_version: str
    owner_uid: str | None
    """The uid of the VaultSecret that its label names."""
    is_written_for_owner: bool
    """Whether a field that we applied names that VaultSecret."""
    is_retained: bool
    """Whether it has fields that we applied, and no owner reference to that VaultSecret, which a backup may bring."""


def observed_from(metadata: Mapping[str, Any]) -> Observed:
    """Parse a Secret's `metadata` as the API server returns it."""
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    owner_uid = shared(labels[OWNER_UID_LABEL]) if OWNER_UID_LABEL in labels else None
    created = datetime.fromisoformat(metadata["creationTimestamp"])
    records = metadata.get("managedFields") or ()
    ours = frozenset(islice(_owned_fields(filter(_is_ours, records)), MAX_FIELDS))
    others = [record for record in records if not _is_ours(record)]
    return Observed(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        created=created,
        managed=labels.get(MANAGED_BY_LABEL) == MANAGED_BY,
        owner_uid=owner_uid,
        owners=_owners(metadata.get("ownerReferences") or (), owner_uid),
        applied=from_annotation(annotations.get(APPLIED_ANNOTATION)),
        ours=ours,
        foreign=_foreign(others, ours),
        managers=tuple(islice(dict.fromkeys(map(_manager, others)), MAX_OTHERS)),
        applied_hash=annotation_hash(annotations.get(APPLIED_ANNOTATION)),
        adopt_by=_name(annotations.get(ADOPT_BY_ANNOTATION)),
        retained_by=_name(annotations.get(RETAINED_BY_ANNOTATION)),
        finalizers=tuple(name[:_MAX_NAME] for name in (metadata.get("finalizers") or ())[:MAX_OTHERS]),
        terminating="deletionTimestamp" in metadata,
        restored=any(_is_older(record, created) for record in records if _is_ours(record)),
        copies=tuple(
            name
            for name in COPIES
            if name in annotations and Field("annotations", name) not in ours and _may_hold_data(annotations[name])
        ),
    )


def unclaimed(observed: Observed) -> Unclaimed:
    """Return what is kept of a Secret that is no VaultSecret's target."""
    uid = observed.owner_uid
    return Unclaimed(
        uid=observed.uid,
        resource_version=observed.resource_version,
        owner_uid=uid,
        is_written_for_owner=uid is not None and names_owner(observed, uid),
        is_retained=bool(observed.ours)
        and not observed.restored
        and all(owner.uid != uid for owner in observed.owners),
    )


def names_owner(observed: Observed, uid: str) -> bool:
    """Return whether we wrote a Secret for the VaultSecret of that uid.

    It is proven by a field that names the VaultSecret, that we applied and that no other writer has changed since. An
    apply replaces all fields of the one before, so they never name two VaultSecrets.
    """
    named = {
        Field("labels", OWNER_UID_LABEL): observed.owner_uid,
        Field("ownerReferences", uid): uid,
        Field("annotations", APPLIED_ANNOTATION): None if observed.applied is None else observed.applied.owner,
    }
    return any(named[field] == uid for field in named.keys() & observed.ours)


def _may_hold_data(text: str) -> bool:
    """Return whether the manifest in an annotation has data, or cannot be read: some tools compress it."""
    try:
        manifest = bounded_json.parse(text)
    except ValueError:
        return True
    return not isinstance(manifest, dict) or any(manifest.get(name) for name in ("data", "stringData"))


def _is_ours(record: Mapping[str, Any]) -> bool:
    return record.get("manager") == FIELD_MANAGER and record.get("operation") == "Apply"


def _is_older(record: Mapping[str, Any], created: datetime) -> bool:
    """Return whether a record of fields is from before the object was created, by more than clocks may differ."""
    try:
        written = datetime.fromisoformat(record["time"])
        return created - written > _MAX_SKEW
    except (KeyError, TypeError, ValueError):
        return False


def _manager(record: Mapping[str, Any]) -> str:
    return str(record.get("manager", "unknown"))


def _owners(references: Iterable[Mapping[str, Any]], owner_uid: str | None) -> tuple[Owner, ...]:
    """Return the owners, that of our label and the controller first."""
    owners = sorted(map(_owner, references), key=lambda o: (o.uid != owner_uid, not o.controller))
    return tuple(owners[:MAX_OTHERS])


def _owner(reference: Mapping[str, Any]) -> Owner:
    controller = reference.get("controller") is True
    kind, name, uid, version = (reference.get(part, "") for part in ("kind", "name", "uid", "apiVersion"))
    return Owner(shared(kind), shared(name), shared(uid), shared(version), controller)


def _name(text: str | None) -> str | None:
    """Return a name, or a uid, from an annotation of any length; one that is too long equals none."""
    return None if text is None else text[:_MAX_NAME]


def _foreign(records: Iterable[Mapping[str, Any]], ours: frozenset[Field]) -> dict[Field, str]:
    foreign: dict[Field, str] = {}
    for record in records:
        fields = (one for one in _fields(record.get("fieldsV1")) if one.area == "data" and one not in ours)
        foreign.update((field, _manager(record)) for field in islice(fields, MAX_FIELDS - len(foreign)))
    return foreign


def _owned_fields(records: Iterable[Mapping[str, Any]]) -> Iterator[Field]:
    for record in records:
        yield from _fields(record.get("fieldsV1"))


def _fields(tree: object) -> Iterator[Field]:
    """Walk a FieldsV1 tree: `f:name` is a field, `k:{…}` a list item by its key, `.` the container itself.

    Users can write `managedFields` too, and the API server stores malformed ones: what is not a field is skipped.
    """
    metadata = _branch(tree, "f:metadata")
    for path in _branch(metadata, "f:ownerReferences"):
        if match := _OWNER.fullmatch(path):
            yield Field("ownerReferences", shared(match[1]))
    for area, branch in (
        ("labels", _branch(metadata, "f:labels")),
        ("annotations", _branch(metadata, "f:annotations")),
        ("data", _branch(tree, "f:data")),
    ):
        for path in branch:
            if path.startswith("f:") and len(path) <= _MAX_NAME:
                yield _field(area, path)


@lru_cache(maxsize=4096)
def _field(area: str, path: str) -> Field:
    """Return the field of a path; most targets have the same ones."""
    return Field(area, shared(path.removeprefix("f:")))


def _branch(tree: object, name: str) -> Mapping[str, Any]:
    branch = tree.get(name) if isinstance(tree, dict) else None
    return branch if isinstance(branch, dict) else {}
