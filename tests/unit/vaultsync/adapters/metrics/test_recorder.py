"""Each event is counted, and logged in one line."""

import itertools
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.builders import READ_AT, SECOND, VAULT, a_status, a_status_entry, a_synced, a_vault_secret
from vaultsync.adapters.metrics import Recorder
from vaultsync.api.v1alpha1 import StatusRestart, VaultSecretStatus, WorkloadKind
from vaultsync.errors import Reason, SyncError
from vaultsync.status.outcome import Change, Failed, Gone, Pruned, Reported, Suspended, Waiting

IN_SYNC = a_synced()
ROTATED = a_synced(change=Change.ROTATED, detail="Rotated password (db-password 2).")
VALUE = "MARKED-s3cret"
AWAY = Failed(Reason.VAULT_UNREACHABLE, "No answer.")
DELETED = Pruned(Reason.SECRET_NOT_FOUND, "There is no db-password.", (), Change.DELETED)
WAITING = Waiting("The vault is not listed yet.")
EMPTY = Pruned(Reason.SECRET_NOT_FOUND, "There is no db-password.", ())


class Harness:
    """A recorder on its own registry, and its log lines."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "vaultsync")
        self._caplog = caplog
        self.registry = CollectorRegistry()
        self.noted: list[tuple[Mapping[str, str | int], bool]] = []
        self.recorder = Recorder(self.registry, version="1.2.3", note=self._note)

    def _note(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        self.noted.append((facts, failed))

    def number(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def reconciled(
        self,
        outcome: Reported | Gone,
        *,
        after: VaultSecretStatus | None = None,
        before: str = "Synced",
        seconds: float = 0.0,
        read_reason: str | None = None,
    ) -> None:
        """Record a reconcile of the default VaultSecret, which had the reason `before`."""
        vault_secret = a_vault_secret(status=a_status(reason=before))
        status = after or vault_secret.status
        self.recorder.reconciled(vault_secret, outcome, after=status, seconds=seconds, read_reason=read_reason)

    def lines(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Level, message and our fields of each line."""
        standard = vars(logging.makeLogRecord({})).keys() | {"message", "taskName"}
        return [
            (record.levelname, record.getMessage(), {k: v for k, v in vars(record).items() if k not in standard})
            for record in self._caplog.records
        ]


@pytest.fixture
def harness(caplog: pytest.LogCaptureFixture) -> Harness:
    return Harness(caplog)


@pytest.mark.parametrize(
    ("outcome", "level", "message", "fields"),
    [
        (IN_SYNC, "DEBUG", "in sync", {}),
        (ROTATED, "INFO", "wrote target", {"change": "rotated", "detail": ROTATED.detail}),
        (AWAY, "WARNING", "not in sync", {"detail": "No answer."}),
        (DELETED, "INFO", "deleted target", {"detail": DELETED.message}),
        (EMPTY, "DEBUG", "no target", {}),
        (Suspended(), "DEBUG", "suspended", {}),
        (WAITING, "DEBUG", "waiting", {"detail": "The vault is not listed yet."}),
    ],
    ids=["in sync", "written", "failed", "deleted", "empty", "suspended", "waiting"],
)
def test_an_outcome_is_one_line_and_one_count(
    harness: Harness, outcome: Reported, level: str, message: str, fields: dict[str, str]
) -> None:
    harness.reconciled(outcome, seconds=0.1234)

    always = {"vaultsecret": "shop/db", "reason": outcome.reason.value, "seconds": 0.123}
    assert harness.lines() == [(level, message, always | fields)]
    assert harness.number("vaultsync_reconciles_total", reason=outcome.reason.value) == 1
    assert harness.number("vaultsync_reconcile_duration_seconds_sum") == 0.1234


