"""The inputs of one reconcile's decisions, as values; gathers nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta
from vaultsync.policy.known_vaults import KnownVaults
from vaultsync.policy.plan import Plan
from vaultsync.state.applied import fingerprint
from vaultsync.state.grants import Decision, Granted
from vaultsync.state.observed import Observed
from vaultsync.state.vaults import VaultView


@dataclass(frozen=True, slots=True)
class Config:
    """The operator's settings that apply to every VaultSecret."""

    known_vaults: KnownVaults
    recheck: timedelta
    """The longest time after which every secret is read again."""
    expiry_notice: timedelta
    """How long before its date a secret counts as expiring."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The Secret that holds what was written last: the target, or the previous one if the target has another name."""

    key: ObjectKey
    observed: Observed

    @property
    def spec_content(self) -> str | None:
        """The fingerprint of the spec by which its content is, if that is known."""
        return None if self.observed.applied is None else self.observed.applied.spec_content

    def is_by_other_spec(self, vault_secret: VaultSecret) -> bool:
        """Return whether it is known that an earlier spec wrote it last; the present one may keep content of that."""
        return self.observed.applied is not None and self.observed.applied.spec != fingerprint(vault_secret)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The state that a reconcile started with."""

    vault_secret: VaultSecret
    target: Observed | None
    """None if the Secret does not exist."""
    competing: tuple[VaultSecretMeta, ...]
    """Every other VaultSecret that names, or owns, the same target."""
    decision: Decision
    """What the grants allow."""
    view: VaultView
    plan: Plan
    config: Config
    now: datetime
    waited: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """For how many seconds, by the monotonic clock, each of `plan.missing` has been known, by name and key."""
    refresh_since: float | None = None
    """The monotonic time at which this process first saw the requested refresh; None if none is requested."""

    owner_is_gone: bool = False
    """Whether the target's label names a VaultSecret of this namespace that the API server does not have."""

    refused_for: float = 0.0
    """For how many seconds, by the monotonic clock, the grants have refused the VaultSecret or a part of its target."""
    holder: Holder | None = None
    """The Secret that holds what was written last; None if there is none."""

    @property
    def granted(self) -> Granted:
        """What the grants allow, once the guards have checked that they allow anything."""
        assert isinstance(self.decision, Granted)
        return self.decision
