"""Renders `data` and `dataFrom` into the keys of a Secret, in their order, and detects keys that are set twice.

It takes what was read and writes nothing; certificates are converted and templates rendered elsewhere.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from vaultsync.api.fields import is_data_key
from vaultsync.api.v1alpha1 import DataFrom, Encoding, Entry, OnCollision, Store, VaultSecretSpec
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.requests import found_secrets
from vaultsync.render.certificate_requests import CertificateRequest, StoreRequest
from vaultsync.render.encodings import as_text, decoded, decoded_by_tag, tagged_encoding
from vaultsync.render.key_names import key_namer
from vaultsync.render.values.formats import Documents, NotInFormat
from vaultsync.render.values.properties import PropertyNotFound, field_contents, property_content
from vaultsync.state.listings import SecretMetadata
from vaultsync.state.requests import search_of
from vaultsync.state.secrets import (
    AnyReading,
    CarriedReading,
    InactiveReading,
    MissingReading,
    Reading,
    Readings,
    SecretRef,
    SecretState,
    state_of,
)
from vaultsync.state.vaults import VaultView
from vaultsync.texts import in_utc


@dataclass(frozen=True, slots=True)
class ReadSecret:
    """A secret of a vault, and what was read of it."""

    ref: SecretRef
    reading: Reading
    vault_url: str

    @property
    def origin(self) -> str:
        """Its name for messages."""
        return f"Secret {self.ref.name} of vault {self.vault_url}"


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """The keys that one secret sets."""

    ref: SecretRef
    keys: tuple[str, ...]
    """Keys that are reserved for it even while it is absent."""
    data: Mapping[str, bytes] = field(repr=False)
    """Contents by key; empty while the secret is absent."""
    replaces: bool = False
    """Whether it may replace keys that are already set."""
    encoding: str | None = None
    """How the secret's tags say that the contents were encoded, if they were decoded for that."""


@dataclass(slots=True)
class RenderedEntries:
    """Contents by key, and the secret of each key; `repr` hides the contents."""

    vault_url: str
    data: dict[str, bytes] = field(default_factory=dict, repr=False)
    sources: dict[str, SecretRef] = field(default_factory=dict)
    """By key; absent secrets included, so that the status can list them."""
    encodings: dict[SecretRef, str] = field(default_factory=dict)
    """How contents were encoded by the tags of their secret, by its identity."""

    def add(self, secret: SecretKeys) -> None:
        """Add the keys of one secret.

        Raises:
            SyncError: InvalidSpec, if a key is already set and may not be replaced.
        """
        for key, content in secret.data.items():
            if key in self.data and not secret.replaces:
                raise self._collision(key, secret.ref)
            self.data[key], self.sources[key] = content, secret.ref
        for key in secret.keys:
            self.sources.setdefault(key, secret.ref)
        if secret.encoding is not None:
            self.encodings[secret.ref.identity] = secret.encoding

    def keep(self, readings: Readings) -> None:
        """Add the keys that are kept, although the vault does not fill them any more."""
        for ref, reading in readings.items():
            kept = reading.kept if isinstance(reading, Reading | CarriedReading) else {}
            # Those of a secret that was read may take the place of what other sources fill: see `filled_keys`.
            for key in sorted(kept if isinstance(reading, Reading) else kept.keys() - self.data.keys()):
                self.data[key], self.sources[key] = base64.b64decode(kept[key].reveal()), ref

    def _collision(self, key: str, ref: SecretRef) -> SyncError:
        first = self.sources[key].name
        both = f"secrets {first} and {ref.name}" if first != ref.name else f"secret {ref.name}, in two entries,"
        return SyncError(
            Reason.INVALID_SPEC,
            f"Key {key} is filled twice: from {both} of vault {self.vault_url}; use another key, or keys, rename or "
            "prefix, or set onCollision: Replace on the later entry of dataFrom.",
        )


Certificates = Mapping[int, Mapping[str, bytes]]
"""The files of each certificate, by the index of its entry in `dataFrom`."""

NO_CERTIFICATES: Final[Certificates] = {}


