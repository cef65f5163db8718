"""Restarts the workloads of a VaultSecret once the content of its Secret has changed, and tells how that went.

When is decided by `policy.rollout`. A workload that cannot be restarted is told about and tried again; it is no reason
to call the VaultSecret itself out of sync, since its Secret is as it should be.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from vaultsync.api import ObjectKey
from vaultsync.api.restarts import Restart, WorkloadKind
from vaultsync.api.v1alpha1 import StatusRestart, VaultSecret, VaultSecretMeta
from vaultsync.errors import ObjectGone, SyncError
from vaultsync.policy.requeue import MAX_RETRY
from vaultsync.policy.rollout import Current, Due, NotBefore, Workload, after_look, before_look, entry_for
from vaultsync.status.events import Event

RESTARTED: Final = "Restarted"
RESTART_FAILED: Final = "RestartFailed"
"""The reasons of our events."""

MOMENT: Final = 5.0
"""Seconds after which a workload that changed under our hands is looked at again: some change all the time."""


class Workloads(Protocol):
    """Where workloads live."""

    async def observe(self, kind: WorkloadKind, key: ObjectKey) -> Workload | None:
        """Look at a workload's metadata; None if there is no such workload. Raises `SyncError`."""
        ...

    async def restart(self, kind: WorkloadKind, key: ObjectKey, workload: Workload, *, at: datetime) -> bool:
        """Have its pods replaced, as of that moment; False if it is not as observed any more. Raises `SyncError`."""
        ...


class Record(Protocol):
    """Where restarts are counted and logged."""

    def restarted(self, vault_secret: VaultSecretMeta, entry: StatusRestart) -> None:
        """Count and log a restart, or, where the entry has a problem, that it could not be."""
        ...


@dataclass(frozen=True, slots=True)
class Followed:
    """How the workloads fare: what the status says of them, what people are told, and when to come back."""

    restarts: tuple[StatusRestart, ...]
    events: tuple[Event, ...]
    seconds: float | None
    """Until it has to be followed again; None if not before the content changes again."""


@dataclass(frozen=True, slots=True)
class _Step:
    """How one workload fares."""

    entry: StatusRestart
    event: Event | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Restarter:
    """Restarts workloads: each once for each change, never for the Secret's creation, and not more often than allowed.

    Asks the API server nothing as long as no restart is owed.
    """

    workloads: Workloads
    record: Record
    now: Callable[[], datetime]

    async def follow(self, vault_secret: VaultSecret, *, changed: datetime | None) -> Followed:
        """Go a step further with each workload that `spec.restart` names.

        Args:
            vault_secret: The VaultSecret, with the status that it had before this reconcile.
            changed: The `content_change_time` of the status that comes of this reconcile.

        Raises:
            GoingAway: There is nothing left to be done for this VaultSecret.
        """
        steps = [await self._follow_one(vault_secret, restart, changed) for restart in vault_secret.spec.restart]
        return Followed(
            restarts=tuple(step.entry for step in steps),
            events=tuple(step.event for step in steps if step.event is not None),
            seconds=min((step.seconds for step in steps if step.seconds is not None), default=None),
        )

    async def _follow_one(self, vault_secret: VaultSecret, restart: Restart, changed: datetime | None) -> _Step:
        entry = entry_for(restart, vault_secret.status, changed=changed, now=self.now())
        try:
            return await self._step(vault_secret, restart, entry, changed)
        except ObjectGone:
            raise
        except SyncError as error:
            return self._failed(vault_secret, entry, error.message)

    async def _step(
        self, vault_secret: VaultSecret, restart: Restart, entry: StatusRestart, changed: datetime | None
    ) -> _Step:
        now = self.now()
        match before_look(entry, changed=changed, now=now):
            case Current(at):
                return _Step(_as_of(restart, at))
            case NotBefore(moment):
                return _Step(entry, seconds=(moment - now).total_seconds())
            case Due(change):
                return await self._look(vault_secret, restart, entry, change)

    async def _look(self, vault_secret: VaultSecret, restart: Restart, entry: StatusRestart, change: datetime) -> _Step:
        key = ObjectKey(vault_secret.key.namespace, restart.name)
        workload = await self.workloads.observe(restart.kind, key)
        if workload is None:
            return self._failed(vault_secret, entry, f"{restart.kind} {key} is to be restarted and does not exist.")
        now = self.now()
        match after_look(restart, workload, change=change, now=now):
            case Current(at):
                return _Step(_as_of(restart, at))
            case NotBefore(moment):
                return _Step(_as_of(restart, entry.at), seconds=(moment - now).total_seconds())
            case Due():
                if not await self.workloads.restart(restart.kind, key, workload, at=now):
                    return _Step(entry, seconds=MOMENT)
                return self._restarted(vault_secret, _as_of(restart, now))

    def _restarted(self, vault_secret: VaultSecret, entry: StatusRestart) -> _Step:
        self.record.restarted(vault_secret, entry)
        secret = vault_secret.target_key.name
        message = f"Restarted {entry.kind} {entry.name}, since what Secret {secret} holds has changed."
        return _Step(entry, Event("Normal", RESTARTED, message, records_action=True))

    def _failed(self, vault_secret: VaultSecret, entry: StatusRestart, problem: str) -> _Step:
        """Tell a problem once; whoever waits for it to be put right should not have to wait for a day."""
        failed = entry.model_copy(update={"problem": problem})
        self.record.restarted(vault_secret, failed)
        event = Event("Warning", RESTART_FAILED, problem) if entry.problem != problem else None
        return _Step(failed, event, min(vault_secret.spec.refresh_interval.total_seconds(), MAX_RETRY))


def _as_of(restart: Restart, at: datetime) -> StatusRestart:
    return StatusRestart(kind=restart.kind, name=restart.name, at=at)
