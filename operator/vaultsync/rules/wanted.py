"""Which secrets of the vault a VaultSecret needs: its entries, objects and certificates, and what its searches find.

A search looks at the last whole listing that the vault's poller has made: it costs no call of its own.
"""

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from vaultsync.api.v1alpha1 import Find, VaultSecretSpec
from vaultsync.rules.changes import Seen, Sighting
from vaultsync.rules.outcome import Reason, SecretRef, SecretState, SyncError


@dataclass(frozen=True, slots=True)
class Wanted:
    """One secret to be read, and whether its absence is a failure."""

    ref: SecretRef
    optional: bool
    vanished: bool = False
    """It was found before and is not listed any more; it is read to make sure that it is gone."""


def named_secrets(spec: VaultSecretSpec) -> Iterator[Wanted]:
    """The secrets that the spec names itself."""
    for entry in spec.data:
        yield Wanted(SecretRef(entry.secret_name, entry.version), entry.optional)
        if entry.previous_key is not None:
            yield Wanted(SecretRef(entry.secret_name, previous=True), optional=True)
    for source in spec.data_from:
        name = source.object or source.certificate
        if name is not None:
            yield Wanted(SecretRef(name, source.version), source.optional)


def searches(spec: VaultSecretSpec) -> tuple[Find, ...]:
    """The searches of the spec."""
    return tuple(source.find for source in spec.data_from if source.find is not None)


def wanted_secrets(spec: VaultSecretSpec, seen: Seen) -> tuple[Wanted, ...]:
    """All secrets to be read, each once, in the spec's order; what one line needs is not optional for another."""
    # What was found may go before it is read: the next listing will not have it either.
    found = (
        Wanted(SecretRef(sighting.name), optional=True)
        for find in searches(spec)
        for sighting in found_secrets(find, seen)
        if sighting.readable
    )
    merged: dict[SecretRef, Wanted] = {}
    for wanted in (*named_secrets(spec), *found):
        first = merged.setdefault(wanted.ref.identity, wanted)
        merged[wanted.ref.identity] = replace(first, optional=first.optional and wanted.optional)
    return tuple(merged.values())


def vanished_finds(spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState], seen: Seen) -> Iterator[Wanted]:
    """What fills keys as far as is known, and is in the listing no more, not even unfit or disabled."""
    for state in _found_before(spec, known):
        if seen.catalog is not None and state.ref.name.lower() not in seen.catalog:
            yield Wanted(state.ref, optional=True, vanished=True)


def disabled_finds(spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState], seen: Seen) -> Iterator[Wanted]:
    """What fills keys as far as is known, and is listed as disabled, so that its key is left out."""
    for state in _found_before(spec, known):
        listed = (seen.catalog or {}).get(state.ref.name.lower())
        if listed is not None and not listed.readable:
            yield Wanted(state.ref, optional=True)


def _found_before(spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState]) -> Iterator[SecretState]:
    """What fills keys as far as is known, and is not named by a spec that searches."""
    if not searches(spec):
        return
    named = {wanted.ref.identity for wanted in named_secrets(spec)}
    for ref, state in known.items():
        if state.version is not None and ref.follows and ref not in named:
            yield state


def found_secrets(find: Find, seen: Seen) -> tuple[Sighting, ...]:
    """What a search finds in the vault's last whole listing, by name, disabled ones included."""
    if seen.catalog is None:
        return ()
    return tuple(sighting for _, sighting in sorted(seen.catalog.items()) if _fits(find, sighting))


def left_out(spec: VaultSecretSpec, seen: Seen) -> int:
    """How many secrets fit a search and cannot be read."""
    disabled = {
        sighting.name.lower()
        for find in searches(spec)
        for sighting in found_secrets(find, seen)
        if not sighting.readable
    }
    return len(disabled)


def check_search(spec: VaultSecretSpec, seen: Seen) -> None:
    """Refuse searches in a vault that does not let itself be listed."""
    if searches(spec) and seen.unsearchable is not None:
        raise SyncError(
            Reason.ACCESS_DENIED,
            f"No permission to list the secrets of vault {spec.vault_url}, which find in dataFrom needs; give the "
            "operator's identity the role Key Vault Secrets User there, or name the secrets one by one.",
        )


def check_listing(spec: VaultSecretSpec, seen: Seen) -> None:
    """Wait for the vault's first listing, where there are searches. Raises `NotYet`, or why there is no listing."""
    if searches(spec) and seen.catalog is None:
        raise seen.unknown(f"Vault {spec.vault_url} has not been listed yet.")


def _fits(find: Find, sighting: Sighting) -> bool:
    if find.names is not None and not fnmatch.fnmatchcase(sighting.name.lower(), find.names.lower()):
        return False
    return all(sighting.tags.get(name) == value for name, value in (find.tags or {}).items())
