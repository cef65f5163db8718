"""The guards of a reconcile, in the order in which they are evaluated: each may block it; changes nothing.

`GUARDS` are evaluated before any read, `READING_GUARDS` after all reads.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from vaultsync.api.secret_types import TOKEN_TYPES
from vaultsync.api.status import OnRevoked
from vaultsync.errors import ListingTooLong, Reason
from vaultsync.policy.activation import inactive_secret
from vaultsync.policy.changes import is_before, older_in_use
from vaultsync.policy.inputs import Inputs
from vaultsync.policy.ownership import competing_vaultsecret, foreign_target, terminating_target
from vaultsync.policy.requests import found_secrets, ungranted_finds
from vaultsync.policy.revocation import DELETED_AFTER
from vaultsync.policy.waiting import failed_or_waiting
from vaultsync.state.grants import Refused
from vaultsync.state.listings import SecretMetadata
from vaultsync.state.requests import searches
from vaultsync.state.secrets import InactiveReading, Reading, Readings, SecretRef, SecretState, VaultReading
from vaultsync.state.vaults import VaultView
from vaultsync.status.outcome import Failed, Suspended, Waiting

LASTING: Final = timedelta(minutes=5)
"""How long this process must read an older version, and no other, before it is taken.

Replicas lag by seconds, and a vault fails over within minutes. A vault that is restored from a backup stays as it is.
"""

GRANT_DELAY: Final = 2.0
"""Seconds for which a VaultSecret waits for a grant that was created with it, before it is reported as refused."""

Blocked = Failed | Suspended | Waiting
Guard = Callable[[Inputs], Blocked | None]
ReadingGuard = Callable[[Inputs, Readings], Blocked | None]


def suspended(inputs: Inputs) -> Suspended | None:
    """Block a suspended VaultSecret."""
    return Suspended() if inputs.vault_secret.spec.suspend else None


def not_granted(inputs: Inputs) -> Failed | Waiting | None:
    """Block what no grant allows, and what exceeds a quota. It is reported soon: grants are watched separately."""
    decision = inputs.decision
    if not isinstance(decision, Refused):
        return None
    if inputs.refused_for < GRANT_DELAY:
        return Waiting(f"Waiting for a VaultGrant. {decision.message}", retry_after=GRANT_DELAY - inputs.refused_for)
    return Failed(decision.reason, decision.message)


def unknown_vault(inputs: Inputs) -> Failed | None:
    """Block a vault outside the allowed domains, or on a port that no setting names."""
    problem = inputs.config.known_vaults.problem(inputs.vault_secret.spec.vault_url)
    return None if problem is None else Failed(Reason.INVALID_SPEC, problem)


def refused_type(inputs: Inputs) -> Failed | None:
    """Block the types that become credentials, even where an older CRD admitted them."""
    secret_type = inputs.vault_secret.spec.target.type
    if secret_type not in TOKEN_TYPES:
        return None
    return Failed(
        Reason.INVALID_SPEC, f"target.type {secret_type} is never written: Kubernetes turns it into a credential."
    )


def unlistable_vault(inputs: Inputs) -> Failed | None:
    """Block searches in a vault that denies the permission to list, or whose listing is too long to search."""
    error = inputs.view.list_error
    if not searches(inputs.vault_secret.spec) or error is None:
        return None
    if isinstance(error, ListingTooLong):
        return Failed(error.reason, f"{error.message} Name the secrets one by one instead of using find.")
    text = f"find in dataFrom needs to list the vault's secrets, unless they are named one by one. {error.message}"
    return Failed(Reason.ACCESS_DENIED, text)


def pending_listing(inputs: Inputs) -> Failed | Waiting | None:
    """Block a search that must read secrets until the vault has been listed."""
    spec = inputs.vault_secret.spec
    if inputs.plan.read_reason is None or not searches(spec) or inputs.view.listing is not None:
        return None
    return failed_or_waiting(inputs.view, f"Waiting for the first listing of vault {spec.vault_url}.")


def too_many_found(inputs: Inputs) -> Failed | None:
    """Block searches that find more secrets than the quota allows."""
    spec, granted = inputs.vault_secret.spec, inputs.granted
    found = {one.name.lower() for each in searches(spec) for one in found_secrets(each, inputs.view) if one.readable}
    if len(found) <= granted.quota.found_secrets:
        return None
    return Failed(
        Reason.QUOTA_EXCEEDED,
        f"VaultGrant {granted.access.grant} allows {granted.quota.found_secrets} secrets that searches find, and those "
        f"of dataFrom find {len(found)}; narrow their names or tags.",
    )


def ungranted_keys(inputs: Inputs) -> Failed | None:
    """Block a search whose Secret holds keys of secrets that are not granted any more, unless they shall be deleted.

    Otherwise a sync would remove them, since the search does not find them any more. Those that shall be deleted are
    kept for as long as a target whose grant is revoked.
    """
    granted = inputs.granted
    names = ungranted_finds(inputs.vault_secret.spec, inputs.plan.known, granted)
    if not names:
        return None
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    holds = f"The Secret holds a key of secret {names[0]}{more}, which VaultGrant {granted.access.grant} does not allow"
    if granted.on_revoked is OnRevoked.RETAIN:
        return Failed(
            Reason.NOT_GRANTED,
            f"{holds} any more; the Secret stays as it is. To sync it without, delete the Secret, or have onRevoked of "
            "the grant set to Delete.",
        )
    left = DELETED_AFTER - inputs.refused_for
    if left <= 0:
        return None
    text = f"{holds} any more. It is deleted a minute after that, as onRevoked of the VaultGrant says."
    return Failed(Reason.NOT_GRANTED, text, retry_after=left)


def contradicted_listing(inputs: Inputs, readings: Readings) -> Waiting | None:
    """Block everything while the listing lacks a secret that the vault returns, or is behind it.

    It also works for a part of the readings.
    """
    for one in inputs.plan.requests:
        reading = readings.get(one.ref.identity)
        if not one.unlisted or not isinstance(reading, Reading | InactiveReading):
            continue
        if _is_contradicted(inputs.view, one.ref, reading):
            vault_url = inputs.vault_secret.spec.vault_url
            return Waiting(
                f"Waiting for a listing of vault {vault_url} that has secret {one.ref.name}: the vault returned the "
                "secret, and the last listing lacks it, or has what it was before.",
                after_poll=inputs.view.polls,
            )
    return None


def _is_contradicted(view: VaultView, ref: SecretRef, reading: VaultReading) -> bool:
    listed = None if view.listing is None else view.listing.get(ref.name.lower())
    return listed is None or not listed.readable or is_before(listed.updated, reading.newest.updated)


def older_version(inputs: Inputs, readings: Readings) -> Waiting | None:
    """Block everything while the vault returns an older version than it did before, as a replica that lags does.

    All secrets of a target wait for it, so that those that change together are never of two generations. It also works
    for a part of the readings. The older version is taken if that lasts, since a vault may have been restored from a
    backup, and at once if a refresh is requested after it was first read: the condition reports it by then.
    """
    for ref, reading in readings.items():
        if not isinstance(reading, Reading | InactiveReading) or ref.version is not None:
            continue  # a pinned version is what the spec asks for
        if isinstance(reading, Reading) and _is_behind_the_vault(inputs.plan.known.get(ref), reading):
            return Waiting(
                f"Waiting for the operator's clock, by which the version of secret {ref.name} that is in use is not "
                f"active yet; it is by the clock of vault {inputs.vault_secret.spec.vault_url}. The Secret stays as it "
                "is.",
                is_long=True,
            )
        is_older = _is_previous_older(inputs, ref, readings) if ref.previous else _is_older(inputs, ref, reading)
        if is_older and not _is_accepted(inputs, ref, reading):
            return Waiting(
                f"Waiting for vault {inputs.vault_secret.spec.vault_url} to return the newest version of secret "
                f"{ref.name}: it returned an older one than before, which is not taken unless that lasts "
                f"{LASTING / timedelta(minutes=1):g} minutes, or a refresh is requested from now on; the Secret "
                "stays as it is.",
                is_long=True,
            )
    return None


def _is_behind_the_vault(state: SecretState | None, reading: Reading) -> bool:
    """Return whether only the operator's clock calls the version in use not active yet, as one that was set back."""
    pending, vault_time = reading.pending, reading.vault_time
    if state is None or pending is None or vault_time is None:
        return False
    return pending.version == state.version and pending.not_before <= vault_time


