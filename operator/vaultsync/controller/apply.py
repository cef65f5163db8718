"""Writes, deletes and releases targets; decides nothing about their content.

A Secret that vaultsync did not create is never deleted: whatever would delete it releases it. Before a Secret is
deleted, the VaultSecret is read again: the watch may be behind, and a user may have changed it.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from kvsecrets import SecretValue
from vaultsync.adapters.kube import Conflict
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason, SyncError
from vaultsync.interfaces import KubeApi
from vaultsync.policy.drift import foreign_keys
from vaultsync.policy.evidence import is_created, is_written_for
from vaultsync.policy.ownership import finalizers_of
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Observed
from vaultsync.state.targets import TargetCache
from vaultsync.status.outcome import Change

_MAX_STALE_TARGETS: Final = 16
"""Targets of earlier names that one reconcile deletes: there is one, unless others forge them."""

_PUT_BACK_ATTEMPTS: Final = 3
"""They follow each other at once: a connection may be cut. What lasts longer is for the next reconcile."""


async def apply_target(
    kube: KubeApi,
    targets: TargetCache,
    vault_secret: VaultSecret,
    observed: Observed | None,
    desired: Desired,
) -> Observed:
    """Write the desired target, and record the write in the cache.

    Args:
        kube: The API server.
        targets: Where the write is recorded.
        vault_secret: The VaultSecret.
        observed: The target as it was observed; None if it did not exist.
        desired: The desired target.

    Returns:
        The target after the write, with the fields that are not as they were sent.

    Raises:
        Conflict: It was changed or deleted since it was observed.
        ObjectGone: The namespace is being deleted.
        SyncError: It cannot be written.
    """
    key = vault_secret.target_key
    try:
        written = await kube.apply_target(key, desired.manifest, onto=observed)
    except Conflict:
        # The watch may have left out a deletion: it would be the same conflict each time.
        targets.invalidate(key)
        raise
    except SyncError as error:
        if error.reason is not Reason.TARGET_IMMUTABLE or observed is None:
            raise
        if not desired.created:
            raise _adopted_immutable(key) from error
        if not vault_secret.spec.target.replace_immutable:
            raise
        written = await _replace(kube, vault_secret, observed, desired)
    altered = written.altered
    if names := foreign_keys(written, desired):
        written = await kube.remove_keys(key, names, observed=written)
    if not desired.created and (written.owners or written.retained_by is not None):
        # It is ours by now: there is no moment at which nobody owns it.
        written = await kube.remove_owners(key, observed=written)
    if written.copies:
        # An apply leaves the annotations of others, and with them the values that it has replaced.
        written = await kube.remove_annotations(key, written.copies, observed=written)
    written = replace(written, altered=altered)
    targets.record_write(key, written)
    return written


def _adopted_immutable(key: ObjectKey) -> SyncError:
    return SyncError(
        Reason.TARGET_IMMUTABLE,
        f"Secret {key} is immutable and has to change, and vaultsync does not delete what it adopted; delete it "
        "to have it created.",
    )


def _check_not_held(key: ObjectKey, observed: Observed) -> None:
    if observed.finalizers:
        raise SyncError(
            Reason.TARGET_IMMUTABLE,
            f"Secret {key} is immutable and has to change. It is not deleted in order to be created again, since it "
            f"would stay terminating, held by the {finalizers_of(observed)}, for an unknown time. Have the finalizer "
            "removed by what has set it, or delete the Secret, and it is created again once it is gone.",
        )


async def _replace(kube: KubeApi, vault_secret: VaultSecret, observed: Observed, desired: Desired) -> Observed:
    """Delete an immutable target and create the desired one; return its metadata.

    Whatever could prevent the creation is tried before the deletion. If the creation fails nevertheless, the previous
    Secret is put back; without it, the next reconcile creates the target. One with finalizers is not deleted: it would
    be terminating, and nothing could take its place. An admission policy may add some with our own write.
    """
    key = vault_secret.target_key
    _check_not_held(key, observed)
    previous = await kube.get_target_manifest(key, observed=observed)
    await kube.check_creation(key, desired.manifest)
    announced = await kube.announce_replacement(key, observed=observed)
    _check_not_held(key, announced)
    await kube.ensure_current(vault_secret)
    try:
        # A deletion whose response was lost may have been carried out.
        await kube.delete_target(key, observed=announced)
        return await kube.apply_target(key, desired.manifest, onto=None)
    except SyncError:
        await _put_back(kube, key, previous, desired)
        raise


async def _put_back(kube: KubeApi, key: ObjectKey, previous: SecretValue, desired: Desired) -> None:
    """Create a Secret again, unless there is one of its name.

    It has our labels and owner, whatever another writer had made of them: admission policies allow nothing else.
    """
    manifest = json.loads(previous.reveal())
    metadata, wanted = manifest["metadata"], desired.manifest["metadata"]
    metadata["labels"] = {**metadata.get("labels", {}), **wanted["labels"]}
    metadata["ownerReferences"] = wanted["ownerReferences"]
    for _ in range(_PUT_BACK_ATTEMPTS):
        with suppress(SyncError):
            await kube.apply_target(key, manifest, onto=None)
            return


async def remove_target(kube: KubeApi, vault_secret: VaultSecret, observed: Observed | None) -> Change:
    """Delete the target if we created it for this very VaultSecret, or release it if it was adopted.

    Returns:
        `DELETED`, `RELEASED`, or `NONE` for a Secret that is being deleted, or that we did not write for this
        VaultSecret.

    Raises:
        SyncError: The Secret can be neither deleted nor released.
    """
    return await _remove(kube, vault_secret, vault_secret.target_key, observed)


async def _remove(kube: KubeApi, vault_secret: VaultSecret, key: ObjectKey, observed: Observed | None) -> Change:
    if observed is None or observed.terminating or not is_written_for(vault_secret, observed):
        return Change.NONE
    if is_created(vault_secret, observed):
        await kube.delete_target(key, observed=observed)
        return Change.DELETED
    await kube.orphan_target(key, observed=observed, retained_by=vault_secret.metadata.uid)
    return Change.RELEASED


def previous_targets(targets: TargetCache, vault_secret: VaultSecret) -> list[ObjectKey]:
    """Return the keys of Secrets that may be the targets of earlier values of `target.name`, sorted.

    Their label names the VaultSecret. The status has the last target's name, for the case that its label was changed.
    """
    namespace, last = vault_secret.key.namespace, vault_secret.status.target
    keys = {key for key in targets.owned_by(vault_secret.metadata.uid) if key.namespace == namespace}
    if last is not None:
        keys.add(ObjectKey(namespace, last.name))
    return sorted(keys - {vault_secret.target_key})[:_MAX_STALE_TARGETS]


async def remove_stale_targets(
    kube: KubeApi, targets: TargetCache, vault_secret: VaultSecret
) -> Mapping[ObjectKey, Change]:
    """Delete or release the targets of earlier values of `target.name`; return what was done, as `remove_target`."""
    removed = {}
    for key in previous_targets(targets, vault_secret):
        observed = await kube.get_target(key)
        if observed is not None and not observed.terminating and is_written_for(vault_secret, observed):
            await kube.ensure_current(vault_secret)
            removed[key] = await _remove(kube, vault_secret, key, observed)
    return removed
