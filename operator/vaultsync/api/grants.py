"""The VaultGrant, version v1alpha1: which namespaces may use which secrets of a vault, and with which identity.

The docstrings of fields are what `kubectl explain` shows. It decides nothing: `policy/grants.py` does.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StrictBool, StrictInt

from vaultsync.api.checks import Check, Pattern, matching
from vaultsync.api.fields import KubernetesSecretName, RefreshInterval, ServiceAccountName, Timestamp, VaultUrl
from vaultsync.api.model import Model, or_empty
from vaultsync.api.secret_types import SecretType
from vaultsync.api.sources import Glob
from vaultsync.api.status import Condition, OnRevoked, keyed

CONTENT_TYPES: Final = (
    "Opaque",
    "kubernetes.io/tls",
    "kubernetes.io/basic-auth",
    "kubernetes.io/ssh-auth",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/dockercfg",
)
"""The types of Secrets that only hold content: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types"""

MAX_NAMES: Final = 100
MAX_REQUIREMENTS: Final = 16

_GUID: Final = Pattern("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

NamespaceGlob = Annotated[
    str,
    Field(max_length=63),
    matching(
        Pattern("[0-9a-z*?-]+"),
        "must be a namespace, or a pattern for namespaces: lower-case letters, digits, hyphens, and the wildcards * "
        "and ?",
    ),
]

Guid = Annotated[
    str,
    Field(max_length=36),
    matching(_GUID, "must be an id such as 6f0c0c56-7d3a-4b54-9d0c-0d5b2f8f3b11"),
    AfterValidator(str.lower),
]

TenantId = Annotated[
    str,
    Field(max_length=253),
    matching(
        Pattern("[0-9a-zA-Z]([-.0-9a-zA-Z]*[0-9a-zA-Z])?"),
        "must be the id of a Microsoft Entra tenant, or one of its domains",
    ),
    AfterValidator(str.lower),
]

KeyPrefix = Annotated[
    str,
    Field(max_length=317),
    matching(
        Pattern(r"\*|[-._a-zA-Z0-9]+(/[-._a-zA-Z0-9]*)?"),
        "must be the beginning of a key, such as example.com/ for all keys of that prefix, or * for all keys",
    ),
]


class Operator(StrEnum):
    """How a requirement of a selector compares a label."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Requirement(Model):
    """A requirement on one label of the namespace, as in other Kubernetes APIs."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """The label's key."""
    operator: Operator
    """In, NotIn, Exists or DoesNotExist."""
    values: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=32)] = ()
    """The values for In and NotIn."""


VALUES_FIT: Final = Check(
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
    lambda one: (one.operator in {Operator.IN, Operator.NOT_IN}) == bool(one.values),
    "In and NotIn need values; Exists and DoesNotExist must not have any",
)


