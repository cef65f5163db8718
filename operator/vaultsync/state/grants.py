"""The grants and the labels of namespaces, and what was decided by them for a VaultSecret; decides nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaultsync.api.grants import Quota, VaultGrant
from vaultsync.api.status import OnRevoked, StatusGrant
from vaultsync.errors import Reason
from vaultsync.state.access import Access
from vaultsync.state.globs import is_literal


@dataclass(frozen=True, slots=True)
class Granted:
    """What a VaultSecret may do: all grants that match it add up; the identity and the quota are of one of them."""

    access: Access
    secrets: tuple[str, ...]
    """Patterns of the secrets that it may read, in lower case."""
    quota: Quota
    on_revoked: OnRevoked

    @property
    def status(self) -> StatusGrant:
        """The grant as the status shows it."""
        return StatusGrant(name=self.access.grant, on_revoked=self.on_revoked)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a VaultSecret is refused: the reason is `NotGranted` or `QuotaExceeded`."""

    reason: Reason
    message: str


Decision = Granted | Refused


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the grants of one identity allow the VaultSecrets of a namespace together."""

    names: str
    """The grants, for messages."""
    granted: Granted
    """The decision about a VaultSecret that asks for nothing else."""
    types: frozenset[str]
    adopt: bool
    restart: bool
    delete: bool
    labels: tuple[str, ...]
    """Beginnings of keys."""
    annotations: tuple[str, ...]


def grant_from(body: Mapping[str, Any]) -> VaultGrant | None:
    """Return the grant that an object of the API server is; None if it is being deleted, and allows nothing any more.

    Raises:
        InvalidSpec: This version does not accept it; another version of the CRD has admitted it.
    """
    return None if "deletionTimestamp" in body["metadata"] else VaultGrant.parse(body)


def labels_from(body: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels of an object of the API server."""
    return body["metadata"].get("labels") or {}


class GrantView:
    """All grants, and the labels of the namespaces; it is never changed: an event publishes another one."""

    def __init__(
        self, grants: Mapping[str, VaultGrant] | None = None, labels: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        """Keep the grants by name, and the labels by namespace."""
        self.grants = grants or {}
        self.labels = labels or {}
        self._named: defaultdict[tuple[str, str], list[VaultGrant]] = defaultdict(list)
        """Those that name their namespaces, by vault and namespace."""
        self._others: defaultdict[str, list[VaultGrant]] = defaultdict(list)
        """Those with patterns for namespaces, or selectors only, by vault."""
        for grant in self.grants.values():
            vault_url, names = grant.spec.vault_url, frozenset(grant.spec.namespaces.names)
            if names and all(map(is_literal, names)):
                for name in names:
                    self._named[vault_url, name].append(grant)
            else:
                self._others[vault_url].append(grant)
        self.allowances: dict[tuple[str, str], tuple[Allowance, ...]] = {}
        """What follows from the grants for a vault and a namespace, as far as it was needed."""

    def candidates(self, vault_url: str, namespace: str) -> Sequence[VaultGrant]:
        """Return all grants of a vault that may match a namespace, and few others: there may be one per namespace."""
        return [*self._named.get((vault_url, namespace), ()), *self._others.get(vault_url, ())]


class GrantStore:
    """The current view of the grants."""

    def __init__(self) -> None:
        self.view = GrantView()
