"""What one reconcile has to do: which entries to read, and why; whether the target has been tampered with.

If one entry must be read, all are: the target is one consistent picture, and values are not kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from vaultsync.api import APPLIED_ANNOTATION, REFRESH_ANNOTATION
from vaultsync.api.v1alpha1 import StatusEntry, StatusMissing, VaultSecret
from vaultsync.policy.changes import due
from vaultsync.policy.drift import Tampering, tampering_with
from vaultsync.policy.requests import vanished_finds, wanted_secrets
from vaultsync.state.applied import fingerprint
from vaultsync.state.observed import Field, Observed
from vaultsync.state.requests import SecretRequest, searches
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import VaultView

_MAX_ASKING = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and why: `known` is what is remembered of the wanted secrets."""

    wanted: tuple[SecretRequest, ...]
    known: Mapping[SecretRef, SecretState]
    why_read: str | None
    missing: tuple[StatusMissing, ...] = ()
    """What the vault has no more, as far as is known, and since when."""
    first: frozenset[SecretRef] = frozenset()
    """What is due itself: where one of these cannot be read, the others need not be."""
    spec_changed: bool = False
    tampering: Tampering | None = None

    @property
    def steps(self) -> tuple[tuple[SecretRequest, ...], tuple[SecretRequest, ...]]:
        """What is read first, and what after it."""
        first = tuple(one for one in self.wanted if one.ref.identity in self.first)
        return first, tuple(one for one in self.wanted if one not in first)


def plan_for(
    vault_secret: VaultSecret, observed: Observed | None, view: VaultView, *, now: datetime, recheck: timedelta
) -> Plan:
    """Decide what to read, from how things are."""
    known = last_read_state(vault_secret, observed)
    wanted = (*wanted_secrets(vault_secret.spec, view), *vanished_finds(vault_secret.spec, known, view))
    missing = vault_secret.status.missing if observed is None or _is_of(vault_secret, observed) else ()
    plan = Plan(wanted, known, None, missing)
    if observed is None:
        return replace(plan, why_read="the Secret is not there")
    if observed.applied is None and observed.ours and _is_known_to_be_ours(vault_secret, observed):
        spoiled = Tampering((Field("annotations", APPLIED_ANNOTATION),), (), observed.managers)
        return replace(plan, why_read="the Secret was tampered with", tampering=spoiled)
    if observed.applied is None or observed.applied.spec != fingerprint(vault_secret):
        return replace(plan, why_read="the VaultSecret asks for something else", spec_changed=True)
    tampering = tampering_with(vault_secret, observed)
    if tampering is not None:
        return replace(plan, why_read="the Secret was tampered with", tampering=tampering)
    if refresh_requested(vault_secret) is not None:
        return replace(plan, why_read="somebody asked for it")
    reasons = _reasons(vault_secret, plan, view, now=now, recheck=recheck)
    return replace(plan, why_read=next(iter(reasons.values()), None), first=frozenset(reasons))


def _reasons(
    vault_secret: VaultSecret, plan: Plan, view: VaultView, *, now: datetime, recheck: timedelta
) -> dict[SecretRef, str]:
    """Why something must be read, by what is due."""
    searching = bool(searches(vault_secret.spec))
    if searching and view.listing is None:
        # Nobody has listed the vault yet. What was found last time is still wanted, as far as we know.
        return {}
    refs = {one.ref.identity for one in plan.wanted if not one.vanished}
    missing = {one.secret_name for one in plan.missing}
    reasons: dict[SecretRef, str] = {}
    for one in plan.wanted:
        state = plan.known.get(one.ref.identity)
        in_doubt = state is not None and state.version is not None and one.ref.name.lower() in missing
        # What had vanished and was recovered looks to a poll as ever.
        reason = "had vanished" if in_doubt else due(one.ref, state, view, now=now, recheck=recheck)
        if reason is not None:
            reasons[one.ref.identity] = f"{one.ref.name}: {reason}"
    gone = {ref: f"{ref.name}: not found any more" for ref in plan.known if ref not in refs} if searching else {}
    return reasons | gone


def _is_known_to_be_ours(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Tell it from one that outlived another VaultSecret and was let go of: taking that up is no healing."""
    return vault_secret.status.target is not None or observed.owner_uid == vault_secret.metadata.uid


def refresh_requested(vault_secret: VaultSecret) -> str | None:
    """The text of the annotation by which somebody asks for everything to be read again, unless that was done.

    A text may be as long as people like; what differs after so many letters is taken for the same.
    """
    asked = vault_secret.metadata.annotations.get(REFRESH_ANNOTATION)
    asked = None if asked is None else asked[:_MAX_ASKING]
    return None if asked == vault_secret.status.last_handled_refresh else asked


def last_read_state(vault_secret: VaultSecret, observed: Observed | None) -> dict[SecretRef, SecretState]:
    """Gather what was last read of each secret.

    The target's annotation tells what was written. The status may tell of a later reading of that same version, which
    was no reason to write the target again.
    """
    if observed is None or observed.applied is None or not _is_of(vault_secret, observed):
        return {}
    later = {entry.key: entry for entry in vault_secret.status.entries}
    return {
        ref: _renewed(state, later[state.keys[0]]) if state.keys and state.keys[0] in later else state
        for ref, state in observed.applied.by_ref.items()
    }


def _is_of(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Tell whether what a target says of itself is about this VaultSecret and its vault, and not what others left."""
    vault = None if observed.applied is None else observed.applied.vault
    same_vault = vault in {None, vault_secret.spec.vault_url}
    return observed.owner_uid in {None, vault_secret.metadata.uid} and same_vault


def _renewed(state: SecretState, entry: StatusEntry) -> SecretState:
    same = (state.ref.name, state.version) == (entry.secret_name, entry.version)
    if not same or entry.read_at <= state.read_at:
        return state
    return replace(state, updated=entry.updated, expires=entry.expires, read_at=entry.read_at)
