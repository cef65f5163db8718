"""What a list or a watch of the API server returns, as values; sends nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from vaultsync.api import ObjectKey
from vaultsync.state.observed import Observed


@dataclass(frozen=True, slots=True)
class ListSnapshot:
    """Which VaultSecrets there were at one moment; those that were being deleted are among them."""

    keys: frozenset[ObjectKey]
    uids: frozenset[str]
    resource_version: str
    terminating: frozenset[ObjectKey] = frozenset()
    """Those that were being deleted."""


@dataclass(frozen=True, slots=True)
class TargetList:
    """All targets with our label, and the moment from which a watch goes on."""

    targets: Mapping[ObjectKey, Observed]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Modified:
    """A target with our label was made or changed."""

    key: ObjectKey
    observed: Observed

    @property
    def resource_version(self) -> str:
        """The moment of it."""
        return self.observed.resource_version


@dataclass(frozen=True, slots=True)
class Deleted:
    """A target was deleted, or lost our label and so went out of our sight; `resource_version` is that moment's."""

    key: ObjectKey
    resource_version: str


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Nothing else happened up to this moment."""

    resource_version: str


TargetEvent = Modified | Deleted | Bookmark
