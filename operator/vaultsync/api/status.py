"""The status of a VaultSecret: frozen models, from which the status schema of the CRD is generated.

Nothing here contains a secret's value or is computed from one, except the date on which a certificate expires.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AliasChoices, Field, computed_field

from vaultsync.api.fields import SharedText, Timestamp, WorkloadKind
from vaultsync.api.model import Model


def keyed(*keys: str) -> Any:  # noqa: ANN401  pydantic's own annotation
    """Return the field of a list whose items have unique keys."""
    return Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})


FORMER_NAME: Final = "x-former-name"
"""In the JSON Schema of a model: the name that a field had in manifests of earlier versions."""


def renamed(name: str, *, before: str) -> Any:  # noqa: ANN401  pydantic's own annotation
    """Return the field of a status whose name in manifests was another one: both are read, the new one is written."""
    return Field(
        validation_alias=AliasChoices(name, before),
        serialization_alias=name,
        json_schema_extra={FORMER_NAME: before},
    )


class Condition(Model):
    """A condition, as in other Kubernetes APIs."""

    type: SharedText
    """The type: Ready, Stalled, Reconciling, Stale or Expiring; of a VaultGrant, one of the first three."""
    status: Annotated[SharedText, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})]
    """True, False or Unknown."""
    reason: SharedText
    """The reason, in CamelCase. For Ready of a VaultSecret, it is Synced or the cause of the failure; Stalled and
    Reconciling have that of Ready."""
    message: SharedText
    """The details, such as vault and secret; never a value."""
    last_transition_time: Timestamp
    """When the status last changed."""
    observed_generation: int | None = None
    """The generation of the object that this condition is about."""


class OnRevoked(StrEnum):
    """What happens to Secrets that were written when the grant no longer allows them."""

    RETAIN = "Retain"
    DELETE = "Delete"


class StatusGrant(Model):
    """The VaultGrant by which the Secret was last synced."""

    name: Annotated[SharedText, Field(max_length=253)]
    """The VaultGrant's name."""
    on_revoked: OnRevoked = OnRevoked.RETAIN
    """What happens to the Secret if the VaultGrant is deleted or does not allow it any more: Retain or Delete."""


class StatusTarget(Model):
    """The Secret that was written."""

    name: SharedText
    """The Secret's name."""
    vault_url: SharedText | None = None
    """The vault that its content is from."""


class StatusPending(Model):
    """The next version of a secret whose newest version is not active yet."""

    version: str
    """The version that becomes active."""
    not_before: Annotated[Timestamp, renamed("activationTime", before="notBefore")]
    """When it becomes active, by the vault. It is written then."""
    none_active: bool = False
    """Whether no version is active until then: the key keeps its content, or is left out if it is optional."""
    newest: str
    """The newest version: the same one, or one that becomes active after it."""
    newest_updated: Annotated[Timestamp | None, renamed("newestUpdateTime", before="newestUpdated")] = None
    """When the newest version was last changed in the vault."""
    newest_expires: Annotated[Timestamp | None, renamed("newestExpiryTime", before="newestExpires")] = None
    """When the newest version expires, if it has an expiry date."""


class StatusEntry(Model):
    """Version and dates of one key, never its value."""

    key: SharedText
    """The key in the Kubernetes Secret."""
    secret_name: SharedText
    """The secret's name in the vault."""
    version: SharedText | None = None
    """The version in the key; omitted while an optional secret does not exist, or has no active version."""
    updated: Annotated[Timestamp | None, renamed("updateTime", before="updated")] = None
    """When that version was last changed in the vault."""
    expires: Annotated[Timestamp | None, renamed("expiryTime", before="expires")] = None
    """When the secret expires, if it has an expiry date. It is still synced after that."""
    certificate_expires: Annotated[Timestamp | None, renamed("certificateExpiryTime", before="certificateExpires")] = (
        None
    )
    """When the certificate in the key expires (not after), if it holds one in PEM; of several, the first of those that
    are no authorities."""
    read_at: Annotated[Timestamp, renamed("readTime", before="readAt")]
    """When the secret was last read, by the operator's clock."""
    pending: StatusPending | None = None
    """The next version, while the newest one is not active yet (nbf)."""

    @property
    def first_expiry(self) -> Timestamp | None:
        """When the secret or its certificate expires, whichever is first."""
        return min(filter(None, (self.expires, self.certificate_expires)), default=None)


