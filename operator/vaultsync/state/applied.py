"""The `applied` annotation of a target: the spec and versions that were last written; never values or their hashes."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from vaultsync import bounded_json
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.state.secrets import PendingVersion, SecretRef, SecretState, Version
from vaultsync.texts import shared

MAX_ANNOTATIONS: Final = 256 * 1024
"""The limit of Kubernetes for all annotations of an object together, in bytes of names and texts.

https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set
"""

MAX_TAGS: Final = 8 * 1024
"""In bytes, of all tags in the annotation: it has room for no more beside the largest spec."""

MAX_TAG: Final = 256
"""In characters, of a tag's name and of its text: https://learn.microsoft.com/azure/key-vault/secrets/about-secrets"""

_MAX_TEXT: Final = 512
"""Characters of each text in the annotation: names, versions, keys and the vault's URL are shorter."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The content of the `vaultsync.dev/applied` annotation."""

    spec: str
    """The fingerprint of the part of the spec that determines the whole target."""
    secrets: tuple[SecretState, ...]
    spec_content: str | None = None
    """The fingerprint of the part of the spec that determines the target's data; None in annotations without it.

    It is that of an earlier spec, as long as keys are kept that were filled by it.
    """
    vault: str | None = None
    """The URL of the vault that the secrets are from; None in annotations without it."""
    owner: str | None = None
    """The uid of the VaultSecret for which the target was written; None in annotations without it."""
    created: bool = False
    """Whether vaultsync created the Secret for that VaultSecret; false in annotations without it."""
    metadata: str | None = None
    """The fingerprint of labels and annotations that come from the vault; None if there are none."""
    vault_secret: str | None = None
    """That VaultSecret's namespace and name; None in annotations without them."""
    named: bool = False
    """Whether the target was written with the label of the owner's name; false in annotations without it."""

    @property
    def by_ref(self) -> Mapping[SecretRef, SecretState]:
        """The secrets by the identity of their reference."""
        return {state.ref.identity: state for state in self.secrets}


def fingerprint(vault_secret: VaultSecret, *, uid: str | None = None) -> str:
    """Return a hash of the part of the spec that determines the target, 16 hexadecimal digits.

    Refresh interval and `suspend` are not part of it, and the labels that the target copies are. Defaults are left out,
    so a field that a later version adds changes no fingerprint. With `uid`, it is that of a VaultSecret with another
    uid, and the same spec.
    """
    labels = vault_secret.copied_labels
    more = {"labels": labels} if labels else {}
    return _fingerprint(vault_secret, {"vault_url", "data", "data_from", "target", "on_delete"}, uid=uid, **more)


def content_fingerprint(vault_secret: VaultSecret) -> str:
    """Return a hash of the part of the spec that determines the target's data; values are not part of it."""
    template = vault_secret.spec.target.template
    return _fingerprint(vault_secret, {"vault_url", "data", "data_from"}, template=dict(template))


def _fingerprint(vault_secret: VaultSecret, fields: set[str], uid: str | None = None, **more: object) -> str:
    spec = vault_secret.spec.model_dump(mode="json", include=fields, exclude_defaults=True)
    identity = [uid or vault_secret.metadata.uid, spec | more]
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def applied_keys(vault_secret: VaultSecret, applied: Applied) -> frozenset[str]:
    """Return all keys of the target's data: those that secrets fill, and the templates of the spec."""
    filled = {key for state in applied.secrets for key in state.held}
    return frozenset(filled.union(vault_secret.spec.target.template))


def to_annotation(
    vault_secret: VaultSecret,
    secrets: Iterable[SecretState],
    *,
    created: bool,
    metadata: str | None = None,
    spec_content: str | None = None,
) -> str:
    """Return the annotation's text: compact JSON in a fixed order, the same for equal states.

    With the fingerprint of metadata that comes from the vault, it has the tags, too: those of a secret that the vault
    has lost are read from it while its keys are carried over. `spec_content` is the fingerprint by which the content
    is, if that is an earlier one.
    """
    document = {
        "spec": fingerprint(vault_secret),
        "specContent": spec_content or content_fingerprint(vault_secret),
        "vault": vault_secret.spec.vault_url,
        "owner": vault_secret.metadata.uid,
        "vaultSecret": str(vault_secret.key),
        "named": True,
        **({"created": True} if created else {}),
        **({"metadata": metadata} if metadata is not None else {}),
        "secrets": [_to_item(state) for state in _with_bounded_tags(secrets, 0 if metadata is None else MAX_TAGS)],
    }
    return json.dumps(document, separators=(",", ":"))


