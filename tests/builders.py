"""Default objects for tests, with keyword arguments for what a test is about.

By default, VaultSecret shop/db syncs one secret, `db-password`, of vault `VAULT` into Secret shop/db; it was read
half an hour after its last change.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kvsecrets import SecretValue
from vaultsync.api import API_VERSION, APPLIED_ANNOTATION, MANAGED_BY_LABEL, OWNER_UID_LABEL, ObjectKey
from vaultsync.api.grants import CONTENT_TYPES, Quota, VaultGrant
from vaultsync.api.status import OnRevoked
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
from vaultsync.policy.inputs import Config, Inputs
from vaultsync.policy.known_vaults import KnownVaults
from vaultsync.policy.plan import Plan, plan_for
from vaultsync.state.access import Access, OwnIdentity
from vaultsync.state.applied import Applied, fingerprint
from vaultsync.state.grants import Granted
from vaultsync.state.listings import SecretMetadata, VaultListing
from vaultsync.state.moments import Moment
from vaultsync.state.observed import Field, Observed, Owner
from vaultsync.state.secrets import (
    InactiveReading,
    MissingReading,
    PendingVersion,
    Reading,
    SecretRef,
    SecretState,
    VaultReading,
    Version,
)
from vaultsync.state.snapshots import Modified
from vaultsync.state.vaults import UNKNOWN, Missing, VaultView
from vaultsync.status.outcome import Change, Synced

Tweak = Any
"""The value that a test sets instead of a default."""

VAULT: Final = "https://shop.vault.azure.net"
KEY: Final = ObjectKey("shop", "db")
UID: Final = "6f0c0c56-7d3a-4b54-9d0c-0d5b2f8f3b11"
START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""When the default VaultSecret was created and its secret last changed."""

READ_AT: Final = START + timedelta(minutes=30)
FIRST: Final = "0f4a7c9be2d84a6c8c1f7e5d3b2a1908"
SECOND: Final = "5b8e1d2c3f4a4b6d9e0f1a2b3c4d5e6f"
"""Two versions of a secret."""

NOTICE: Final = timedelta(days=14)
"""How long before its expiry date a secret is reported as expiring."""

FAR: Final = timedelta(days=30)
"""A recheck interval that does not elapse in tests."""


def a_grant(name: str = "shop", **spec: Tweak) -> VaultGrant:
    """A grant by which namespace shop may read all secrets of `VAULT`; camelCase fields of the spec with the tweaks."""
    granted = {"vaultUrl": VAULT, "namespaces": {"names": ["shop"]}, "secrets": ["*"]} | spec
    metadata = {"name": name, "uid": f"uid-of-{name}", "generation": 1, "resourceVersion": "1"}
    return VaultGrant.parse({"metadata": metadata, "spec": granted})


EVERYTHING: Final[Mapping[str, Tweak]] = {
    "namespaces": {"names": ["*"]},
    "allow": {"adopt": True, "restart": True, "delete": True, "labels": ["*"], "annotations": ["*"]},
    "types": [*CONTENT_TYPES, "helm.sh/release.v1"],
}
"""The fields of a grant by which all namespaces may do everything."""


def an_access(vault_url: str = VAULT, grant: str = "shop") -> Access:
    """How VaultSecrets reach a vault by a grant, with the operator's identity."""
    return Access(grant, vault_url, OwnIdentity())


ACCESS: Final = an_access()


def a_granted(vault_url: str = VAULT, **tweaks: Tweak) -> Granted:
    """The decision that a VaultSecret may read all secrets of a vault, with the tweaks."""
    granted = Granted(an_access(vault_url), ("*",), Quota(), OnRevoked.RETAIN)
    return replace(granted, **tweaks)


def an_entry(**tweaks: Tweak) -> Entry:
    """The default entry with the tweaks."""
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
    """The status of the default entry."""
    known = {"key": "password", "secret_name": "db-password", "version": FIRST, "updated": START, "read_at": READ_AT}
    return StatusEntry.model_validate(known | tweaks)


def a_status(
    *entries: StatusEntry, reason: str = "Synced", message: str = "Details.", since: datetime = READ_AT
) -> VaultSecretStatus:
    """The status of the default VaultSecret, with the Ready condition for a reason."""
    truth = {"Synced": "True", "Suspended": "Unknown", "Waiting": "Unknown"}.get(reason, "False")
    ready = Condition(type="Ready", status=truth, reason=reason, message=message, last_transition_time=since)
    return VaultSecretStatus(conditions=(ready,), entries=entries or (a_status_entry(),))


def a_state(*keys: str, source: str = "db-password", **tweaks: Tweak) -> SecretState:
    """The state of the default entry's secret, or of another one with other keys."""
    return replace(SecretState(SecretRef(source), keys or ("password",), FIRST, START, None, READ_AT), **tweaks)


