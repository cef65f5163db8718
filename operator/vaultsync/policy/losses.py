"""Counts what a vault has lost within the last day, of what would take keys with it; polls nothing.

It counts by the statuses, which outlive the operator's process: they have the keys that there are, what is missing, and
when its keys were removed.
"""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Final

from vaultsync.api.v1alpha1 import OnSourceDeleted, StatusMissing, VaultSecret, VaultSecretSpec
from vaultsync.errors import Reason
from vaultsync.state.listings import SecretMetadata
from vaultsync.state.requests import named_secrets, searches
from vaultsync.state.vaults import MAX_UNCONFIRMED_LOSSES, LossReport, Missing, VaultView
from vaultsync.status.conditions import READY, condition

WINDOW: Final = timedelta(hours=24)
"""For how long a key that was removed counts: a loop that deletes slowly is noticed like a script that does not."""


def loss_report(
    before: LossReport | None,
    lost: AbstractSet[str],
    view: VaultView,
    *,
    known: AbstractSet[str] = frozenset(),
    held: AbstractSet[str] = frozenset(),
    now: datetime,
) -> LossReport:
    """Return the report of a poll.

    Args:
        before: The report of the poll before; None if it is the first of this process.
        lost: What is lost, by `lost_units`.
        view: The view of the vault after the poll.
        known: The `known_units` of all VaultSecrets; it matters only if `needs_known` says so.
        held: What a former process held back, by `held_units`.
        now: The operator's clock.
    """
    report = LossReport() if before is None else before
    began, baseline = report.began, report.known
    if not lost:
        began, baseline = None, frozenset()
    elif _begins(report, now):
        began, baseline = now, frozenset(known)
    latched, most = report.latched, report.most
    if _exceeds_minimum(lost) and _is_most(lost | (baseline & known), lost):
        latched |= lost
    # What does not match a search any more is found by polls, and is lost nevertheless.
    latched = frozenset(unit for unit in latched if unit in lost or not _is_recovered(unit, view))
    most = max(most, len(latched))
    if latched.isdisjoint(lost) or 2 * len(latched) <= most:
        latched, most = frozenset(), 0
    still_held = (report.held if before is not None else frozenset(held)) & lost
    return LossReport(baseline, began, frozenset(lost), latched, most, still_held)


def needs_known(before: LossReport | None, lost: AbstractSet[str], now: datetime) -> bool:
    """Return whether `loss_report` needs to know all units: there may be thousands of VaultSecrets to count."""
    return bool(lost) and (before is None or _begins(before, now) or _exceeds_minimum(lost))


def lost_units(vault_secrets: Iterable[VaultSecret], view: VaultView, now: datetime) -> set[str]:
    """Return what is lost with keys that will be removed, or were within the last day, as `LossReport` has it."""
    return {unit for vault_secret in vault_secrets for unit in _lost(vault_secret, view, now)}


def known_units(vault_secrets: Iterable[VaultSecret]) -> set[str]:
    """Return everything that would take keys with it if it were lost."""
    known: set[str] = set()
    for vault_secret in vault_secrets:
        known |= _deletable(vault_secret) | _parts(vault_secret)
    return known


def held_units(vault_secrets: Iterable[VaultSecret]) -> set[str]:
    """Return what the last process held back, by the statuses: in each, it counts for what that VaultSecret misses."""
    held: set[str] = set()
    for vault_secret in vault_secrets:
        ready = condition(vault_secret.status, READY)
        if ready is not None and ready.reason == Reason.DELETION_HELD:
            held |= {unit_of(one) for one in vault_secret.status.missing if one.removed is None}
    return held


def unit_of(missing: StatusMissing) -> str:
    """Return what is missing as it is counted."""
    return f"{missing.secret_name}/{missing.key}" if missing.key else missing.secret_name


def is_recent(missing: StatusMissing, now: datetime) -> bool:
    """Return whether its keys were removed within the last day, without a release."""
    return missing.removed is not None and now - missing.removed < WINDOW


def _begins(before: LossReport, now: datetime) -> bool:
    """Return whether a loss now is the first of a window."""
    return before.began is None or not before.began <= now < before.began + WINDOW


def _exceeds_minimum(lost: AbstractSet[str]) -> bool:
    return any(len(part) > MAX_UNCONFIRMED_LOSSES for part in _kinds(lost))


def _is_most(known: AbstractSet[str], lost: AbstractSet[str]) -> bool:
    """Return whether more than half of the secrets are lost, or of the parts of secrets, and more than the minimum."""
    counts = zip(_kinds(known), _kinds(lost), strict=True)
    return any(len(gone) > MAX_UNCONFIRMED_LOSSES and 2 * len(gone) > len(every) for every, gone in counts)


def _kinds(units: AbstractSet[str]) -> tuple[set[str], set[str]]:
    parts = {unit for unit in units if "/" in unit}
    return set(units) - parts, parts


def _lost(vault_secret: VaultSecret, view: VaultView, now: datetime) -> set[str]:
    spec, missing = vault_secret.spec, vault_secret.status.missing
    named = _named(spec)
    is_found = None if view.listing is None else view.listing.selects(searches(spec))
    lost = {name for name in _deletable(vault_secret) if _is_lost(name, view, named, is_found)}
    lost |= {unit_of(one) for one in missing if is_recent(one, now)}
    return lost | {unit_of(one) for one in missing if one.key and one.removed is None and one.secret_name not in lost}


def _deletable(vault_secret: VaultSecret) -> set[str]:
    """Return the secrets that the status lists and the spec asks for: users can write to the status.

    Names that no poll looks for would never be lost, and thousands of them would keep the guard from tripping.
    """
    spec = vault_secret.spec
    names = {entry.secret_name.lower() for entry in vault_secret.status.entries if entry.version is not None}
    if not searches(spec):
        names &= _named(spec)
    if spec.on_source_deleted is OnSourceDeleted.DELETE:
        return names
    return names - {request.ref.name.lower() for request in named_secrets(spec) if not request.optional}


def _parts(vault_secret: VaultSecret) -> set[str]:
    """Return the keys that a secret may cease to fill while it is still there: those of fields and of versions."""
    spec = vault_secret.spec
    named = {entry.key for entry in spec.data}
    partial = {entry.previous_key for entry in spec.data}
    partial |= {entry.key for entry in spec.data if entry.optional and (entry.property or entry.version)}
    objects = {source.object.lower() for source in spec.data_from if source.object is not None}
    return {
        f"{entry.secret_name.lower()}/{entry.key}"
        for entry in vault_secret.status.entries
        if entry.version is not None
        and (entry.key in partial or (entry.key not in named and entry.secret_name.lower() in objects))
    }


def _named(spec: VaultSecretSpec) -> set[str]:
    return {request.ref.name.lower() for request in named_secrets(spec)}


def _is_lost(name: str, view: VaultView, named: AbstractSet[str], is_found: Callable[[str], bool] | None) -> bool:
    """Return whether a named secret is missing, or a search does not find a secret any more."""
    if name in named:
        return isinstance(view.secrets.get(name), Missing)
    return is_found is not None and not is_found(name)


def _is_recovered(unit: str, view: VaultView) -> bool:
    """Return whether polls find it again; a secret that no VaultSecret names any more is not polled.

    Of a part of a secret, only the VaultSecrets that miss it know.
    """
    if "/" in unit:
        return True
    metadata = view.find(unit)
    return isinstance(metadata, SecretMetadata) and metadata.readable
