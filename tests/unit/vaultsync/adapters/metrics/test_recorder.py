"""What happens: each thing as numbers and as one log line."""

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
from vaultsync.status.outcome import Change, Failed, Outcome, Pruned, Suspended

IN_SYNC = a_synced()
ROTATED = a_synced(change=Change.ROTATED, detail="Rotated password (db-password 2).")
VALUE = "MARKED-s3cret"
AWAY = Failed(Reason.VAULT_UNREACHABLE, "No answer.")
DELETED = Pruned(Reason.SECRET_NOT_FOUND, "There is no db-password.", (), Change.DELETED)
EMPTY = Pruned(Reason.SECRET_NOT_FOUND, "There is no db-password.", ())


class Scene:
    """Telemetry on a registry of its own, and the log lines that it wrote."""

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

    def outcome(self, outcome: Outcome, *, after: VaultSecretStatus | None = None, seconds: float = 0.0) -> None:
        """Tell of a reconcile of the default VaultSecret, which was in sync before."""
        vault_secret = a_vault_secret(status=a_status())
        self.recorder.outcome(vault_secret, outcome, after=after or vault_secret.status, seconds=seconds)

    def lines(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Level, message and our fields of each line."""
        standard = vars(logging.makeLogRecord({})).keys() | {"message", "taskName"}
        return [
            (record.levelname, record.getMessage(), {k: v for k, v in vars(record).items() if k not in standard})
            for record in self._caplog.records
        ]


@pytest.fixture
def scene(caplog: pytest.LogCaptureFixture) -> Scene:
    return Scene(caplog)


@pytest.mark.parametrize(
    ("outcome", "level", "message", "fields"),
    [
        (IN_SYNC, "DEBUG", "in sync", {}),
        (ROTATED, "INFO", "wrote target", {"change": "rotated", "detail": ROTATED.detail}),
        (AWAY, "WARNING", "not in sync", {"detail": "No answer."}),
        (DELETED, "INFO", "deleted target", {"detail": DELETED.message}),
        (EMPTY, "DEBUG", "no target", {}),
        (Suspended(), "DEBUG", "suspended", {}),
    ],
    ids=["in sync", "written", "failed", "deleted", "empty", "suspended"],
)
def test_an_outcome_is_one_line_and_one_count(
    scene: Scene, outcome: Outcome, level: str, message: str, fields: dict[str, str]
) -> None:
    scene.outcome(outcome, seconds=0.1234)

    always = {"vaultsecret": "shop/db", "reason": outcome.reason.value, "seconds": 0.123}
    assert scene.lines() == [(level, message, always | fields)]
    assert scene.number("vaultsync_reconciles_total", reason=outcome.reason.value) == 1
    assert scene.number("vaultsync_reconcile_duration_seconds_sum") == 0.1234


@pytest.mark.parametrize(
    ("outcome", "facts", "failed"),
    [
        (ROTATED, {"reason": "Synced", "change": "rotated"}, False),
        (AWAY, {"reason": "VaultUnreachable", "change": "none"}, True),
        (DELETED, {"reason": "SecretNotFound", "change": "deleted"}, False),
        (EMPTY, {"reason": "SecretNotFound", "change": "none"}, False),
        (Suspended(), {"reason": "Suspended", "change": "none"}, False),
    ],
    ids=["written", "failed", "deleted", "empty", "suspended"],
)
def test_an_outcome_is_noted_in_words_of_ours_alone(
    scene: Scene, outcome: Outcome, facts: Mapping[str, str], *, failed: bool
) -> None:
    scene.outcome(outcome)

    assert scene.noted == [(facts, failed)]


def test_a_poll_is_noted_in_words_of_ours_alone(scene: Scene) -> None:
    throttled = SyncError(Reason.VAULT_THROTTLED, VALUE)

    scene.recorder.poll(VAULT, mode="list", calls=3, seconds=1.0, failure=throttled)

    assert scene.noted == [({"mode": "list", "calls": 3, "result": "VaultThrottled"}, True)]


def test_written_and_deleted_targets_are_counted_by_why_and_others_are_not(scene: Scene) -> None:
    for outcome in (ROTATED, ROTATED, DELETED, EMPTY, EMPTY, IN_SYNC, AWAY):
        scene.outcome(outcome)

    assert scene.number("vaultsync_targets_written_total", change="rotated") == 2
    assert scene.number("vaultsync_targets_written_total", change="deleted") == 1
    assert scene.number("vaultsync_targets_written_total", change="none") is None


def test_what_has_never_happened_counts_zero(scene: Scene) -> None:
    for reason in Reason:
        assert scene.number("vaultsync_reconciles_total", reason=reason) == 0
    for change in set(Change) - {Change.NONE}:
        assert scene.number("vaultsync_targets_written_total", change=change) == 0
    for result in ("issued", "refused"):
        assert scene.number("vaultsync_logins_total", result=result) == 0
    for kind, result in itertools.product(WorkloadKind, ("restarted", "failed")):
        assert scene.number("vaultsync_restarts_total", kind=kind, result=result) == 0


def test_a_rotation_is_timed_from_the_change_in_the_vault_to_the_end_of_the_reconcile(scene: Scene) -> None:
    rotated = a_status_entry(version=SECOND, updated=READ_AT, read_at=READ_AT + timedelta(seconds=40))

    scene.outcome(ROTATED, after=a_status(rotated), seconds=2.0)

    assert scene.number("vaultsync_rotation_latency_seconds_sum") == 42.0


@pytest.mark.parametrize("change", sorted(set(Change) - {Change.ROTATED}))
def test_no_other_change_is_timed_as_a_rotation(scene: Scene, change: Change) -> None:
    rotated = a_status_entry(version=SECOND, updated=READ_AT, read_at=READ_AT + timedelta(seconds=40))

    scene.outcome(a_synced(change=change), after=a_status(rotated))

    assert scene.number("vaultsync_rotation_latency_seconds_count") == 0


@pytest.mark.parametrize(
    ("problem", "result", "line"),
    [
        (None, "restarted", ("INFO", "restarted workload", {})),
        ("It does not exist.", "failed", ("WARNING", "workload not restarted", {"detail": "It does not exist."})),
    ],
    ids=["restarted", "failed"],
)
def test_a_restart_is_one_line_and_one_count(
    scene: Scene, problem: str | None, result: str, line: tuple[str, str, dict[str, str]]
) -> None:
    entry = StatusRestart(kind=WorkloadKind.STATEFUL_SET, name="web", at=READ_AT, problem=problem)

    scene.recorder.restarted(a_vault_secret(), entry)

    level, message, fields = line
    assert scene.lines() == [(level, message, {"vaultsecret": "shop/db", "workload": "StatefulSet web"} | fields)]
    assert scene.number("vaultsync_restarts_total", kind="StatefulSet", result=result) == 1


def test_logins_are_counted_by_result(scene: Scene) -> None:
    for issued in (True, True, False):
        scene.recorder.login(issued=issued)

    assert scene.number("vaultsync_logins_total", result="issued") == 2
    assert scene.number("vaultsync_logins_total", result="refused") == 1


def test_calls_to_vaults_are_counted_and_timed(scene: Scene) -> None:
    scene.recorder.vault_call(VAULT, operation="get_secret", status="200", seconds=0.25)
    scene.recorder.vault_call(VAULT, operation="get_secret", status="ConnectionFailed", seconds=10.0)

    calls = {"vault": VAULT, "operation": "get_secret"}
    assert scene.number("vaultsync_vault_requests_total", status="200", **calls) == 1
    assert scene.number("vaultsync_vault_requests_total", status="ConnectionFailed", **calls) == 1
    assert scene.number("vaultsync_vault_request_duration_seconds_sum", operation="get_secret") == 10.25


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
def test_polls_are_counted_by_how_they_went(
    scene: Scene, failure: SyncError | None, result: str, line: tuple[str, str, dict[str, str]]
) -> None:
    scene.recorder.poll(VAULT, mode="list", calls=40, seconds=1.0, failure=failure)

    level, message, fields = line
    always = {"vault": VAULT, "mode": "list", "calls": 40, "seconds": 1.0, "reason": result}
    assert scene.lines() == [(level, message, always | fields)]
    assert scene.number("vaultsync_polls_total", vault=VAULT, mode="list", result=result) == 1
    assert scene.number("vaultsync_poll_requests", vault=VAULT) == 40


def test_the_series_of_a_vault_that_nobody_asks_any_more_are_dropped(scene: Scene) -> None:
    for vault in (VAULT, "https://gone.vault.azure.net"):
        scene.recorder.vault_call(vault, operation="get_secret", status="200", seconds=0.25)
        scene.recorder.poll(vault, mode="list", calls=1, seconds=1.0, failure=None)

    scene.recorder.forget_vaults_but([VAULT])

    samples = [sample for metric in scene.registry.collect() for sample in metric.samples]
    assert {sample.labels["vault"] for sample in samples if "vault" in sample.labels} == {VAULT}


def test_waits_lags_and_the_version_are_told(scene: Scene) -> None:
    scene.recorder.waited(0.5)
    scene.recorder.lagged(0.25)

    assert scene.number("vaultsync_event_loop_lag_seconds_sum") == 0.25
    assert scene.number("vaultsync_queue_wait_seconds_sum") == 0.5
    assert scene.number("vaultsync_build_info", version="1.2.3") == 1.0


def stumble(over: str) -> None:
    raise ValueError(over)


@pytest.mark.parametrize("of_a_poll", [False, True], ids=["a reconcile's", "a poll's"])
def test_a_bug_is_logged_by_its_type_and_place_without_its_text(scene: Scene, of_a_poll: bool) -> None:
    try:
        stumble(VALUE)
    except ValueError as error:
        if of_a_poll:
            scene.recorder.broken(VAULT, error)
        else:
            scene.recorder.bug(a_vault_secret(), error)

    ((level, _, fields),) = scene.lines()
    assert (level, fields["error"]) == ("ERROR", "ValueError")
    assert "in stumble" in fields["where"]
    assert VALUE not in str(fields)


def test_what_could_not_be_told_is_logged(scene: Scene) -> None:
    scene.recorder.untold(a_vault_secret(), SyncError(Reason.CLUSTER_UNAVAILABLE, "No answer."))

    assert scene.lines() == [("WARNING", "could not tell", {"vaultsecret": "shop/db", "detail": "No answer."})]


def test_no_label_names_a_vaultsecret_or_a_secret(scene: Scene) -> None:
    for outcome in (IN_SYNC, ROTATED, AWAY, DELETED, EMPTY, Suspended()):
        scene.outcome(outcome)
    scene.recorder.vault_call(VAULT, operation="get_secret", status="200", seconds=0.0)
    scene.recorder.poll(VAULT, mode="list", calls=1, seconds=0.0, failure=None)
    scene.recorder.restarted(a_vault_secret(), StatusRestart(kind=WorkloadKind.DEPLOYMENT, name="db-web", at=READ_AT))

    samples = [sample for metric in scene.registry.collect() for sample in metric.samples]
    labels = {name for sample in samples for name in sample.labels}
    assert labels <= {"reason", "change", "vault", "operation", "status", "mode", "kind", "result", "version", "le"}
    assert not any("db" in value for sample in samples for value in sample.labels.values())