def test_a_vaultsecret_that_is_gone_is_counted_under_a_label_of_its_own(harness: Harness) -> None:
    harness.reconciled(Gone("VaultSecret shop/db is gone."), seconds=0.1234)

    fields = {"vaultsecret": "shop/db", "reason": "Gone", "seconds": 0.123}
    assert harness.lines() == [("DEBUG", "vaultsecret gone", fields)]
    assert harness.number("vaultsync_reconciles_total", reason="Gone") == 1


def test_the_reason_of_a_read_is_logged_and_noted(harness: Harness) -> None:
    harness.reconciled(ROTATED, read_reason="another version of db-password")

    ((_, _, fields),) = harness.lines()
    assert fields["read"] == "another version of db-password"
    assert harness.noted[0][0]["read_reason"] == "another version of db-password"


@pytest.mark.parametrize(
    ("outcome", "facts", "failed"),
    [
        (ROTATED, {"reason": "Synced", "change": "rotated"}, False),
        (AWAY, {"reason": "VaultUnreachable", "change": "none"}, True),
        (DELETED, {"reason": "SecretNotFound", "change": "deleted"}, False),
        (EMPTY, {"reason": "SecretNotFound", "change": "none"}, False),
        (Suspended(), {"reason": "Suspended", "change": "none"}, False),
        (WAITING, {"reason": "Waiting", "change": "none"}, False),
        (Gone("VaultSecret shop/db is gone."), {"reason": "Gone", "change": "none"}, False),
    ],
    ids=["written", "failed", "deleted", "empty", "suspended", "waiting", "gone"],
)
def test_the_note_of_an_outcome_has_no_message(
    harness: Harness, outcome: Reported | Gone, facts: Mapping[str, str], *, failed: bool
) -> None:
    harness.reconciled(outcome)

    assert harness.noted == [(facts, failed)]


def test_the_note_of_a_poll_has_no_message(harness: Harness) -> None:
    throttled = SyncError(Reason.VAULT_THROTTLED, VALUE)

    harness.recorder.polled(VAULT, mode="list", calls=3, seconds=1.0, failure=throttled)

    assert harness.noted == [({"mode": "list", "calls": 3, "result": "VaultThrottled"}, True)]


def test_only_written_and_deleted_targets_are_counted_by_change(harness: Harness) -> None:
    for outcome in (ROTATED, ROTATED, DELETED, EMPTY, EMPTY, IN_SYNC, AWAY):
        harness.reconciled(outcome)

    assert harness.number("vaultsync_targets_written_total", change="rotated") == 2
    assert harness.number("vaultsync_targets_written_total", change="deleted") == 1
    assert harness.number("vaultsync_targets_written_total", change="none") is None


def test_counters_start_at_zero(harness: Harness) -> None:
    for reason in Reason:
        assert harness.number("vaultsync_reconciles_total", reason=reason) == 0
    for change in set(Change) - {Change.NONE}:
        assert harness.number("vaultsync_targets_written_total", change=change) == 0
    for result in ("issued", "refused"):
        assert harness.number("vaultsync_logins_total", result=result) == 0
    for kind, result in itertools.product(WorkloadKind, ("restarted", "failed")):
        assert harness.number("vaultsync_restarts_total", kind=kind, result=result) == 0


def test_a_rotation_is_timed_from_the_change_in_the_vault_to_the_end_of_the_reconcile(harness: Harness) -> None:
    rotated = a_status_entry(version=SECOND, updated=READ_AT, read_at=READ_AT + timedelta(seconds=40))

    harness.reconciled(ROTATED, after=a_status(rotated), seconds=2.0)

    assert harness.number("vaultsync_rotation_latency_seconds_sum") == 42.0


