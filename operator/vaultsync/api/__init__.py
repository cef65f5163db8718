"""The names of the API: group, version, labels, annotations, and the key of an object; no models and no logic."""

from typing import NamedTuple

GROUP = "vaultsync.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "VaultSecret"
PLURAL = "vaultsecrets"
GRANT_KIND = "VaultGrant"
GRANT_PLURAL = "vaultgrants"

FIELD_MANAGER = "vaultsync"
"""The field manager of server-side apply: Kubernetes records under this name which fields vaultsync owns.

https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers
"""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "vaultsync"
OWNER_UID_LABEL = f"{GROUP}/owner-uid"
"""On a target: the uid of the VaultSecret that owns it."""

OWNER_NAME_LABEL = f"{GROUP}/owner-name"
"""On a target: the name of that VaultSecret, for users; vaultsync does not read it."""

APPLIED_ANNOTATION = f"{GROUP}/applied"
"""On a target: the versions, never the values, that were last written to it."""

REPLACING_ANNOTATION = f"{GROUP}/replacing"
"""On a target: the resource version from which vaultsync was about to replace it."""

ADOPT_BY_ANNOTATION = f"{GROUP}/adopt-by"
"""On a Secret, set by those who may write it: the name of the VaultSecret that may take it over."""

RETAINED_BY_ANNOTATION = f"{GROUP}/retained-by"
"""On a Secret that vaultsync has released: the uid of the VaultSecret that may take it up again."""

REFRESH_ANNOTATION = f"{GROUP}/refresh-now"
"""On a VaultSecret, set by users: when its text changes, every secret is read again at once."""

RELEASE_ANNOTATION = f"{GROUP}/release-brake"
"""On a VaultSecret, set by users: releases the deletion guard for secrets that went missing before this time."""

USER_ANNOTATIONS = (REFRESH_ANNOTATION, RELEASE_ANNOTATION)
"""All annotations of a VaultSecret that vaultsync reads."""

RESTARTED_ANNOTATION = f"{GROUP}/restarted-at"
"""On a workload and its pod template: when vaultsync last restarted it."""

LEASE_LABEL = f"{GROUP}/lease"
"""On a Lease of the election: whether it is that of a shard, or that of a member."""

INSTALLATION_ANNOTATION = f"{GROUP}/installation"
"""On a Lease of the election: the installation of its holder."""

SHARDS_ANNOTATION = f"{GROUP}/shards"
"""On a Lease of the election: the number of shards."""

POSITION_ANNOTATION = f"{GROUP}/observed"
"""On a Lease of the election that was released: the resource versions that its holder had observed."""

NAMESPACES_ANNOTATION = f"{GROUP}/namespaces"
"""On a Lease of the election: the namespaces that its holder watches, separated by commas; empty for all."""


class ObjectKey(NamedTuple):
    """Namespace and name of an object; as text, `namespace/name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