def _is_older(inputs: Inputs, ref: SecretRef, reading: VaultReading) -> bool:
    """Return whether a newer version was written before, or is listed; or the active one was not in the list of them.

    Such a list is behind, or incomplete.
    """
    state, metadata = inputs.plan.known.get(ref), inputs.view.find(ref.name)
    known = [None if state is None else state.newest_updated]
    known += [metadata.updated] if isinstance(metadata, SecretMetadata) else []
    if any(is_before(reading.newest.updated, updated) for updated in known):
        return True
    if state is None or state.version in {None, *reading.unusable}:
        return False
    if isinstance(reading, InactiveReading):
        return True
    return reading.pending is not None and is_before(reading.updated, state.updated)


def _is_previous_older(inputs: Inputs, ref: SecretRef, readings: Readings) -> bool:
    """Return whether the version before the newest is older than one that should have taken its place.

    That is the newest version until now, or the one before it as it was written, unless it is disabled or not active.
    A list of versions that is behind, or incomplete, lacks it. With a newest version that goes back, and is held back
    for that itself, so does the one before it.
    """
    reading, newest = readings[ref], readings.get(SecretRef(ref.name))
    if not isinstance(reading, Reading):
        return False  # its keys are kept
    before, until_now = inputs.plan.known.get(ref), inputs.plan.known.get(SecretRef(ref.name))
    if until_now is not None and reading.version == until_now.version:
        return False
    if until_now is not None and isinstance(newest, Reading) and is_before(newest.updated, until_now.updated):
        return False
    has_rotated = until_now is not None and isinstance(newest, Reading) and newest.version != until_now.version
    return any(
        state is not None and state.version not in reading.unusable and is_before(reading.updated, state.updated)
        for state in (before, until_now if has_rotated else None)
    )


