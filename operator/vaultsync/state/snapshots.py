"""The results of lists and watches of the API server, as values; sends nothing."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from vaultsync.api import ObjectKey
from vaultsync.state.observed import Observed, Unclaimed

Kept = TypeVar("Kept", bound=Observed | Unclaimed)


@dataclass(frozen=True, slots=True)
class ListSnapshot:
    """The VaultSecrets that existed at one resource version; those that were being deleted are included."""

    versions: Mapping[ObjectKey, str]
    """The resource version of each."""
    uids: frozenset[str]
    resource_version: str
    terminating: frozenset[ObjectKey] = frozenset()
    """Those that were being deleted."""

    @property
    def keys(self) -> AbstractSet[ObjectKey]:
        """Their keys."""
        return self.versions.keys()


@dataclass(frozen=True, slots=True)
class TargetList(Generic[Kept]):
    """What is kept of all Secrets with our label, and the resource version from which a watch continues."""

    targets: Mapping[ObjectKey, Kept]
    resource_version: str


@dataclass(frozen=True, slots=True)
class CurrentVersions:
    """The resource versions of the API server for each kind, at the moment of a request."""

    targets: str
    vaultsecrets: str


@dataclass(frozen=True, slots=True)
class Modified:
    """A Secret with our label was created or changed, at that resource version."""

    key: ObjectKey
    resource_version: str
    read: Callable[[], Observed]
    """Returns its metadata. Most changes are our own writes, whose responses have been read already."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A Secret was deleted or lost our label, so that it left the watch, at that resource version."""

    key: ObjectKey
    resource_version: str


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Nothing else happened up to this resource version."""

    resource_version: str


TargetEvent = Modified | Deleted | Bookmark


class ClusterKind(StrEnum):
    """The kinds of objects of the whole cluster that are watched."""

    GRANTS = "vaultgrants"
    NAMESPACES = "namespaces"


@dataclass(frozen=True, slots=True)
class ClusterList:
    """All objects of a kind by name, and the resource version from which a watch continues.

    Of namespaces, the objects have metadata only.
    """

    objects: Mapping[str, Mapping[str, Any]]
    resource_version: str


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """An object was created or changed, or is gone; nothing happened to any object if it has no name."""

    name: str | None
    body: Mapping[str, Any] | None
    """None if the object is gone."""
    resource_version: str
