"""What one reconcile has to do: which entries to read, and why; whether the target has been tampered with.

If one entry must be read, all are: the target is one consistent picture, and values are not kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from vaultsync.api import APPLIED_ANNOTATION, REFRESH_ANNOTATION
from vaultsync.api.v1alpha1 import StatusEntry, StatusMissing, VaultSecret
from vaultsync.rules.applied import applied_keys, fingerprint
from vaultsync.rules.changes import Seen, due
from vaultsync.rules.desired import expected_fields
from vaultsync.rules.observed import Field, Observed
from vaultsync.rules.outcome import SecretRef, SecretState
from vaultsync.rules.wanted import Wanted, searches, vanished_finds, wanted_secrets

_LONGEST_ASKING = 256


@dataclass(frozen=True, slots=True)
class Tampering:
    """What others did to a target of ours."""

    fields: tuple[Field, ...]
    """Fields of ours that somebody changed or removed."""
    added: tuple[str, ...]
    """Keys that somebody added."""
    managers: tuple[str, ...]
    """Under which field managers' names."""

    @property
    def text(self) -> str:
        """Tell it in one sentence, by names alone."""
        changed = [_called(field) for field in self.fields]
        deeds = [f"changed or removed {', '.join(changed)}"] if changed else []
        deeds += [f"added {', '.join(self.added)}"] if self.added else []
        who = f"field manager {', '.join(self.managers)}" if self.managers else "somebody"
        return f"{who} {' and '.join(deeds)}"


def _called(field: Field) -> str:
    match field.area:
        case "data":
            return field.name
        case "ownerReferences":
            return "the owner reference"
        case _:
            return f"{field.area}/{field.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and why: `known` is what is remembered of the wanted secrets."""

    wanted: tuple[Wanted, ...]
    known: Mapping[SecretRef, SecretState]
    why_read: str | None
    missing: tuple[StatusMissing, ...] = ()
    """What the vault has no more, as far as is known, and since when."""
    first: frozenset[SecretRef] = frozenset()
    """What is due itself: where one of these cannot be read, the others need not be."""
    spec_changed: bool = False
    tampering: Tampering | None = None

    @property
    def steps(self) -> tuple[tuple[Wanted, ...], tuple[Wanted, ...]]:
        """What is read first, and what after it."""
        first = tuple(one for one in self.wanted if one.ref.identity in self.first)
        return first, tuple(one for one in self.wanted if one not in first)


def plan_for(
    vault_secret: VaultSecret, observed: Observed | None, seen: Seen, *, now: datetime, recheck: timedelta
) -> Plan:
    """Decide what to read, from how things are."""
    known = evidence(vault_secret, observed)
    wanted = (*wanted_secrets(vault_secret.spec, seen), *vanished_finds(vault_secret.spec, known, seen))
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
    if asked_anew(vault_secret) is not None:
        return replace(plan, why_read="somebody asked for it")
    reasons = _reasons(vault_secret, plan, seen, now=now, recheck=recheck)
    return replace(plan, why_read=next(iter(reasons.values()), None), first=frozenset(reasons))


def _reasons(
    vault_secret: VaultSecret, plan: Plan, seen: Seen, *, now: datetime, recheck: timedelta
) -> dict[SecretRef, str]:
    """Why something must be read, by what is due."""
    searching = bool(searches(vault_secret.spec))
    if searching and seen.catalog is None:
        # Nobody has listed the vault yet. What was found last time is still wanted, as far as we know.
        return {}
    refs = {one.ref.identity for one in plan.wanted if not one.vanished}
    missing = {one.secret_name for one in plan.missing}
    reasons: dict[SecretRef, str] = {}
    for one in plan.wanted:
        state = plan.known.get(one.ref.identity)
        in_doubt = state is not None and state.version is not None and one.ref.name.lower() in missing
        # What had vanished and was recovered looks to a poll as ever.
        reason = "had vanished" if in_doubt else due(one.ref, state, seen, now=now, recheck=recheck)
        if reason is not None:
            reasons[one.ref.identity] = f"{one.ref.name}: {reason}"
    gone = {ref: f"{ref.name}: not found any more" for ref in plan.known if ref not in refs} if searching else {}
    return reasons | gone


def _is_known_to_be_ours(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Tell it from one that outlived another VaultSecret and was let go of: taking that up is no healing."""
    return vault_secret.status.target is not None or observed.owner_uid == vault_secret.metadata.uid


def asked_anew(vault_secret: VaultSecret) -> str | None:
    """The text of the annotation by which somebody asks for everything to be read again, unless that was done.

    A text may be as long as people like; what differs after so many letters is taken for the same.
    """
    asked = vault_secret.metadata.annotations.get(REFRESH_ANNOTATION)
    asked = None if asked is None else asked[:_LONGEST_ASKING]
    return None if asked == vault_secret.status.last_handled_refresh else asked


def evidence(vault_secret: VaultSecret, observed: Observed | None) -> dict[SecretRef, SecretState]:
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


def tampering_with(vault_secret: VaultSecret, observed: Observed) -> Tampering | None:
    """Tell what others changed of a target that we applied, or None while it is intact."""
    if observed.applied is None:
        return None
    keys = applied_keys(vault_secret, observed.applied)
    missing = tuple(sorted(expected_fields(vault_secret, keys) - observed.ours))
    added = tuple(sorted(field.name for field in observed.foreign if field.name not in keys))
    if not missing and not added:
        return None
    managers = {observed.foreign[field] for field in observed.foreign} or set(observed.managers)
    return Tampering(missing, added, tuple(sorted(managers)))
