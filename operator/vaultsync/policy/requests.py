"""Which secrets of the vault a VaultSecret needs: its entries, objects and certificates, and what its searches find.

A search looks at the last whole listing that the vault's poller has made: it costs no call of its own.
"""

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import replace

from vaultsync.api.v1alpha1 import Find, VaultSecretSpec
from vaultsync.errors import Reason, SyncError
from vaultsync.state.requests import SecretRequest, named_secrets, searches
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import SecretMetadata, VaultView


def wanted_secrets(spec: VaultSecretSpec, view: VaultView) -> tuple[SecretRequest, ...]:
    """All secrets to be read, each once, in the spec's order; what one line needs is not optional for another."""
    # What was found may go before it is read: the next listing will not have it either.
    found = (
        SecretRequest(SecretRef(metadata.name), optional=True)
        for find in searches(spec)
        for metadata in found_secrets(find, view)
        if metadata.readable
    )
    merged: dict[SecretRef, SecretRequest] = {}
    for wanted in (*named_secrets(spec), *found):
        first = merged.setdefault(wanted.ref.identity, wanted)
        merged[wanted.ref.identity] = replace(first, optional=first.optional and wanted.optional)
    return tuple(merged.values())


def vanished_finds(
    spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState], view: VaultView
) -> Iterator[SecretRequest]:
    """What fills keys as far as is known, and is in the listing no more, not even unfit or disabled."""
    for state in _found_before(spec, known):
        if view.listing is not None and state.ref.name.lower() not in view.listing:
            yield SecretRequest(state.ref, optional=True, vanished=True)


def disabled_finds(
    spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState], view: VaultView
) -> Iterator[SecretRequest]:
    """What fills keys as far as is known, and is listed as disabled, so that its key is left out."""
    for state in _found_before(spec, known):
        listed = (view.listing or {}).get(state.ref.name.lower())
        if listed is not None and not listed.readable:
            yield SecretRequest(state.ref, optional=True)


def _found_before(spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState]) -> Iterator[SecretState]:
    """What fills keys as far as is known, and is not named by a spec that searches."""
    if not searches(spec):
        return
    named = {wanted.ref.identity for wanted in named_secrets(spec)}
    for ref, state in known.items():
        if state.version is not None and ref.follows and ref not in named:
            yield state


def found_secrets(find: Find, view: VaultView) -> tuple[SecretMetadata, ...]:
    """What a search finds in the vault's last whole listing, by name, disabled ones included."""
    if view.listing is None:
        return ()
    return tuple(metadata for _, metadata in sorted(view.listing.items()) if _fits(find, metadata))


def left_out(spec: VaultSecretSpec, view: VaultView) -> int:
    """How many secrets fit a search and cannot be read."""
    disabled = {
        metadata.name.lower()
        for find in searches(spec)
        for metadata in found_secrets(find, view)
        if not metadata.readable
    }
    return len(disabled)


def check_search(spec: VaultSecretSpec, view: VaultView) -> None:
    """Refuse searches in a vault that does not let itself be listed."""
    if searches(spec) and view.list_error is not None:
        raise SyncError(
            Reason.ACCESS_DENIED,
            f"No permission to list the secrets of vault {spec.vault_url}, which find in dataFrom needs; give the "
            "operator's identity the role Key Vault Secrets User there, or name the secrets one by one.",
        )


def check_listing(spec: VaultSecretSpec, view: VaultView) -> None:
    """Wait for the vault's first listing, where there are searches. Raises `NotYet`, or why there is no listing."""
    if searches(spec) and view.listing is None:
        raise view.unknown(f"Vault {spec.vault_url} has not been listed yet.")


def _fits(find: Find, metadata: SecretMetadata) -> bool:
    if find.names is not None and not fnmatch.fnmatchcase(metadata.name.lower(), find.names.lower()):
        return False
    return all(metadata.tags.get(name) == value for name, value in (find.tags or {}).items())
