"""Restarts the workloads of a VaultSecret when the content of its Secret has changed; `policy.rollout` decides when.

A workload that cannot be restarted is reported and retried; the VaultSecret itself stays in sync, since its Secret is.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import Restart, StatusRestart, VaultSecret
from vaultsync.errors import ObjectGone, SyncError
from vaultsync.interfaces import KubeApi, Recorder
from vaultsync.policy.requeue import MAX_RETRY
from vaultsync.policy.rollout import Current, Due, NotBefore, after_observing, before_observing, entry_for
from vaultsync.status.events import Event

RESTARTED: Final = "Restarted"
RESTART_FAILED: Final = "RestartFailed"
"""The reasons of the events."""

CONFLICT_RETRY: Final = 5.0
"""Seconds after which a workload is read again that was changed at the same time; some change continuously."""


@dataclass(frozen=True, slots=True)
class Rollouts:
    """The entries of the status and the events about the workloads, and when to requeue the key."""

    restarts: tuple[StatusRestart, ...]
    events: tuple[Event, ...]
    requeue_after: float | None
    """In seconds; None if nothing is due before the content changes again."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The same for one workload."""

    entry: StatusRestart
    event: Event | None = None
    requeue_after: float | None = None


async def restart_workloads(
    kube: KubeApi, recorder: Recorder, vault_secret: VaultSecret, *, changed: datetime | None, now: datetime
) -> Rollouts:
    """Restart each workload that `spec.restart` names, if it is due: once for each change of the content.

    No request is sent while no restart is due.

    Args:
        kube: The API server.
        recorder: Records restarts.
        vault_secret: The VaultSecret, with the status that it had before this reconcile.
        changed: The `content_change_time` of the status that follows from this reconcile.
        now: The operator's clock.

    Raises:
        ObjectGone: The namespace is being deleted.
    """
    steps = [
        await _follow(kube, recorder, vault_secret, restart, changed, now) for restart in vault_secret.spec.restart
    ]
    return Rollouts(
        restarts=tuple(step.entry for step in steps),
        events=tuple(step.event for step in steps if step.event is not None),
        requeue_after=min((step.requeue_after for step in steps if step.requeue_after is not None), default=None),
    )


async def _follow(
    kube: KubeApi,
    recorder: Recorder,
    vault_secret: VaultSecret,
    restart: Restart,
    changed: datetime | None,
    now: datetime,
) -> _Step:
    entry = entry_for(restart, vault_secret.status, changed=changed, now=now)
    match before_observing(entry, changed=changed, now=now):
        case Current(at):
            return _Step(_entry(restart, at))
        case NotBefore(moment):
            return _Step(entry, requeue_after=(moment - now).total_seconds())
        case Due(change):
            try:
                return await _restart(kube, recorder, vault_secret, restart, entry, change, now)
            except ObjectGone:
                raise
            except SyncError as error:
                return _failed(recorder, vault_secret, entry, error.message)


async def _restart(
    kube: KubeApi,
    recorder: Recorder,
    vault_secret: VaultSecret,
    restart: Restart,
    entry: StatusRestart,
    change: datetime,
    now: datetime,
) -> _Step:
    key = ObjectKey(vault_secret.key.namespace, restart.name)
    workload = await kube.get_workload(restart.kind, key)
    if workload is None:
        return _failed(recorder, vault_secret, entry, f"{restart.kind} {key} cannot be restarted: it does not exist.")
    match after_observing(restart, workload, change=change, now=now):
        case Current(at):
            return _Step(_entry(restart, at))
        case NotBefore(moment):
            return _Step(_entry(restart, entry.at), requeue_after=(moment - now).total_seconds())
        case Due():
            if not await kube.restart_workload(restart.kind, key, workload, at=now):
                return _Step(entry, requeue_after=CONFLICT_RETRY)
            return _restarted(recorder, vault_secret, _entry(restart, now))


def _restarted(recorder: Recorder, vault_secret: VaultSecret, entry: StatusRestart) -> _Step:
    recorder.workload_restarted(vault_secret, entry)
    secret = vault_secret.target_key.name
    message = f"Restarted {entry.kind} {entry.name}, since the content of Secret {secret} has changed."
    return _Step(entry, Event("Normal", RESTARTED, message, records_action=True))


def _failed(recorder: Recorder, vault_secret: VaultSecret, entry: StatusRestart, problem: str) -> _Step:
    """Report a problem once, and retry at the refresh interval, but within `MAX_RETRY`."""
    failed = entry.changed(problem=problem)
    recorder.workload_restarted(vault_secret, failed)
    event = Event("Warning", RESTART_FAILED, problem) if entry.problem != problem else None
    return _Step(failed, event, min(vault_secret.spec.refresh_interval.total_seconds(), MAX_RETRY))


def _entry(restart: Restart, at: datetime) -> StatusRestart:
    return StatusRestart(kind=restart.kind, name=restart.name, at=at)
