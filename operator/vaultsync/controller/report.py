"""Writes the status of a VaultSecret, if it is new, and has its events created; decides nothing about their content."""

from collections.abc import Iterable

from vaultsync.api.v1alpha1 import VaultSecretMeta, VaultSecretStatus
from vaultsync.controller.events import EventWriter
from vaultsync.errors import NotServed, ObjectGone, Reason, SyncError
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
    writer: EventWriter,
) -> Failed | None:
    """Write the status, and have the events created; return a failure, which is retried soon, or None.

    Events that record an action come first: they could not be derived any more when the status is retried.

    Raises:
        ObjectGone: The VaultSecret is gone, or being deleted.
        NotServed: This replica does not serve it any more.
    """
    events = tuple(events)
    writer.add(vault_secret, (event for event in events if event.records_action))
    try:
        if status != vault_secret.status:
            await _write(kube, vaultsecrets, vault_secret, status)
            recorder.status_updated()
    except (ObjectGone, NotServed):
        raise
    except SyncError as error:
        recorder.status_update_failed(vault_secret, error)
        return failed(error)
    writer.add(vault_secret, (event for event in events if not event.records_action))
    return None


async def _write(
    kube: KubeApi, vaultsecrets: VaultSecretCache, vault_secret: VaultSecretMeta, status: VaultSecretStatus
) -> None:
    written = await kube.patch_status(vault_secret, status.to_wire())
    if written is None:
        await kube.ensure_current(vault_secret)
        raise SyncError(Reason.CLUSTER_UNAVAILABLE, f"VaultSecret {vault_secret.key} was changed at the same time.")
    vaultsecrets.record_status(VaultSecretMeta(metadata=written, status=status))
