"""One secret's value becomes contents of keys: as text, bytes, a part of its JSON, or a certificate's files."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from kvsecrets import SecretValue
from vaultsync.api.v1alpha1 import DataFrom, Encoding, Entry
from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificates import certified_key
from vaultsync.render.json_values import property_of
from vaultsync.render.keystores import key_store, trust_store
from vaultsync.state.secrets import Reading, SecretRef


@dataclass(frozen=True, slots=True)
class Material:
    """A secret, and what was read of it."""

    ref: SecretRef
    reading: Reading
    vault_url: str

    @property
    def origin(self) -> str:
        """What messages call it."""
        return f"Secret {self.ref.name} of vault {self.vault_url}"


def content_of(entry: Entry, key: str, material: Material) -> bytes:
    """Give the bytes of an entry's key. Raises `SyncError`: PropertyMissing, EncodingInvalid."""
    origin = f"{material.origin}, for key {key},"
    if entry.property is None:
        text = material.reading.value.reveal()
    else:
        text = property_of(material.reading.value.reveal(), entry.property, origin=origin).decode()
    if entry.encoding is not Encoding.BASE64:
        return text.encode()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        pass
    # Not inside the handler: the decoder's error would come along as context.
    raise SyncError(
        Reason.ENCODING_INVALID,
        f"{origin} is not valid base64, as its entry promises; store base64 in the vault, or set encoding: Utf8.",
    )


def certificate_keys(source: DataFrom, material: Material, passwords: Mapping[str, bytes]) -> dict[str, bytes]:
    """Give the files that a certificate becomes, by their keys; `passwords` is what the entries of data have filled.

    Raises `SyncError`: CertificateInvalid, InvalidSpec.
    """
    certified = certified_key(
        material.reading.value.reveal(),
        origin=material.origin,
        content_type=material.reading.content_type,
        password=None if source.password_key is None else _password(source.password_key, passwords),
    )
    files = [("tls.crt", certified.tls_crt), ("tls.key", certified.tls_key)]
    if source.ca:
        files.append(("ca.crt", certified.ca_crt))
    if (store := source.key_store) is not None:
        files.append((store.key, key_store(certified, _password(store.password_key, passwords))))
    if (store := source.trust_store) is not None:
        files.append((store.key, trust_store(certified, _password(store.password_key, passwords))))
    contents = dict(files)
    if len(contents) < len(files):
        raise SyncError(Reason.INVALID_SPEC, f"{material.origin} fills a key twice; give its stores keys of their own.")
    return contents


def _password(key: str, passwords: Mapping[str, bytes]) -> SecretValue:
    content = passwords.get(key)
    if content is None:
        raise SyncError(
            Reason.INVALID_SPEC, f"passwordKey {key} is no key that an entry of data fills; add such an entry."
        )
    try:
        return SecretValue(content.decode())
    except UnicodeDecodeError:
        pass
    # Not inside the handler: the codec's error would come along as context, and it knows the content.
    raise SyncError(Reason.CERTIFICATE_INVALID, f"Key {key} holds no text, so that it is no password.")
