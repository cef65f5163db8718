"""The grants and the labels of namespaces, and what was decided by them for a VaultSecret; decides nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaultsync.api.grants import OnRevoked, Quota, VaultGrant
from vaultsync.errors import Reason
from vaultsync.state.access import Access


@dataclass(frozen=True, slots=True)
class Granted:
    """What a VaultSecret may do: all grants that match it add up; the identity and the quota are of one of them."""

    access: Access
    secrets: tuple[str, ...]
    """Patterns of the secrets that it may read, in lower case."""
    quota: Quota
    on_revoked: OnRevoked


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a VaultSecret is refused: the reason is `NotGranted` or `QuotaExceeded`."""

    reason: Reason
    message: str


Decision = Granted | Refused


class GrantView:
    """All grants, and the labels of the namespaces; it is never changed: an event publishes another one."""

    def __init__(
        self, grants: Mapping[str, VaultGrant] | None = None, labels: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        """Keep the grants by name, and the labels by namespace."""
        self.grants = grants or {}
        self.labels = labels or {}
        by_vault: defaultdict[str, list[VaultGrant]] = defaultdict(list)
        for grant in self.grants.values():
            by_vault[grant.spec.vault_url].append(grant)
        self.by_vault: Mapping[str, Sequence[VaultGrant]] = by_vault


class GrantStore:
    """The current view of the grants."""

    def __init__(self) -> None:
        self.view = GrantView()
