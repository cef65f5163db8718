"""Whether the pods of a workload may still hold what a Secret held before, and when to replace them; replaces none.

A Secret that is mounted changes under the running pods; an environment variable, or a file that a program reads once,
is what it was when the pod started. So pods owe a restart if the content has changed after they were made. Moments are
kept to the second, so what happened in the same second counts as if it came before: a restart too many does no harm.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from vaultsync.api.restarts import DEFAULT_RESTART_INTERVAL, Restart
from vaultsync.api.v1alpha1 import StatusRestart, VaultSecretStatus

SETTLING: Final = timedelta(seconds=10)
"""How long a change is left alone: VaultSecrets that rotate in one poll then share one restart, and kubelets, who hear
of a changed Secret by watches of their own, know it when the new pods start.

https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod
"""

_CLOCKS_APART: Final = timedelta(minutes=1)
"""By how much the clock of whoever restarted a workload may be ahead of ours."""

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload's metadata, as just seen; `restarted` is what its annotation says, if it says a moment."""

    uid: str
    resource_version: str
    created: datetime
    restarted: datetime | None


@dataclass(frozen=True, slots=True)
class Current:
    """Its pods are from after the change, or there was none: nothing is to be done."""

    at: datetime
    """Its pods are from after this moment."""


@dataclass(frozen=True, slots=True)
class NotBefore:
    """It is to be looked at again at that moment."""

    moment: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """The next step is due now: to look at it, or, once looked at, to restart it."""

    change: datetime
    """When the content changed."""


Verdict = Current | NotBefore | Due


def entry_for(restart: Restart, before: VaultSecretStatus, *, changed: datetime | None, now: datetime) -> StatusRestart:
    """Find what is known of a workload, or begin with what can be said of one just named: its pods are as of now.

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
        # A change of this very reconcile is one that they have not seen; of older ones whoever names it has taken care.
        at = changed if changed != before.content_change_time else max(now, changed + _SECOND)
    return StatusRestart(kind=restart.kind, name=restart.name, at=at)


def before_look(entry: StatusRestart, *, changed: datetime | None, now: datetime) -> Verdict:
    """Judge without a look at the workload: while nothing has changed, nobody is asked anything."""
    if changed is None or entry.at > changed:
        return Current(entry.at)
    settled = changed + SETTLING
    return Due(changed) if now >= settled else NotBefore(settled)


def after_look(restart: Restart, workload: Workload, *, change: datetime, now: datetime) -> Verdict:
    """Judge by the workload itself: others may have restarted it, for another VaultSecret, or made it anew.

    The shortest time between two restarts counts from the workload's own annotation, so that it holds for all
    VaultSecrets that name it.
    """
    restarted = workload.restarted
    if restarted is not None and restarted > now + _CLOCKS_APART:
        # Nobody has restarted it tomorrow. To believe it would be to restart it never again.
        restarted = None
    newest = workload.created if restarted is None else max(restarted, workload.created)
    if newest > change:
        return Current(newest)
    interval = DEFAULT_RESTART_INTERVAL if restart.min_interval is None else restart.min_interval
    if restarted is not None and now < restarted + interval:
        return NotBefore(restarted + interval)
    return Due(change)