def from_annotation(text: str | None) -> Applied | None:
    """Parse the annotation; returns None if it is absent or damaged, and the target is then written again.

    Earlier versions wrote no `named`, before that no `vaultSecret`, before that no `owner` and `content` in place of
    `specContent`, and before that no `vault` or neither. All of them are read, so an upgrade writes no target. Nor did
    they write `kept`.
    """
    if text is None or len(text) > MAX_ANNOTATIONS:
        return None
    try:
        document = bounded_json.parse(text)
        return Applied(
            _required(document["spec"]),
            tuple(_with_bounded_tags(map(_from_item, document["secrets"]), MAX_TAGS)),
            _text(document.get("specContent", document.get("content"))),
            _text(document.get("vault")),
            _text(document.get("owner")),
            document.get("created") is True,
            _text(document.get("metadata")),
            _text(document.get("vaultSecret")),
            document.get("named") is True,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError):
        return None


def annotation_hash(text: str | None) -> str:
    """Return a hash of the annotation's text, by which a later apply is noticed; empty if it is absent."""
    return "" if text is None else sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def _text(item: object) -> str | None:
    return None if item is None else _required(item)


def _required(item: object) -> str:
    text = str(item)
    if len(text) > _MAX_TEXT:
        raise ValueError
    return shared(text)  # the status has the same names and versions


def _with_bounded_tags(secrets: Iterable[SecretState], limit: int) -> Iterator[SecretState]:
    """Yield the states, of which the first have their tags, up to a limit in bytes."""
    left = limit
    for state in secrets:
        tags = {name: text for name, text in state.tags.items() if max(len(name), len(text)) <= MAX_TAG}
        left -= len(json.dumps(tags)) if tags else 0
        yield replace(state, tags=tags if left >= 0 else {}) if state.tags else state


def _to_item(state: SecretState) -> dict[str, Any]:
    """Fields without a value are left out: the annotation of a large target comes close to Kubernetes' limit."""
    requested = {"pin": state.ref.version} if state.ref.version else {"previous": True} if state.ref.previous else {}
    moments = {"updated": state.updated, "expires": state.expires, "readAt": state.read_at}
    return {
        "name": state.ref.name,
        **requested,
        "version": state.version,
        **_to_seconds(moments),
        "keys": list(state.keys),
        **({"encoding": state.encoding} if state.encoding else {}),
        **({"tags": dict(state.tags)} if state.tags else {}),
        **({} if state.pending is None else {"pending": _to_pending(state.pending)}),
        **({"kept": list(state.kept)} if state.kept else {}),
    }


def _to_pending(pending: PendingVersion) -> dict[str, Any]:
    moments = {"notBefore": pending.not_before, "updated": pending.newest.updated, "expires": pending.newest.expires}
    return {
        "version": pending.version,
        "newest": pending.newest.id,
        **_to_seconds(moments),
        **({"noneActive": True} if pending.none_active else {}),
    }


def _to_seconds(moments: Mapping[str, datetime | None]) -> dict[str, int]:
    return {name: int(moment.timestamp()) for name, moment in moments.items() if moment is not None}


def _from_item(item: Mapping[str, Any]) -> SecretState:
    name = _required(item["name"])  # a TypeError for an item that is not an object
    return SecretState(
        ref=SecretRef(name, _text(item.get("pin")), bool(item.get("previous"))),
        keys=tuple(_required(key) for key in item["keys"]),
        version=_text(item["version"]),
        updated=_from_seconds(item.get("updated")),
        expires=_from_seconds(item.get("expires")),
        read_at=datetime.fromtimestamp(item["readAt"], UTC),
        encoding=_text(item.get("encoding")),
        tags={_required(name): _required(text) for name, text in item.get("tags", {}).items()},
        pending=None if item.get("pending") is None else _from_pending(item["pending"]),
        kept=tuple(_required(key) for key in item.get("kept", ())),
    )


def _from_pending(item: Mapping[str, Any]) -> PendingVersion:
    newest = Version(_required(item["newest"]), _from_seconds(item.get("updated")), _from_seconds(item.get("expires")))
    not_before = datetime.fromtimestamp(item["notBefore"], UTC)
    return PendingVersion(_required(item["version"]), not_before, newest, item.get("noneActive") is True)


def _from_seconds(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
