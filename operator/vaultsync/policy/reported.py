"""Derives the last-read state from the status, for a target without annotation; reads nothing itself.

The annotation is lost with the target. Without any last-read state, an incomplete listing of the vault would count as
all that a search finds, and the target would be created with fewer keys than it had.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from vaultsync.api.v1alpha1 import StatusEntry, VaultSecret, VaultSecretSpec
from vaultsync.state.observed import Observed
from vaultsync.state.requests import named_secrets
from vaultsync.state.secrets import PendingVersion, SecretRef, SecretState, Version


def reported_state(vault_secret: VaultSecret, observed: Observed | None) -> dict[SecretRef, SecretState]:
    """Return the state of each secret of the last target by the status; empty if that was from another vault."""
    if not _is_from_same_vault(vault_secret, observed):
        return {}
    previous_keys = {entry.previous_key for entry in vault_secret.spec.data}
    pins = _pins(vault_secret.spec)
    entries: dict[SecretRef, list[StatusEntry]] = {}
    for entry in vault_secret.status.entries:
        ref = SecretRef(entry.secret_name, previous=entry.key in previous_keys)
        if not ref.previous and entry.version in pins.get(ref.name.lower(), ()):
            ref = SecretRef(entry.secret_name, entry.version)
        entries.setdefault(ref.identity, []).append(entry)
    return {ref: _state(ref, group) for ref, group in entries.items()}


def pending_of(entry: StatusEntry) -> PendingVersion | None:
    """Return the pending version of an entry."""
    one = entry.pending
    if one is None:
        return None
    newest = Version(one.newest, one.newest_updated, one.newest_expires)
    return PendingVersion(one.version, one.not_before, newest, one.none_active)


def _is_from_same_vault(vault_secret: VaultSecret, observed: Observed | None) -> bool:
    """Return whether the status is about a target from the vault that the spec names.

    A status of earlier versions names no vault: it counts unless the target's annotation exists, which has more.
    """
    target = vault_secret.status.target
    if target is None:
        return False
    if target.vault_url is None:
        return observed is None or observed.applied is None
    return target.vault_url == vault_secret.spec.vault_url


def _pins(spec: VaultSecretSpec) -> Mapping[str, set[str]]:
    """Return the versions that the spec pins, of secrets whose newest version it does not use, by name."""
    pins: dict[str, set[str]] = {}
    for one in named_secrets(spec):
        if one.ref.version is not None:
            pins.setdefault(one.ref.name.lower(), set()).add(one.ref.version)
    followed = {one.ref.name.lower() for one in named_secrets(spec) if one.ref.follows}
    return {name: versions for name, versions in pins.items() if name not in followed}


def with_certificates(state: SecretState, entries: Iterable[StatusEntry]) -> SecretState:
    """Return the state with the dates of the certificates in its keys, which the status alone has."""
    expiries = {
        entry.key: entry.certificate_expires
        for entry in entries
        if entry.certificate_expires is not None and entry.version == state.version and entry.key in state.keys
    }
    return replace(state, certificates=expiries) if expiries else state


def _state(ref: SecretRef, entries: list[StatusEntry]) -> SecretState:
    # Keys that are kept have an earlier version, which was read before.
    last = max(entries, key=lambda entry: entry.read_at)
    state = SecretState(
        ref=SecretRef(last.secret_name, ref.version, ref.previous),
        keys=tuple(entry.key for entry in entries if entry.version == last.version),
        version=last.version,
        updated=last.updated,
        expires=last.expires,
        read_at=last.read_at,
        pending=pending_of(last),
        kept=tuple(entry.key for entry in entries if entry.version != last.version),
    )
    return with_certificates(state, entries)
