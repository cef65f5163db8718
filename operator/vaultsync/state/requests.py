"""The secrets that a spec names, and its searches; reads nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from vaultsync.api.v1alpha1 import DataFrom, VaultSecretSpec
from vaultsync.state.globs import ALL
from vaultsync.state.secrets import SecretRef


@dataclass(frozen=True, slots=True)
class SecretRequest:
    """One secret to read, and whether its absence is a failure."""

    ref: SecretRef
    optional: bool
    unlisted: bool = False
    """A search found it before and does not find it now; it is read before its keys go."""


def named_secrets(spec: VaultSecretSpec) -> Iterator[SecretRequest]:
    """Yield the secrets that the spec names itself."""
    for entry in spec.data:
        yield SecretRequest(SecretRef(entry.secret_name, entry.version), entry.optional)
        if entry.previous_key is not None:
            yield SecretRequest(SecretRef(entry.secret_name, previous=True), optional=True)
    for source in spec.data_from:
        name = source.object or source.certificate
        if name is not None:
            yield SecretRequest(SecretRef(name, source.version), source.optional)


@dataclass(frozen=True, slots=True)
class Search:
    """What an item of `dataFrom` selects of a vault's secrets. All patterns are in lower case."""

    names: str = ALL
    """A pattern for their names."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags that they must have, with these values."""
    managed: bool | None = None
    """Whether they must belong to certificates; None for all."""
    omit: tuple[str, ...] = ()
    """Patterns for the names of those that are left out."""


def search_of(source: DataFrom) -> Search | None:
    """Return the search of an item of `dataFrom`; None if it names its secret."""
    if source.find is None:
        return None
    find, omit = source.find, tuple(pattern.lower() for pattern in source.omit)
    return Search((find.names or ALL).lower(), find.tags or {}, find.managed, omit)


def searches(spec: VaultSecretSpec) -> tuple[Search, ...]:
    """Return the searches of the spec."""
    return tuple(search for source in spec.data_from if (search := search_of(source)) is not None)
