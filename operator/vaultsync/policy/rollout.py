"""Decides whether pods of a workload may still use old content of a Secret, and when to restart them; restarts none.

A mounted Secret is updated in running pods; an environment variable, or a file that a program reads once, keeps the
content of the pod's start. So a restart is due if the content has changed since the pods were created. Times have a
resolution of a second; pods of the same second count as older: one restart too many does no harm.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from vaultsync.api.v1alpha1 import DEFAULT_RESTART_INTERVAL, Restart, StatusRestart, VaultSecretStatus

SETTLING: Final = timedelta(seconds=10)
"""How long after a change a restart waits: VaultSecrets that rotate in one poll then share one restart, and kubelets,
which watch Secrets themselves, have the new content when the new pods start.

https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod
"""

_MAX_CLOCK_SKEW: Final = timedelta(minutes=1)
"""By how much the clock of another client that restarted a workload may be ahead of ours."""

_SECOND: Final = timedelta(seconds=1)

_LAST: Final = datetime.max.replace(tzinfo=UTC) - _SECOND
"""The last time that has another one a second after it; a user may have written a later one into the status."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload's metadata as just observed; `restarted` is the time in its annotation, if there is one."""

    uid: str
    resource_version: str
    created: datetime
    restarted: datetime | None


@dataclass(frozen=True, slots=True)
class Current:
    """Its pods are newer than the change, or there was none: nothing is due."""

    at: datetime
    """Its pods are newer than this moment."""


@dataclass(frozen=True, slots=True)
class NotBefore:
    """It is checked again at that moment."""

    moment: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """The next step is due now: to read the workload, or, once it is read, to restart it."""

    change: datetime
    """When the content changed."""


Verdict = Current | NotBefore | Due


def entry_for(restart: Restart, before: VaultSecretStatus, *, changed: datetime | None, now: datetime) -> StatusRestart:
    """Return the workload's entry in the status; for one that was just named, a new entry as of now.

    Args:
        restart: The workload.
        before: The status as it was before this reconcile.
        changed: When the content last changed, this reconcile's change included; None if it never did.
        now: The time.
    """
    for entry in before.restarts:
        if (entry.kind, entry.name) == (restart.kind, restart.name):
            return entry
    at = now
    if changed is not None:
        # Its pods do not have a change of this very reconcile; older changes came before it was named.
        at = changed if changed != before.content_change_time else max(now, min(changed, _LAST) + _SECOND)
    return StatusRestart(kind=restart.kind, name=restart.name, at=at)


def before_observing(entry: StatusRestart, *, changed: datetime | None, now: datetime) -> Verdict:
    """Decide without a request to the API server, which is not needed while nothing has changed."""
    if changed is None or entry.at > changed:
        return Current(entry.at)
    if changed > now:
        # The clock was ahead, or a user wrote it. The last of all times has none after it.
        return NotBefore(changed)
    settled = changed + SETTLING
    return Due(changed) if now >= settled else NotBefore(settled)


def after_observing(restart: Restart, workload: Workload, *, change: datetime, now: datetime) -> Verdict:
    """Decide by the workload's metadata: it may have been restarted for another VaultSecret, or created again.

    The shortest time between two restarts counts from the workload's own annotation, so that it holds for all
    VaultSecrets that name it.
    """
    restarted = workload.restarted
    if restarted is not None and restarted > now + _MAX_CLOCK_SKEW:
        # A time in the future is not trusted: it would prevent every restart.
        restarted = None
    newest = workload.created if restarted is None else max(restarted, workload.created)
    if newest > change:
        return Current(newest)
    interval = DEFAULT_RESTART_INTERVAL if restart.min_interval is None else restart.min_interval
    if restarted is not None and now < restarted + interval:
        return NotBefore(restarted + interval)
    return Due(change)