def render_entries(
    spec: VaultSecretSpec, readings: Readings, view: VaultView, certificates: Certificates = NO_CERTIFICATES
) -> RenderedEntries:
    """Render what was read into keys and contents.

    Args:
        spec: The VaultSecret's spec.
        readings: What was read.
        view: The vault's listing, for searches.
        certificates: What the `certificate_requests` became.

    Raises:
        SyncError: InvalidSpec for a key that is set twice; EncodingInvalid, PropertyMissing or TargetInvalid for a
            value that is not what its entry expects; SecretNotFound for a search without results.
    """
    documents = Documents()
    rendered = _rendered_data(spec, readings, documents)
    for index, source in enumerate(spec.data_from):
        for secret in _of_source(spec, source, readings, view, certificates.get(index, {}), documents):
            rendered.add(secret)
    rendered.keep(readings)
    return rendered


def filled_keys(
    spec: VaultSecretSpec, readings: Readings, view: VaultView, known: Mapping[SecretRef, SecretState]
) -> frozenset[str]:
    """Return the keys that what was read fills. A certificate fills what it has filled before, by its last-read state.

    They are without those that an object has taken from another source and does not have any more: these are lost.

    Raises:
        SyncError: As `render_entries`.
    """
    certificates = {_ref_of(source).identity for source in spec.data_from if source.certificate is not None}
    read = {ref for ref in certificates if isinstance(readings.get(ref), Reading)}
    files = frozenset(key for ref in read & known.keys() for key in known[ref].held)
    rendered = render_entries(spec, readings, view)
    return files.union(rendered.data.keys() - _given_up(spec, rendered, readings, known))


def _given_up(
    spec: VaultSecretSpec, rendered: RenderedEntries, readings: Readings, known: Mapping[SecretRef, SecretState]
) -> Iterator[str]:
    """Yield the keys that objects have replaced before, and that the source which they replaced fills now."""
    replaced = {SecretRef(entry.secret_name, entry.version).identity for entry in spec.data}
    for source in spec.data_from:
        ref = _ref_of(source).identity
        if source.object is not None and source.on_collision is OnCollision.REPLACE:
            state = known.get(ref) if isinstance(readings.get(ref), Reading) else None
            for key in () if state is None else state.held:
                by = rendered.sources.get(key)
                if by is not None and by.identity != ref and by.identity in replaced:
                    yield key
        if source.find is None:
            replaced.add(ref)


def _rendered_data(spec: VaultSecretSpec, readings: Readings, documents: Documents) -> RenderedEntries:
    rendered = RenderedEntries(spec.vault_url)
    for entry in spec.data:
        for secret in _of_entry(spec, entry, readings, documents):
            rendered.add(secret)
    return rendered


def certificate_requests(spec: VaultSecretSpec, readings: Readings) -> dict[int, CertificateRequest]:
    """Return the certificates that must be converted, by the index of their entry in `dataFrom`.

    Raises:
        SyncError: As `render_entries`; InvalidSpec or CertificateInvalid for a password that is not one.
    """
    found = {
        index: secret
        for index, source in enumerate(spec.data_from)
        if source.certificate is not None and (secret := _read_secret(spec, _ref_of(source), readings)) is not None
    }
    if not found:
        return {}
    rendered = _rendered_data(spec, readings, Documents())
    rendered.keep(readings)
    passwords = rendered.data
    return {index: certificate_request(spec.data_from[index], secret, passwords) for index, secret in found.items()}


def secret_states(rendered: RenderedEntries, readings: Readings) -> tuple[SecretState, ...]:
    """Return versions, dates and keys of what was read, in its order; values are left out."""
    keys: dict[SecretRef, list[str]] = {ref: [] for ref in readings}
    spelled: dict[SecretRef, SecretRef] = {}
    for key, ref in rendered.sources.items():
        keys[ref.identity].append(key)
        spelled.setdefault(ref.identity, ref)
    return tuple(
        _state(spelled.get(ref, ref), tuple(keys[ref]), reading, rendered.encodings.get(ref))
        for ref, reading in readings.items()
    )


def entry_content(entry: Entry, key: str, secret: ReadSecret, documents: Documents) -> bytes:
    """Return the content of an entry's key.

    Raises:
        PropertyNotFound: The value has nothing at the entry's property, or null.
        NotInFormat: The value is not in the entry's format.
        SyncError: PropertyMissing or EncodingInvalid.
    """
    origin = f"{secret.origin}, for key {key},"
    text, is_tagged = secret.reading.value.reveal(), entry.encoding is Encoding.AUTO
    if is_tagged:
        content = decoded_by_tag(text, secret.reading.tags, origin=origin)
        if entry.property is None:
            return content
        text = as_text(content, origin=origin)
    if entry.property is not None:
        document = documents.get(text, entry.format, origin=origin)
        text = property_content(document, entry.property, entry.format, origin=origin).decode()
    return decoded(text, Encoding.UTF8 if is_tagged else entry.encoding, origin=origin)