class StatusMissing(Model):
    """A secret that was read before and is missing from the vault now, or a part of one that is still there."""

    secret_name: str
    """The secret's name in the vault, in lower case."""
    key: str = ""
    """The key of the Kubernetes Secret that it no longer provides, such as that of a field that vanished from its JSON
    object. Empty if the secret itself is missing, is disabled, or no longer matches find, with all its keys."""
    since: Annotated[Timestamp, renamed("sinceTime", before="since")]
    """When vaultsync first found it missing; deleteAfter starts then."""
    vault_since: Annotated[Timestamp | None, renamed("vaultSinceTime", before="vaultSince")] = None
    """The same by the vault's clock. Across a restart of vaultsync, deleteAfter must be over by both clocks."""
    removed: Annotated[Timestamp | None, renamed("removalTime", before="removed")] = None
    """When its keys were removed without a release; the deletion guard counts them for 24 hours after that."""


class StatusRestart(Model):
    """A workload that is restarted when the Secret's content changes."""

    kind: WorkloadKind
    """The workload's kind."""
    name: str
    """The workload's name."""
    at: Annotated[Timestamp, renamed("restartTime", before="at")]
    """The last restart, or when the workload was first listed in restart; its pods have content from after this
    time."""
    problem: str | None = None
    """Why the last restart failed, if it did."""


class VaultSecretStatus(Model):
    """The observed state. Only vaultsync writes it."""

    observed_generation: int | None = None
    """The generation of the VaultSecret that was last reconciled; -1 before the first reconcile."""
    conditions: Annotated[tuple[Condition, ...], keyed("type")] = ()
    """Ready is True while the Secret matches the vault; otherwise reason and message have the cause, and either Stalled
    is there, if a change is needed first, or Reconciling, if it may become ready by itself. Stale is True
    when that match has not been confirmed for three refresh intervals. Expiring is True when a secret expires soon or
    has expired."""
    target: StatusTarget | None = None
    """The Secret that was written."""
    grant: StatusGrant | None = None
    """The VaultGrant by which the Secret was last synced."""
    entries: Annotated[tuple[StatusEntry, ...], keyed("key")] = ()
    """Version and dates of each key, never values."""
    missing: Annotated[tuple[StatusMissing, ...], keyed("secretName", "key")] = ()
    """What is missing from the vault: its keys are removed after deleteAfter, or were removed within the last 24 hours;
    see onSourceDeleted."""
    altered: tuple[str, ...] = ()
    """Up to 16 fields of the Secret that an admission policy or webhook changed or removed as they were written: keys,
    and others with their area, such as labels/team."""
    left_out: int | None = None
    """The number of secrets that match a find of dataFrom but are skipped because they are disabled; omitted if
    zero."""
    last_change_time: Timestamp | None = None
    """When the Secret was last written."""
    content_change_time: Timestamp | None = None
    """When the Secret's content last changed after its creation; this triggers restarts."""
    restarts: Annotated[tuple[StatusRestart, ...], keyed("kind", "name")] = ()
    """The workloads listed in restart, and their last restarts."""
    last_handled_refresh: str | None = None
    """The value of the annotation vaultsync.dev/refresh-now for which every secret was last read again."""

    # mypy does not support decorated properties; pydantic does.
    @computed_field  # type: ignore[prop-decorator]
    @property
    def key_count(self) -> int | None:
        """The number of keys that secrets of the vault fill; omitted while there is none."""
        return sum(entry.version is not None for entry in self.entries) or None

    @computed_field(alias="expiryTime", json_schema_extra={FORMER_NAME: "expires"})  # type: ignore[prop-decorator]
    @property
    def expires(self) -> Timestamp | None:
        """When the first of the secrets and their certificates expires, if any does."""
        return min(filter(None, (entry.first_expiry for entry in self.entries)), default=None)