def a_synced(*states: SecretState, change: Change = Change.NONE, detail: str = "", left_out: int = 0) -> Synced:
    """A synced target with the keys of these secrets; the default entry's, unless others are given."""
    secrets = states or (a_state(),)
    keys = frozenset(key for state in secrets if state.version is not None for key in state.keys)
    return Synced(secrets, keys, change, detail, left_out)


def a_reading(value: str = "s3cret", **tweaks: Tweak) -> Reading:
    """The default secret as read from the vault."""
    return replace(Reading(SecretValue(value), FIRST, START, None, Moment(0.0), READ_AT), **tweaks)


def an_inactive_reading(
    *, not_before: datetime = READ_AT + timedelta(hours=1), updated: datetime = START, **tweaks: Tweak
) -> InactiveReading:
    """The default secret as read from the vault while no version of it is active."""
    pending = PendingVersion(SECOND, not_before, Version(SECOND, updated, None), none_active=True)
    return replace(InactiveReading(pending, Moment(0.0), READ_AT), **tweaks)


def a_pending(**tweaks: Tweak) -> PendingVersion:
    """The next version of the default secret, which is the newest and becomes active an hour after it was read."""
    newest = Version(SECOND, START + timedelta(minutes=10), None)
    return replace(PendingVersion(SECOND, READ_AT + timedelta(hours=1), newest), **tweaks)


def revealed(reading: VaultReading) -> str:
    """Return the value of an active secret."""
    assert isinstance(reading, Reading)
    return reading.value.reveal()


def a_missing_reading(
    name: str = "db-password",
    *,
    read_at: datetime = READ_AT,
    vault_time: datetime | None = None,
    reason: Reason = Reason.SECRET_NOT_FOUND,
) -> MissingReading:
    """A secret that does not exist in the vault."""
    error = SecretNotFound(reason, f"There is no {name}.", observed_at=read_at, vault_time=vault_time)
    return MissingReading(read_at, error)


def some_metadata(**tweaks: Tweak) -> SecretMetadata:
    """The default secret in a listing a minute after it was read."""
    return replace(SecretMetadata(readable=True, updated=START, expires=None, observed_at=Moment(60.0)), **tweaks)


"""Former names, until no test uses them."""


def a_listing(*secrets: SecretMetadata) -> VaultListing:
    """A complete listing of a vault with these secrets, each under its name."""
    return VaultListing({metadata.name.lower(): metadata for metadata in secrets})


NOW_MISSING: Final = Missing(Moment(60.0))
"""A poll did not find the secret, a minute after the default secret was read."""


def modified(key: ObjectKey, observed: Observed) -> Modified:
    """The event by which the watch reports that a target is as observed."""
    return Modified(key, observed.resource_version, lambda: observed)


def an_observed(vault_secret: VaultSecret | None = None, **tweaks: Tweak) -> Observed:
    """The unchanged target of a VaultSecret with one key, `password`, as last applied."""
    owner = vault_secret or a_vault_secret()
    uid = owner.metadata.uid
    intact = Observed(
        uid="secret-1",
        resource_version="9",
        created=START,
        managed=True,
        owner_uid=uid,
        owners=(Owner("VaultSecret", owner.key.name, uid, API_VERSION, controller=True),),
        applied=Applied(fingerprint(owner), (a_state(),), owner=uid, created=True),
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


CONFIG: Final = Config(KnownVaults((".vault.azure.net",)), recheck=FAR, expiry_notice=NOTICE)
"""The settings that reconciles use."""


def some_inputs(
    vault_secret: VaultSecret | None = None,
    target: Observed | None = None,
    *,
    view: VaultView = UNKNOWN,
    plan: Plan | None = None,
    **tweaks: Tweak,
) -> Inputs:
    """The inputs of a reconcile a minute after the default secret was read, with the plan that follows from them."""
    wanted, now = vault_secret or a_vault_secret(), tweaks.pop("now", READ_AT + timedelta(minutes=1))
    made = plan or plan_for(wanted, target, view, now=now, recheck=FAR)
    return replace(Inputs(wanted, target, (), a_granted(wanted.spec.vault_url), view, made, CONFIG, now), **tweaks)


def keep_all(_: ObjectKey, observed: Observed) -> Observed:
    """Keep a Secret as it was observed, in place of what the operator's cache keeps."""
    return observed


def no_limit(key: ObjectKey) -> tuple[VaultSecret, ...]:
    """Return a VaultSecret whose spec asks for all that a test's target has."""
    everything = {"find": {"names": "*"}}
    names = {"name": key.name, "namespace": key.namespace}
    return (a_vault_secret(metadata=names, data_from=(everything,)),)
