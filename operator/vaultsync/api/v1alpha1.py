"""The VaultSecret, version v1alpha1: frozen models from which `schema.py` generates the CRD.

The docstrings of fields are what `kubectl explain` shows. Unknown fields are ignored, so an older operator works with a
newer CRD; the rules are checked again when an object is read.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    model_validator,
)

from vaultsync.api import USER_ANNOTATIONS, ObjectKey
from vaultsync.api.checks import VALIDATIONS, Check, rule_error
from vaultsync.api.fields import (
    Annotations,
    DeleteAfter,
    KubernetesSecretName,
    LabelKeys,
    Labels,
    MetadataTemplates,
    RefreshInterval,
    RestartInterval,
    SharedText,
    Templates,
    Timestamp,
    VaultUrl,
    WorkloadKind,
    WorkloadName,
)
from vaultsync.api.model import InvalidSpec, Model, or_empty
from vaultsync.api.secret_types import SPEC_CHECKS, TYPE_IS_IMMUTABLE, SecretType
from vaultsync.api.sources import (
    DataFrom,
    Encoding,
    Entries,
    Entry,
    Find,
    Format,
    KeyCase,
    OnCollision,
    Sources,
    Store,
)
from vaultsync.api.spec_size import SPEC_IS_SMALL
from vaultsync.api.status import (
    Condition,
    StatusEntry,
    StatusGrant,
    StatusMissing,
    StatusRestart,
    StatusTarget,
    VaultSecretStatus,
)

__all__ = [
    "DEFAULT_RESTART_INTERVAL",
    "Condition",
    "DataFrom",
    "Encoding",
    "Entry",
    "Find",
    "Format",
    "InvalidSpec",
    "KeyCase",
    "MetadataFrom",
    "ObjectMeta",
    "OnCollision",
    "OnDelete",
    "OnSourceDeleted",
    "Restart",
    "StatusEntry",
    "StatusGrant",
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

MAX_RESTARTS: Final = 16
DEFAULT_RESTART_INTERVAL: Final = timedelta(minutes=5)


_MAX_ANNOTATION: Final = 1024
"""Characters of an annotation that are kept."""


def _used_annotations(value: object) -> object:
    """Drop what others write: an object's annotations may have 256 KiB, and all VaultSecrets are kept in memory."""
    if not isinstance(value, Mapping):
        return value
    used = {name: value[name] for name in USER_ANNOTATIONS if name in value}
    return {name: text[:_MAX_ANNOTATION] if isinstance(text, str) else text for name, text in used.items()}


_NO_LABELS: Final[Mapping[str, str]] = {}
"""One for all objects; nothing changes it."""


def with_labels(metadata: Mapping[str, Any], keys: Iterable[str]) -> Mapping[str, Any]:
    """Return an object's metadata with these of its labels alone: others write labels, as many as they like."""
    if "labels" not in metadata:
        return metadata
    labels, others = metadata["labels"], {name: part for name, part in metadata.items() if name != "labels"}
    kept = {key: labels[key] for key in keys if key in labels} if isinstance(labels, Mapping) else {}
    return {**others, "labels": kept} if kept else others


