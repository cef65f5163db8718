"""Finds orphaned targets and releases them: their VaultSecret is deleted, and they are kept; deletes nothing."""

import asyncio
import logging
from collections.abc import Mapping

from vaultsync.adapters.kube import Conflict
from vaultsync.api import ObjectKey
from vaultsync.errors import ObjectGone, SyncError
from vaultsync.interfaces import KubeApi
from vaultsync.state.observed import Observed, Unclaimed
from vaultsync.state.snapshots import ListSnapshot
from vaultsync.state.stores import State

logger = logging.getLogger(__name__)

MAX_CONCURRENT_RELEASES = 4
"""Concurrent releases: there may be thousands of orphans, and reconciles need the connections."""


def orphans(
    before: Mapping[ObjectKey, Observed | Unclaimed], listed: ListSnapshot, state: State
) -> Mapping[ObjectKey, Unclaimed]:
    """Return the targets of served namespaces whose VaultSecret is gone, and that no other VaultSecret names.

    A target that was adopted, or has `onDelete: Retain`, outlives its VaultSecret. One with an owner reference to that
    VaultSecret is left to the garbage collector. A copy of a target, which has our label but no field that we applied,
    is not changed.

    Args:
        before: The Secrets with our label as they were cached before the VaultSecrets were listed: the VaultSecrets
            that their labels named existed before the list, and are in it unless they were deleted.
        listed: The VaultSecrets.
        state: Has the same Secrets now, and the VaultSecrets by target.
    """
    return {
        key: secret
        for key, secret in state.targets.within(None).items()
        if key in before
        and isinstance(secret, Unclaimed)
        and secret.resource_version == before[key].resource_version
        and _is_orphan(secret, listed)
        and state.may_begin(key.namespace)
        and not state.vaultsecrets.keys_for_target(key)
    }


def _is_orphan(secret: Unclaimed, listed: ListSnapshot) -> bool:
    return secret.is_retained and secret.owner_uid is not None and secret.owner_uid not in listed.uids


async def release_orphans(kube: KubeApi, targets: Mapping[ObjectKey, Unclaimed]) -> None:
    """Remove our labels from orphaned targets; failures are logged, and the next resync retries them."""
    limit = asyncio.Semaphore(MAX_CONCURRENT_RELEASES)

    async def release(key: ObjectKey, target: Unclaimed) -> None:
        async with limit:
            await _release(kube, key, target)

    async with asyncio.TaskGroup() as tasks:
        for key, target in targets.items():
            tasks.create_task(release(key, target))


async def _release(kube: KubeApi, key: ObjectKey, target: Unclaimed) -> None:
    assert target.owner_uid is not None  # an orphan's label names its VaultSecret
    try:
        await kube.orphan_target(key, observed=target, retained_by=target.owner_uid)
    except (Conflict, ObjectGone):
        return
    except SyncError as error:
        logger.warning("orphaned target not released", extra={"target": str(key), "detail": error.message})
    else:
        logger.info("released orphaned target", extra={"target": str(key)})