@pytest.mark.parametrize(
    ("minutes", "before", "late"),
    [(5, "Synced", 0), (7, "Synced", 1), (7, "VaultUnreachable", 1), (7, "Suspended", 0)],
    ids=["within three refresh intervals", "later", "later, after an outage", "after it was suspended"],
)
def test_a_rotation_that_takes_more_than_three_refresh_intervals_is_late(
    harness: Harness, minutes: int, before: str, late: int
) -> None:
    rotated = a_status_entry(version=SECOND, updated=READ_AT, read_at=READ_AT + timedelta(minutes=minutes))
    harness.recorder.polled(VAULT, mode="list", calls=1, seconds=1.0, failure=None)
    assert harness.number("vaultsync_rotations_late_total", vault=VAULT) == 0

    harness.reconciled(ROTATED, after=a_status(rotated), before=before)

    assert harness.number("vaultsync_rotations_late_total", vault=VAULT) == late


@pytest.mark.parametrize("change", sorted(set(Change) - {Change.ROTATED}))
def test_no_other_change_is_timed_as_a_rotation(harness: Harness, change: Change) -> None:
    rotated = a_status_entry(version=SECOND, updated=READ_AT, read_at=READ_AT + timedelta(seconds=40))

    harness.reconciled(a_synced(change=change), after=a_status(rotated))

    assert harness.number("vaultsync_rotation_latency_seconds_count") == 0


@pytest.mark.parametrize(
    ("problem", "result", "line"),
    [
        (None, "restarted", ("INFO", "restarted workload", {})),
        ("It does not exist.", "failed", ("WARNING", "workload not restarted", {"detail": "It does not exist."})),
    ],
    ids=["restarted", "failed"],
)
def test_a_restart_is_one_line_and_one_count(
    harness: Harness, problem: str | None, result: str, line: tuple[str, str, dict[str, str]]
) -> None:
    entry = StatusRestart(kind=WorkloadKind.STATEFUL_SET, name="web", at=READ_AT, problem=problem)

    harness.recorder.workload_restarted(a_vault_secret(), entry)

    level, message, fields = line
    assert harness.lines() == [(level, message, {"vaultsecret": "shop/db", "workload": "StatefulSet web"} | fields)]
    assert harness.number("vaultsync_restarts_total", kind="StatefulSet", result=result) == 1


def test_logins_are_counted_by_result(harness: Harness) -> None:
    for issued in (True, True, False):
        harness.recorder.login("issued" if issued else "refused")

    assert harness.number("vaultsync_logins_total", result="issued") == 2
    assert harness.number("vaultsync_logins_total", result="refused") == 1


def test_calls_to_vaults_are_counted_and_timed(harness: Harness) -> None:
    harness.recorder.vault_call(VAULT, operation="get_secret", status="200", seconds=0.25)
    harness.recorder.vault_call(VAULT, operation="get_secret", status="ConnectionFailed", seconds=10.0)

    calls = {"vault": VAULT, "operation": "get_secret"}
    assert harness.number("vaultsync_vault_requests_total", status="200", **calls) == 1
    assert harness.number("vaultsync_vault_requests_total", status="ConnectionFailed", **calls) == 1
    assert harness.number("vaultsync_vault_request_duration_seconds_sum", operation="get_secret") == 10.25


@pytest.mark.parametrize(
    ("failure", "result", "line"),
    [
        (None, "Synced", ("DEBUG", "polled", {})),
        (
            SyncError(Reason.VAULT_THROTTLED, "Throttled."),
            "VaultThrottled",
            ("WARNING", "poll failed", {"detail": "Throttled."}),
        ),
    ],
    ids=["well", "failed"],
)
def test_polls_are_counted_by_result(
    harness: Harness, failure: SyncError | None, result: str, line: tuple[str, str, dict[str, str]]
) -> None:
    harness.recorder.polled(VAULT, mode="list", calls=40, seconds=1.0, failure=failure)

    level, message, fields = line
    always = {"vault": VAULT, "mode": "list", "calls": 40, "seconds": 1.0, "reason": result}
    assert harness.lines() == [(level, message, always | fields)]
    assert harness.number("vaultsync_polls_total", vault=VAULT, mode="list", result=result) == 1
    assert harness.number("vaultsync_poll_requests", vault=VAULT) == 40


