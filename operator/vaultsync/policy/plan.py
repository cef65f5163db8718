"""Plans one reconcile: which secrets to read, and why; reads nothing itself.

If one secret must be read, all are: a target is written from one set of reads, and values are not kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from vaultsync.api import APPLIED_ANNOTATION, REFRESH_ANNOTATION
from vaultsync.api.v1alpha1 import StatusEntry, StatusMissing, VaultSecret
from vaultsync.errors import SyncError
from vaultsync.policy.alterations import is_explained, is_unconfirmed
from vaultsync.policy.changes import MAX_CLOCK_SKEW, due
from vaultsync.policy.drift import Drift, drift_of
from vaultsync.policy.reported import pending_of, reported_state, with_certificates
from vaultsync.policy.requests import requested_secrets, unlisted_finds
from vaultsync.state.applied import fingerprint
from vaultsync.state.attempts import Basis, FailedAttempt
from vaultsync.state.observed import Field, Observed
from vaultsync.state.requests import SecretRequest, searches
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import VaultView
from vaultsync.status.next_status import still_missing

_MAX_REFRESH_TEXT = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """Which secrets are read, and why; `known` is their last-read state."""

    requests: tuple[SecretRequest, ...]
    known: Mapping[SecretRef, SecretState]
    read_reason: str | None
    """Why secrets are read, with the name of the first that is due; None if none is read."""
    missing: tuple[StatusMissing, ...] = ()
    """The secrets that are known to be missing, and since when."""
    due: frozenset[SecretRef] = frozenset()
    """The secrets that are due themselves: if one of these cannot be read, the others are not read."""
    spec_changed: bool = False
    drift: Drift | None = None
    unread: frozenset[SecretRef] = frozenset()
    """The secrets that the last reconcile could not read: unless these can be read now, the others are not read."""
    unconfirmed: bool = False
    """Whether the target may not be as it was sent, so that it is written even if that changes nothing."""
    failure: SyncError | None = None
    """How the last reconcile has failed, if reading the same again would fail again."""

    @property
    def batches(self) -> tuple[tuple[SecretRequest, ...], ...]:
        """The secrets that are read first, and those that are read after them; one batch if there are no others."""
        first = self.due | self.unread
        batches = (
            tuple(one for one in self.requests if one.ref.identity in first),
            tuple(one for one in self.requests if one.ref.identity not in first),
        )
        return tuple(filter(None, batches)) or ((),)


def plan_for(
    vault_secret: VaultSecret,
    observed: Observed | None,
    view: VaultView,
    *,
    now: datetime,
    recheck: timedelta,
    attempt: FailedAttempt | None = None,
) -> Plan:
    """Decide what to read, from the current state.

    Args:
        vault_secret: The VaultSecret.
        observed: Its target; None if it does not exist.
        view: The view of its vault.
        now: The operator's clock.
        recheck: The recheck interval of this VaultSecret.
        attempt: Its last reconcile, if that has failed.
    """
    plan = _plan_for(vault_secret, observed, view, now=now, recheck=recheck)
    if plan.read_reason is None or attempt is None or attempt.basis != Basis.of(vault_secret, observed):
        return plan
    if attempt.failure is None:
        return replace(plan, unread=attempt.unread)
    left = None if attempt.until is None else (attempt.until - now).total_seconds()
    if left is not None and left <= 0:
        return plan
    requests = (*requested_secrets(vault_secret.spec, view), *unlisted_finds(vault_secret.spec, attempt.read, view))
    again = Plan(requests, attempt.read, None, plan.missing)
    if _reasons(vault_secret, again, view, now=now, recheck=recheck):
        return plan
    failure = SyncError(attempt.failure.reason, attempt.failure.message, retry_after=left)
    return replace(plan, read_reason=None, failure=failure)


def _plan_for(
    vault_secret: VaultSecret, observed: Observed | None, view: VaultView, *, now: datetime, recheck: timedelta
) -> Plan:
    """Decide what to read, whether or not the last reconcile has failed."""
    known = last_read_state(vault_secret, observed, now)
    requests = (*requested_secrets(vault_secret.spec, view), *unlisted_finds(vault_secret.spec, known, view))
    # The status is that of this VaultSecret, whoever owns the target by its label.
    missing = still_missing(vault_secret.status, now) if _same_vault(vault_secret, observed) else ()
    plan = Plan(requests, known, None, missing)
    again = _rewriting(plan, vault_secret, observed)
    if again is not None:
        return again
    reasons = _reasons(vault_secret, plan, view, now=now, recheck=recheck)
    return replace(plan, read_reason=next(iter(reasons.values()), None), due=frozenset(reasons))


def _rewriting(plan: Plan, vault_secret: VaultSecret, observed: Observed | None) -> Plan | None:
    """Return the plan to read everything, for another reason than a change in the vault; None if there is none."""
    if observed is None:
        return replace(plan, read_reason="the Secret does not exist")
    is_lost = observed.applied is None and observed.ours and _is_known_to_be_ours(vault_secret, observed)
    if not is_lost and (observed.applied is None or observed.applied.spec != fingerprint(vault_secret)):
        return replace(plan, read_reason="the spec of the VaultSecret has changed", spec_changed=True)
    lost = Drift((Field("annotations", APPLIED_ANNOTATION),), (), observed.managers)
    drift = lost if is_lost else drift_of(vault_secret, observed)
    if drift is not None and not is_explained(drift, vault_secret):
        return replace(plan, read_reason="the Secret has drifted", drift=drift)
    if refresh_requested(vault_secret) is not None:
        return replace(plan, read_reason="a refresh was requested", unconfirmed=True)
    if is_unconfirmed(vault_secret, observed):
        return replace(plan, read_reason="what was written is not confirmed", unconfirmed=True)
    return None


def _reasons(
    vault_secret: VaultSecret, plan: Plan, view: VaultView, *, now: datetime, recheck: timedelta
) -> dict[SecretRef, str]:
    """Return why secrets must be read, by the secret that is due."""
    searching = bool(searches(vault_secret.spec))
    if searching and view.listing is None:
        # The vault was not listed yet: nothing is due before it is known what the searches find.
        return {}
    requests = {one.ref.identity: one for one in plan.requests}
    refs = dict.fromkeys([*requests, *(plan.known if searching else ())])
    over = {one.secret_name for one in plan.missing if _is_over(vault_secret, one, now)}
    reasons: dict[SecretRef, str] = {}
    for ref in refs:
        state, request = plan.known.get(ref), requests.get(ref)
        lost = _is_missed(plan, ref, state)
        if state is not None and state.version is not None and ref.name.lower() in over:
            reason: str | None = "its grace period is over"
        elif request is None or request.unlisted:
            # While it is known to be missing, polls see whether a search finds it again.
            reason = None if lost and request is not None else "no longer found"
        else:
            # A secret that was deleted and recovered has unchanged metadata.
            reason = "it was missing" if lost else due(request.ref, state, view, now=now, recheck=recheck)
        if reason is not None:
            reasons[ref] = f"{ref.name}: {reason}"
    return reasons


def _is_missed(plan: Plan, ref: SecretRef, state: SecretState | None) -> bool:
    """Return whether the target has keys of a secret that was missing, or of a version that polls do not observe."""
    if state is None or state.version is None:
        return False
    items = (one.key for one in plan.missing if one.secret_name == ref.name.lower() and one.removed is None)
    return any(not key or (not ref.follows and key in state.keys) for key in items)


def _is_over(vault_secret: VaultSecret, missing: StatusMissing, now: datetime) -> bool:
    """Return whether the grace period may be over, by the operator's clock, which may have jumped."""
    is_waiting = missing.since <= now < missing.since + vault_secret.spec.delete_after
    return missing.removed is None and not is_waiting


