"""Tells people how a VaultSecret fares: its status and events, each only if it says something new."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from vaultsync.api.v1alpha1 import VaultSecretMeta, VaultSecretStatus
from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.state.vaultsecrets import VaultSecretCache
from vaultsync.status.events import Event
from vaultsync.status.outcome import Failed, failed


class KubeApi(Protocol):
    """Where it is told."""

    async def ensure_current(self, vault_secret: VaultSecretMeta) -> None:
        """Make sure that it is still there, and there to stay; raises `GoingAway` if not."""
        ...

    async def write_status(self, vault_secret: VaultSecretMeta, status: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Write the status; the object as it is now, or None if it is gone or was changed in the same moment."""
        ...

    async def post_event(
        self, vault_secret: VaultSecretMeta, *, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Post an event about a VaultSecret."""
        ...


class Record(Protocol):
    """Where it is logged what could not be told."""

    def untold(self, vault_secret: VaultSecretMeta, error: SyncError) -> None:
        """Log that status or event could not be written."""
        ...


@dataclass(frozen=True, slots=True)
class Teller:
    """Writes statuses and posts events."""

    cluster: KubeApi
    vaultsecrets: VaultSecretCache
    record: Record

    async def tell(
        self, vault_secret: VaultSecretMeta, status: VaultSecretStatus, events: Iterable[Event]
    ) -> Failed | None:
        """Write status and events; a failure is returned, and makes us come back soon to tell it.

        Deeds are told first: what was done is not to be seen any more when the status is tried again.

        Raises:
            GoingAway: It is gone, or being deleted.
        """
        events = tuple(events)
        try:
            await self._post(vault_secret, (event for event in events if event.records_action))
            if status != vault_secret.status:
                await self._write(vault_secret, status)
            await self._post(vault_secret, (event for event in events if not event.records_action))
        except ObjectGone:
            raise
        except SyncError as error:
            self.record.untold(vault_secret, error)
            return failed(error)
        return None

    async def _post(self, vault_secret: VaultSecretMeta, events: Iterable[Event]) -> None:
        for event in events:
            await self.cluster.post_event(vault_secret, kind=event.kind, reason=event.reason, message=event.message)

    async def _write(self, vault_secret: VaultSecretMeta, status: VaultSecretStatus) -> None:
        body = await self.cluster.write_status(vault_secret, status.to_wire())
        if body is None:
            await self.cluster.ensure_current(vault_secret)
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, f"VaultSecret {vault_secret.key} changed in the same moment.")
        self.vaultsecrets.record_status(VaultSecretMeta.parse(body))