def with_copied_labels(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a VaultSecret from the API server with those of its labels alone that its spec copies."""
    metadata, spec = body.get("metadata"), body.get("spec")
    if not isinstance(metadata, Mapping):
        return body
    target = spec.get("target") if isinstance(spec, Mapping) else None
    named = target.get("copyLabels") if isinstance(target, Mapping) else None
    keys = [key for key in named if isinstance(key, str)] if isinstance(named, list) else []
    return {**body, "metadata": with_labels(metadata, keys)}


class ObjectMeta(Model):
    """The parts of an object's metadata that vaultsync uses."""

    name: SharedText
    namespace: SharedText
    uid: SharedText
    generation: int
    resource_version: str
    creation_timestamp: Timestamp
    deletion_timestamp: Timestamp | None = None
    annotations: Annotated[Mapping[str, str], BeforeValidator(_used_annotations)] = Field(default_factory=dict)
    """Those that users set to request something."""
    labels: Mapping[str, str] = Field(default_factory=lambda: _NO_LABELS)
    """Those that the spec copies."""


class OnDelete(StrEnum):
    """What happens to the target when the VaultSecret is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class OnSourceDeleted(StrEnum):
    """What happens to a key whose secret is deleted in the vault."""

    RETAIN = "Retain"
    DELETE = "Delete"


class MetadataFrom(Model):
    """Labels and annotations of the Secret whose texts come from the vault's metadata."""

    labels: MetadataTemplates = Field(default_factory=dict)
    """Labels, each a Liquid template: {{ secrets["db-password"].tags.owner }} is a tag of a secret that this
    VaultSecret reads. What a label may not contain becomes a hyphen. A tag that does not exist is an empty text."""
    annotations: MetadataTemplates = Field(default_factory=dict)
    """Annotations, each a Liquid template, such as {{ secrets["db-password"].expires }}. A text is one line of at most
    256 bytes; what is longer is cut."""


class TargetSpec(Model):
    """The Kubernetes Secret to write."""

    name: KubernetesSecretName | None = None
    """The Secret's name, in the VaultSecret's namespace. Defaults to the VaultSecret's name."""
    type: SecretType = "Opaque"
    """The Secret's type. It cannot change once the Secret exists."""
    labels: Labels = Field(default_factory=dict)
    """Labels for the Secret, in addition to vaultsync's own."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations for the Secret, in addition to vaultsync's own."""
    copy_labels: LabelKeys = ()
    """Keys of labels of this VaultSecret that the Secret has, too, with the same values, which it follows. A label that
    this VaultSecret does not have is left out."""
    metadata_from: MetadataFrom | None = None
    """More labels and annotations, from the tags, dates and versions of secrets in the vault, never from their values.
    They follow the vault like values do, without a restart of workloads."""
    template: Templates = Field(default_factory=dict)
    """More keys of the Secret, each rendered from a Liquid template over the keys of data and dataFrom: {{ password }},
    or {{ entries["tls.crt"] }} for a key that is not an identifier. Use filters such as url_encode, b64encode and json
    to escape values. Templates are Liquid, not Go templates."""
    immutable: StrictBool = False
    """If true, the Secret is immutable: Kubernetes rejects every change of its content, see replaceImmutable."""
    replace_immutable: StrictBool = False
    """What happens when an immutable Secret needs a change. If false, it is not changed, and the VaultSecret is not
    ready with the reason TargetImmutable. If true, it is deleted and created again."""
    adopt: StrictBool = False
    """If true, an existing Secret with this name that vaultsync did not create is taken over, and its content is
    replaced, if the Secret consents: its annotation vaultsync.dev/adopt-by has this VaultSecret's name. It is never
    deleted: it is released, with its content, when this VaultSecret is deleted or names another Secret. Otherwise such
    a Secret is not changed, and the VaultSecret is not ready with the reason TargetConflict."""

    @property
    def labels_from(self) -> Mapping[str, str]:
        """The templates of labels, by label."""
        return {} if self.metadata_from is None else self.metadata_from.labels

    @property
    def annotations_from(self) -> Mapping[str, str]:
        """The templates of annotations, by annotation."""
        return {} if self.metadata_from is None else self.metadata_from.annotations


def _each_key_once(field: str) -> str:
    return (
        f"(!has(self.{field}) || !has(self.metadataFrom.{field}) || "
        f"self.metadataFrom.{field}.all(key, !(key in self.{field})))"
    )


METADATA_ONCE: Final = Check(
    f"!has(self.metadataFrom) || ({_each_key_once('labels')} && {_each_key_once('annotations')})",
    lambda target: (
        target.labels_from.keys().isdisjoint(target.labels)
        and target.annotations_from.keys().isdisjoint(target.annotations)
    ),
    "must not have the same label or annotation twice, as it is and in metadataFrom",
)


COPIED_ONCE: Final = Check(
    "!has(self.copyLabels) || self.copyLabels.all(key, !(has(self.labels) && key in self.labels) && "
    "!(has(self.metadataFrom) && has(self.metadataFrom.labels) && key in self.metadataFrom.labels))",
    lambda target: (
        target.labels.keys().isdisjoint(target.copy_labels) and target.labels_from.keys().isdisjoint(target.copy_labels)
    ),
    "must not have a label of copyLabels in labels or metadataFrom, too",
)


class Restart(Model):
    """A workload in the VaultSecret's namespace whose pods read the Secret only when they start."""

    kind: WorkloadKind
    """Deployment, StatefulSet or DaemonSet."""
    name: WorkloadName
    """The workload's name."""
    min_interval: RestartInterval | None = None
    """The minimum time between two restarts, from 10s to 24h; changes within it share one restart. Defaults to 5m."""


def _each_once(restarts: tuple[Restart, ...]) -> tuple[Restart, ...]:
    # The API server checks this by the list's type.
    if len({(restart.kind, restart.name) for restart in restarts}) < len(restarts):
        raise rule_error("must not list a workload twice")
    return restarts


Restarts = Annotated[
    tuple[Restart, ...],
    Field(
        max_length=MAX_RESTARTS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["kind", "name"]},
    ),
    AfterValidator(_each_once),
]


