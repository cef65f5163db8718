"""Counts and logs events as Prometheus metrics and one log line per outcome; decides nothing, and gets no value.

Labels are bounded: vaults, operations, reasons, statuses; never the name of a VaultSecret or of a secret.
"""

import logging
from collections.abc import Collection, Mapping
from typing import Protocol, assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import StatusRestart, VaultSecret, VaultSecretMeta, VaultSecretStatus, WorkloadKind
from vaultsync.errors import Reason, SyncError, error_fields
from vaultsync.status.conditions import READY, condition
from vaultsync.status.freshness import STALE_AFTER, rotation_delay
from vaultsync.status.outcome import Change, Failed, Gone, Outcome, Pruned, Suspended, Synced, Waiting

logger = logging.getLogger("vaultsync")

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets in seconds, from a local call to a timeout."""

_SLOW = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)
"""Buckets in seconds, from a fraction of the shortest refresh interval to the longest one."""


GONE = "Gone"
"""The label in place of a reason for a VaultSecret that is gone: it has no condition."""


class Note(Protocol):
    """Adds the result of the current reconcile or poll to its span, if there is one."""

    def __call__(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        """Add attributes: names, numbers and fixed texts, never messages of errors or values."""
        ...


def _no_note(facts: Mapping[str, str | int], *, failed: bool) -> None:
    """Add nothing, without tracing."""


class Recorder:
    """Counts and logs events; one per process."""

    def __init__(self, registry: CollectorRegistry, *, version: str, note: Note = _no_note) -> None:
        """Register the metrics; `note` gets the result of each reconcile and poll."""
        self.registry = registry
        self._note = note
        self._vaults: set[str] = set()
        build = Info("vaultsync_build", "The running version.", registry=registry)
        build.info({"version": version})
        self._register_reconciles()
        self._register_restarts()
        self._register_calls()
        self._transitions = Counter(
            "vaultsync_leader_transitions",
            "Shards that this replica began or ceased to lead: gained, lost.",
            ["transition"],
            registry=registry,
        )
        for transition in ("gained", "lost"):
            self._transitions.labels(transition)
        self._waits = Histogram(
            "vaultsync_queue_wait_seconds",
            "Time that a VaultSecret waited in the queue.",
            buckets=_FAST,
            registry=registry,
        )
        self._lag = Histogram(
            "vaultsync_event_loop_lag_seconds",
            "Lag of the event loop, measured twice a second.",
            buckets=_FAST,
            registry=registry,
        )

    def _register_reconciles(self) -> None:
        registry = self.registry
        self._reconciles = Counter(
            "vaultsync_reconciles", "Reconciles of VaultSecrets, by reason.", ["reason"], registry=registry
        )
        self._reconcile_seconds = Histogram(
            "vaultsync_reconcile_duration_seconds", "Duration of a reconcile.", buckets=_FAST, registry=registry
        )
        self._reconcile_errors = Counter(
            "vaultsync_reconcile_errors", "Reconciles that ended with an unexpected exception.", registry=registry
        )
        self._targets = Counter(
            "vaultsync_targets_written",
            "Writes and deletions of target Secrets: created, adopted, updated, rotated, relabeled, removed, deleted, "
            "released, healed.",
            ["change"],
            registry=registry,
        )
        self._rotation_seconds = Histogram(
            "vaultsync_rotation_latency_seconds",
            "Time from a new version in the vault until the target Secret holds it.",
            buckets=_SLOW,
            registry=registry,
        )
        self._statuses = Counter(
            "vaultsync_status_writes",
            "Writes of the status of VaultSecrets, by result: written, failed.",
            ["result"],
            registry=registry,
        )
        self._late_rotations = Counter(
            "vaultsync_rotations_late",
            f"Rotations that took longer than {STALE_AFTER} refresh intervals, by vault.",
            ["vault"],
            registry=registry,
        )
        # Initialized to zero: Prometheus does not count the first appearance of a series as an increase.
        for reason in (*Reason, GONE):
            self._reconciles.labels(reason)
        for change in Change:
            if change is not Change.NONE:
                self._targets.labels(change)
        for result in ("written", "failed"):
            self._statuses.labels(result)

    def _register_restarts(self) -> None:
        self._restarts = Counter(
            "vaultsync_restarts",
            "Restarts of workloads whose Secret has changed, by kind and result: restarted, failed.",
            ["kind", "result"],
            registry=self.registry,
        )
        for kind in WorkloadKind:
            for result in ("restarted", "failed"):
                self._restarts.labels(kind, result)

    def _register_calls(self) -> None:
        registry = self.registry
        self._calls = Counter(
            "vaultsync_vault_requests",
            "Calls to vaults, by vault, operation and HTTP status or kind of failure.",
            ["vault", "operation", "status"],
            registry=registry,
        )
        self._call_seconds = Histogram(
            "vaultsync_vault_request_duration_seconds",
            "Duration of a call to a vault.",
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
            "vaultsync_poll_requests", "Calls that the last poll of a vault made.", ["vault"], registry=registry
        )
        self._logins = Counter(
            "vaultsync_logins",
            "Token requests to azure-identity, from its cache or the identity provider, by result: issued, refused.",
            ["result"],
            registry=registry,
        )
        for result in ("issued", "refused"):
            self._logins.labels(result)

    def reconciled(
        self,
        vault_secret: VaultSecretMeta,
        outcome: Outcome,
        *,
        after: VaultSecretStatus,
        seconds: float,
        read_reason: str | None,
    ) -> None:
        """Count and log a reconcile.

        Args:
            vault_secret: The VaultSecret, with the status that it had before.
            outcome: How the reconcile ended.
            after: The status that follows from the outcome.
            seconds: The duration of the reconcile.
            read_reason: Why secrets were read from the vault; None if none was read.
        """
        reason = GONE if isinstance(outcome, Gone) else outcome.reason.value
        self._reconciles.labels(reason).inc()
        self._reconcile_seconds.observe(seconds)
        change = outcome.change if isinstance(outcome, Synced | Pruned) else Change.NONE
        read = {} if read_reason is None else {"read": read_reason}
        noted = {"reason": reason, "change": change.value} | {f"{name}_reason": text for name, text in read.items()}
        self._note(noted, failed=isinstance(outcome, Failed))
        fields = {"vaultsecret": str(vault_secret.key), "reason": reason, "seconds": round(seconds, 3), **read}
        match outcome:
            case Synced(change=Change.NONE):
                logger.debug("in sync", extra=fields)
            case Synced():
                self._target_written(vault_secret, outcome, after, seconds, fields)
            case Pruned(change=Change.NONE):
                logger.debug("no target", extra=fields)
            case Pruned():
                self._targets.labels(outcome.change).inc()
                logger.info("deleted target", extra={**fields, "detail": outcome.message})
            case Failed():
                if outcome.written is not None and outcome.written.change is not Change.NONE:
                    self._target_written(vault_secret, outcome.written, after, seconds, fields)
                logger.warning("not in sync", extra={**fields, "detail": outcome.message})
            case Suspended():
                logger.debug("suspended", extra=fields)
            case Waiting():
                logger.debug("waiting", extra={**fields, "detail": outcome.message})
            case Gone():
                logger.debug("vaultsecret gone", extra=fields)
            case _:
                assert_never(outcome)

    def _target_written(
        self,
        vault_secret: VaultSecretMeta,
        synced: Synced,
        after: VaultSecretStatus,
        seconds: float,
        fields: Mapping[str, object],
    ) -> None:
        self._targets.labels(synced.change).inc()
        if synced.change is Change.ROTATED:
            self._observe_rotation(vault_secret, after, seconds)
        logger.info("wrote target", extra={**fields, "change": synced.change.value, "detail": synced.detail})

    def _observe_rotation(self, vault_secret: VaultSecretMeta, after: VaultSecretStatus, seconds: float) -> None:
        """Observe the time of a rotation: from the change until it was read, plus that of the reconcile.

        One that a user has suspended in between is not late.
        """
        before = vault_secret.status
        delay = rotation_delay(before, after)
        if delay is None:
            return
        self._rotation_seconds.observe(delay.total_seconds() + seconds)
        ready = condition(before, READY)
        was_suspended = ready is not None and ready.reason == Reason.SUSPENDED
        if was_suspended or not isinstance(vault_secret, VaultSecret):
            return
        if delay > STALE_AFTER * vault_secret.spec.refresh_interval:
            self._late_rotations.labels(vault_secret.spec.vault_url).inc()

    def workload_restarted(self, vault_secret: VaultSecretMeta, entry: StatusRestart) -> None:
        """Count and log the restart of a workload, or its failure if the entry has a problem."""
        self._restarts.labels(entry.kind, "restarted" if entry.problem is None else "failed").inc()
        fields = {"vaultsecret": str(vault_secret.key), "workload": f"{entry.kind} {entry.name}"}
        if entry.problem is None:
            logger.info("restarted workload", extra=fields)
        else:
            logger.warning("workload not restarted", extra={**fields, "detail": entry.problem})

    def reconcile_error(self, key: ObjectKey, error: BaseException) -> None:
        """Count and log an unexpected exception in a reconcile."""
        self._reconcile_errors.inc()
        logger.error("reconcile error", extra={"vaultsecret": str(key), **error_fields(error)})

    def status_updated(self) -> None:
        """Count a status that was written."""
        self._statuses.labels("written").inc()

    def status_update_failed(self, vault_secret: VaultSecretMeta, error: SyncError) -> None:
        """Count and log that the status of a VaultSecret could not be written; `error` is logged by its message."""
        self._statuses.labels("failed").inc()
        logger.warning("status update failed", extra={"vaultsecret": str(vault_secret.key), "detail": error.message})

    def vault_call(self, vault_url: str, operation: str, status: str, seconds: float) -> None:
        """Count a call to a vault; `status` is an HTTP status, or the kind of failure."""
        self._vaults.add(vault_url)
        self._calls.labels(vault_url, operation, status).inc()
        self._call_seconds.labels(operation).observe(seconds)

    def polled(self, vault_url: str, *, mode: str, calls: int, seconds: float, failure: SyncError | None) -> None:
        """Count and log a poll of a vault, and its failure if it failed."""
        self._vaults.add(vault_url)
        self._late_rotations.labels(vault_url)  # zero, until one is late
        result = failure.reason.value if failure else "Synced"
        self._polls.labels(vault_url, mode, result).inc()
        self._poll_calls.labels(vault_url).set(calls)
        self._note({"mode": mode, "calls": calls, "result": result}, failed=failure is not None)
        fields = {"vault": vault_url, "mode": mode, "calls": calls, "seconds": round(seconds, 3), "reason": result}
        if failure is None:
            logger.debug("polled", extra=fields)
        else:
            logger.warning("poll failed", extra={**fields, "detail": failure.message})

    def poll_error(self, vault_url: str, error: BaseException) -> None:
        """Log an unexpected exception in a poll."""
        logger.error("poll error", extra={"vault": vault_url, **error_fields(error)})

    def login(self, result: str) -> None:
        """Count a token request by its result: issued, refused."""
        self._logins.labels(result).inc()

    def shards_gained(self, number: int) -> None:
        """Count shards that this replica began to lead."""
        self._transitions.labels("gained").inc(number)

    def shards_lost(self, number: int) -> None:
        """Count shards that it ceased to lead."""
        self._transitions.labels("lost").inc(number)

    def queue_waited(self, seconds: float) -> None:
        """Observe how long a key waited in the queue."""
        self._waits.observe(seconds)

    def loop_lagged(self, seconds: float) -> None:
        """Observe how late the event loop was."""
        self._lag.observe(seconds)

    def forget_vaults_except(self, used: Collection[str]) -> None:
        """Remove the series of vaults that are not used any more."""
        for vault in self._vaults.difference(used):
            self._vaults.remove(vault)
            for metric in (self._calls, self._polls, self._poll_calls, self._late_rotations):
                metric.remove_by_labels({"vault": vault})