def _is_accepted(inputs: Inputs, ref: SecretRef, reading: VaultReading) -> bool:
    """Return whether this process has read only these versions for long enough, or since before the requested refresh.

    A refresh that was requested before, as in an outage, does not accept what a replica returns after it.
    """
    read = inputs.view.reads.get(ref.read_as)
    if read is None or (read.version, read.older) != (reading.newest.id, older_in_use(reading)):
        return False
    lasts = reading.began.seconds - read.since >= LASTING.total_seconds()
    return lasts or (inputs.refresh_since is not None and read.since < inputs.refresh_since)


GUARDS: Final[tuple[Guard, ...]] = (
    suspended,
    unknown_vault,
    refused_type,
    not_granted,
    competing_vaultsecret,
    terminating_target,
    foreign_target,
    unlistable_vault,
    pending_listing,
    too_many_found,
    ungranted_keys,
)

READING_GUARDS: Final[tuple[ReadingGuard, ...]] = (contradicted_listing, older_version, inactive_secret)


def first_blocked(inputs: Inputs) -> Blocked | None:
    """Return the outcome of the first guard that blocks; None if the reconcile may continue."""
    return next((blocked for guard in GUARDS if (blocked := guard(inputs)) is not None), None)


def first_blocked_reading(inputs: Inputs, readings: Readings) -> Blocked | None:
    """Return the outcome of the first guard that blocks what was read; None if it may be written."""
    return next((blocked for guard in READING_GUARDS if (blocked := guard(inputs, readings)) is not None), None)
