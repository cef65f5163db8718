"""Which secrets a VaultSecret needs, those that its searches find included; reads nothing itself.

A search uses the last complete listing of the vault's poller and makes no call.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from vaultsync.api.fields import is_secret_name
from vaultsync.api.v1alpha1 import VaultSecretSpec
from vaultsync.state.globs import ALL, matches, matches_any
from vaultsync.state.grants import Granted
from vaultsync.state.listings import SecretMetadata
from vaultsync.state.requests import Search, SecretRequest, named_secrets, searches
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import VaultView


def requested_secrets(spec: VaultSecretSpec, view: VaultView) -> tuple[SecretRequest, ...]:
    """Return all secrets to read, each once, in the spec's order; one that any entry requires is required.

    Of more than `MAX_FOUND` that searches find, only a part is returned: they are more than any quota allows.
    """
    queries = searches(spec)
    found = view.listing.requests(queries) if queries and view.listing is not None else ()
    if not spec.data and len(queries) == len(spec.data_from):
        return found
    merged: dict[SecretRef, SecretRequest] = {}
    for request in named_secrets(spec):
        first = merged.setdefault(request.ref.identity, request)
        merged[request.ref.identity] = replace(first, optional=first.optional and request.optional)
    for request in found:
        merged.setdefault(request.ref.identity, request)
    return tuple(merged.values())


def _found(spec: VaultSecretSpec, view: VaultView) -> Mapping[str, None]:
    """Return the names of all readable secrets that searches find, each once, however many searches find it."""
    return {one.name: None for search in searches(spec) for one in found_secrets(search, view) if one.readable}


def found_names(spec: VaultSecretSpec, view: VaultView) -> AbstractSet[str]:
    """Return the names, in lower case, of all readable secrets that searches find."""
    return {name.lower() for name in _found(spec, view)}


def present_names(spec: VaultSecretSpec, names: Iterable[str], view: VaultView) -> frozenset[str]:
    """Return those of these secrets, by name in lower case, that polls have found, and searches find."""
    names = tuple(names)
    if not names:
        return frozenset()  # a search looks at the whole listing
    named = {request.ref.name.lower() for request in named_secrets(spec)}
    found = found_names(spec, view)
    return frozenset(
        name
        for name in names
        if (isinstance(view.secrets.get(name), SecretMetadata) if name in named else name in found)
    )


def unlisted_finds(
    spec: VaultSecretSpec, known: Mapping[SecretRef, SecretState], view: VaultView
) -> Iterator[SecretRequest]:
    """Yield secrets that fill keys, were found by a search, and are not found any more.

    They are missing in the listing, disabled, or do not match any more; a listing may also be behind, and have them as
    they were before they matched. So they are read before their keys go.
    """
    if view.listing is None:
        return
    is_found = view.listing.selects(searches(spec))
    for state in _found_before(spec, known):
        if not view.listing.may_have(state.ref.name):
            continue  # it is not granted any more, and must not be read
        if not is_found(state.ref.name.lower()):
            yield SecretRequest(state.ref, optional=True, unlisted=True)


def asks_for(spec: VaultSecretSpec, ref: SecretRef, key: str) -> bool:
    """Return whether a secret may fill a key, by the spec; of fields and secrets that match, not all are known."""
    name = ref.name.lower()
    for entry in spec.data:
        if entry.secret_name.lower() == name and key == (entry.previous_key if ref.previous else entry.key):
            return ref.previous or entry.version == ref.version
    for source in spec.data_from:
        one = source.object or source.certificate
        if one is not None:
            may_fill = (one.lower(), source.version) == (name, ref.version) and not ref.previous
        else:
            may_fill = ref.follows and source.find is not None and matches((source.find.names or ALL).lower(), name)
        if may_fill and (key.startswith(source.prefix or "") or key in source.keys.values()):
            return True
    return False


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
    return view.listing.search(search)


def left_out(spec: VaultSecretSpec, view: VaultView) -> int:
    """Return how many secrets match a search and cannot be read."""
    disabled = {
        metadata.name.lower()
        for search in searches(spec)
        for metadata in found_secrets(search, view)
        if not metadata.readable
    }
    return len(disabled)
