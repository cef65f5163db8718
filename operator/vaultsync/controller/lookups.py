"""Looks up in the cluster what a reconcile decides by; decides nothing, and writes nothing."""

from collections.abc import Mapping

from vaultsync.adapters.kube import NotInstalled
from vaultsync.api import ObjectKey
from vaultsync.api.model import InvalidSpec
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta
from vaultsync.errors import Reason, SyncError
from vaultsync.interfaces import KubeApi
from vaultsync.policy.evidence import is_written_for
from vaultsync.policy.grants import uses_labels
from vaultsync.policy.inputs import Holder
from vaultsync.state.claims import believed_target
from vaultsync.state.grants import GrantView, grant_from, labels_from
from vaultsync.state.observed import Observed
from vaultsync.state.snapshots import ClusterKind
from vaultsync.state.targets import TargetCache
from vaultsync.state.vaultsecrets import VaultSecretCache
from vaultsync.status.conditions import READY, condition


async def find_target(
    targets: TargetCache, kube: KubeApi, vault_secret: VaultSecret, *, must_get: bool
) -> Observed | None:
    """Return the target as it is now; None if it does not exist.

    Without `must_get`, that of a new VaultSecret may exist without our label: a creation fails if it does.

    Raises:
        SyncError: ClusterUnavailable, if the Secrets of the namespace may not be listed.
    """
    key = vault_secret.target_key
    if not targets.has_synced(key.namespace) and not vault_secret.spec.suspend:
        # Only a missing permission starts the operator without the list. Targets of earlier names are not known.
        raise SyncError(
            Reason.CLUSTER_UNAVAILABLE,
            f"The operator's service account may not list and watch the Secrets of namespace {key.namespace}.",
        )
    target = targets.get(key)
    is_unknown = target is None and (must_get or targets.has_label(key) or not _is_new(vault_secret))
    if (is_unknown or targets.is_outdated(key)) and not vault_secret.spec.suspend:
        target = await kube.get_target(key)
        if target is not None:
            targets.claim(key, target)
    return believed_target(target, vault_secret)


def _is_new(vault_secret: VaultSecret) -> bool:
    """Return whether a VaultSecret has neither written nor found a Secret, by its status, and does not look for one."""
    ready = condition(vault_secret.status, READY)
    has_found = ready is not None and ready.reason == Reason.TARGET_CONFLICT
    return vault_secret.status.target is None and not has_found and not vault_secret.spec.target.adopt


async def find_competing(
    vault_secrets: VaultSecretCache, kube: KubeApi, vault_secret: VaultSecret, target: Observed | None
) -> tuple[tuple[VaultSecretMeta, ...], bool]:
    """Return every other VaultSecret that names the target, and one that owns it and was not observed yet.

    Also return whether the one that the target's label names is gone.
    """
    competing: tuple[VaultSecretMeta, ...] = tuple(vault_secrets.competing(vault_secret))
    owner = None if target is None else target.owner_uid
    if owner is None or owner == vault_secret.metadata.uid or vault_secrets.has_uid(owner):
        return competing, False
    unobserved = await kube.find_vaultsecret(vault_secret.key.namespace, uid=owner)
    return (competing, True) if unobserved is None else ((*competing, unobserved), False)


async def find_holder(kube: KubeApi, vault_secret: VaultSecret, target: Observed | None) -> Holder | None:
    """Return the Secret that holds what was written last, by which keys are kept."""
    key, last = vault_secret.target_key, vault_secret.status.target
    is_written = target is not None and is_written_for(vault_secret, target)
    if not is_written and last is not None and last.name != key.name and not vault_secret.spec.suspend:
        key = ObjectKey(key.namespace, last.name)
        target = believed_target(await kube.get_target(key), vault_secret)
    return None if target is None or not is_written_for(vault_secret, target) else Holder(key, target)


async def list_grants(kube: KubeApi, vault_secret: VaultSecret) -> GrantView | None:
    """Return what the API server has of grants for a VaultSecret; None if what they allow is not known."""
    try:
        listed = (await kube.list_cluster(ClusterKind.GRANTS)).objects
        grants = {name: grant for name, body in listed.items() if (grant := grant_from(body)) is not None}
    except (InvalidSpec, NotInstalled):
        return None
    labels: dict[str, Mapping[str, str]] = {}
    if uses_labels(one for one in grants.values() if one.spec.vault_url == vault_secret.spec.vault_url):
        namespaces = await kube.list_cluster(ClusterKind.NAMESPACES, vault_secret.key.namespace)
        labels = {name: labels_from(body) for name, body in namespaces.objects.items()}
    return GrantView(grants, labels)
