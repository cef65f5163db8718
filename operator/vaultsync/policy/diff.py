"""What writing a target is: the word for it, the sentence that tells it, and whether pods read something else now."""

from collections.abc import Iterable
from dataclasses import replace

from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.policy.ownership import is_ours
from vaultsync.policy.plan import Plan
from vaultsync.state.applied import content_fingerprint
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Observed
from vaultsync.state.secrets import SecretState
from vaultsync.status.outcome import Change

_WRITTEN = {
    Change.CREATED: "Created the Secret with ",
    Change.UPDATED: "Wrote the Secret as the VaultSecret asks, with ",
    Change.HEALED: "The Secret had been deleted; wrote it again with ",
}


def change_for(vault_secret: VaultSecret, observed: Observed | None, plan: Plan, desired: Desired) -> Change:
    """Say what writing the desired target would be, `NONE` if it is there already."""
    if observed is None:
        written = vault_secret.status.target
        return Change.HEALED if written and written.name == vault_secret.target_key.name else Change.CREATED
    if not is_ours(vault_secret, observed):
        return Change.ADOPTED
    if plan.spec_changed:
        return Change.UPDATED
    if plan.tampering is not None:
        return Change.HEALED
    changed = _rotated(observed, desired)
    if not changed:
        return Change.NONE
    return Change.REMOVED if any(state.version is None for state in changed) else Change.ROTATED


def must_remember(plan: Plan, desired: Desired) -> bool:
    """Tell whether the target has to be written for its annotation's sake, since something else was read.

    The status tells of later readings by the keys that they fill: what fills none is known from the annotation alone.
    """
    return any(not state.keys and plan.known.get(state.ref.identity) != state for state in desired.secrets)


def detail_of(change: Change, observed: Observed | None, plan: Plan, desired: Desired) -> str:
    """Tell in a sentence what was done, by keys and versions."""
    if observed is None or change is Change.UPDATED:
        return _WRITTEN[change] + _versions(desired.secrets)
    if change is Change.ADOPTED:
        return _adopted(observed, desired)
    if change is Change.HEALED:
        assert plan.tampering is not None
        return f"{plan.tampering.text[0].upper()}{plan.tampering.text[1:]}; restored it."
    return _moved(_rotated(observed, desired)) if change is not Change.NONE else ""


def content_changed(
    vault_secret: VaultSecret, observed: Observed | None, change: Change, secrets: Iterable[SecretState]
) -> bool:
    """Tell whether what pods read is something else than what people were last told that they read.

    Also where nothing is written now: an operator may have ended between writing the target and telling of it.
    """
    if change in {Change.ADOPTED, Change.CREATED}:
        return change is Change.ADOPTED
    applied = None if observed is None else observed.applied
    # Another spec is only written by an update: elsewhere there is no second one to be told apart.
    content = applied.content if applied is not None and change is Change.UPDATED else None
    if content is not None and content != content_fingerprint(vault_secret):
        return True
    told = {entry.key: entry.version for entry in vault_secret.status.entries}
    before = told or _versions_by_key(() if applied is None else applied.secrets)
    return bool(before) and before != _versions_by_key(secrets)


def _versions_by_key(secrets: Iterable[SecretState]) -> dict[str, str | None]:
    return {key: state.version for state in secrets for key in state.keys}


def _adopted(observed: Observed, desired: Desired) -> str:
    """Say whose it was, and what became of their keys."""
    keys = {field.name for field in observed.foreign}
    deeds = {"replaced": keys & desired.keys, "removed": keys - desired.keys}
    told = [f"{deed} {', '.join(sorted(names))}" for deed, names in deeds.items() if names]
    whose = f", written by {', '.join(observed.managers)}" if observed.managers else ""
    return f"Took over the Secret{whose}: {'; '.join(told) or 'it had no keys'}; wrote {_versions(desired.secrets)}"


def _moved(changed: Iterable[SecretState]) -> str:
    rotated = tuple(state for state in changed if state.version is not None)
    removed = tuple(state for state in changed if state.version is None)
    sentences = ["Rotated " + _versions(rotated)] if rotated else []
    sentences += ["Gone from the vault, and so removed: " + _versions(removed)] if removed else []
    return " ".join(sentences)


def _rotated(observed: Observed, desired: Desired) -> tuple[SecretState, ...]:
    """What the target does not hold yet, and what it holds no longer."""
    before = observed.applied.by_ref if observed.applied is not None else {}
    after = {state.ref.identity: state for state in desired.secrets}
    changed = [state for ref, state in after.items() if _content(before.get(ref)) != _content(state)]
    gone = [replace(state, version=None) for ref, state in before.items() if ref not in after]
    return (*changed, *gone)


def _content(state: SecretState | None) -> tuple[str | None, tuple[str, ...]] | None:
    return None if state is None else (state.version, state.keys)


def _versions(secrets: Iterable[SecretState]) -> str:
    told = (f"{', '.join(state.keys) or 'no key'} ({state.ref.name} {state.version or 'absent'})" for state in secrets)
    return ", ".join(told) + "."
