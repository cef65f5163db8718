"""What one reconcile has to do: which entries to read, whether the target has been tampered with, whether to write it.

If one entry must be read, all are: the target is one consistent picture, and values are not kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from vaultsync.api import APPLIED_ANNOTATION
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.rules.applied import fingerprint
from vaultsync.rules.changes import Seen, due
from vaultsync.rules.desired import Desired, expected_fields
from vaultsync.rules.observed import Field, Observed
from vaultsync.rules.outcome import Change, EntryState


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
    """What is to be done, and why: `known` is what is remembered of the entries, by key."""

    known: Mapping[str, EntryState]
    why_read: str | None
    first: frozenset[str] = frozenset()
    """Keys of the entries that are due themselves: where one of them cannot be read, the others need not be."""
    spec_changed: bool = False
    tampering: Tampering | None = None


def plan_for(
    vault_secret: VaultSecret, observed: Observed | None, seen: Seen, *, now: datetime, recheck: timedelta
) -> Plan:
    """Decide what to read, from how things are."""
    known = evidence(vault_secret, observed)
    if observed is None:
        return Plan(known, "the Secret is not there")
    if observed.applied is None and observed.ours:
        spoiled = Tampering((Field("annotations", APPLIED_ANNOTATION),), (), observed.managers)
        return Plan(known, "the Secret was tampered with", tampering=spoiled)
    if observed.applied is None or observed.applied.spec != fingerprint(vault_secret):
        return Plan(known, "the VaultSecret asks for something else", spec_changed=True)
    tampering = tampering_with(vault_secret, observed)
    if tampering is not None:
        return Plan(known, "the Secret was tampered with", tampering=tampering)
    reasons = {
        entry.key: reason
        for entry in vault_secret.spec.data
        if (reason := due(entry, known.get(entry.key), seen, now=now, recheck=recheck)) is not None
    }
    return Plan(known, next(iter(reasons.values()), None), first=frozenset(reasons))


def evidence(vault_secret: VaultSecret, observed: Observed | None) -> dict[str, EntryState]:
    """Gather what was last read of each entry.

    The target's annotation tells what was written. The status may tell of a later reading of that same version, which
    was no reason to write the target again.
    """
    if observed is None or observed.applied is None:
        return {}
    known = dict(observed.applied.by_key)
    for later in vault_secret.status.entries:
        earlier = known.get(later.key)
        if (
            earlier is not None
            and (earlier.secret_name, earlier.version) == (later.secret_name, later.version)
            and later.read_at > earlier.read_at
        ):
            known[later.key] = EntryState(
                key=later.key,
                secret_name=later.secret_name,
                version=later.version,
                updated=later.updated,
                expires=later.expires,
                read_at=later.read_at,
            )
    return known


def tampering_with(vault_secret: VaultSecret, observed: Observed) -> Tampering | None:
    """Tell what others changed of a target that we applied, or None while it is intact."""
    if observed.applied is None:
        return None
    keys = frozenset(entry.key for entry in observed.applied.entries if entry.version is not None)
    missing = tuple(sorted(expected_fields(vault_secret, keys) - observed.ours))
    added = tuple(sorted(field.name for field in observed.foreign if field.name not in keys))
    if not missing and not added:
        return None
    managers = {observed.foreign[field] for field in observed.foreign} or set(observed.managers)
    return Tampering(missing, added, tuple(sorted(managers)))


def change_for(vault_secret: VaultSecret, observed: Observed | None, plan: Plan, desired: Desired) -> Change:
    """Say what writing the desired target would be, `NONE` if it is there already."""
    if observed is None:
        written = vault_secret.status.target
        return Change.HEALED if written and written.name == vault_secret.target_key.name else Change.CREATED
    if plan.spec_changed:
        return Change.UPDATED
    if plan.tampering is not None:
        return Change.HEALED
    applied = observed.applied.by_key if observed.applied is not None else {}
    same = all(entry.key in applied and applied[entry.key].version == entry.version for entry in desired.entries)
    return Change.NONE if same else Change.ROTATED


def detail_of(change: Change, observed: Observed | None, plan: Plan, desired: Desired) -> str:
    """Tell in a sentence what was done, by keys and versions."""
    match change:
        case Change.NONE:
            return ""
        case Change.CREATED:
            return "Created the Secret with " + _versions(desired.entries)
        case Change.UPDATED:
            return "Wrote the Secret as the VaultSecret asks, with " + _versions(desired.entries)
        case Change.HEALED if observed is None:
            return "The Secret had been deleted; wrote it again with " + _versions(desired.entries)
        case Change.HEALED:
            assert plan.tampering is not None
            return f"{plan.tampering.text[0].upper()}{plan.tampering.text[1:]}; restored it."
        case Change.ROTATED:
            before = observed.applied.by_key if observed is not None and observed.applied is not None else {}
            rotated = tuple(
                entry
                for entry in desired.entries
                if entry.key not in before or before[entry.key].version != entry.version
            )
            return "Rotated " + _versions(rotated)


def _versions(entries: tuple[EntryState, ...]) -> str:
    return ", ".join(f"{entry.key} ({entry.secret_name} {entry.version or 'absent'})" for entry in entries) + "."
