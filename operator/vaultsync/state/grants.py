"""The grants and the labels of namespaces, and what was decided by them for a VaultSecret; decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class GrantView:
    """All grants, by name, and the labels of the namespaces; it is never changed: an event publishes another one."""

    grants: Mapping[str, VaultGrant] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The labels of each namespace that was observed."""


class GrantStore:
    """The current view of the grants."""

    def __init__(self) -> None:
        self.view = GrantView()
