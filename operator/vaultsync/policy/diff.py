"""What a write changes in a target: the kind of change, its description, whether the content differs; writes none."""

from collections.abc import Iterable, Mapping

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.policy.evidence import is_garbage, is_written_for
from vaultsync.policy.plan import Plan
from vaultsync.state.applied import content_fingerprint
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Observed
from vaultsync.state.secrets import SecretState
from vaultsync.status.outcome import Change
from vaultsync.texts import listed

_WRITTEN = {
    Change.CREATED: "Created the Secret with ",
    Change.UPDATED: "Updated the Secret to the changed spec, with ",
    Change.HEALED: "The Secret had been deleted; created it again with ",
}

_REMOVED = {
    Change.DELETED: "Deleted Secret {}, the previous target.",
    Change.RELEASED: "Released Secret {}, the previous target; its content stays.",
}


def change_for(vault_secret: VaultSecret, observed: Observed | None, plan: Plan, desired: Desired) -> Change:
    """Return the kind of change that writes the desired target; `NONE` if it is in place."""
    if observed is None:
        written = vault_secret.status.target
        return Change.HEALED if written and written.name == vault_secret.target_key.name else Change.CREATED
    if not is_written_for(vault_secret, observed) and not is_garbage(observed):
        return Change.ADOPTED
    if plan.spec_changed:
        return Change.UPDATED
    if plan.drift is not None:
        return Change.HEALED
    return _change_of_content(observed, desired)


def _change_of_content(observed: Observed, desired: Desired) -> Change:
    applied = observed.applied
    if applied is None:
        return Change.NONE  # a policy has removed the annotation that has the versions
    if _removed_keys(observed, desired):
        return Change.REMOVED
    if _rotated(observed, desired):
        return Change.ROTATED
    # What was kept until now may be of another part of its secret, under the same version.
    if applied.spec_content not in {None, desired.spec_content}:
        return Change.UPDATED
    return Change.NONE if applied.metadata == desired.metadata else Change.RELABELED


def annotation_changed(plan: Plan, desired: Desired) -> bool:
    """Return whether the target must be written only to update its annotation.

    The status has later readings by key, so those of secrets without keys are recorded in the annotation alone. So is
    that a key is kept.
    """
    before = [(plan.known.get(state.ref.identity), state) for state in desired.secrets]
    return any(
        known != state if not state.keys else known is not None and known.kept != state.kept for known, state in before
    )


def describe(change: Change, observed: Observed | None, plan: Plan, desired: Desired) -> str:
    """Return sentences about what was done, with keys and versions; empty if nothing was."""
    if change is Change.NONE:
        return ""
    return " ".join(filter(None, [_described(change, observed, plan, desired), *desired.notes]))


def _described(change: Change, observed: Observed | None, plan: Plan, desired: Desired) -> str:
    if observed is None or change is Change.UPDATED:
        return _WRITTEN[change] + _versions(desired.secrets)
    if change is Change.ADOPTED:
        return _adopted(observed, desired)
    if change is Change.RELABELED:
        return "Updated the labels and annotations of target.metadataFrom to the tags and dates in the vault."
    if change is Change.HEALED:
        assert plan.drift is not None
        return f"{plan.drift.text[0].upper()}{plan.drift.text[1:]}; restored it."
    rotated = _rotated(observed, desired)
    return "Rotated " + _versions(rotated) if rotated else ""


def removed_sentence(plan: Plan, observed: Observed | None, desired: Desired) -> str:
    """Return a sentence about the keys that the target had, and that the vault does not fill any more."""
    if plan.spec_changed or observed is None or observed.applied is None:
        return ""
    removed = _removed_keys(observed, desired)
    if not removed:
        return ""
    keys = listed(f"{key} (secret {name})" for key, name in sorted(removed.items()))
    return f"Gone from the vault, and so removed: {keys}."


def removal_sentences(removed: Mapping[ObjectKey, Change]) -> list[str]:
    """Return a sentence for each previous target that was deleted or released."""
    return [_REMOVED[change].format(key.name) for key, change in removed.items()]


def content_changed(
    vault_secret: VaultSecret, observed: Observed | None, change: Change, secrets: Iterable[SecretState]
) -> bool:
    """Return whether the content differs from what the status last reported, so that workloads need a restart.

    That may be so though nothing is written: an operator may have stopped between writing target and status.
    """
    if change in {Change.ADOPTED, Change.CREATED, Change.ROTATED}:
        return change is not Change.CREATED
    applied = None if observed is None else observed.applied
    # Only an update writes another spec.
    content = applied.spec_content if applied is not None and change is Change.UPDATED else None
    if content is not None and content != content_fingerprint(vault_secret):
        return True
    reported = {entry.key: entry.version for entry in vault_secret.status.entries}
    before = reported or _versions_by_key(() if applied is None else applied.secrets)
    after = _versions_by_key(secrets)
    kept = {key: before[key] for state in secrets for key in state.kept if key in before}
    return bool(before) and before != after | kept


def _versions_by_key(secrets: Iterable[SecretState]) -> dict[str, str | None]:
    return {key: state.version for state in secrets for key in state.keys}


def _adopted(observed: Observed, desired: Desired) -> str:
    """Return who wrote it before, and which keys are replaced or removed."""
    keys = {field.name for field in (*observed.foreign, *observed.ours) if field.area == "data"}
    actions = {"replaced": keys & desired.keys, "removed": keys - desired.keys}
    parts = [f"{action} {', '.join(sorted(names))}" for action, names in actions.items() if names]
    writers = f", written by {listed(observed.managers)}" if observed.managers else ""
    parts += [f"removed the owner {listed(_owners(observed))}"] if observed.owners else []
    parts += (
        [f"removed the annotation {listed(observed.copies)}, which may hold its former content"]
        if (observed.copies)
        else []
    )
    return f"Adopted the Secret{writers}: {'; '.join(parts) or 'it had no keys'}; wrote {_versions(desired.secrets)}"


def _owners(observed: Observed) -> Iterable[str]:
    return (f"{owner.kind} {owner.name}" for owner in observed.owners)


def _rotated(observed: Observed, desired: Desired) -> tuple[SecretState, ...]:
    """Return the secrets of which the target holds other versions, or other keys."""
    before = {} if observed.applied is None else observed.applied.by_ref
    return tuple(state for state in desired.secrets if _is_rotated(before.get(state.ref.identity), state))


def _is_rotated(before: SecretState | None, state: SecretState) -> bool:
    if state.version is None or not state.keys:
        return False
    if before is None or (before.version, before.encoding) != (state.version, state.encoding):
        return True
    return not set(state.keys) <= set(before.keys)


def _removed_keys(observed: Observed, desired: Desired) -> dict[str, str]:
    """Return the keys that the target holds by its annotation and is to lose, with the names of their secrets."""
    before = () if observed.applied is None else observed.applied.secrets
    return {key: state.ref.name for state in before for key in state.held if key not in desired.keys}


def _versions(secrets: Iterable[SecretState]) -> str:
    parts = (f"{', '.join(state.keys) or 'no key'} ({state.ref.name} {_version(state)})" for state in secrets)
    return ", ".join(parts) + "."


def _version(state: SecretState) -> str:
    return state.version or ("missing" if state.pending is None else "not active yet")
