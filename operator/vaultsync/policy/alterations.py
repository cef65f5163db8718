"""Which fields the API server stored otherwise than they were sent, as an admission policy may have it; reads nothing.

The metadata of the Secret do not show it: an apply owns its fields before the policies see it, and is recorded as it
was sent. So the response to the write is compared, and of that nothing but names is kept.
"""

from collections.abc import Mapping
from typing import Any, Final

from vaultsync.api import MANAGED_BY, MANAGED_BY_LABEL, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason
from vaultsync.policy.drift import Drift, name_of
from vaultsync.state.observed import Field, Observed
from vaultsync.status.outcome import Failed, Synced
from vaultsync.texts import listed

RETRIED_AFTER: Final = 60.0
"""Seconds until an altered target is written again: policies change without an event."""

_MAX_REPORTED: Final = 16
"""Fields that the status lists."""


def altered_fields(sent: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the fields of an applied manifest that the Secret in the response lacks, or has with other content."""
    before, after = _areas(sent), _areas(stored)
    return tuple(
        sorted(
            Field(area, name)
            for area, fields in before.items()
            for name, content in fields.items()
            if after[area].get(name) != content
        )
    )


def _areas(secret: Mapping[str, Any]) -> Mapping[str, Mapping[str, object]]:
    """Return the content of fields, by area and name."""
    metadata = secret["metadata"]
    # The API server stores false for what is not set.
    owners = {
        owner["uid"]: {name: part for name, part in owner.items() if part}
        for owner in metadata.get("ownerReferences") or ()
    }
    return {
        "": {name: secret[name] for name in ("type", "immutable") if name in secret},
        "data": secret.get("data") or {},
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
        "ownerReferences": owners,
    }


def reported_alterations(written: Observed) -> tuple[str, ...]:
    """Return the altered fields as the status lists them."""
    return tuple(map(name_of, written.altered[:_MAX_REPORTED]))


def altered_target(key: ObjectKey, written: Observed, synced: Synced) -> Failed:
    """Return the outcome of a write that the API server carried out otherwise."""
    return Failed(
        Reason.TARGET_CHANGED,
        f"Secret {key} is not as it was written: an admission policy or webhook changed or removed "
        f"{listed(map(name_of, written.altered))}. Correct it, or exempt Secrets with the label "
        f"{MANAGED_BY_LABEL}={MANAGED_BY} from it. The Secret is written again every minute, and at once when a "
        "refresh is requested.",
        retry_after=RETRIED_AFTER,
        written=synced,
    )


def is_explained(drift: Drift, vault_secret: VaultSecret) -> bool:
    """Return whether all that differs in a target is what the last write to it is known to have lost."""
    return not drift.added and not drift.owners and {*map(name_of, drift.fields)} <= {*vault_secret.status.altered}


def is_unconfirmed(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Return whether a target may be other than it was sent: it was altered, or no response to its write was reported.

    The status is written after the response was compared. Until it has what the target's annotation has, the response
    may have been lost, or the operator stopped before it came.
    """
    if observed.altered or vault_secret.status.altered:
        return True
    reported = {entry.key: entry for entry in vault_secret.status.entries}
    applied = () if observed.applied is None else observed.applied.secrets
    return any(
        key not in reported or reported[key].version != state.version or reported[key].read_at < state.read_at
        for state in applied
        for key in state.keys
    )