def test_the_series_of_an_unused_vault_are_removed(harness: Harness) -> None:
    for vault in (VAULT, "https://gone.vault.azure.net"):
        harness.recorder.vault_call(vault, operation="get_secret", status="200", seconds=0.25)
        harness.recorder.polled(vault, mode="list", calls=1, seconds=1.0, failure=None)

    harness.recorder.forget_vaults_except([VAULT])

    samples = [sample for metric in harness.registry.collect() for sample in metric.samples]
    assert {sample.labels["vault"] for sample in samples if "vault" in sample.labels} == {VAULT}


def test_queue_waits_loop_lag_and_the_version_are_recorded(harness: Harness) -> None:
    harness.recorder.queue_waited(0.5)
    harness.recorder.loop_lagged(0.25)

    assert harness.number("vaultsync_event_loop_lag_seconds_sum") == 0.25
    assert harness.number("vaultsync_queue_wait_seconds_sum") == 0.5
    assert harness.number("vaultsync_build_info", version="1.2.3") == 1.0


def stumble(over: str) -> None:
    raise ValueError(over)


@pytest.mark.parametrize("of_a_poll", [False, True], ids=["a reconcile's", "a poll's"])
def test_an_unexpected_exception_is_logged_by_type_and_traceback_without_its_text(
    harness: Harness, of_a_poll: bool
) -> None:
    try:
        stumble(VALUE)
    except ValueError as error:
        if of_a_poll:
            harness.recorder.poll_error(VAULT, error)
        else:
            harness.recorder.reconcile_error(a_vault_secret().key, error)

    ((level, message, fields),) = harness.lines()
    assert (level, message) == ("ERROR", "poll error" if of_a_poll else "reconcile error")
    assert fields["error"] == "ValueError"
    assert harness.number("vaultsync_reconcile_errors_total") == (0 if of_a_poll else 1)
    assert "in stumble" in fields["where"]
    assert VALUE not in str(fields)


def test_statuses_that_are_written_and_not_are_counted_apart(harness: Harness) -> None:
    assert harness.number("vaultsync_status_writes_total", result="failed") == 0

    harness.recorder.status_updated()
    harness.recorder.status_updated()
    harness.recorder.status_update_failed(a_vault_secret(), SyncError(Reason.CLUSTER_UNAVAILABLE, "No answer."))

    assert harness.number("vaultsync_status_writes_total", result="written") == 2
    assert harness.number("vaultsync_status_writes_total", result="failed") == 1


def test_a_failed_status_update_is_logged(harness: Harness) -> None:
    harness.recorder.status_update_failed(a_vault_secret(), SyncError(Reason.CLUSTER_UNAVAILABLE, "No answer."))

    assert harness.lines() == [("WARNING", "status update failed", {"vaultsecret": "shop/db", "detail": "No answer."})]


def test_no_label_names_a_vaultsecret_or_a_secret(harness: Harness) -> None:
    for outcome in (IN_SYNC, ROTATED, AWAY, DELETED, EMPTY, Suspended()):
        harness.reconciled(outcome)
    harness.recorder.vault_call(VAULT, operation="get_secret", status="200", seconds=0.0)
    harness.recorder.polled(VAULT, mode="list", calls=1, seconds=0.0, failure=None)
    harness.recorder.workload_restarted(
        a_vault_secret(), StatusRestart(kind=WorkloadKind.DEPLOYMENT, name="db-web", at=READ_AT)
    )

    samples = [sample for metric in harness.registry.collect() for sample in metric.samples]
    labels = {name for sample in samples for name in sample.labels}
    assert labels <= {
        "reason",
        "change",
        "vault",
        "operation",
        "status",
        "mode",
        "kind",
        "result",
        "transition",
        "version",
        "le",
    }
    assert not any("db" in value for sample in samples for value in sample.labels.values())
