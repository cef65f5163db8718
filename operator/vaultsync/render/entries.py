"""What each line of `data` and `dataFrom` puts into the Secret, and what becomes of a key that comes twice.

It takes what was read and writes nothing. The lines come in their order, those of `data` first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from vaultsync.api.fields import is_data_key
from vaultsync.api.v1alpha1 import DataFrom, Entry, OnCollision, VaultSecretSpec
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.requests import found_secrets
from vaultsync.render.json_values import fields_of
from vaultsync.render.key_names import naming
from vaultsync.render.values import Material, certificate_keys, content_of
from vaultsync.state.secrets import MissingReading, Reading, Readings, SecretRef, SecretState
from vaultsync.state.vaults import VaultView


@dataclass(frozen=True, slots=True)
class Line:
    """What one secret puts into the Secret: the keys that it is meant for, and their contents, if it is there."""

    ref: SecretRef
    keys: tuple[str, ...]
    contents: Mapping[str, bytes] = field(repr=False)
    replaces: bool = False


@dataclass(slots=True)
class Filled:
    """The Secret's content, and which secret fills which key of it; its text form does not show the content."""

    vault_url: str
    contents: dict[str, bytes] = field(default_factory=dict, repr=False)
    fillers: dict[str, SecretRef] = field(default_factory=dict)
    """By key; those of absent secrets included, so that the status can tell of them."""

    def add(self, line: Line) -> None:
        """Add a line. Raises `SyncError`: InvalidSpec, if it fills a key again and may not."""
        for key, content in line.contents.items():
            if key in self.contents and not line.replaces:
                raise self._collision(key, line.ref)
            self.contents[key], self.fillers[key] = content, line.ref
        for key in line.keys:
            self.fillers.setdefault(key, line.ref)

    def _collision(self, key: str, ref: SecretRef) -> SyncError:
        first = self.fillers[key].name
        both = f"secrets {first} and {ref.name}" if first != ref.name else f"secret {ref.name}, by two lines,"
        return SyncError(
            Reason.INVALID_SPEC,
            f"Key {key} is filled twice: from {both} of vault {self.vault_url}; use another key, or prefix or rename, "
            "or set onCollision: Replace on the later line of dataFrom.",
        )


def fill(spec: VaultSecretSpec, readings: Readings, view: VaultView) -> Filled:
    """Put together what the vault gave.

    Raises:
        SyncError: InvalidSpec for a key that comes twice; EncodingInvalid, PropertyMissing, CertificateInvalid,
            TargetInvalid where a value is not what its line takes it for; SecretNotFound where a search finds nothing.
    """
    filled = Filled(spec.vault_url)
    for entry in spec.data:
        for line in _entry_lines(spec, entry, readings):
            filled.add(line)
    passwords = dict(filled.contents)
    for source in spec.data_from:
        for line in _source_lines(spec, source, readings, view, passwords):
            filled.add(line)
    return filled


def states_of(filled: Filled, readings: Readings) -> tuple[SecretState, ...]:
    """Keep of what was read what may be remembered: all but the values."""
    keys: dict[SecretRef, list[str]] = {ref: [] for ref in readings}
    spelled: dict[SecretRef, SecretRef] = {}
    for key, ref in filled.fillers.items():
        keys[ref.identity].append(key)
        spelled.setdefault(ref.identity, ref)
    return tuple(_state(spelled.get(ref, ref), tuple(keys[ref]), reading) for ref, reading in readings.items())


def _state(ref: SecretRef, keys: tuple[str, ...], reading: Reading | MissingReading) -> SecretState:
    match reading:
        case Reading():
            return SecretState(ref, keys, reading.version, reading.updated, reading.expires, reading.read_at)
        case MissingReading():
            return SecretState(ref, keys, None, None, None, reading.read_at)


def _entry_lines(spec: VaultSecretSpec, entry: Entry, readings: Readings) -> Iterator[Line]:
    yield _entry_line(spec, entry, entry.key, SecretRef(entry.secret_name, entry.version), readings)
    if entry.previous_key is not None:
        yield _entry_line(spec, entry, entry.previous_key, SecretRef(entry.secret_name, previous=True), readings)


def _entry_line(spec: VaultSecretSpec, entry: Entry, key: str, ref: SecretRef, readings: Readings) -> Line:
    material = _material(spec, ref, readings)
    return Line(ref, (key,), {} if material is None else {key: content_of(entry, key, material)})


def _source_lines(
    spec: VaultSecretSpec, source: DataFrom, readings: Readings, view: VaultView, passwords: Mapping[str, bytes]
) -> Iterator[Line]:
    replaces = source.on_collision is OnCollision.REPLACE
    if source.find is not None:
        for ref, contents in _found(spec, source, readings, view):
            yield Line(ref, (), contents, replaces)
        return
    ref = SecretRef(source.object or source.certificate or "", source.version)
    material = _material(spec, ref, readings)
    if material is None:
        yield Line(ref, (), {})
    elif source.certificate is not None:
        yield Line(ref, (), certificate_keys(source, material, passwords), replaces)
    else:
        text = material.reading.value.reveal()
        contents = fields_of(text, origin=material.origin, prefix=source.prefix or "", rename=source.rename)
        yield Line(ref, (), contents, replaces)


def _found(
    spec: VaultSecretSpec, source: DataFrom, readings: Readings, view: VaultView
) -> Iterator[tuple[SecretRef, dict[str, bytes]]]:
    assert source.find is not None
    key_of = naming(source.prefix or "", source.rename)
    refs = [SecretRef(metadata.name) for metadata in found_secrets(source.find, view) if metadata.readable]
    materials = [material for ref in refs if (material := _material(spec, ref, readings)) is not None]
    if not materials and not source.optional:
        raise SyncError(
            Reason.SECRET_NOT_FOUND,
            f"No enabled secret of vault {spec.vault_url} fits a find of dataFrom; correct its names or tags, or set "
            "optional: true there.",
        )
    keys: dict[str, str] = {}
    for material in materials:
        key, name = key_of(material.ref.name), material.ref.name
        if not is_data_key(key):
            raise SyncError(
                Reason.INVALID_SPEC,
                f"{material.origin} does not become a key that a Kubernetes Secret allows; correct prefix or rename.",
            )
        if (other := keys.setdefault(key, name)) != name:
            raise SyncError(
                Reason.INVALID_SPEC,
                f"Secrets {other} and {name} of vault {spec.vault_url} both become key {key}; correct rename.",
            )
        yield material.ref, {key: content_of(Entry(key=key, secret_name=name), key, material)}


def _material(spec: VaultSecretSpec, ref: SecretRef, readings: Readings) -> Material | None:
    """What was read of it; None if it is absent, or a search found it only after the reading."""
    reading = readings.get(ref.identity)
    return Material(ref, reading, spec.vault_url) if isinstance(reading, Reading) else None