class Selector(Model):
    """Selects namespaces by their labels; all requirements must be met."""

    match_labels: Annotated[Mapping[str, Annotated[str, Field(max_length=63)]], Field(max_length=MAX_REQUIREMENTS)] = (
        Field(default_factory=dict)
    )
    """Labels that the namespace must have, with these values."""
    match_expressions: Annotated[
        tuple[Annotated[Requirement, VALUES_FIT], ...],
        Field(max_length=MAX_REQUIREMENTS, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """Requirements on the namespace's labels."""


SELECT_SOMETHING: Final = Check(
    "(has(self.matchLabels) && self.matchLabels.size() > 0) || "
    "(has(self.matchExpressions) && self.matchExpressions.size() > 0)",
    lambda selector: bool(selector.match_labels) or bool(selector.match_expressions),
    "must have matchLabels or matchExpressions; to select all namespaces, use names with *",
)


class Namespaces(Model):
    """The namespaces that a grant is for. If it has both names and selector, a namespace must match both."""

    names: Annotated[
        tuple[NamespaceGlob, ...],
        Field(max_length=MAX_NAMES, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """Names of namespaces, or patterns: * matches any characters, ? exactly one."""
    selector: Annotated[Selector, SELECT_SOMETHING] | None = None
    """Selects namespaces by labels. Whoever may label a namespace can then use the grant."""


NAMESPACES_GIVEN: Final = Check(
    "(has(self.names) && self.names.size() > 0) || has(self.selector)",
    lambda namespaces: bool(namespaces.names) or namespaces.selector is not None,
    "must have names or selector; for all namespaces, use names with *",
)


class Allow(Model):
    """What VaultSecrets may do besides syncing; nothing of it is allowed by default."""

    adopt: StrictBool = False
    """Whether target.adopt may be true."""
    restart: StrictBool = False
    """Whether VaultSecrets may restart workloads in their namespace."""
    delete: StrictBool = False
    """Whether onSourceDeleted: Delete is allowed, which removes keys of secrets that are deleted in the vault."""
    labels: Annotated[
        tuple[KeyPrefix, ...], Field(max_length=MAX_NAMES, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """Beginnings of the keys that target.labels and target.copyLabels may have, such as example.com/, or * for all.
    Keys without a prefix are always allowed. Labels with a prefix can make other controllers act on the Secret."""
    annotations: Annotated[
        tuple[KeyPrefix, ...], Field(max_length=MAX_NAMES, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """Beginnings of the keys that target.annotations may have, such as example.com/, or * for all. Keys without a
    prefix are always allowed. Annotations with a prefix can make other controllers act on the Secret, or copy it."""


class Quota(Model):
    """Limits for each namespace that uses the grant."""

    vault_secrets: Annotated[StrictInt, Field(ge=1, le=100_000)] = 1000
    """Maximum number of VaultSecrets in a namespace; the oldest are served."""
    entries: Annotated[StrictInt, Field(ge=1, le=288)] = 288
    """Maximum number of items in data and dataFrom of a VaultSecret."""
    found_secrets: Annotated[StrictInt, Field(ge=1, le=5000)] = 1000
    """Maximum number of secrets that the searches of a VaultSecret find."""
    reads_per_10s: Annotated[StrictInt, Field(ge=1, le=4000)] = Field(default=2000, alias="readsPer10s")
    """Maximum number of secrets that the VaultSecrets of a namespace read from the vault in 10 seconds; after a pause,
    as many more at once. Reads beyond that wait."""
    min_refresh_interval: RefreshInterval = timedelta(seconds=10)
    """The shortest refreshInterval that VaultSecrets may have."""


class WorkloadIdentityRef(Model):
    """A Microsoft Entra application or managed identity that trusts a ServiceAccount of the cluster."""

    tenant_id: TenantId
    """The Entra tenant."""
    client_id: Guid
    """The client id of the application or managed identity."""
    service_account_name: ServiceAccountName
    """The name of the ServiceAccount in the namespace of the VaultSecret. The federated credential of the identity must
    have the subject system:serviceaccount:<namespace>:<name> and the audience api://AzureADTokenExchange."""


class ManagedIdentityRef(Model):
    """A user-assigned managed identity that the nodes of the operator have."""

    client_id: Guid
    """The client id of the managed identity."""


class KeyRef(Model):
    """A key of a Secret in the operator's own namespace."""

    name: KubernetesSecretName
    """The Secret's name."""
    key: Annotated[str, Field(min_length=1, max_length=253)]
    """The key in the Secret."""


class ServicePrincipalRef(Model):
    """A Microsoft Entra application with a client secret or a certificate."""

    tenant_id: TenantId
    """The Entra tenant."""
    client_id: Guid
    """The client id of the application."""
    client_secret_ref: KeyRef | None = None
    """The client secret. The Secret must be in the operator's namespace."""
    certificate_ref: KeyRef | None = None
    """The certificate with its private key, in PEM. The Secret must be in the operator's namespace."""


ONE_CREDENTIAL: Final = Check(
    "has(self.clientSecretRef) != has(self.certificateRef)",
    lambda principal: (principal.client_secret_ref is None) != (principal.certificate_ref is None),
    "must have exactly one of clientSecretRef and certificateRef",
)


class IdentityRef(Model):
    """The identity that reads the vault; exactly one of the fields."""

    workload_identity: WorkloadIdentityRef | None = None
    """An identity that trusts a ServiceAccount in the namespace of the VaultSecret."""
    managed_identity: ManagedIdentityRef | None = None
    """A managed identity of the nodes."""
    service_principal: Annotated[ServicePrincipalRef, ONE_CREDENTIAL] | None = None
    """An application with a client secret or a certificate."""


ONE_IDENTITY: Final = Check(
    "[has(self.workloadIdentity), has(self.managedIdentity), has(self.servicePrincipal)]"
    ".filter(given, given).size() == 1",
    lambda one: (
        sum(part is not None for part in (one.workload_identity, one.managed_identity, one.service_principal)) == 1
    ),
    "must have exactly one of workloadIdentity, managedIdentity and servicePrincipal; omit identity to use the "
    "operator's own",
)


class VaultGrantSpec(Model):
    """Which namespaces may use which secrets of a vault. Without a grant that matches, nothing is read."""

    vault_url: VaultUrl
    """The vault's URI as shown in the Azure portal, for example https://shop.vault.azure.net."""
    namespaces: Annotated[Namespaces, NAMESPACES_GIVEN]
    """The namespaces whose VaultSecrets may use it."""
    secrets: Annotated[
        tuple[Glob, ...],
        Field(min_length=1, max_length=MAX_NAMES, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ]
    """The secrets of the vault that may be read: names or patterns, * matches any characters, ? exactly one. Case is
    ignored."""
    types: Annotated[
        tuple[SecretType, ...],
        Field(min_length=1, max_length=MAX_REQUIREMENTS, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = CONTENT_TYPES
    """The types that Secrets may have. Defaults to Opaque and the types of Kubernetes that only hold content."""
    allow: Allow = Allow()
    """What VaultSecrets may do besides syncing."""
    quota: Quota = Quota()
    """Limits for each namespace that uses the grant."""
    identity: Annotated[IdentityRef, ONE_IDENTITY] | None = None
    """The identity that reads the vault. Defaults to the operator's own."""
    on_revoked: OnRevoked = OnRevoked.RETAIN
    """What happens to Secrets that were written if this grant is deleted or changed so that it no longer allows them.
    Retain: they are kept and no longer synced. Delete: they are deleted."""


class GrantVault(Model):
    """The vault as the identity reaches it."""

    reachable: bool
    """Whether the last authenticated call succeeded."""
    client_id: str | None = None
    """The client id of the identity, as the token names it."""
    object_id: str | None = None
    """The object id of the identity, as the token names it."""
    last_success_time: Timestamp | None = None
    """When a call last succeeded."""
    last_failure: str | None = None
    """Why the last call failed, if it did."""


class GrantUsage(Model):
    """How much of the quota a namespace uses."""

    namespace: str
    """The namespace."""
    vault_secrets: int
    """The number of its VaultSecrets that use the grant's identity."""


class VaultGrantStatus(Model):
    """The observed state. Only vaultsync writes it."""

    observed_generation: int | None = None
    """The generation of the VaultGrant that was last checked."""
    conditions: Annotated[tuple[Condition, ...], keyed("type")] = ()
    """Ready is True while the vault answers this identity, or no VaultSecret uses the grant yet. Otherwise either
    Stalled is there, if a change is needed first, or Reconciling, if it may become ready by itself."""
    vault: GrantVault | None = None
    """The vault as the identity reaches it."""
    vault_secrets: int | None = None
    """The number of VaultSecrets that use the grant's identity."""
    usage: Annotated[tuple[GrantUsage, ...], keyed("namespace")] = ()
    """The namespaces that use the most of the quota, at most 10."""


class GrantMeta(Model):
    """The parts of a grant's metadata that vaultsync uses."""

    name: str
    uid: str
    generation: int
    resource_version: str


class VaultGrant(Model):
    """Allows namespaces to use secrets of an Azure Key Vault. A VaultSecret that no grant matches is refused."""

    metadata: GrantMeta
    spec: VaultGrantSpec
    """The desired state: which namespaces may use which secrets of which vault, and with which identity."""
    status: Annotated[VaultGrantStatus, or_empty(VaultGrantStatus)] = VaultGrantStatus()
    """The observed state. Only vaultsync writes it."""
