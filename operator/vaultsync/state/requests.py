"""Which secrets of the vault a spec asks for by name, and by which searches; reads nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from vaultsync.api.v1alpha1 import Find, VaultSecretSpec
from vaultsync.state.secrets import SecretRef


@dataclass(frozen=True, slots=True)
class SecretRequest:
    """One secret to be read, and whether its absence is a failure."""

    ref: SecretRef
    optional: bool
    vanished: bool = False
    """It was found before and is not listed any more; it is read to make sure that it is gone."""


def named_secrets(spec: VaultSecretSpec) -> Iterator[SecretRequest]:
    """The secrets that the spec names itself."""
    for entry in spec.data:
        yield SecretRequest(SecretRef(entry.secret_name, entry.version), entry.optional)
        if entry.previous_key is not None:
            yield SecretRequest(SecretRef(entry.secret_name, previous=True), optional=True)
    for source in spec.data_from:
        name = source.object or source.certificate
        if name is not None:
            yield SecretRequest(SecretRef(name, source.version), source.optional)


def searches(spec: VaultSecretSpec) -> tuple[Find, ...]:
    """The searches of the spec."""
    return tuple(source.find for source in spec.data_from if source.find is not None)