def _is_known_to_be_ours(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Return whether a target without annotation is ours, and not one that another VaultSecret left behind."""
    return vault_secret.status.target is not None or observed.owner_uid == vault_secret.metadata.uid


def refresh_requested(vault_secret: VaultSecret) -> str | None:
    """Return the text of the annotation that requests a refresh, unless it was handled already.

    Only the first characters of a longer text count.
    """
    text = vault_secret.metadata.annotations.get(REFRESH_ANNOTATION)
    text = None if text is None else text[:_MAX_REFRESH_TEXT]
    return None if text == vault_secret.status.last_handled_refresh else text


def last_read_state(
    vault_secret: VaultSecret, observed: Observed | None, now: datetime
) -> dict[SecretRef, SecretState]:
    """Return the last-read state of each secret, by its identity.

    The target's annotation has what was written. The status may have a later reading of the same version, for which
    the target was not written again. Without an annotation, the status has what was written last.
    """
    if observed is None or observed.applied is None or not _describes(vault_secret, observed):
        return reported_state(vault_secret, observed)
    later = {entry.key: entry for entry in vault_secret.status.entries}
    return {
        ref: with_certificates(_renewed(state, later[state.keys[0]], now), later.values())
        if state.keys and state.keys[0] in later
        else state
        for ref, state in observed.applied.by_ref.items()
    }


def _describes(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Return whether a target's annotation is about this VaultSecret and its vault, not left behind by another."""
    return observed.owner_uid in {None, vault_secret.metadata.uid} and _same_vault(vault_secret, observed)


def _same_vault(vault_secret: VaultSecret, observed: Observed | None) -> bool:
    """Return whether a target is not known to be from another vault."""
    applied = None if observed is None else observed.applied
    return applied is None or applied.vault in {None, vault_secret.spec.vault_url}


def _renewed(state: SecretState, entry: StatusEntry, now: datetime) -> SecretState:
    same = (state.ref.name, state.version) == (entry.secret_name, entry.version)
    # An annotation that is dated ahead would hide every later reading, and be read again at each poll.
    if not same or entry.read_at <= state.read_at <= now + MAX_CLOCK_SKEW:
        return state
    pending = pending_of(entry)
    return replace(state, updated=entry.updated, expires=entry.expires, read_at=entry.read_at, pending=pending)


def known_expiries(plan: Plan, states: Iterable[SecretState]) -> Mapping[str, datetime]:
    """Return when certificates expire, by key, as far as it is known of the same versions."""
    return {
        key: expires
        for state in states
        if (before := plan.known.get(state.ref.identity)) is not None and before.version == state.version
        for key, expires in before.certificates.items()
    }
