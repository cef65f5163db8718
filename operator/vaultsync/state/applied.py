"""What we last wrote to a target, as its annotation tells: which spec and versions; never values or their hashes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.state.secrets import SecretRef, SecretState


@dataclass(frozen=True, slots=True)
class Applied:
    """The content of the `vaultsync.dev/applied` annotation."""

    spec: str
    secrets: tuple[SecretState, ...]
    content: str | None = None
    """The fingerprint of that part of the spec which decides what the target holds."""
    vault: str | None = None
    """The URL of the vault that they are from; an older operator has not told."""

    @property
    def by_ref(self) -> Mapping[SecretRef, SecretState]:
        """The secrets by what was asked for."""
        return {state.ref.identity: state for state in self.secrets}


def fingerprint(vault_secret: VaultSecret) -> str:
    """Tell apart two specs that make different targets; how often we look, or whether, is no part of it.

    Defaults are left out, so that a field that comes with a later version changes no fingerprint.
    """
    return _fingerprint(vault_secret, {"vault_url", "data", "data_from", "target", "on_delete"})


def content_fingerprint(vault_secret: VaultSecret) -> str:
    """Tell apart two specs by which a target would hold other content, whatever the vault holds."""
    template = vault_secret.spec.target.template
    return _fingerprint(vault_secret, {"vault_url", "data", "data_from"}, template=dict(template))


def _fingerprint(vault_secret: VaultSecret, fields: set[str], **more: object) -> str:
    spec = vault_secret.spec.model_dump(mode="json", include=fields, exclude_defaults=True)
    identity = [vault_secret.metadata.uid, spec | more]
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def applied_keys(vault_secret: VaultSecret, applied: Applied) -> frozenset[str]:
    """All keys that a target of this spec has: what secrets fill, and its templates."""
    filled = {key for state in applied.secrets if state.version is not None for key in state.keys}
    return frozenset(filled.union(vault_secret.spec.target.template))


def to_annotation(vault_secret: VaultSecret, secrets: Iterable[SecretState]) -> str:
    """Write the annotation's text: compact JSON in a fixed order, so that equal states are equal texts."""
    document = {
        "spec": fingerprint(vault_secret),
        "content": content_fingerprint(vault_secret),
        "vault": vault_secret.spec.vault_url,
        "secrets": [_to_item(state) for state in secrets],
    }
    return json.dumps(document, separators=(",", ":"))


def from_annotation(text: str | None) -> Applied | None:
    """Read the annotation; None if there is none or somebody has spoiled it, which makes us read and apply afresh."""
    if text is None:
        return None
    try:
        document = json.loads(text)
        content, vault = document.get("content"), document.get("vault")
        return Applied(
            str(document["spec"]),
            tuple(_from_item(item) for item in document["secrets"]),
            None if content is None else str(content),
            None if vault is None else str(vault),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, RecursionError):
        return None


def _to_item(state: SecretState) -> dict[str, Any]:
    """What is seldom there is left out: the annotation of a large target comes near to what Kubernetes allows."""
    asked = {"pin": state.ref.version} if state.ref.version else {"previous": True} if state.ref.previous else {}
    moments = {"updated": state.updated, "expires": state.expires, "readAt": state.read_at}
    return {
        "name": state.ref.name,
        **asked,
        "version": state.version,
        **{name: int(moment.timestamp()) for name, moment in moments.items() if moment is not None},
        "keys": list(state.keys),
    }


def _from_item(item: Mapping[str, Any]) -> SecretState:
    name = str(item["name"])  # which refuses an item that is no object
    pin = item.get("pin")
    return SecretState(
        ref=SecretRef(name, None if pin is None else str(pin), bool(item.get("previous"))),
        keys=tuple(str(key) for key in item["keys"]),
        version=None if item["version"] is None else str(item["version"]),
        updated=_from_seconds(item.get("updated")),
        expires=_from_seconds(item.get("expires")),
        read_at=datetime.fromtimestamp(item["readAt"], UTC),
    )


def _from_seconds(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
