"""What administrators watch: each happening as numbers and as one log line."""

import logging
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.builders import VAULT, a_state, a_vault_secret
from vaultsync.adapters.telemetry import Telemetry
from vaultsync.rules.outcome import Change, Failed, Outcome, Reason, Suspended, Synced, SyncError

IN_SYNC = Synced((a_state(),))
ROTATED = Synced((a_state(),), Change.ROTATED, "Rotated password (db-password 2).")
VALUE = "MARKED-s3cret"
AWAY = Failed(Reason.VAULT_UNREACHABLE, "No answer.")


class Scene:
    """Telemetry on a registry of its own, and the log lines that it wrote."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "vaultsync")
        self._caplog = caplog
        self.registry = CollectorRegistry()
        self.telemetry = Telemetry(self.registry, version="1.2.3")

    def number(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

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
        (Suspended(), "DEBUG", "suspended", {}),
    ],
    ids=["in sync", "written", "failed", "suspended"],
)
def test_an_outcome_is_one_line_and_one_count(
    scene: Scene, outcome: Outcome, level: str, message: str, fields: dict[str, str]
) -> None:
    scene.telemetry.outcome(a_vault_secret(), outcome, seconds=0.1234)

    always = {"vaultsecret": "shop/db", "reason": outcome.reason.value, "seconds": 0.123}
    assert scene.lines() == [(level, message, always | fields)]
    assert scene.number("vaultsync_reconciles_total", reason=outcome.reason.value) == 1
    assert scene.number("vaultsync_reconcile_duration_seconds_sum") == 0.1234


def test_written_targets_are_counted_by_why_and_others_are_not(scene: Scene) -> None:
    for outcome in (ROTATED, ROTATED, IN_SYNC, AWAY):
        scene.telemetry.outcome(a_vault_secret(), outcome, seconds=0.0)

    assert scene.number("vaultsync_targets_written_total", change="rotated") == 2
    assert scene.number("vaultsync_targets_written_total", change="none") is None


def test_calls_to_vaults_are_counted_and_timed(scene: Scene) -> None:
    scene.telemetry.vault_call(VAULT, operation="get_secret", status="200", seconds=0.25)
    scene.telemetry.vault_call(VAULT, operation="get_secret", status="ConnectionFailed", seconds=10.0)

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
    scene.telemetry.poll(VAULT, mode="list", calls=40, seconds=1.0, failure=failure)

    level, message, fields = line
    always = {"vault": VAULT, "mode": "list", "calls": 40, "seconds": 1.0, "reason": result}
    assert scene.lines() == [(level, message, always | fields)]
    assert scene.number("vaultsync_polls_total", vault=VAULT, mode="list", result=result) == 1
    assert scene.number("vaultsync_poll_requests", vault=VAULT) == 40


def test_gauges_are_read_when_somebody_scrapes(scene: Scene) -> None:
    depth = [3.0]
    scene.telemetry.gauge(depth=lambda: depth[0], oldest=lambda: 1.5, vault_secrets=lambda: 7.0)

    depth[0] = 4.0

    assert scene.number("vaultsync_queue_depth") == 4.0
    assert scene.number("vaultsync_queue_oldest_seconds") == 1.5
    assert scene.number("vaultsync_vaultsecrets") == 7.0


def test_waits_and_the_version_are_told(scene: Scene) -> None:
    scene.telemetry.waited(0.5)

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
            scene.telemetry.broken(VAULT, error)
        else:
            scene.telemetry.bug(a_vault_secret(), error)

    ((level, _, fields),) = scene.lines()
    assert (level, fields["error"]) == ("ERROR", "ValueError")
    assert "in stumble" in fields["where"]
    assert VALUE not in str(fields)


def test_what_could_not_be_told_is_logged(scene: Scene) -> None:
    scene.telemetry.untold(a_vault_secret(), SyncError(Reason.CLUSTER_UNAVAILABLE, "No answer."))

    assert scene.lines() == [("WARNING", "could not tell", {"vaultsecret": "shop/db", "detail": "No answer."})]


def test_no_label_names_a_vaultsecret_or_a_secret(scene: Scene) -> None:
    for outcome in (IN_SYNC, ROTATED, AWAY, Suspended()):
        scene.telemetry.outcome(a_vault_secret(), outcome, seconds=0.0)
    scene.telemetry.vault_call(VAULT, operation="get_secret", status="200", seconds=0.0)
    scene.telemetry.poll(VAULT, mode="list", calls=1, seconds=0.0, failure=None)

    samples = [sample for metric in scene.registry.collect() for sample in metric.samples]
    labels = {name for sample in samples for name in sample.labels}
    assert labels <= {"reason", "change", "vault", "operation", "status", "mode", "result", "version", "le"}
    assert not any("db" in value for sample in samples for value in sample.labels.values())
