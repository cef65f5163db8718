"""Traces: sent to the collector that OpenTelemetry's variables name, without secrets, and without delaying syncs."""

import socket
import sys
from functools import partial
from time import monotonic
from typing import Final

from tests.collector import CollectedSpan, Collector
from tests.e2e.concurrency import scenario
from tests.e2e.harness import MARK, entry
from tests.e2e.lifecycle.harness import OperatorHarness
from tests.e2e.operators import RunningOperator
from vaultsync import __version__

QUICKLY: Final = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
LAST_EXPORT_SECONDS: Final = 2.0
"""Seconds for which the operator waits for a collector when it stops."""

WITHOUT_TRACING: Final = (
    sys.executable,
    "-c",
    "import sys; sys.modules['opentelemetry.sdk'] = None; from vaultsync.__main__ import main; sys.exit(main())",
)


def is_about(name: str, span: CollectedSpan) -> bool:
    """Whether a span is a reconcile of that VaultSecret."""
    return span.attributes.get("vaultsync.vaultsecret") == name


def synced(span: CollectedSpan) -> bool:
    """Whether a span is a reconcile that created a target."""
    return span.name == "reconcile" and span.attributes.get("vaultsync.change") == "created"


@scenario
def test_a_reconcile_is_a_trace_with_the_calls_to_the_vault_below(harness: OperatorHarness) -> None:
    harness.put()
    with Collector.listening() as collector, harness.operator(environ=collector.environ()):
        harness.apply()
        harness.await_synced()

        reconcile = collector.await_span(synced)
        collector.await_span(lambda span: span.parent == reconcile.id)

    assert reconcile.attributes == {
        "k8s.namespace.name": harness.namespace,
        "vaultsync.vaultsecret": "db",
        "vaultsync.reason": "Synced",
        "vaultsync.change": "created",
        "vaultsync.read_reason": "the Secret does not exist",
    }
    assert (reconcile.parent, reconcile.failed) == ("", False)
    (call,) = collector.below(reconcile)
    assert call.name == "kvsecrets.get_secret"
    assert call.attributes["http.response.status_code"] == 200
    assert str(call.attributes["server.address"]) in harness.vault.url
    assert (call.resource["service.name"], call.resource["service.version"]) == ("vaultsync", __version__)


@scenario
def test_a_poll_is_a_trace_with_its_listing_below(harness: OperatorHarness) -> None:
    harness.put()
    with Collector.listening() as collector, harness.operator(environ=collector.environ()):
        harness.apply()

        poll = collector.await_span(lambda span: span.name == "poll")
        collector.await_span(lambda span: span.parent == poll.id)

    assert poll.attributes == {
        "vaultsync.vault": harness.vault.url,
        "vaultsync.mode": "list",
        "vaultsync.calls": 1,
        "vaultsync.result": "Synced",
    }
    assert poll.parent == ""
    assert {call.attributes["http.response.status_code"] for call in collector.below(poll)} == {200}


@scenario
def test_a_trace_holds_no_value_and_no_message(harness: OperatorHarness) -> None:
    harness.put()
    with Collector.listening() as collector, harness.operator(environ=collector.environ()) as running:
        harness.apply()
        harness.await_synced()
        harness.apply(entry(encoding="Base64"), name="undecodable")
        harness.apply(entry(source="nowhere"), name="missing")
        harness.await_reason("EncodingInvalid", name="undecodable")
        harness.await_reason("SecretNotFound", name="missing")
        collector.await_span(synced)
        for name in ("undecodable", "missing"):
            collector.await_span(partial(is_about, name))
        assert running.stop() == 0

    ended = {span.attributes["vaultsync.vaultsecret"]: span for span in collector.spans if span.name == "reconcile"}
    assert {name: (span.attributes["vaultsync.reason"], span.failed) for name, span in ended.items()} == {
        "db": ("Synced", False),
        "undecodable": ("EncodingInvalid", True),
        "missing": ("SecretNotFound", True),
    }
    assert {span.message for span in collector.spans} == {""}
    assert sum(span.events for span in collector.spans) == 0
    assert [body for _, _, body in collector.requests if MARK.encode() in body] == []


@scenario
def test_the_last_traces_are_sent_when_the_operator_stops(harness: OperatorHarness) -> None:
    harness.put()
    with Collector.listening() as collector:
        hourly = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
        with harness.operator(environ=hourly) as running:
            harness.apply()
            harness.await_synced()
            assert collector.spans == []

            began = monotonic()
            assert running.stop() == 0
            took = monotonic() - began

    # A machine may be so slow that the time ends that the operator takes for that.
    assert [span for span in collector.spans if synced(span)] or took >= LAST_EXPORT_SECONDS


@scenario
def test_an_unreachable_collector_is_logged_once_and_delays_no_sync(harness: OperatorHarness) -> None:
    value = harness.put()
    with harness.operator(environ={**QUICKLY, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) as running:
        harness.apply()
        harness.await_content(password=value)
        harness.await_polls_elsewhere()
        assert running.stop() == 0

    logged = [line for line in running.lines() if line.get("level") != "DEBUG" and "trace" in line["message"].lower()]
    assert [(line["level"], line["detail"]) for line in logged] == [("WARNING", "ConnectionError")]
    assert [line for line in running.lines() if line.get("logger", "").startswith("opentelemetry")] == []


@scenario
def test_a_collector_that_does_not_answer_delays_no_sync_and_does_not_keep_the_operator_from_stopping(
    harness: OperatorHarness,
) -> None:
    value = harness.put()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with harness.operator(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": there}) as running:
            harness.apply()
            harness.await_content(password=value)

            assert running.stop() == 0

    assert "Traceback" not in harness.log.read_text()


@scenario
def test_without_the_libraries_it_ends_and_names_the_extra_to_install(harness: OperatorHarness) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}

    with RunningOperator.start(environ, harness.log, program=WITHOUT_TRACING) as running:
        assert running.wait() == 2

    (line,) = [line for line in running.lines() if line.get("level") == "ERROR"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in line["detail"]
    assert "vaultsync[tracing]" in line["detail"]
    assert "Traceback" not in harness.log.read_text()
