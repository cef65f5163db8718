"""Makes readings of what the vault returned; reads nothing itself."""

from collections.abc import Mapping
from datetime import datetime

from kvsecrets import KeyVaultSecret, SecretProperties
from vaultsync.errors import Reason, SyncError
from vaultsync.state.moments import Moment
from vaultsync.state.secrets import InactiveReading, PendingVersion, Reading, Version
from vaultsync.texts import in_utc

_MAX_TAG_CHARACTERS = 15 * 2 * 256
"""A secret has at most 15 tags, with names and values of 256 characters each:
https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-tags"""


def tag_characters(properties: SecretProperties) -> int:
    """Return how many characters the tags of a secret have."""
    return sum(len(name) + len(text) for name, text in properties.tags.items())


def bounded_tags(properties: SecretProperties) -> Mapping[str, str]:
    """Return the tags of a secret; none if they are longer than Key Vault allows."""
    return properties.tags if tag_characters(properties) <= _MAX_TAG_CHARACTERS else {}


def reading_of(secret: KeyVaultSecret, began: Moment, read_at: datetime) -> Reading:
    """Return the reading of a version that is used."""
    properties = secret.properties
    return Reading(
        value=secret.value,
        version=properties.version or "",
        updated=properties.updated_on,
        expires=properties.expires_on,
        began=began,
        read_at=read_at,
        vault_time=secret.response.date,
        tags=bounded_tags(properties),
    )


def inactive_reading(
    secret: KeyVaultSecret, began: Moment, read_at: datetime, following: SecretProperties | None = None
) -> InactiveReading:
    """Return the reading of a secret without an active version; `following` is the next one, by default itself."""
    pending = pending_version(secret, following or secret.properties, none_active=True)
    return InactiveReading(pending, began, read_at, secret.response.date)


def pending_version(newest: KeyVaultSecret, following: SecretProperties, *, none_active: bool) -> PendingVersion:
    """Return the version that becomes active next, of a secret with this newest version."""
    properties = newest.properties
    assert following.not_before is not None
    version = Version(properties.version or "", properties.updated_on, properties.expires_on)
    return PendingVersion(following.version or "", following.not_before, version, none_active)


def unlistable(vault_url: str, newest: KeyVaultSecret, read_at: datetime, error: SyncError) -> SyncError:
    """Return the error for a secret of which the active version is not known, since its versions cannot be listed."""
    not_before = newest.properties.not_before
    assert not_before is not None
    return SyncError(
        Reason.ACCESS_DENIED,
        f"The newest version of secret {newest.properties.name} of vault {vault_url} is not active before "
        f"{in_utc(not_before)}. To use the one that is active until then, the identity needs the "
        f"permission to list secrets. {error.message}",
        retry_after=max((not_before - read_at).total_seconds(), 0.0) or None,
    )
