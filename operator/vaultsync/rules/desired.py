"""The target as it should be: a Secret's manifest from a VaultSecret and the values read for it; writes nothing."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kvsecrets import SecretValue
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
)
from vaultsync.api.v1alpha1 import Encoding, Entry, OnDelete, VaultSecret
from vaultsync.rules.applied import to_annotation
from vaultsync.rules.observed import Field, Observed
from vaultsync.rules.outcome import EntryState, Reason, SyncError

MAX_BYTES = 1024 * 1024
"""What Kubernetes lets the values of one Secret weigh: https://kubernetes.io/docs/concepts/configuration/secret/"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One secret as the vault gave it."""

    value: SecretValue
    version: str
    updated: datetime | None
    expires: datetime | None
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Absent:
    """An optional secret that the vault does not have."""

    read_at: datetime


Readings = Mapping[str, Reading | Absent]
"""By key of the target."""


@dataclass(frozen=True, slots=True)
class Desired:
    """A target as it should be; its text form does not show the values."""

    entries: tuple[EntryState, ...]
    manifest: Mapping[str, Any] = field(repr=False)


def desired_secret(vault_secret: VaultSecret, readings: Readings) -> Desired:
    """Build the Secret, the same bytes for the same input.

    Raises `SyncError`: EncodingInvalid when a value is not what its entry promises, TargetTooLarge over 1 MiB.
    """
    entries = tuple(entry_state(entry, readings[entry.key]) for entry in vault_secret.spec.data)
    data = {
        entry.key: _content(vault_secret, entry, reading)
        for entry in vault_secret.spec.data
        if isinstance(reading := readings[entry.key], Reading)
    }
    size = sum(map(len, data.values()))
    if size > MAX_BYTES:
        raise SyncError(
            Reason.TARGET_TOO_LARGE,
            f"The values for Secret {vault_secret.target_key} weigh {size} bytes; Kubernetes allows {MAX_BYTES}. "
            "Split them over several VaultSecrets.",
        )
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": vault_secret.spec.target.type,
        "metadata": _metadata(vault_secret, entries),
        "data": {key: base64.b64encode(content).decode("ascii") for key, content in sorted(data.items())},
    }
    return Desired(entries, manifest)


def entry_state(entry: Entry, reading: Reading | Absent) -> EntryState:
    """Keep of a reading what may be remembered: all but the value."""
    match reading:
        case Reading():
            return EntryState(
                key=entry.key,
                secret_name=entry.secret_name,
                version=reading.version,
                updated=reading.updated,
                expires=reading.expires,
                read_at=reading.read_at,
            )
        case Absent():
            return EntryState(entry.key, entry.secret_name, None, None, None, reading.read_at)


def expected_fields(vault_secret: VaultSecret, keys: frozenset[str]) -> frozenset[Field]:
    """Every field of the target that must be ours while nobody tampers with it; `keys` are those of its data."""
    labels, annotations = _labels(vault_secret), vault_secret.spec.target.annotations
    fields = {Field("data", key) for key in keys}
    fields |= {Field("labels", name) for name in labels}
    fields |= {Field("annotations", name) for name in (*annotations, APPLIED_ANNOTATION)}
    fields |= {Field("ownerReferences", owner["uid"]) for owner in _owners(vault_secret)}
    return frozenset(fields)


def strange_keys(written: Observed, desired: Desired) -> tuple[str, ...]:
    """Keys that others left in the target: an apply, even a forced one, does not remove them."""
    return tuple(sorted(field.name for field in written.foreign if field.name not in desired.manifest["data"]))


def _metadata(vault_secret: VaultSecret, entries: tuple[EntryState, ...]) -> dict[str, Any]:
    target = vault_secret.target_key
    return {
        "name": target.name,
        "namespace": target.namespace,
        "labels": _labels(vault_secret),
        "annotations": {
            **vault_secret.spec.target.annotations,
            APPLIED_ANNOTATION: to_annotation(vault_secret, entries),
        },
        "ownerReferences": _owners(vault_secret),
    }


def _labels(vault_secret: VaultSecret) -> dict[str, str]:
    return {
        **vault_secret.spec.target.labels,
        MANAGED_BY_LABEL: MANAGED_BY,
        OWNER_UID_LABEL: vault_secret.metadata.uid,
    }


def _owners(vault_secret: VaultSecret) -> list[dict[str, Any]]:
    """Let the garbage collector delete the target with its VaultSecret, unless it is to be retained."""
    if vault_secret.spec.on_delete is OnDelete.RETAIN:
        return []
    return [
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": vault_secret.metadata.name,
            "uid": vault_secret.metadata.uid,
            "controller": True,
        }
    ]


def _content(vault_secret: VaultSecret, entry: Entry, reading: Reading) -> bytes:
    text = reading.value.reveal()
    if entry.encoding is not Encoding.BASE64:
        return text.encode()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        pass
    # Not inside the handler: the decoder's error would come along as context.
    raise SyncError(
        Reason.ENCODING_INVALID,
        f"Secret {entry.secret_name} of vault {vault_secret.spec.vault_url} is not valid base64, as the entry for key "
        f"{entry.key} promises; store base64 in the vault, or set encoding: Utf8.",
    )
