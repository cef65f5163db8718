"""One valid thing of each kind, to be changed in one place: a test says only what it is about.

The default world: VaultSecret shop/db asks vault `VAULT` for one secret, `db-password`, which was read half an hour
after its last change and applied to Secret shop/db.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kvsecrets import SecretValue
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL, OWNER_UID_LABEL, ObjectKey
from vaultsync.api.v1alpha1 import (
    Condition,
    Entry,
    ObjectMeta,
    StatusEntry,
    VaultSecret,
    VaultSecretSpec,
    VaultSecretStatus,
)
from vaultsync.errors import Reason, SecretNotFound
from vaultsync.state.applied import Applied, fingerprint
from vaultsync.state.observed import Field, Observed, Owner
from vaultsync.state.secrets import MissingReading, Reading, SecretRef, SecretState
from vaultsync.state.vaults import Missing, SecretMetadata
from vaultsync.status.outcome import Change, Synced

Tweak = Any
"""What a test puts in the place of a default."""

VAULT: Final = "https://shop.vault.azure.net"
KEY: Final = ObjectKey("shop", "db")
UID: Final = "6f0c0c56-7d3a-4b54-9d0c-0d5b2f8f3b11"
START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""When the default VaultSecret was made and its secret last changed."""

READ_AT: Final = START + timedelta(minutes=30)
FIRST: Final = "0f4a7c9be2d84a6c8c1f7e5d3b2a1908"
SECOND: Final = "5b8e1d2c3f4a4b6d9e0f1a2b3c4d5e6f"
"""Two versions of a secret."""

NOTICE: Final = timedelta(days=14)
"""How long before its date a secret counts as expiring."""

FAR: Final = timedelta(days=30)
"""A recheck interval that no test comes to by accident."""


def an_entry(**tweaks: Tweak) -> Entry:
    """The default entry but for the tweaks."""
    return Entry.model_validate({"key": "password", "secret_name": "db-password"} | tweaks)


def a_vault_secret(
    *entries: Entry, metadata: Mapping[str, Tweak] | None = None, status: VaultSecretStatus | None = None, **spec: Tweak
) -> VaultSecret:
    """The default VaultSecret, with other entries, other metadata or spec fields, or a status."""
    names = {"name": KEY.name, "namespace": KEY.namespace, "uid": UID}
    stored = {"generation": 1, "resource_version": "7", "creation_timestamp": START}
    return VaultSecret(
        metadata=ObjectMeta.model_validate(names | stored | dict(metadata or {})),
        spec=VaultSecretSpec.model_validate({"vault_url": VAULT, "data": entries or (an_entry(),)} | spec),
        status=status or VaultSecretStatus(),
    )


def a_status_entry(**tweaks: Tweak) -> StatusEntry:
    """What the status says of the default entry."""
    known = {"key": "password", "secret_name": "db-password", "version": FIRST, "updated": START, "read_at": READ_AT}
    return StatusEntry.model_validate(known | tweaks)


def a_status(*entries: StatusEntry, reason: str = "Synced", since: datetime = READ_AT) -> VaultSecretStatus:
    """What is said of the default VaultSecret: that it is in sync, or for which other reason it is not."""
    truth = {"Synced": "True", "Suspended": "Unknown"}.get(reason, "False")
    ready = Condition(type="Ready", status=truth, reason=reason, message="So it is.", last_transition_time=since)
    return VaultSecretStatus(conditions=(ready,), entries=entries or (a_status_entry(),))


def a_state(*keys: str, source: str = "db-password", **tweaks: Tweak) -> SecretState:
    """What is known of the default entry's secret, or of another that fills other keys."""
    return replace(SecretState(SecretRef(source), keys or ("password",), FIRST, START, None, READ_AT), **tweaks)


def a_synced(*states: SecretState, change: Change = Change.NONE, detail: str = "", left_out: int = 0) -> Synced:
    """A target in sync whose keys are those that secrets fill; the default entry's, unless others are given."""
    secrets = states or (a_state(),)
    keys = frozenset(key for state in secrets if state.version is not None for key in state.keys)
    return Synced(secrets, keys, change, detail, left_out)


def a_reading(value: str = "s3cret", **tweaks: Tweak) -> Reading:
    """The default secret as the vault gives it."""
    return replace(Reading(SecretValue(value), FIRST, START, None, READ_AT), **tweaks)


def an_absent(
    name: str = "db-password", *, read_at: datetime = READ_AT, reason: Reason = Reason.SECRET_NOT_FOUND
) -> MissingReading:
    """A secret that the vault does not have."""
    return MissingReading(read_at, SecretNotFound(reason, f"There is no {name}.", polled_at=read_at))


def a_sighting(**tweaks: Tweak) -> SecretMetadata:
    """The default secret as a listing shows it a minute after it was read."""
    observed_at = READ_AT + timedelta(minutes=1)
    return replace(SecretMetadata(readable=True, updated=START, expires=None, observed_at=observed_at), **tweaks)


NOW_MISSING: Final = Missing(READ_AT + timedelta(minutes=1))
"""A poll has looked for a secret in vain, a minute after the default secret was read."""


def an_observed(vault_secret: VaultSecret | None = None, **tweaks: Tweak) -> Observed:
    """The target of a VaultSecret, intact, with one key, `password`, as it was last applied."""
    owner = vault_secret or a_vault_secret()
    uid = owner.metadata.uid
    intact = Observed(
        uid="secret-1",
        resource_version="9",
        created=START,
        managed=True,
        owner_uid=uid,
        owners=(Owner("VaultSecret", owner.key.name, uid),),
        applied=Applied(fingerprint(owner), (a_state(),)),
        ours=frozenset(
            {
                Field("data", "password"),
                Field("labels", MANAGED_BY_LABEL),
                Field("labels", OWNER_UID_LABEL),
                Field("annotations", APPLIED_ANNOTATION),
                Field("ownerReferences", uid),
            }
        ),
        foreign={},
        managers=(),
    )
    return replace(intact, **tweaks)
