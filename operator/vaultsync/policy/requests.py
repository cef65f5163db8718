"""Which secrets a VaultSecret needs, those that its searches find included; reads nothing itself.

A search uses the last complete listing of the vault's poller and makes no call.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from vaultsync.api.fields import is_secret_name
from vaultsync.api.v1alpha1 import VaultSecretSpec
from vaultsync.policy.changes import is_before
from vaultsync.state.globs import matches_any
from vaultsync.state.grants import Granted
from vaultsync.state.requests import Search, SecretRequest, named_secrets, searches
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import SecretMetadata, VaultView


def requested_secrets(spec: VaultSecretSpec, view: VaultView) -> tuple[SecretRequest, ...]:
    """Return all secrets to read, each once, in the spec's order; one that any entry requires is required."""
    merged: dict[SecretRef, SecretRequest] = {}
    for request in named_secrets(spec):
        first = merged.setdefault(request.ref.identity, request)
        merged[request.ref.identity] = replace(first, optional=first.optional and request.optional)
    for name in _found_names(spec, view):
        # What was found is optional: it may be deleted before it is read, and the next listing will not have it either.
        request = SecretRequest(SecretRef(name), optional=True)
        merged.setdefault(request.ref.identity, request)
    return tuple(merged.values())


def _found_names(spec: VaultSecretSpec, view: VaultView) -> Mapping[str, None]:
    """Return the names of all readable secrets that searches find, each once, however many searches find it."""
    return {one.name: None for search in searches(spec) for one in found_secrets(search, view) if one.readable}


def unlisted_finds(
    spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState], view: VaultView
) -> Iterator[SecretRequest]:
    """Yield secrets that fill keys, were found by a search, and are not in the listing any more.

    So are those that no search finds in a listing that is behind: it may have them as they were before they got a tag.
    """
    if view.listing is None:
        return
    found: Mapping[str, None] | None = None
    for state in _found_before(spec, known):
        listed = view.listing.get(state.ref.name.lower())
        if not view.listing.may_have(state.ref.name):
            continue  # it is not granted any more, and must not be read
        if listed is not None:
            if not is_before(listed.updated, state.newest_updated):
                continue
            found = _found_names(spec, view) if found is None else found
            if listed.name in found:
                continue
        yield SecretRequest(state.ref, optional=True, unlisted=True)


def disabled_finds(
    spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState], view: VaultView
) -> Iterator[SecretRequest]:
    """Yield secrets that fill keys, were found by a search, and are listed as disabled: their keys are removed.

    A listing that is behind does not count: they may have been disabled before.
    """
    for state in _found_before(spec, known):
        listed = None if view.listing is None else view.listing.get(state.ref.name.lower())
        if listed is not None and not listed.readable and not is_before(listed.updated, state.newest_updated):
            yield SecretRequest(state.ref, optional=True)


def ungranted_finds(spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState], granted: Granted) -> list[str]:
    """Return the names of secrets that fill keys, were found by a search, and are not granted any more."""
    found = (state.ref.name for state in _found_before(spec, known))
    return sorted(name for name in found if not matches_any(granted.secrets, name))


def _found_before(spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState]) -> Iterator[SecretState]:
    """Yield secrets that fill keys and are not named by the spec; none if the spec has no search.

    Users can write to the annotation and to the status: what is not a name was never found, and cannot be read.
    """
    if not searches(spec):
        return
    named = {request.ref.identity for request in named_secrets(spec)}
    for ref, state in known.items():
        if state.version is not None and ref.follows and ref not in named and is_secret_name(ref.name):
            yield state


def found_secrets(search: Search, view: VaultView) -> tuple[SecretMetadata, ...]:
    """Return the secrets that a search finds in the last complete listing, sorted by name, with disabled ones."""
    if view.listing is None:
        return ()
    return view.listing.search(search.names, search.tags, managed=search.managed, omit=search.omit)


def left_out(spec: VaultSecretSpec, view: VaultView) -> int:
    """Return how many secrets match a search and cannot be read."""
    disabled = {
        metadata.name.lower()
        for search in searches(spec)
        for metadata in found_secrets(search, view)
        if not metadata.readable
    }
    return len(disabled)
