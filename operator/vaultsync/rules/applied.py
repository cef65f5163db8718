"""What we last wrote to a target, as its annotation tells: which spec and versions; never values or their hashes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.rules.outcome import EntryState


@dataclass(frozen=True, slots=True)
class Applied:
    """The content of the `vaultsync.dev/applied` annotation."""

    spec: str
    entries: tuple[EntryState, ...]

    @property
    def by_key(self) -> Mapping[str, EntryState]:
        """The entries by their key in the target."""
        return {entry.key: entry for entry in self.entries}


def fingerprint(vault_secret: VaultSecret) -> str:
    """Tell apart two specs that make different targets; how often we look, or whether, is no part of it.

    Defaults are left out, so that a field that comes with a later version changes no fingerprint.
    """
    wanted = {"vault_url", "data", "target", "on_delete"}
    spec = vault_secret.spec.model_dump(mode="json", include=wanted, exclude_defaults=True)
    identity = [vault_secret.metadata.uid, spec]
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def to_annotation(vault_secret: VaultSecret, entries: Iterable[EntryState]) -> str:
    """Write the annotation's text: compact JSON in a fixed order, so that equal states are equal texts."""
    document = {
        "spec": fingerprint(vault_secret),
        "entries": [
            {
                "key": entry.key,
                "secretName": entry.secret_name,
                "version": entry.version,
                "updated": _to_seconds(entry.updated),
                "expires": _to_seconds(entry.expires),
                "readAt": _to_seconds(entry.read_at),
            }
            for entry in entries
        ],
    }
    return json.dumps(document, separators=(",", ":"))


def from_annotation(text: str | None) -> Applied | None:
    """Read the annotation; None if there is none or somebody has spoiled it, which makes us read and apply afresh."""
    if text is None:
        return None
    try:
        document = json.loads(text)
        return Applied(str(document["spec"]), tuple(_entry(item) for item in document["entries"]))
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None


def _entry(item: Mapping[str, Any]) -> EntryState:
    return EntryState(
        key=str(item["key"]),
        secret_name=str(item["secretName"]),
        version=None if item["version"] is None else str(item["version"]),
        updated=_from_seconds(item["updated"]),
        expires=_from_seconds(item["expires"]),
        read_at=datetime.fromtimestamp(item["readAt"], UTC),
    )


def _to_seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _from_seconds(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