class VaultSecretSpec(Model):
    """The desired state: which secrets of which vault to sync into which Kubernetes Secret."""

    vault_url: VaultUrl
    """The vault's URI as shown in the Azure portal, for example https://shop.vault.azure.net."""
    data: Entries = ()
    """Keys of the Secret, each from one secret of the vault. All keys are written together in one update."""
    data_from: Sources = ()
    """More keys of the Secret, several from each item. They are added after those of data, in this order."""
    target: Annotated[TargetSpec, METADATA_ONCE, COPIED_ONCE] = TargetSpec()
    """The Kubernetes Secret to write."""
    refresh_interval: RefreshInterval = timedelta(minutes=2)
    """How often the vault is polled for changes, from 10s to 24h, such as 30s, 2m or 1h30m. VaultSecrets of one vault
    share its polls: the shortest interval applies to all of them."""
    on_source_deleted: OnSourceDeleted = OnSourceDeleted.RETAIN
    """What happens to a key whose secret is deleted in the vault and not optional. Retain: the whole Secret is kept
    as it is, and the VaultSecret is not ready with the reason SecretSoftDeleted or SecretNotFound. Delete: the key is
    removed after deleteAfter, and the Secret is deleted with its last key. Keys of secrets that are optional or
    selected by find, and of fields that vanish from an object, are removed after deleteAfter in both cases. If most of
    the vault's secrets go missing within 24 hours, nothing is removed, and the reason is DeletionHeld."""
    delete_after: DeleteAfter = timedelta(hours=1)
    """The grace period before a key is removed that the vault no longer provides, from 1m to 720h: its secret is
    deleted, disabled or no longer matches find, or a field vanished from its JSON value. It keeps its last value, the
    other keys follow the vault, and if it is back within the period, nothing is removed."""
    on_delete: OnDelete = OnDelete.DELETE
    """What happens to the Secret when this VaultSecret is deleted. Delete: the Secret is deleted, too. Retain: it is
    kept and no longer synced."""
    restart: Restarts = ()
    """Workloads in the same namespace to restart when the Secret's content changes, for programs that read it only when
    they start. It has the effect of kubectl rollout restart. Creating the Secret does not restart them."""
    suspend: StrictBool = False
    """If true, the vault is not read and the Secret is not changed until this is false again."""


class VaultSecretMeta(Model):
    """A VaultSecret without its spec: enough to write its status, even if the spec is invalid."""

    metadata: ObjectMeta
    status: Annotated[VaultSecretStatus, or_empty(VaultSecretStatus)] = VaultSecretStatus()
    """The observed state. Only vaultsync writes it."""

    @model_validator(mode="before")
    @classmethod
    def _keep_used_labels(cls, body: object) -> object:
        return cls._with_used_labels(body) if isinstance(body, Mapping) else body

    @classmethod
    def _with_used_labels(cls, body: Mapping[str, Any]) -> Mapping[str, Any]:
        metadata = body.get("metadata")
        return {**body, "metadata": with_labels(metadata, ())} if isinstance(metadata, Mapping) else body

    @property
    def label_keys(self) -> tuple[str, ...]:
        """The labels that are kept; none without a spec."""
        return ()

    @property
    def key(self) -> ObjectKey:
        """The VaultSecret's namespace and name."""
        return ObjectKey(self.metadata.namespace, self.metadata.name)


class VaultSecret(VaultSecretMeta):
    """Syncs secrets of an Azure Key Vault into a Kubernetes Secret."""

    model_config = ConfigDict(json_schema_extra={VALIDATIONS: [TYPE_IS_IMMUTABLE]})

    spec: Annotated[VaultSecretSpec, *SPEC_CHECKS, SPEC_IS_SMALL]
    """The desired state: which secrets of which vault to sync into which Kubernetes Secret."""

    @classmethod
    def _with_used_labels(cls, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return with_copied_labels(body)

    @property
    def label_keys(self) -> tuple[str, ...]:
        """The labels that are kept: those that the target copies."""
        return self.spec.target.copy_labels

    @property
    def copied_labels(self) -> Mapping[str, str]:
        """The labels that the target has, too."""
        return {key: self.metadata.labels[key] for key in self.label_keys if key in self.metadata.labels}

    @property
    def target_key(self) -> ObjectKey:
        """Namespace and name of the Secret that is written."""
        return ObjectKey(self.metadata.namespace, self.spec.target.name or self.metadata.name)
