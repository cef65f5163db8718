"""What happens, as Prometheus metrics and one log line per outcome; decides nothing, and sees no value.

Labels are bounded: vaults, operations, reasons, statuses; never the name of a VaultSecret or of a secret.
"""

import logging
import traceback
from collections.abc import Collection, Mapping
from typing import Protocol, assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from vaultsync.api.v1alpha1 import StatusRestart, VaultSecretMeta, VaultSecretStatus, WorkloadKind
from vaultsync.errors import Reason, SyncError
from vaultsync.status.freshness import rotation_delay
from vaultsync.status.outcome import Change, Failed, Outcome, Pruned, Suspended, Synced

logger = logging.getLogger("vaultsync")

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets in seconds: from a call on the same machine to one that times out."""

_SLOW = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)
"""Buckets in seconds: from the shortest refresh interval's smallest part to the longest."""


class Note(Protocol):
    """Adds how it ended to the span of the reconcile or poll that runs, where there is one."""

    def __call__(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        """Add facts: words and numbers of ours."""
        ...


def _nowhere(facts: Mapping[str, str | int], *, failed: bool) -> None:
    """There are no spans."""


class Recorder:
    """Counts and logs what happens; one per process, on the registry given."""

    def __init__(self, registry: CollectorRegistry, *, version: str, note: Note = _nowhere) -> None:
        """Register the metrics; the registry must not have them yet. `note` hears how reconciles and polls end."""
        self.registry = registry
        self._note = note
        self._vaults: set[str] = set()
        build = Info("vaultsync_build", "The version that runs.", registry=registry)
        build.info({"version": version})
        self._count_reconciles()
        self._count_restarts()
        self._count_calls()
        self._waits = Histogram(
            "vaultsync_queue_wait_seconds",
            "How long a VaultSecret has waited for its turn.",
            buckets=_FAST,
            registry=registry,
        )
        self._lag = Histogram(
            "vaultsync_event_loop_lag_seconds",
            "How late the event loop is, measured twice a second.",
            buckets=_FAST,
            registry=registry,
        )

    def _count_reconciles(self) -> None:
        registry = self.registry
        self._reconciles = Counter(
            "vaultsync_reconciles", "Reconciles of VaultSecrets, by reason.", ["reason"], registry=registry
        )
        self._reconcile_seconds = Histogram(
            "vaultsync_reconcile_duration_seconds", "How long a reconcile took.", buckets=_FAST, registry=registry
        )
        self._targets = Counter(
            "vaultsync_targets_written",
            "Target Secrets written or deleted, by why: created, adopted, updated, rotated, removed, deleted, healed.",
            ["change"],
            registry=registry,
        )
        self._rotation_seconds = Histogram(
            "vaultsync_rotation_latency_seconds",
            "From a new version in the vault to the target Secret that holds it.",
            buckets=_SLOW,
            registry=registry,
        )
        # What has never happened counts zero: Prometheus takes no first appearance for an increase.
        for reason in Reason:
            self._reconciles.labels(reason)
        for change in Change:
            if change is not Change.NONE:
                self._targets.labels(change)

    def _count_restarts(self) -> None:
        self._restarts = Counter(
            "vaultsync_restarts",
            "Restarts of workloads whose Secret has changed, by kind and result: restarted, failed.",
            ["kind", "result"],
            registry=self.registry,
        )
        for kind in WorkloadKind:
            for result in ("restarted", "failed"):
                self._restarts.labels(kind, result)

    def _count_calls(self) -> None:
        registry = self.registry
        self._calls = Counter(
            "vaultsync_vault_requests",
            "Calls to vaults, by vault, operation and HTTP status or kind of failure.",
            ["vault", "operation", "status"],
            registry=registry,
        )
        self._call_seconds = Histogram(
            "vaultsync_vault_request_duration_seconds",
            "How long a call to a vault took.",
            ["operation"],
            buckets=_FAST,
            registry=registry,
        )
        self._polls = Counter(
            "vaultsync_polls",
            "Polls of vaults, by vault, mode and result.",
            ["vault", "mode", "result"],
            registry=registry,
        )
        self._poll_calls = Gauge(
            "vaultsync_poll_requests", "How many calls the last poll of a vault took.", ["vault"], registry=registry
        )
        self._logins = Counter(
            "vaultsync_logins",
            "Tokens asked of the identity provider or of azure-identity's memory, by result: issued, refused.",
            ["result"],
            registry=registry,
        )
        for result in ("issued", "refused"):
            self._logins.labels(result)

    def outcome(
        self, vault_secret: VaultSecretMeta, outcome: Outcome, *, after: VaultSecretStatus, seconds: float
    ) -> None:
        """Count a reconcile, and log it if it did something or failed; `after` is the status that comes of it."""
        self._reconciles.labels(outcome.reason).inc()
        self._reconcile_seconds.observe(seconds)
        change = outcome.change if isinstance(outcome, Synced | Pruned) else Change.NONE
        self._note({"reason": outcome.reason.value, "change": change.value}, failed=isinstance(outcome, Failed))
        fields = {"vaultsecret": str(vault_secret.key), "reason": outcome.reason.value, "seconds": round(seconds, 3)}
        match outcome:
            case Synced(change=Change.NONE):
                logger.debug("in sync", extra=fields)
            case Synced():
                self._targets.labels(outcome.change).inc()
                if outcome.change is Change.ROTATED:
                    self._rotated(vault_secret.status, after, seconds)
                logger.info("wrote target", extra={**fields, "change": outcome.change.value, "detail": outcome.detail})
            case Pruned(change=Change.NONE):
                logger.debug("no target", extra=fields)
            case Pruned():
                self._targets.labels(outcome.change).inc()
                logger.info("deleted target", extra={**fields, "detail": outcome.message})
            case Failed():
                logger.warning("not in sync", extra={**fields, "detail": outcome.message})
            case Suspended():
                logger.debug("suspended", extra=fields)
            case _:
                assert_never(outcome)

    def _rotated(self, before: VaultSecretStatus, after: VaultSecretStatus, seconds: float) -> None:
        """Time a rotation: by the vault's clock until it was read, and as long as the reconcile took on top."""
        delay = rotation_delay(before, after)
        if delay is not None:
            self._rotation_seconds.observe(delay.total_seconds() + seconds)

    def restarted(self, vault_secret: VaultSecretMeta, entry: StatusRestart) -> None:
        """Count and log that a workload was restarted, or, where the entry has a problem, that it could not be."""
        self._restarts.labels(entry.kind, "restarted" if entry.problem is None else "failed").inc()
        fields = {"vaultsecret": str(vault_secret.key), "workload": f"{entry.kind} {entry.name}"}
        if entry.problem is None:
            logger.info("restarted workload", extra=fields)
        else:
            logger.warning("workload not restarted", extra={**fields, "detail": entry.problem})

    def bug(self, vault_secret: VaultSecretMeta, error: Exception) -> None:
        """Log an unforeseen error of a reconcile."""
        _log_bug("reconcile broke", {"vaultsecret": str(vault_secret.key)}, error)

    def untold(self, vault_secret: VaultSecretMeta, error: SyncError) -> None:
        """Log that status or event could not be written."""
        logger.warning("could not tell", extra={"vaultsecret": str(vault_secret.key), "detail": error.message})

    def vault_call(self, vault_url: str, *, operation: str, status: str, seconds: float) -> None:
        """Count one call to a vault."""
        self._vaults.add(vault_url)
        self._calls.labels(vault_url, operation, status).inc()
        self._call_seconds.labels(operation).observe(seconds)

    def poll(self, vault_url: str, *, mode: str, calls: int, seconds: float, failure: SyncError | None) -> None:
        """Count one poll of a vault."""
        self._vaults.add(vault_url)
        result = failure.reason.value if failure else "Synced"
        self._polls.labels(vault_url, mode, result).inc()
        self._poll_calls.labels(vault_url).set(calls)
        self._note({"mode": mode, "calls": calls, "result": result}, failed=failure is not None)
        fields = {"vault": vault_url, "mode": mode, "calls": calls, "seconds": round(seconds, 3), "reason": result}
        if failure is None:
            logger.debug("polled", extra=fields)
        else:
            logger.warning("poll failed", extra={**fields, "detail": failure.message})

    def broken(self, vault_url: str, error: Exception) -> None:
        """Log an unforeseen error of a poll."""
        _log_bug("poll broke", {"vault": vault_url}, error)

    def login(self, *, issued: bool) -> None:
        """Count one login."""
        self._logins.labels("issued" if issued else "refused").inc()

    def waited(self, seconds: float) -> None:
        """Count how long a key waited for its turn."""
        self._waits.observe(seconds)

    def lagged(self, seconds: float) -> None:
        """Count by how much the event loop was late."""
        self._lag.observe(seconds)

    def forget_vaults_but(self, asked: Collection[str]) -> None:
        """Drop the series of vaults that nobody asks any more: otherwise they would be there until the end."""
        for vault in self._vaults.difference(asked):
            self._vaults.remove(vault)
            for metric in (self._calls, self._polls, self._poll_calls):
                metric.remove_by_labels({"vault": vault})


def _log_bug(message: str, fields: dict[str, str], error: Exception) -> None:
    """Log where it happened and of which type it is, but not its text, which may hold anything."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error(message, extra={**fields, "error": type(error).__name__, "where": where})
