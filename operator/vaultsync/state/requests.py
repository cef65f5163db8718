"""The secrets that a spec names, and its searches; reads nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from vaultsync.api.v1alpha1 import Find, VaultSecretSpec
from vaultsync.state.secrets import SecretRef


@dataclass(frozen=True, slots=True)
class SecretRequest:
    """One secret to read, and whether its absence is a failure."""

    ref: SecretRef
    optional: bool
    unlisted: bool = False
    """A search found it before, and the listing lacks it now; it is read to confirm that it is missing."""


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


def searches(spec: VaultSecretSpec) -> tuple[Find, ...]:
    """Return the searches of the spec."""
    return tuple(source.find for source in spec.data_from if source.find is not None)
