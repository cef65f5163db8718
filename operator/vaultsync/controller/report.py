"""Writes the status of a VaultSecret and its events, each only if it is new; decides nothing about their content."""

from collections.abc import Iterable

from vaultsync.api.v1alpha1 import VaultSecretMeta, VaultSecretStatus
from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.interfaces import KubeApi, Recorder
from vaultsync.state.vaultsecrets import VaultSecretCache
from vaultsync.status.events import Event
from vaultsync.status.outcome import Failed, failed


async def write_report(
    kube: KubeApi,
    vaultsecrets: VaultSecretCache,
    recorder: Recorder,
    vault_secret: VaultSecretMeta,
    status: VaultSecretStatus,
    events: Iterable[Event],
) -> Failed | None:
    """Write status and events; return a failure, which is retried soon, or None.

    Events that record an action are created first: they could not be derived any more when the status is retried.

    Raises:
        ObjectGone: The VaultSecret is gone, or being deleted.
    """
    events = tuple(events)
    try:
        await _create(kube, vault_secret, (event for event in events if event.records_action))
        if status != vault_secret.status:
            await _write(kube, vaultsecrets, vault_secret, status)
        await _create(kube, vault_secret, (event for event in events if not event.records_action))
    except ObjectGone:
        raise
    except SyncError as error:
        recorder.status_update_failed(vault_secret, error)
        return failed(error)
    return None


async def _create(kube: KubeApi, vault_secret: VaultSecretMeta, events: Iterable[Event]) -> None:
    for event in events:
        await kube.create_event(vault_secret, kind=event.kind, reason=event.reason, message=event.message)


async def _write(
    kube: KubeApi, vaultsecrets: VaultSecretCache, vault_secret: VaultSecretMeta, status: VaultSecretStatus
) -> None:
    body = await kube.patch_status(vault_secret, status.to_wire())
    if body is None:
        await kube.ensure_current(vault_secret)
        raise SyncError(Reason.CLUSTER_UNAVAILABLE, f"VaultSecret {vault_secret.key} was changed at the same time.")
    vaultsecrets.record_status(VaultSecretMeta.parse(body))