def certificate_request(source: DataFrom, secret: ReadSecret, passwords: Mapping[str, bytes]) -> CertificateRequest:
    """Return what is to be made of a certificate.

    Args:
        source: The entry of `dataFrom`.
        secret: The certificate's secret.
        passwords: What `data` has set, by key: passwords of stores are among them.

    Raises:
        SyncError: InvalidSpec or CertificateInvalid for a password that is not one.
    """
    return CertificateRequest(
        origin=secret.origin,
        text=secret.reading.value.reveal(),
        password=None if source.password_key is None else _password(source.password_key, passwords),
        ca=source.ca,
        key_store=_store(source.key_store, passwords),
        trust_store=_store(source.trust_store, passwords),
    )


def _store(store: Store | None, passwords: Mapping[str, bytes]) -> StoreRequest | None:
    return None if store is None else StoreRequest(store.key, _password(store.password_key, passwords))


def _password(key: str, passwords: Mapping[str, bytes]) -> str:
    content = passwords.get(key)
    if content is None:
        raise SyncError(Reason.INVALID_SPEC, f"passwordKey {key} is not a key of an entry of data; add such an entry.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        pass
    # Not inside the handler: the codec's error would be the context, and it holds the content.
    raise SyncError(
        Reason.CERTIFICATE_INVALID, f"Key {key} is used as a password and is not UTF-8 text; use another password."
    )


def _state(ref: SecretRef, keys: tuple[str, ...], reading: AnyReading, encoding: str | None) -> SecretState:
    match reading:
        case CarriedReading(state=state, kept=content):
            held = content.keys() & set(keys)
            filled, kept = (tuple(filter(held.__contains__, part)) for part in (state.keys, state.kept))
            return replace(state, keys=filled, kept=kept)
        case Reading():
            return replace(state_of(ref, reading, keys), encoding=encoding, tags=reading.tags)
        case InactiveReading() | MissingReading():
            return replace(state_of(ref, reading, keys), encoding=encoding)


def _encoding_of(encoding: Encoding, secret: ReadSecret) -> str | None:
    tagged = tagged_encoding(secret.reading.tags) if encoding is Encoding.AUTO else Encoding.UTF8
    return None if tagged is Encoding.UTF8 else tagged.value


def _of_entry(spec: VaultSecretSpec, entry: Entry, readings: Readings, documents: Documents) -> Iterator[SecretKeys]:
    yield _entry_key(spec, entry, entry.key, SecretRef(entry.secret_name, entry.version), readings, documents)
    if entry.previous_key is not None:
        previous = SecretRef(entry.secret_name, previous=True)
        yield _entry_key(spec, entry, entry.previous_key, previous, readings, documents)


def _entry_key(
    spec: VaultSecretSpec, entry: Entry, key: str, ref: SecretRef, readings: Readings, documents: Documents
) -> SecretKeys:
    secret = _read_secret(spec, ref, readings)
    if secret is not None:
        try:
            content = entry_content(entry, key, secret, documents)
            return SecretKeys(ref, (key,), {key: content}, encoding=_encoding_of(entry.encoding, secret))
        except PropertyNotFound as error:
            if not ref.previous and (not entry.optional or error.is_elsewhere):
                raise
        except NotInFormat:
            if not ref.previous:
                raise
        return SecretKeys(ref, (), {})
    carried = _carried_data(ref, readings)
    return SecretKeys(ref, (key,), {key: carried[key]} if key in carried else {})


def _of_source(
    spec: VaultSecretSpec,
    source: DataFrom,
    readings: Readings,
    view: VaultView,
    files: Mapping[str, bytes],
    documents: Documents,
) -> Iterator[SecretKeys]:
    replaces = source.on_collision is OnCollision.REPLACE
    search = search_of(source)
    if search is not None:
        yield from _found(spec, source, readings, found_secrets(search, view), documents)
        return
    ref = _ref_of(source)
    secret = _read_secret(spec, ref, readings)
    if secret is None:
        sources = [one for one in spec.data_from if _ref_of(one).identity == ref.identity]
        if source is sources[-1]:
            # Which of them filled which key is not known: the last one carries all.
            named = {key for entry in spec.data for key in (entry.key, entry.previous_key)}
            carried = _carried_data(ref, readings)
            replaces = any(one.on_collision is OnCollision.REPLACE for one in sources)
            yield SecretKeys(ref, (), {key: carried[key] for key in carried.keys() - named}, replaces)
    elif source.certificate is not None:
        yield SecretKeys(ref, (), files, replaces)
    else:
        data = _object_contents(source, secret, documents)
        yield SecretKeys(ref, (), data, replaces, _encoding_of(source.encoding, secret))


def _object_contents(source: DataFrom, secret: ReadSecret, documents: Documents) -> dict[str, bytes]:
    text, is_tagged = secret.reading.value.reveal(), source.encoding is Encoding.AUTO
    if is_tagged:
        text = as_text(decoded_by_tag(text, secret.reading.tags, origin=secret.origin), origin=secret.origin)
    document = documents.get(text, source.format, origin=secret.origin)
    contents = field_contents(document, source.format, key_namer(source), origin=secret.origin)
    if is_tagged or source.encoding is Encoding.UTF8:
        return contents
    return {
        key: decoded(content.decode(), source.encoding, origin=f"{secret.origin}, for key {key},")
        for key, content in contents.items()
    }


def _ref_of(source: DataFrom) -> SecretRef:
    return SecretRef(source.object or source.certificate or "", source.version)


def _found(
    spec: VaultSecretSpec,
    source: DataFrom,
    readings: Readings,
    found: Iterable[SecretMetadata],
    documents: Documents,
) -> Iterator[SecretKeys]:
    key_of = key_namer(source)
    replaces = source.on_collision is OnCollision.REPLACE
    refs = [SecretRef(metadata.name) for metadata in found if metadata.readable]
    secrets = [secret for ref in refs if (secret := _read_secret(spec, ref, readings)) is not None]
    kept = [
        (ref, {key: data[key]}) for ref in refs if (key := key_of(ref.name)) in (data := _carried_data(ref, readings))
    ]
    if not secrets and not kept and not source.optional:
        raise _nothing_found(spec, refs, readings)
    keys: dict[str, str] = {}
    for secret in secrets:
        key, name = key_of(secret.ref.name), secret.ref.name
        if key is None or not is_data_key(key):
            raise SyncError(
                Reason.INVALID_SPEC,
                f"{secret.origin} does not become a key that a Kubernetes Secret allows; give it another with "
                "keys or rename, or leave it out with omit.",
            )
        if (other := keys.setdefault(key, name)) != name:
            raise SyncError(
                Reason.INVALID_SPEC,
                f"Secrets {other} and {name} of vault {spec.vault_url} both become key {key}; give one of them "
                "another with keys or rename, or leave it out with omit.",
            )
        entry = Entry(key=key, secret_name=name, encoding=source.encoding)
        content = entry_content(entry, key, secret, documents)
        yield SecretKeys(secret.ref, (), {key: content}, replaces, _encoding_of(source.encoding, secret))
    for ref, data in kept:
        yield SecretKeys(ref, (), data, replaces)


def _nothing_found(spec: VaultSecretSpec, refs: Sequence[SecretRef], readings: Readings) -> SyncError:
    found = [one for ref in refs if isinstance(one := readings.get(ref.identity), InactiveReading)]
    if found:
        first = min(one.pending.not_before for one in found)
        return SyncError(
            Reason.SECRET_NOT_YET_ACTIVE,
            f"No secret of vault {spec.vault_url} that a find of dataFrom matches has a version that is active before "
            f"{in_utc(first)}; the Secret stays as it is until then.",
        )
    return SyncError(
        Reason.SECRET_NOT_FOUND,
        f"No enabled secret of vault {spec.vault_url} matches a find of dataFrom; correct its names, tags, managed or "
        "omit, or set optional: true there.",
    )


def _carried_data(ref: SecretRef, readings: Readings) -> dict[str, bytes]:
    """Return the content that the keys of a lost secret keep, by key."""
    reading = readings.get(ref.identity)
    if not isinstance(reading, CarriedReading):
        return {}
    return {key: base64.b64decode(value.reveal()) for key, value in reading.kept.items()}


def _read_secret(spec: VaultSecretSpec, ref: SecretRef, readings: Readings) -> ReadSecret | None:
    """Return what was read; None if it is absent, or was listed only after the reading."""
    reading = readings.get(ref.identity)
    return ReadSecret(ref, reading, spec.vault_url) if isinstance(reading, Reading) else None
