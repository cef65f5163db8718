"""The VaultSecret, version v1alpha1: frozen models, which are the truth about the custom resource.

The CRD is made from them (`schema.py`); the docstrings of fields are what `kubectl explain` shows. Fields of tomorrow
are read over, so that an older operator survives a newer CRD; the rules of today are checked again.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from vaultsync.api import ObjectKey
from vaultsync.api.checks import VALIDATIONS
from vaultsync.api.fields import (
    Annotations,
    DeleteAfter,
    Labels,
    Moment,
    ObjectName,
    RefreshInterval,
    Templates,
    VaultUrl,
)
from vaultsync.api.model import InvalidSpec, Model
from vaultsync.api.restarts import Restart, Restarts, WorkloadKind
from vaultsync.api.secret_types import SPEC_CHECKS, TYPE_STAYS, SecretType
from vaultsync.api.sources import (
    DataFrom,
    Encoding,
    Entries,
    Entry,
    Find,
    OnCollision,
    Sources,
    Store,
)
from vaultsync.api.status import (
    Condition,
    StatusEntry,
    StatusMissing,
    StatusRestart,
    StatusTarget,
    VaultSecretStatus,
)

__all__ = [
    "Condition",
    "DataFrom",
    "Encoding",
    "Entry",
    "Find",
    "InvalidSpec",
    "ObjectMeta",
    "OnCollision",
    "OnDelete",
    "OnSourceDeleted",
    "Restart",
    "StatusEntry",
    "StatusMissing",
    "StatusRestart",
    "StatusTarget",
    "Store",
    "TargetSpec",
    "VaultSecret",
    "VaultSecretMeta",
    "VaultSecretSpec",
    "VaultSecretStatus",
    "WorkloadKind",
]


class ObjectMeta(Model):
    """What the API server keeps about the object itself."""

    name: str
    namespace: str
    uid: str
    generation: int
    resource_version: str
    creation_timestamp: Moment
    deletion_timestamp: Moment | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)


class OnDelete(StrEnum):
    """What becomes of the target when the VaultSecret goes."""

    DELETE = "Delete"
    RETAIN = "Retain"


class OnSourceDeleted(StrEnum):
    """What becomes of a key whose secret is deleted in the vault."""

    RETAIN = "Retain"
    DELETE = "Delete"


class TargetSpec(Model):
    """The Kubernetes Secret that is made and kept."""

    name: ObjectName | None = None
    """The Secret's name, in the VaultSecret's namespace. Left out, it is the VaultSecret's name."""
    type: SecretType = "Opaque"
    """The Secret's type. It cannot change once the Secret is there: Kubernetes does not allow it."""
    labels: Labels = Field(default_factory=dict)
    """Labels to put on the Secret, beside vaultsync's own."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations to put on the Secret, beside vaultsync's own."""
    template: Templates = Field(default_factory=dict)
    """More keys of the Secret, each written as a Liquid template over the keys of data and dataFrom: {{ password }}, or
    {{ entries["tls.crt"] }} for a key that is no plain name. Filters such as url_encode, b64encode and json quote."""
    immutable: StrictBool = False
    """If true, Kubernetes lets nobody change the Secret's content any more, us included: see replaceImmutable."""
    replace_immutable: StrictBool = False
    """What happens when an immutable Secret must change. If false, it is left alone and the VaultSecret is not ready,
    with the reason TargetImmutable. If true, it is deleted and made anew."""
    adopt: StrictBool = False
    """If true, a Secret of that name that vaultsync did not make is taken over, and what it held is replaced. If false,
    such a Secret is left alone and the VaultSecret is not ready, with the reason TargetConflict."""


class VaultSecretSpec(Model):
    """What is wanted: which secrets of which vault, in which Kubernetes Secret."""

    vault_url: VaultUrl
    """The vault's URI, as the Azure portal shows it: https://shop.vault.azure.net for the vault named shop."""
    data: Entries = ()
    """Keys of the Secret, each from one secret of the vault. All keys are written together, from one look at it."""
    data_from: Sources = ()
    """More keys of the Secret, many from one line. They come after those of data, in this order."""
    target: TargetSpec = TargetSpec()
    """The Kubernetes Secret that is made and kept."""
    refresh_interval: RefreshInterval = timedelta(minutes=2)
    """How often the vault is asked for changes, from 10s to 24h, written like 30s, 2m or 1h30m. VaultSecrets of one
    vault share their polls: the shortest interval holds for all of them."""
    on_source_deleted: OnSourceDeleted = OnSourceDeleted.RETAIN
    """What becomes of a key whose secret is deleted in the vault. Retain: the Secret stays as it is, all of it, and the
    VaultSecret is not ready, with the reason SecretSoftDeleted or SecretNotFound. Delete: after deleteAfter the key
    goes, and the Secret with its last key. Keys of secrets that are optional, or found by find, go at once either way.
    If most of the vault's secrets vanish together, nothing goes, and the reason is DeletionHeld."""
    delete_after: DeleteAfter = timedelta(hours=1)
    """For how long a secret must have been gone from the vault before onSourceDeleted: Delete removes its key, from 1m
    to 720h. If it is back before that, nothing happens."""
    on_delete: OnDelete = OnDelete.DELETE
    """What becomes of the Secret when this VaultSecret is deleted. Delete: it goes too. Retain: it stays as it is, and
    nobody keeps it in sync any more."""
    restart: Restarts = ()
    """Workloads of the same namespace to restart when what the Secret holds has changed: for programs that read it only
    when they start. They are restarted as kubectl rollout restart does it, and never because the Secret was created."""
    suspend: StrictBool = False
    """If true, the vault is not asked and the Secret is left as it is, until this is false again."""


def _status_or_none_yet(value: object, read: ValidatorFunctionWrapHandler) -> VaultSecretStatus:
    """Take a status that cannot be read for none: it is ours, and is written anew."""
    try:
        status = read(value)
    except ValidationError:
        return VaultSecretStatus()
    assert isinstance(status, VaultSecretStatus)
    return status


class VaultSecretMeta(Model):
    """A VaultSecret but for its spec: enough to tell people how it fares, even if its spec cannot be read."""

    metadata: ObjectMeta
    status: Annotated[VaultSecretStatus, WrapValidator(_status_or_none_yet)] = VaultSecretStatus()
    """What vaultsync says about it; nobody else writes here."""

    @property
    def key(self) -> ObjectKey:
        """Its namespace and name."""
        return ObjectKey(self.metadata.namespace, self.metadata.name)


class VaultSecret(VaultSecretMeta):
    """Keeps secrets of an Azure Key Vault in a Kubernetes Secret."""

    model_config = ConfigDict(json_schema_extra={VALIDATIONS: [TYPE_STAYS]})

    spec: Annotated[VaultSecretSpec, *SPEC_CHECKS]
    """What is wanted: which secrets of which vault, in which Kubernetes Secret."""

    @property
    def target_key(self) -> ObjectKey:
        """Namespace and name of the Secret that it asks for."""
        return ObjectKey(self.metadata.namespace, self.spec.target.name or self.metadata.name)
